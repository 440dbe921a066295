import { describe, expect, test } from 'vitest';
import { judgeBlob, judgeRead, judgeUpload } from '../../src/policy/gate.ts';
import { blobFile, buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { Approvals } from '../../src/tree/approvals.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { refusalFiles, releaseFiles } from './release-scene.ts';
import {
  ada,
  approval,
  approvedView,
  b1,
  b2,
  bob,
  build,
  builderEntry,
  mallory,
  minutes,
  now,
  otherBuild,
  project,
  signerToken,
  subjects,
  tokens,
} from './scene.ts';
import { revocationFiles } from './scheme-scene.ts';

const bearer = tokens.b1;
const sha256 = sha256Hex('a blob');
const none = { count: 0, bytes: 0 };

describe('blobs are sent by a builder, by its upload token', () => {
  const open = async (more: Partial<Parameters<typeof judgeUpload>[0]> = {}) => {
    const verdict = await judgeUpload({ rules: project, build, bearer, view: approvedView(), now, ...more });
    return verdict.allow ? 'allow' : `${verdict.status} ${verdict.code}`;
  };

  test('before `expires`, by the clock of the depot', async () => {
    expect(await open()).toBe('allow');
    expect(await open({ now: minutes(3.5 * 60 - 1) })).toBe('allow');
    expect(await open({ now: minutes(3.5 * 60) })).toBe('403 expired');
  });
  test('each builder by its own', async () => {
    const pair = { ...approval, builders: { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') } };
    expect(await open({ view: approvedView(pair), bearer: tokens.b2 })).toBe('allow');
    expect(await open({ bearer: tokens.b2 })).toBe('403 token-unknown');
  });
  test('no token, a short one, a wrong one, the signer’s', async () => {
    expect(await open({ bearer: null })).toBe('401 token-missing');
    expect(await open({ bearer: bearer.subarray(0, 31) })).toBe('401 token-malformed');
    expect(await open({ bearer: Buffer.alloc(32) })).toBe('403 token-unknown');
    expect(await open({ bearer: signerToken })).toBe('403 token-unknown');
  });
  test('of a build that nobody approved', async () => {
    expect(await open({ build: otherBuild })).toBe('404 build-unknown');
    expect(await open({ view: new MemoryView() })).toBe('404 build-unknown');
  });
});

describe('whether a build was revoked, for who makes way for its builders', () => {
  const inBuild = buildPath(build);
  const isRevoked = async (view: MemoryView, rules = project): Promise<boolean> => {
    const approvals = new Approvals(rules, view, () => now);
    const signed = await approvals.of(build);
    if ('allow' in signed) throw new Error(signed.message);
    return approvals.isRevoked(signed);
  };

  test('by an approver of the project, and nobody else', async () => {
    expect(await isRevoked(approvedView().put(inBuild, revocationFiles(ada)))).toBe(true);
    expect(await isRevoked(approvedView().put(inBuild, revocationFiles(mallory)))).toBe(false);
    const other = approvedView().put(inBuild, revocationFiles(ada, { approval: sha256Hex('another') }));
    expect(await isRevoked(other)).toBe(false);
  });
  test('after a release by as many as it took to start', async () => {
    const rules = { ...project, threshold: 2 };
    const view = approvedView().put(inBuild, [...releaseFiles(), ...revocationFiles(ada)]);
    expect(await isRevoked(view, rules)).toBe(false);
    expect(await isRevoked(view.put(inBuild, revocationFiles(bob)), rules)).toBe(true);
  });
  test('its builders may send what they have all the same: that is for the signer to judge', async () => {
    const view = approvedView().put(inBuild, [...refusalFiles(), ...revocationFiles(ada)]);
    expect((await judgeUpload({ rules: project, build, bearer, view, now })).allow).toBe(true);
  });
  test('at once, in a depot that remembers, and it is looked at once a minute', async () => {
    const view = approvedView();
    let [time, reads] = [now, 0];
    const tree = { size: view.size.bind(view), read: (path: string) => ((reads += 1), view.read(path)) };
    const approvals = new Approvals(project, tree, () => time);
    const ask = async (): Promise<boolean> => {
      const signed = await approvals.of(build);
      if ('allow' in signed) throw new Error(signed.message);
      return approvals.isRevoked(signed);
    };
    expect(await ask()).toBe(false);
    const before = reads;
    expect(await ask()).toBe(false);
    expect(reads).toBe(before);
    view.put(inBuild, revocationFiles(ada));
    approvals.forget(build);
    expect(await ask()).toBe(true);
    time = minutes(2);
    expect(await ask()).toBe(true);
  });
});

describe('as many and as large as the approval allows', () => {
  const judge = async (size: number, present: { count: number; bytes: number }, record = approval) => {
    const upload = await judgeUpload({ rules: project, build, bearer, view: approvedView(record), now });
    if (!upload.allow) throw new Error(upload.message);
    const denied = judgeBlob(upload, { sha256, size }, present);
    return denied === null ? 'fits' : `${denied.status} ${denied.code}`;
  };

  test('each', async () => {
    expect(await judge(0, none)).toBe('fits');
    expect(await judge(1000, none)).toBe('fits');
    expect(await judge(1001, none)).toBe('413 too-large');
    expect(await judge(Number.MAX_SAFE_INTEGER, none)).toBe('413 too-large');
  });
  test('in number', async () => {
    expect(await judge(0, { count: 9, bytes: 0 })).toBe('fits');
    expect(await judge(0, { count: 10, bytes: 0 })).toBe('413 too-many');
  });
  test('in all', async () => {
    expect(await judge(500, { count: 2, bytes: 1500 })).toBe('fits');
    expect(await judge(501, { count: 2, bytes: 1500 })).toBe('413 total-too-large');
  });
  test('for two builders twice that, as they may differ in everything', async () => {
    const pair = { ...approval, builders: { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') } };
    expect(await judge(500, { count: 19, bytes: 3500 }, pair)).toBe('fits');
    expect(await judge(501, { count: 19, bytes: 3500 }, pair)).toBe('413 total-too-large');
    expect(await judge(500, { count: 20, bytes: 3500 }, pair)).toBe('413 too-many');
    expect(await judge(1001, none, pair)).toBe('413 too-large');
  });
});

describe('who reads what', () => {
  const blob = `${buildPath(build)}/${blobFile(subjects[0]?.sha256 ?? sha256)}`;
  const read = async (path: string, more: Partial<Parameters<typeof judgeRead>[0]> = {}) => {
    const denied = await judgeRead({
      rules: project,
      path,
      head: false,
      bearer: null,
      url: null,
      view: approvedView(),
      now,
      ...more,
    });
    return denied === null ? 'may' : `${denied.status} ${denied.code}`;
  };

  test('records are public', async () => {
    expect(await read(`${buildPath(build)}/approval.json`)).toBe('may');
    expect(await read(`${buildPath(build)}/statements/b1.json`)).toBe('may');
  });
  test('artifacts are in quarantine: the signer reads them', async () => {
    expect(await read(blob, { bearer: signerToken })).toBe('may');
    expect(await read(blob)).toBe('401 token-missing');
    expect(await read(blob, { bearer: Buffer.alloc(32) })).toBe('403 quarantined');
    expect(await read(blob, { bearer: signerToken.subarray(1) })).toBe('403 quarantined');
  });
  test('a builder learns which are there, and reads none', async () => {
    expect(await read(blob, { bearer, head: true })).toBe('may');
    expect(await read(blob, { bearer })).toBe('403 quarantined');
    expect(await read(blob, { head: true })).toBe('401 token-missing');
    expect(await read(blob, { bearer: tokens.b2, head: true })).toBe('403 token-unknown');
    const elsewhere = blob.replace(build, otherBuild);
    expect(await read(elsewhere, { bearer, head: true })).toBe('404 build-unknown');
  });
  test('a release is there if its proof is', async () => {
    const view = approvedView().put('releases/hello/1.0', [['hello.tar.gz', Buffer.from('half')]]);
    expect(await read('releases/hello/1.0/hello.tar.gz', { view })).toBe('404 not-found');
    view.put('releases/hello/1.0/countersign', [['release.proof', Buffer.from('proof')]]);
    expect(await read('releases/hello/1.0/hello.tar.gz', { view })).toBe('may');
    expect(await read('releases/hello/1.0/countersign/release.proof', { view })).toBe('may');
    expect(await read('releases/hello/1.1/hello.tar.gz', { view })).toBe('404 not-found');
  });
  test.each([
    '../x',
    '/etc/passwd',
    'builds',
    'builds/../x',
    '.tmp/x',
    'other/x',
    `builds/${build}/./x`,
    'builds//x',
    '',
  ])('nothing at %j', async (path) => {
    expect(await read(path, { bearer: signerToken })).toBe('404 not-found');
  });
});
