/** The signer's state directory: there, its owner's alone, of this project, and not ahead of the clock. */
import { lstat, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../../failure.ts';
import { orNull, readFileBounded } from '../../host/files.ts';
import { openToAll } from '../../host/permissions.ts';
import { readCredential } from '../../host/secret.ts';
import { word } from '../../host/shell.ts';
import type { Project } from '../../policy/project.ts';
import { decodeToken } from '../../policy/token.ts';
import { LOG_ENTRY_MAX, parseLogEntry } from '../../records/log-entry.ts';
import { timestampDate } from '../../records/names.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { JOURNAL, LOG_KEY, TOKEN } from '../../signer/state.ts';
import { parseSignerKey } from '../../tlog/note.ts';
import { ok, problem } from './finding.ts';
import type { Check, Finding } from './finding.ts';

const SECRET_MAX = 4096;
/** Two clocks, and the way between them. */
const TOLERANCE_MS = 60_000;

export const checkState: Check = async ({ state, file, now, project }) => {
  const status = await orNull(stat(state), `look at ${state}`);
  if (status === null) {
    // without a project file there is nothing that it could belong to
    if (project instanceof Failure) return [];
    const cure = 'bring it back from its backup, or name it: --state DIR';
    return [problem('state', `no ${state}: it holds the log key, and init made it beside ${file}`, cure)];
  }
  const us = process.geteuid?.();
  if (status.uid !== us) {
    const text = `${state} belongs to user ${status.uid}, and this is user ${us}: sign works for its owner alone`;
    return [
      problem(
        'state',
        text,
        `sudo -u '#${status.uid}' countersign doctor   # or chown -R ${us} ${word(state)}`,
      ),
    ];
  }
  const findings = await openPlaces(state, status.uid);
  if (!(project instanceof Failure)) findings.push(...(await foreign(state, project)));
  const ahead = await aheadOf(state, now);
  if (ahead !== null) findings.push(ahead);
  return findings.length > 0 ? findings : [ok('state', `${state} is this user’s alone, and of this project`)];
};

/** What others own or may open of the directory, what lies directly in it, and the way to it. */
async function openPlaces(state: string, us: number): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of ['.', ...(await readdir(state))]) {
    const path = join(state, name);
    const status = await orNull(name === '.' ? stat(path) : lstat(path), `look at ${path}`);
    if (status === null) continue;
    if (status.isSymbolicLink())
      findings.push(problem('state', `${path} is a symbolic link`, 'put the file itself there'));
    else if (status.uid !== us)
      findings.push(
        problem('state', `${path} belongs to user ${status.uid}`, `chown -R ${us} ${word(state)}`),
      );
    else if ((status.mode & 0o077) !== 0)
      findings.push(problem('state', `other users may open ${path}`, `chmod -R go= ${word(state)}`));
  }
  const open = openToAll(state);
  if (open !== null && open !== state)
    findings.push(problem('state', `everybody on this host may write ${open}`, `chmod o-w ${word(open)}`));
  return findings;
}

/** Secrets that are missing or another project's. They are read, and never shown. */
async function foreign(state: string, project: Project): Promise<Finding[]> {
  const check = async (name: string, belongs: (secret: string) => boolean): Promise<Finding[]> => {
    const path = join(state, name);
    const kept = name === LOG_KEY ? await readCredential(process.env, LOG_KEY) : null;
    const secret = kept ?? (await readFileBounded(path, SECRET_MAX))?.toString('latin1').trimEnd();
    if (secret === undefined) return [problem('state', `no ${path}`, 'bring it back from its backup')];
    try {
      if (belongs(secret)) return [];
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
    return [problem('state', `${path} is not the project file’s`, 'check --config and --state')];
  };
  return [
    ...(await check(LOG_KEY, (text) => parseSignerKey(text).verifier.text === project.log.key.text)),
    ...(await check(TOKEN, (text) => sha256Hex(decodeToken(text)) === project.signerTokenSha256)),
  ];
}

/** The last entry of the log is older than now, unless a clock is wrong. */
async function aheadOf(state: string, now: Date): Promise<Finding | null> {
  const path = join(state, JOURNAL);
  const line = await lastLine(path);
  if (line === null) return null;
  try {
    const { time } = parseLogEntry(line);
    if (timestampDate(time).getTime() <= now.getTime() + TOLERANCE_MS) return null;
    const text = `the last entry of the log is of ${time}, and by this host’s clock that is still to come`;
    return problem('clock', text, 'timedatectl set-ntp true');
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return problem('state', `${path}: its last line is no log entry`, 'restore it from what the depot has');
  }
}

/** The last whole line, without its end; null if there is none. */
async function lastLine(path: string): Promise<Buffer | null> {
  const file = await orNull(open(path), `open ${path}`);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    const length = Math.min(size, 2 * LOG_ENTRY_MAX + 2);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    const end = buffer.lastIndexOf('\n');
    return end <= 0 ? null : buffer.subarray(buffer.lastIndexOf('\n', end - 1) + 1, end);
  } finally {
    await file.close();
  }
}
