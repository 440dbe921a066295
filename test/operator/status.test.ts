import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { listStatus } from '../../src/operator/status.ts';
import type { BuildStatus } from '../../src/operator/status.ts';
import type { Project } from '../../src/policy/project.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { encodeRefusal, refusalOf } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { MadeLog, digest } from '../harness/made-log.ts';
import { manifest, proofOf, refusalFiles, releaseFiles } from '../policy/release-scene.ts';
import {
  ada,
  approval,
  approvalFiles,
  build,
  logSigner,
  mallory,
  minutes,
  notBefore,
  now,
  otherBuild,
  project,
  statementFiles,
  without,
} from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import { revocationFiles } from '../policy/scheme-scene.ts';

let directory: string;
let tree: DirectoryTree;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-status-'));
  tree = await DirectoryTree.make(directory);
  return () => rmSync(directory, { recursive: true, force: true });
});

/** Puts files where a depot that believes everything would. */
async function put(files: Files, below = `builds/${build}`): Promise<void> {
  for (const [name, bytes] of files) await tree.write(`${below}/${name}`, bytes);
}

async function list(
  wanted: typeof build | null = null,
  at = now,
  trusted: Project = project,
): Promise<BuildStatus[]> {
  const depot = GatedDepot.over({ tree, rules: trusted, now: () => at });
  const all: BuildStatus[] = [];
  for await (const each of listStatus(trusted, depot, { build: wanted, now: at })) all.push(each);
  return all;
}

const status = async (at = now, trusted: Project = project) => (await list(build, at, trusted))[0];

/** As the approval of the scene was asked for. */
const AGAIN = 'countersign approve 1.0 --max-count 10 --max-size 1000 --max-total 2000 --tickets DIR';

describe('where a build stands, and why it waits', () => {
  test('approved: it waits for the builder', async () => {
    await put(approvalFiles());
    expect(await status()).toMatchObject({
      build,
      state: 'approved',
      project: 'hello',
      version: '1.0',
      source: approval.source,
      approvers: [ada.certificate.primary.fingerprint],
      threshold: 1,
      slots: [{ slot: 'b1', scheme: 'keypair', statement: false }],
      assurance: 'single-builder',
      why: 'it waits for the statement of b1, until 2026-11-22T16:00:00Z',
      hint: expect.stringContaining('attest'),
    });
  });

  test('below the threshold: for approvers', async () => {
    await put(approvalFiles());
    expect(await status(now, { ...project, threshold: 2 })).toMatchObject({
      state: 'approved',
      why: expect.stringContaining('1 of 2 approvers'),
    });
  });

  test('signed by nobody who counts', async () => {
    await put(approvalFiles(approval, [mallory]));
    expect(await status()).toMatchObject({ approvers: [], why: expect.stringContaining('no approver') });
  });

  test('too early', async () => {
    await put(approvalFiles(approval, [ada], minutes(-31)));
    expect(await status(minutes(-31))).toMatchObject({ why: `it is not valid before ${notBefore}` });
  });

  test('something that the signer will refuse is said beforehand', async () => {
    await put(approvalFiles({ ...approval, artifacts: { ...approval.artifacts, maxBytes: 2 ** 50 } }));
    expect(await status()).toMatchObject({
      state: 'approved',
      why: expect.stringMatching(/^the signer will refuse it: /),
    });
  });

  test('built: for the signer', async () => {
    await put(new Map([...approvalFiles(), ...statementFiles()]));
    expect(await status()).toMatchObject({
      state: 'built',
      slots: [{ statement: true }],
      why: 'it waits for the signer',
    });
  });

  test('built, and its approval has ended: only the signer knows whether it saw the statement before', async () => {
    await put(new Map([...approvalFiles(), ...statementFiles()]));
    expect(await status(minutes(300))).toMatchObject({
      state: 'built',
      why: 'its approval ended at 2026-11-22T16:00:00Z: the signer refuses it unless it saw the statement before',
      hint: `on H: countersign sign; if it is refused, a new approval: ${AGAIN}`,
    });
  });

  test('expired: the way on is a new approval', async () => {
    await put(approvalFiles());
    expect(await status(minutes(300))).toMatchObject({
      state: 'expired',
      hint: `a new approval: ${AGAIN}`,
    });
  });

  test('refused: with the reasons that the log proves', async () => {
    await put(new Map([...approvalFiles(), ...statementFiles(), ...refusalFiles()]));
    expect(await status()).toMatchObject({
      state: 'refused',
      why: 'too-large: too large',
      reasons: [{ code: 'too-large', where: 'hello.tar.gz' }],
      logIndex: 1,
      hint: expect.stringContaining('countersign approve 1.0'),
    });
  });

  test('refused, as another build had the version: the hint is what truly helps', async () => {
    const { approval: digest } = manifest;
    const reasons = [
      {
        code: 'version-taken' as const,
        where: 'approval.json: version',
        text: `hello 1.0 is bound to build ${otherBuild}`,
      },
    ];
    const record = encodeRefusal(refusalOf({ build, approval: digest, reasons, time: notBefore }));
    const files = refusalFiles({ entry: { records: { 'refusal.json': sha256Hex(record) } } });
    await put(new Map([...approvalFiles(), ...files]).set('refusal.json', record));
    expect((await status())?.hint).toBe(
      `go on with that build if you have its ticket; or free 1.0: countersign revoke ${otherBuild} --reason TEXT; then, or once it has expired, a new approval: ${AGAIN}`,
    );
    await put(releaseFiles({ entry: { build: otherBuild } }), 'releases/hello/1.0/countersign');
    expect((await status())?.hint).toBe('hello 1.0 is released: approve another version');
  });

  test('revoked by one of too few who signed it: there is nothing to log, and nothing to wait for', async () => {
    const two = { ...project, threshold: 2 };
    await put(new Map([...approvalFiles(), ...revocationFiles(ada)]));
    expect(await status(now, two)).toMatchObject({
      state: 'revoked',
      why: expect.stringMatching(/; it never had its 2 approvers: there is nothing to log$/),
      hint: `a new approval: ${AGAIN}`,
    });
  });

  test('approved, or expired, although another build is released as its version', async () => {
    await put(approvalFiles());
    await put(releaseFiles({ entry: { build: otherBuild } }), 'releases/hello/1.0/countersign');
    expect(await status()).toMatchObject({ why: 'the signer will refuse it: hello 1.0 is released' });
    expect((await status(minutes(300)))?.hint).toBe('hello 1.0 is released: approve another version');
  });

  test('revoked: its version is free again; withdrawn: it is not, whoever asks', async () => {
    await put(new Map([...approvalFiles(), ...revocationFiles(ada)]));
    expect(await status()).toMatchObject({
      state: 'revoked',
      withdrawn: false,
      hint: expect.stringMatching(new RegExp(`; a new approval: ${AGAIN}$`)),
    });
    await put(releaseFiles());
    expect(await status()).toMatchObject({
      state: 'revoked',
      withdrawn: true,
      hint: expect.stringMatching(/; hello 1\.0 was released and withdrawn: approve another version$/),
    });
  });

  test('frozen: refused for a conflict', async () => {
    const { approval: digest } = manifest;
    const reasons = [
      { code: 'conflict' as const, where: 'statements/b1.2.json', text: 'two statements differ' },
    ];
    const record = encodeRefusal(refusalOf({ build, approval: digest, reasons, time: notBefore }));
    const files = refusalFiles({ entry: { records: { 'refusal.json': sha256Hex(record) } } });
    await put(new Map([...approvalFiles(), ...files]).set('refusal.json', record));
    expect(await status()).toMatchObject({
      state: 'frozen',
      why: expect.stringContaining('two statements differ'),
    });
  });

  test('verified, signed, published', async () => {
    const release = releaseFiles();
    const records = new Map([...approvalFiles(), ...statementFiles(), ...release]);
    await put(without(records, 'release.json'));
    expect(await status()).toMatchObject({ state: 'verified', logIndex: 1 });
    await put(records);
    expect(await status()).toMatchObject({
      state: 'signed',
      why: expect.stringContaining('waits to be published'),
    });
    await put(release, 'releases/hello/1.0/countersign');
    expect(await status()).toMatchObject({ state: 'published', why: 'it is released', logIndex: 1 });
  });
});

describe('what the depot shows is not believed without proof', () => {
  test('a refusal under another log key', async () => {
    const forger = parseSignerKey(generateNoteKey(project.log.origin).signer);
    const files = refusalFiles({ proof: (leaf) => proofOf(leaf, { extra: true, signer: forger }) });
    await put(new Map([...approvalFiles(), ...files]));
    expect(await status()).toMatchObject({ state: 'approved', reasons: [], logIndex: null });
  });

  test('a release of another build of the same version is not this one', async () => {
    await put(new Map([...approvalFiles(), ...statementFiles(), ...releaseFiles()]));
    await put(releaseFiles({ entry: { build: otherBuild } }), 'releases/hello/1.0/countersign');
    expect(await status()).toMatchObject({ state: 'signed' });
  });

  test('an approval that is none, or another build’s', async () => {
    await put(new Map([['approval.json', Buffer.from('{}')]]));
    await put(approvalFiles(), `builds/${otherBuild}`);
    expect(await list()).toMatchObject([
      { build, state: 'unreadable', version: null },
      { build: otherBuild, state: 'unreadable', why: expect.stringContaining(build) },
    ]);
  });
});

describe('what the log says of one build', () => {
  const { project: name, version } = approval;
  const entry = (type: BuildEntry['type'], of = build): Buffer =>
    encodeLogEntry({
      ...{ type, time: timestamp(now), build: of, project: name, version },
      ...{ records: { 'approval.json': digest(1) }, keys: [] },
    });
  let log: MadeLog;
  beforeEach(async () => {
    log = new MadeLog(join(directory, 'log'), logSigner);
    await put(approvalFiles());
  });

  test('whether the approval is logged, and what came then', async () => {
    log.add([entry('approval', otherBuild)]);
    expect((await status())?.log).toEqual({ size: 1, entries: [], problem: null });
    log.add([entry('approval'), entry('approval', otherBuild), entry('release'), entry('conflict')]);
    const time = timestamp(now);
    expect((await status())?.log).toEqual({
      size: 5,
      entries: [
        { index: 1, type: 'approval', time },
        { index: 3, type: 'release', time },
        { index: 4, type: 'conflict', time },
      ],
      problem: null,
    });
  });

  test('a release that is logged and not here yet waits for more than the signer', async () => {
    await put(statementFiles());
    log.add([entry('approval'), entry('statement'), entry('intent')]);
    expect(await status()).toMatchObject({ state: 'built', why: 'it waits for the signer' });
    log.add([entry('release')]);
    expect(await status()).toMatchObject({
      state: 'built',
      why: 'its release is in the log (entry 3): the signer has not delivered it yet',
      hint: expect.stringContaining('witnesses'),
    });
    expect(await list()).toMatchObject([{ why: expect.stringContaining('(entry 3)'), log: null }]);
  });

  test('that it can’t be read, and then the rest all the same', async () => {
    expect(await status()).toMatchObject({ state: 'approved', log: { problem: 'the depot has no log' } });
    log.write('checkpoint', Buffer.from('no note'));
    expect(await status()).toMatchObject({
      state: 'approved',
      log: { entries: [], problem: expect.stringContaining('checkpoint: ') },
    });
  });

  test('a list shows none of it', async () => {
    expect(await list()).toMatchObject([{ log: null }]);
  });
});

describe('the list', () => {
  test('is every build in order; empty is empty', async () => {
    expect(await list()).toEqual([]);
    await put(approvalFiles({ ...approval, build: otherBuild }), `builds/${otherBuild}`);
    await put(approvalFiles());
    expect((await list()).map((each) => each.build)).toEqual([build, otherBuild]);
  });

  test('a build without its approval is said, and hides no other', async () => {
    await put(statementFiles());
    await put(approvalFiles({ ...approval, build: otherBuild }), `builds/${otherBuild}`);
    expect(await list()).toMatchObject([
      { build, state: 'unreadable', why: 'it has no approval' },
      { build: otherBuild, state: 'approved' },
    ]);
  });

  test('a build that the depot does not have', async () => {
    await expect(status()).rejects.toMatchObject({ kind: 'refused', code: 'build-unknown' });
  });
});
