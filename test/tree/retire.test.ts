/** A depot takes away what need not be kept: from a real directory, by its own log, while others write and however it ends. */
import { cp, mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Project } from '../../src/policy/project.ts';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { blobFile, buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { DeniedFailure } from '../../src/tree/denied.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import type { Happening } from '../../src/tree/happening.ts';
import { digest, MadeLog } from '../harness/made-log.ts';
import { refusalFiles } from '../policy/release-scene.ts';
import {
  ada,
  approval,
  approvalFiles,
  b2,
  bob,
  build,
  builderEntry,
  endorsement,
  logSigner,
  minutes,
  now,
  project,
  statement,
  statementFiles,
  tokens,
} from '../policy/scene.ts';
import { blobs, keep, makeDepot, put, seal, sendRelease } from './depot.ts';
import type { DepotOnDisk, Kept } from './depot.ts';

const HOURS = 60;
const DAYS = 24 * HOURS;
/** By the approval's end, half an hour before, and so on. */
const END = 3.5 * HOURS;
const extra = Buffer.from('of a run that failed');
const { version } = approval;

const time = { now };
let here: DepotOnDisk;
let log: MadeLog;
let told: Happening[];
let keeper: Kept;

async function open(changes: Partial<Project> = {}): Promise<void> {
  time.now = now;
  told = [];
  here = await makeDepot(changes, time);
  log = new MadeLog(join(here.directory, 'log'), logSigner);
  keeper = keeperOf(changes);
}
const keeperOf = (changes: Partial<Project> = {}): Kept => {
  const tree = {
    ...{ tree: here.tree, rules: { ...project, ...changes }, now: () => time.now },
    heard: (happening: Happening) => told.push(happening),
  };
  return keep(tree, { keepRefusedMs: 30 * DAYS * 60_000 });
};
beforeEach(() => open());
afterEach(() => here.remove());

/** The signer logs this of the build, now. */
const say = (type: BuildEntry['type'], path: string): unknown =>
  log.add([
    encodeLogEntry({
      ...{ type, build, version, project: project.name, time: timestamp(time.now) },
      ...{ records: { [path]: digest(log.size) }, keys: [] },
    }),
  ]);
/** The signer is there, and logs nothing of any build. */
const beat = (): unknown => log.add([encodeLogEntry(heartbeat(project.name, timestamp(time.now)))]);
const sweep = async (after: number): Promise<void> => {
  time.now = minutes(after);
  await keeper.sweep.run();
};
/** By the clock, and by the log. */
const sweepAt = async (after: number): Promise<void> => {
  time.now = minutes(after);
  beat();
  await keeper.sweep.run();
};
const dropped = (): unknown[] =>
  told.flatMap((each) => (each.kind === 'dropped' ? [[each.what, each.files, each.bytes]] : []));
const files = async (directory = buildPath(build)): Promise<string[]> =>
  (await readdir(join(here.directory, directory), { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((each) => each.isFile())
    .map((each) => each.name)
    .sort();
const stored = (): Promise<string[]> => files(`${buildPath(build)}/blobs`);
const all = blobs.map(({ sha256 }) => sha256).sort();

test('a release is published: what no statement names goes, all else stays for ever', async () => {
  await seal(here);
  await put(here.builder, extra);
  await sendRelease(here);
  for (const [type, path] of [
    ['approval', 'approval.json'],
    ['statement', 'statements/b1.json'],
    ['intent', 'manifest.json'],
    ['release', 'release.json'],
  ] as const)
    say(type, path);
  await sweepAt(0);
  expect(await stored(), 'it is not published yet').toHaveLength(3);
  await keeper.depot.publish(build);
  await sweepAt(1);
  expect(await stored()).toEqual(all);
  expect(dropped()).toEqual([['unnamed', 1, extra.length]]);
  const kept = await files();
  await put(here.builder, extra);
  await sweepAt(END);
  expect(await files(), 'and once more at its end').toEqual(kept);
  await sweepAt(10_000 * DAYS);
  expect(await files()).toEqual(kept);
  expect(await files(`releases/${project.name}/${version}`)).not.toEqual([]);
});

test('nobody seals it: its artifacts go, what they took is free again, its records stay', async () => {
  await here.depot.submit(build, approvalFiles());
  await keeper.depot.as(tokens.b1).putBlobs(build, blobs);
  await sweepAt(END + 59);
  expect(await stored()).toEqual(all);
  await sweepAt(END + 60);
  expect(await stored()).toEqual([]);
  expect(dropped()).toEqual([['unnamed', 2, 14]]);
  expect(told.find(({ kind }) => kind === 'dropped')).toMatchObject({ build });
  expect(await files()).toHaveLength(2);
  time.now = now;
  await keeper.depot.as(tokens.b1).putBlobs(build, blobs);
  expect(await stored(), 'counted anew').toEqual(all);
});

test('sealed, it waits for its signer; refused, all its versions stay for thirty days, its records for ever', async () => {
  await seal(here);
  const other = Buffer.from('as b1 says when asked again');
  await put(here.builder, other);
  const subjects = statement.subjects.map((each) => ({
    ...each,
    sha256: sha256Hex(other),
    size: other.length,
  }));
  await here.builder.submit(build, statementFiles({ ...statement, subjects: subjects.slice(0, 1) }));
  await sweepAt(100 * DAYS);
  expect(await stored()).toHaveLength(3);
  await here.depot.submit(build, refusalFiles());
  say('refusal', 'refusal.json');
  const records = (await files()).filter((name) => !/^[0-9a-f]{64}$/.test(name));
  await sweepAt(130 * DAYS - 1);
  expect(await stored(), 'a second statement names its own').toHaveLength(3);
  await sweepAt(130 * DAYS);
  expect(await files()).toEqual(records);
  expect(dropped()).toEqual([['refused', 3, 14 + other.length]]);
});

test('approved by too few, all of it goes a day after its end, and is in no list', async () => {
  await here.remove();
  await open({ threshold: 2 });
  await seal(here);
  expect((await keeper.depot.builds(null)).builds).toEqual([build]);
  await sweepAt(END + 1 * DAYS - 1);
  expect(await stored()).toEqual(all);
  await sweepAt(END + 1 * DAYS);
  expect(await readdir(join(here.directory, 'builds'))).toEqual([]);
  expect((await keeper.depot.builds(null)).builds).toEqual([]);
  expect(dropped()).toEqual([['unapproved', 7, expect.any(Number)]]);
});

test('approved by too few today: what the log names stays', async () => {
  await here.depot.submit(build, approvalFiles());
  say('approval', 'approval.json');
  keeper = keeperOf({ threshold: 2 });
  await sweepAt(END + 2 * DAYS);
  expect(await files()).toHaveLength(2);
});

test('enough approvers, one of whose signatures came later', async () => {
  await here.depot.submit(build, approvalFiles());
  const bytes = approvalFiles().get('approval.json') ?? Buffer.alloc(0);
  await here.depot.submit(build, new Map([endorsement(bytes, bob)]));
  keeper = keeperOf({ threshold: 2 });
  await sweepAt(END + 2 * DAYS);
  expect(await files()).toHaveLength(3);
  keeper = keeperOf({ threshold: 2, approvers: [ada.certificate] });
  await sweepAt(END + 2 * DAYS);
  expect(await files(), 'by the project file of today').toEqual([]);
});

test('without its log, or with one that it does not understand, nothing goes', async () => {
  await here.depot.submit(build, approvalFiles());
  await here.builder.putBlobs(build, blobs);
  await mkdir(join(here.directory, 'releases', 'hello'), { recursive: true });
  await expect(sweep(2 * DAYS)).rejects.toMatchObject({ code: 'log-incomplete' });
  say('approval', 'approval.json');
  log.add([Buffer.from('{"type":"from-the-future"}')]);
  await expect(sweep(2 * DAYS)).rejects.toMatchObject({ code: 'log-unreadable' });
  await writeFile(join(here.directory, 'log', 'checkpoint'), 'nonsense');
  await expect(sweep(2 * DAYS)).rejects.toMatchObject({ code: 'checkpoint-invalid' });
  expect(await stored()).toEqual(all);
});

test('by a clock that is ahead of the log nothing goes', async () => {
  await here.remove();
  await open({ threshold: 2 });
  await seal(here);
  const kept = await files();
  await sweep(10_000 * DAYS);
  expect(await files(), 'there is no log').toEqual(kept);
  time.now = minutes(END);
  beat();
  await sweep(10_000 * DAYS);
  expect(await files(), 'it stands still').toEqual(kept);
  await sweepAt(10_000 * DAYS);
  expect(await files()).toEqual([]);
});

test('what a builder has sealed stays, though the other one never came', async () => {
  await seal(here);
  await put(here.builder, extra);
  const two = { ...approval, builders: { ...approval.builders, [b2]: builderEntry('b2') }, quorum: 2 };
  const bytes = approvalFiles(two).get('approval.json') ?? '';
  await writeFile(join(here.directory, buildPath(build, 'approval.json')), bytes);
  say('approval', 'approval.json');
  await sweepAt(100 * DAYS);
  expect(await stored()).toEqual(all);
  expect(dropped()).toEqual([['unnamed', 1, extra.length]]);
});

test('a build that was published stays whole beside a log that is older, whoever must approve today', async () => {
  beat();
  await seal(here);
  await sendRelease(here);
  await keeper.depot.publish(build);
  const kept = await files();
  keeper = keeperOf({ threshold: 2 });
  await sweepAt(100 * DAYS);
  expect(await files()).toEqual(kept);
  // nor where its release is not here, or is not understood
  const release = join(here.directory, `releases/${project.name}/${version}`);
  await writeFile(join(release, 'countersign', 'release.json'), '{}');
  for (const name of ['manifest.json', 'release.json', 'release.proof', 'signatures.list', 'log-entry.json'])
    await rm(join(here.directory, buildPath(build, name)), { force: true });
  await rm(join(here.directory, buildPath(build, 'signatures')), { recursive: true });
  keeper = keeperOf({ threshold: 2 });
  await sweepAt(200 * DAYS);
  expect(await stored(), 'a release that is not understood').toEqual(all);
  await rm(release, { recursive: true });
  await mkdir(join(here.directory, buildPath(build, 'signatures')));
  await writeFile(join(here.directory, buildPath(build, 'signatures/SHA256SUMS.asc')), '');
  keeper = keeperOf({ threshold: 2 });
  await sweepAt(300 * DAYS);
  expect(await stored(), 'one signature').toEqual(all);
  await rm(join(here.directory, buildPath(build, 'signatures')), { recursive: true });
  keeper = keeperOf({ threshold: 2 });
  await sweepAt(400 * DAYS);
  expect(await files()).toEqual([]);
});

test('what is damaged is left alone', async () => {
  await seal(here);
  await put(here.builder, extra);
  say('refusal', 'refusal.json');
  await writeFile(join(here.directory, buildPath(build, 'statements/b1.json')), '{}');
  await sweepAt(1);
  expect(await stored()).toHaveLength(3);
  await writeFile(join(here.directory, buildPath(build, 'approval.json')), '{}');
  keeper = keeperOf();
  await sweepAt(1000 * DAYS);
  expect(await stored()).toHaveLength(3);
});

test('while something of a build is on its way nothing of it goes', async () => {
  await here.depot.submit(build, approvalFiles());
  await keeper.depot.as(tokens.b1).putBlobs(build, blobs);
  let rest = (): void => {};
  const held = new Promise<void>((resolve) => {
    rest = resolve;
  });
  async function* slow(): AsyncGenerator<Buffer> {
    yield extra.subarray(0, 5);
    await held;
    yield extra.subarray(5);
  }
  const sending = keeper.depot.as(tokens.b1).putBlob(build, sha256Hex(extra), extra.length, slow);
  await new Promise(setImmediate);
  await sweepAt(2 * DAYS);
  expect(await stored()).toEqual(all);
  rest();
  await sending;
  expect(await stored()).toHaveLength(3);
  await sweepAt(2 * DAYS);
  expect(await stored()).toEqual([]);
});

test('a statement that comes while artifacts go is judged before or after that', async () => {
  await here.depot.submit(build, approvalFiles());
  await keeper.depot.as(tokens.b1).putBlobs(build, blobs);
  time.now = minutes(END + 60);
  beat();
  const sweeping = keeper.sweep.run();
  const sent = keeper.depot
    .as(tokens.b1)
    .submit(build, statementFiles())
    .catch((error: unknown) => error);
  await sweeping;
  expect(await sent).toMatchObject({ code: 'expired' });
  expect(await stored()).toEqual([]);
});

test('a statement that another process copies here is judged before or after that, too', async () => {
  await here.depot.submit(build, approvalFiles());
  await here.builder.putBlobs(build, blobs);
  const there = await DirectoryTree.make(here.directory);
  const carrier = GatedDepot.over({ tree: there, rules: project, now: () => now }).asCarrier();
  const sent = await here.tree.replacing(async () => {
    const sending = carrier.submit(build, statementFiles()).catch((error: unknown) => error);
    // time for it, if it did not wait
    for (let look = 0; look < 200; look++) await files();
    await here.tree.remove(buildPath(build, 'blobs'));
    return { sending };
  });
  expect(await sent.sending).toBeInstanceOf(DeniedFailure);
  expect(await files(), 'the approval, and its signature').toHaveLength(2);
});

test('two processes, on one directory', async () => {
  await here.remove();
  await open({ threshold: 2 });
  await seal(here);
  time.now = minutes(END + 2 * DAYS);
  beat();
  await Promise.all([keeper.sweep.run(), keeperOf({ threshold: 2 }).sweep.run()]);
  expect(await readdir(join(here.directory, 'builds'))).toEqual([]);
  expect(dropped()).toHaveLength(1);
});

test('killed in the middle, what is half gone is gone, and the rest of it goes a day later', async () => {
  const aside = join(here.directory, '.tmp', `.${'0'.repeat(24)}.tmp`);
  await here.depot.submit(build, approvalFiles());
  await here.builder.putBlobs(build, blobs);
  // as a kill leaves it between the rename and the removal of what was renamed
  await cp(join(here.directory, buildPath(build, 'blobs')), aside, { recursive: true });
  await rm(join(here.directory, buildPath(build, 'blobs')), { recursive: true });
  await sweepAt(2 * DAYS);
  expect(dropped(), 'there is nothing more to drop').toEqual([]);
  expect(await here.tree.size(buildPath(build, blobFile(all[0] ?? sha256Hex(''))))).toBeNull();
  const dayAgo = new Date(Date.now() - 25 * 3600_000);
  await utimes(aside, dayAgo, dayAgo);
  await sweepAt(2 * DAYS);
  expect(dropped()).toMatchObject([['abandoned', 1, expect.any(Number)]]);
  await expect(stat(aside)).rejects.toMatchObject({ code: 'ENOENT' });
});
