/**
 * Mending: what is no good is moved aside, and made again of what else there is. Each step is one rename or one link, so
 * whatever ends it early, the next run goes on. Good bytes are never touched, nothing is deleted.
 */
import { dirname, join } from 'node:path';
import { link } from 'node:fs/promises';
import { Failure } from '../../failure.ts';
import { errorCode, makeDirectory, syncDirectory } from '../../host/files.ts';
import type { BuildId } from '../../records/names.ts';
import { releaseProofFile } from '../../records/paths.ts';
import type { Tree } from '../../tree/tree.ts';
import { publish } from '../../tree/publish.ts';
import type { Aside } from './aside.ts';
import { areRight, isWhole } from './build.ts';
import type { Checked } from './build.ts';
import type { Expected } from './expected.ts';
import type { Question } from './facts.ts';
import { isFault } from './finding.ts';
import type { Finding } from './finding.ts';
import { remakeLog } from './log.ts';

export interface Repair extends Pick<Question, 'tree' | 'project' | 'now'> {
  readonly aside: Aside;
  /** What was done about a path, and whether it was made again: else it was only moved. */
  readonly did: (path: string, how: string, isMade: boolean) => void;
}

export interface Done {
  readonly how: string;
  readonly isMade: boolean;
}

/** Of what is another project's, and left where it is. */
export const OTHER_PROJECT = 'other-project';

/** Codes of what no move would help: every byte is as it was signed, or no file is at fault. */
const AS_SIGNED: ReadonlySet<string> = new Set([
  ...[
    'signed-so',
    'gpgv-refused',
    'signature-bad',
    'key-revoked',
    'key-expired',
    'key-unusable',
    'key-cannot-sign',
  ],
  ...[
    'entry-malformed',
    'entry-order',
    'entry-time',
    'witnesses-missing',
    'too-much',
    'range-changed',
    'no-log',
  ],
]);

const moved = (place: string): string => `moved to ${place}`;

/** What is foreign anywhere, and nobody's, goes aside. Throws unable('disk'). */
export async function mendStrays({ aside, did }: Repair, findings: readonly Finding[]): Promise<void> {
  for (const { path, what, code } of findings) {
    if (what !== 'foreign' || code === OTHER_PROJECT) continue;
    const place = await aside.move(path);
    if (place !== null) did(path, moved(place), false);
  }
}

/** The log: tiles are made again from the entries; else the signer, or a mirror, sends all of it. Throws unable('disk'). */
export async function mendLog(repair: Repair, findings: readonly Finding[]): Promise<void> {
  const { tree, project, aside, did } = repair;
  await mendStrays(repair, findings);
  const faults = findings.filter(
    (each) => isFault(each) && each.what !== 'foreign' && !AS_SIGNED.has(each.code),
  );
  if (faults.length === 0 && !findings.some(({ code }) => code === 'range-changed' || code === 'too-much'))
    return;
  await tree.replacing(async (replace) => {
    const made = await remakeLog(tree, project.log, new Set(faults.map(({ path }) => path)));
    for (const { path } of faults) {
      const place = await aside.move(path);
      const bytes = made?.get(path);
      if (bytes !== undefined) await replace(path, bytes);
      const where = place === null ? '' : moved(place);
      const again = bytes === undefined ? '' : 'made again from the entries';
      did(path, [where, again].filter(Boolean).join(', '), bytes !== undefined);
    }
    if (made !== null && faults.every(({ path }) => made.has(path))) return;
    // who finds no checkpoint here sends the log from its beginning, and what is here already stays
    const place = await aside.move('log/checkpoint');
    if (place !== null)
      did(
        'log/checkpoint',
        `${moved(place)}: the signer’s next run, or sync from a mirror, sends the log again`,
        false,
      );
  });
}

/** A build and its release, the proof of a release last. Throws unable('disk' | what publishing meets). */
export async function mendBuild(
  repair: Repair,
  { build, findings, expected, publish: lacks, target }: Checked,
): Promise<void> {
  const isProof = ({ path }: Finding): boolean => path.endsWith(`countersign/${releaseProofFile}`);
  const faults = findings
    .all()
    .filter((each) => isFault(each) && !AS_SIGNED.has(each.code) && each.path !== target);
  await mendStrays(repair, faults);
  const rest = faults.filter(({ what }) => what !== 'foreign');
  for (const finding of [...rest.filter((each) => !isProof(each)), ...rest.filter(isProof)]) {
    const file = expected.get(finding.path);
    if (file !== undefined) await mendFile(repair, file);
  }
  if (lacks && target !== null) await publishAgain(repair, build, target);
  await reopen(repair, { target, expected }, rest);
}

/**
 * Of what is lost here nobody sends one file alone: a release that is not whole is none, and a record keeps out the one
 * that brings its authenticator. So what stands in the way goes aside, too.
 */
async function reopen(
  repair: Repair,
  { target, expected }: Pick<Checked, 'target' | 'expected'>,
  faults: readonly Finding[],
): Promise<void> {
  const { aside, did } = repair;
  const away = new Set<string>();
  for (const { path } of faults) {
    const file = expected.get(path);
    if (file === undefined || file.needed === null || (await isWhole(repair, path, file.is))) continue;
    if (target !== null && path.startsWith(`${target}/`)) away.add(target);
    const record = /^(.*\/(?:enrolments|revocations)\/[^/]+\.json)(?:\.sig|\.mac)?$/.exec(path)?.[1];
    if (record !== undefined) for (const suffix of ['', '.sig', '.mac']) away.add(`${record}${suffix}`);
  }
  for (const path of away) {
    const place = await aside.move(path);
    if (place !== null) did(path, `${moved(place)}, lest it keep out what is lost`, false);
  }
}

async function mendFile(repair: Repair, file: Expected): Promise<void> {
  const { tree, aside, did } = repair;
  const { path } = file;
  // found first, moved then: between the two nothing is lost
  const source = await wholeSource(repair, file);
  const made = source === null ? await makeRight(file) : null;
  const place = await aside.move(path);
  const done = place === null ? [] : [moved(place)];
  if (source !== null) {
    await copy(tree, source, path);
    done.push(`made again from ${source}`);
  } else if (made !== null) {
    await tree.write(path, made);
    done.push('made again');
  }
  if (done.length > 0) did(path, done.join(', '), source !== null || made !== null);
}

async function wholeSource(repair: Repair, { sources, is }: Expected): Promise<string | null> {
  for (const source of sources) if (await isWhole(repair, source, is)) return source;
  return null;
}

async function makeRight({ make, is }: Expected): Promise<Buffer | null> {
  const bytes = (await make?.()) ?? null;
  return bytes !== null && areRight(bytes, is) ? bytes : null;
}

/** As publishing does: a second name for the same file, where there is such a thing. */
async function copy(tree: Tree, from: string, to: string): Promise<void> {
  const root = tree.directory;
  await makeDirectory(dirname(join(root, to)), 0o755);
  try {
    await link(join(root, from), join(root, to));
    await syncDirectory(dirname(join(root, to)));
  } catch (error) {
    if (!['EMLINK', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV'].includes(errorCode(error)))
      throw error;
    const stage = await tree.stage();
    try {
      const file = await tree.open(from);
      for await (const chunk of file?.chunks() ?? []) await stage.write(Buffer.from(chunk));
      await stage.commit(to);
    } finally {
      await stage.discard();
    }
  }
}

async function publishAgain(
  { tree, project, now, did }: Repair,
  build: BuildId,
  target: string,
): Promise<void> {
  try {
    await publish({ tree, project, build, now });
    did(target, 'published again', true);
  } catch (error) {
    // what is in the way is a finding of its own
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    did(target, `not published: ${error.message}`, false);
  }
}
