/** The signer's own directory where it does not belong: its log key and token are secrets. */
import { access, constants, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Failure } from '../../failure.ts';
import { orNull } from '../../host/files.ts';
import { run } from '../../host/process.ts';
import { word } from '../../host/shell.ts';
import { LOG_KEY, TOKEN } from '../../signer/state.ts';
import { ok, problem, PROBE_MS } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';

export const checkMisplaced: Check = async (host) => {
  const { role, state } = host;
  const findings = role === 'signer' ? await onTheSigner(host) : await elsewhere(host);
  if (findings.length > 0) return findings;
  if (role !== 'signer') return [ok('misplaced', 'no secrets of the signer are here')];
  return [ok('misplaced', `${state} is in no git checkout that would take it up, and in no depot`)];
};

async function elsewhere({ role, file, data }: Host): Promise<Finding[]> {
  const places = [dirname(file), ...(data === null ? [] : [data])].map((each) => join(each, 'signer'));
  const found: Finding[] = [];
  for (const place of new Set(places)) {
    if (!(await holdsSecrets(place))) continue;
    const text = `${place} holds the log key and the journal of a signer, and this is looked at as the ${role}’s host`;
    // there may be no other: nothing to copy here may move or remove it
    const signer = `countersign doctor --role signer -c ${word(file)} --state ${word(place)}`;
    const hint = `${signer}   # is this the signer? else move all of it there, if it is the signer’s only one`;
    found.push(problem('misplaced', text, hint));
  }
  return found;
}

/** Closed to us it is some other user's of this host, as it should be. */
async function holdsSecrets(directory: string): Promise<boolean> {
  const secrets = [LOG_KEY, TOKEN].map((name) => join(directory, name));
  const readable = await Promise.all(
    secrets.map((path) =>
      access(path, constants.R_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return readable.includes(true);
}

async function onTheSigner({ state, data, depot }: Host): Promise<Finding[]> {
  const findings: Finding[] = [];
  if ((await orNull(stat(state), `look at ${state}`)) === null) return findings;
  const depots = [data, depot && 'directory' in depot ? depot.directory : null];
  for (const directory of depots.filter((each) => each !== null))
    if (!relative(directory, state).startsWith('..'))
      findings.push(
        problem(
          'misplaced',
          `${state} lies in the depot ${directory}, which others read`,
          'move it out of there, on this host, and say where it is: countersign sign --state DIR',
        ),
      );
  findings.push(...(await inCheckout(state)));
  return findings;
}

async function inCheckout(state: string): Promise<Finding[]> {
  const tracked = await git(state, ['ls-files', '--', '.']);
  // no checkout, or no git to ask
  if (tracked?.code !== 0) return [];
  if (tracked.stdout.length > 0)
    return [
      problem(
        'misplaced',
        `git has taken up ${state}: whoever has the repository has the log key and the signer token`,
        `git -C ${word(dirname(state))} rm -r --cached ${word(state)}   # its history has them still: make a new project`,
      ),
    ];
  const ignored = await git(state, ['check-ignore', '--quiet', '--', LOG_KEY]);
  if (ignored?.code !== 1) return [];
  const hint = `echo '*' > ${word(join(state, '.gitignore'))}`;
  return [problem('misplaced', `the next git add -A takes up ${state}: it is not ignored`, hint)];
}

async function git(directory: string, args: readonly string[]) {
  const options = { timeoutMs: PROBE_MS, maxOutput: 16 * 1024 * 1024 };
  return run('git', ['-C', directory, ...args], options).catch((error: unknown) => {
    if (error instanceof Failure) return null;
    throw error;
  });
}
