import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { publish } from '../../src/tree/publish.ts';
import {
  ada,
  approvalFiles,
  artifacts,
  bob,
  build,
  mallory,
  minutes,
  now,
  project,
  releaseKey,
  statementFiles,
} from '../policy/scene.ts';
import { chainOf, makeDepot, releaseSignatures, seal, sendRelease } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const RELEASE = 'releases/hello/1.0';

let here: DepotOnDisk;
beforeEach(async () => {
  here = await makeDepot();
});
afterEach(() => here.remove());

const inDepot = (path: string): string => join(here.directory, path);
const inBuild = (file: string): string => inDepot(buildPath(build, file));
const published = (changes = {}, at = now): Promise<string> =>
  publish({ tree: here.tree, project: { ...project, ...changes }, build, now: at });
/** A change behind the gate's back, as a bad disk or an intruder makes it. */
const overwrite = (path: string, bytes: Buffer | string): void => {
  chmodSync(path, 0o644);
  rmSync(path);
  writeFileSync(path, bytes);
};

describe('a release', () => {
  beforeEach(async () => {
    await seal(here);
    await sendRelease(here);
  });

  test('is visible whole, with all that it takes to verify it', async () => {
    expect(await here.depot.read(`${RELEASE}/hello.tar.gz`, 1000)).toBeNull();
    expect(await published()).toBe('new');
    for (const [name, bytes] of Object.entries(artifacts)) {
      expect(await here.depot.read(`${RELEASE}/${name}`, 1000)).toEqual(bytes);
    }
    expect((await here.tree.list(`${RELEASE}/countersign`)).sort()).toEqual(
      [...approvalFiles().keys(), ...chainOf([]).keys(), 'statements'].sort(),
    );
    expect(await here.tree.list(`${RELEASE}/countersign/statements`)).toEqual([
      'b1.dsse.json',
      'b1.json',
      'b1.json.sig',
    ]);
    expect(await here.tree.list(RELEASE)).toEqual([
      'SHA256SUMS',
      'SHA256SUMS.asc',
      'countersign',
      'docs',
      'hello.tar.gz',
      'hello.tar.gz.asc',
    ]);
  });

  test('verifies with stock tools', async () => {
    await published();
    const keyring = inDepot('release.gpg');
    writeFileSync(keyring, releaseKey.certificate.bytes);
    const inRelease = { cwd: inDepot(RELEASE), stdio: 'pipe' } as const;
    execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], inRelease);
    for (const name of ['SHA256SUMS', ...Object.keys(artifacts)]) {
      execFileSync('gpgv', ['--keyring', keyring, `${name}.asc`, name], inRelease);
    }
  });

  test('is published once, however often and by however many at once', async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => published()));
    expect(all.filter((written) => written === 'new')).toHaveLength(1);
    expect(await published()).toBe('same');
    await here.depot.publish(build);
    expect(await here.tree.list('releases/hello')).toEqual(['1.0']);
  });

  test('stays when what it was made from goes or changes', async () => {
    await published();
    rmSync(inBuild('blobs'), { recursive: true });
    expect(await published()).toBe('same');
    expect(await here.depot.read(`${RELEASE}/hello.tar.gz`, 1000)).toEqual(artifacts['hello.tar.gz']);
  });

  test('of a version that exists with other content is refused', async () => {
    mkdirSync(inDepot(`${RELEASE}/countersign`), { recursive: true });
    writeFileSync(inDepot(`${RELEASE}/countersign/release.proof`), 'of another build');
    await expect(published()).rejects.toMatchObject({ kind: 'refused', code: 'version-taken' });
  });

  test('never hides behind the ruins of another', async () => {
    mkdirSync(inDepot(RELEASE), { recursive: true });
    writeFileSync(inDepot(`${RELEASE}/hello.tar.gz`), 'half of a copy');
    await expect(published()).rejects.toMatchObject({ kind: 'unable', code: 'release-broken' });
    expect(await here.depot.read(`${RELEASE}/hello.tar.gz`, 1000)).toBeNull();
  });
});

describe('nothing becomes visible', () => {
  afterEach(async () => {
    expect(await here.tree.list('releases')).toEqual([]);
    expect(await here.tree.list('releases/hello')).toEqual([]);
  });

  const missing = ['approval.json', 'release.proof', 'log-entry.json', 'release.json', 'manifest.json'];
  missing.push('signatures.list', 'signatures/docs/hello.txt.asc', 'signatures/SHA256SUMS.asc');
  missing.push(
    'statements/b1.json',
    'statements/b1.json.sig',
    `blobs/${sha256Hex(artifacts['docs/hello.txt'])}`,
  );
  test.each(missing)('without %s', async (file) => {
    await seal(here);
    await sendRelease(here);
    rmSync(inBuild(file));
    await expect(published()).rejects.toMatchObject({ kind: 'refused', code: 'release-incomplete' });
  });

  test.each(missing.filter((file) => !file.startsWith('blobs')))('with a changed %s', async (file) => {
    await seal(here);
    await sendRelease(here);
    const bytes = readFileSync(inBuild(file));
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    overwrite(inBuild(file), bytes);
    await expect(published()).rejects.toMatchObject({ kind: 'refused' });
  });

  test('with a blob that the disk has changed', async () => {
    await seal(here);
    await sendRelease(here);
    overwrite(inBuild(`blobs/${sha256Hex(artifacts['hello.tar.gz'])}`), 'A tarball');
    await expect(published()).rejects.toMatchObject({ kind: 'unable', code: 'blob-damaged' });
  });

  test('with a log key other than the project file has', async () => {
    await seal(here);
    await sendRelease(here);
    const log = { ...project.log, origin: 'example.org/other' };
    await expect(published({ log })).rejects.toMatchObject({ kind: 'refused' });
  });

  test('without the threshold', async () => {
    await seal(here);
    await sendRelease(here);
    await expect(published({ threshold: 2 })).rejects.toMatchObject({ kind: 'refused', code: 'threshold' });
    await expect(published({ approvers: [bob.certificate] })).rejects.toMatchObject({ code: 'threshold' });
    await here.depot.submit(build, approvalFiles(undefined, [ada, bob]));
    expect(await publish({ tree: here.tree, project: { ...project, threshold: 2 }, build, now })).toBe('new');
    rmSync(inDepot('releases'), { recursive: true });
  });

  const signatures: [string, () => ReturnType<typeof releaseSignatures>][] = [
    ['by another key', () => releaseSignatures(mallory)],
    ['over other bytes', () => releaseSignatures(releaseKey, () => Buffer.from('other'))],
    [
      'over the checksums of other bytes',
      () =>
        releaseSignatures(releaseKey, (name, bytes) =>
          name === 'SHA256SUMS' ? Buffer.from('other') : bytes,
        ),
    ],
    ['of another time than the manifest says', () => releaseSignatures(releaseKey, undefined, minutes(-5))],
    [
      'swapped',
      () =>
        releaseSignatures(releaseKey, (name, bytes) =>
          name === 'hello.tar.gz' ? artifacts['docs/hello.txt'] : bytes,
        ),
    ],
    [
      'with something behind',
      () => releaseSignatures().map(({ name, bytes }) => ({ name, bytes: Buffer.concat([bytes, bytes]) })),
    ],
  ];
  test.each(signatures)('with signatures %s', async (_what, made) => {
    await seal(here);
    await sendRelease(here, made());
    await expect(published()).rejects.toMatchObject({ kind: 'refused', code: 'signature-invalid' });
  });

  test('by a release key that the project does not have', async () => {
    await seal(here);
    await sendRelease(here);
    const release = { ...project.release, certificate: mallory.certificate };
    await expect(published({ release })).rejects.toMatchObject({ kind: 'refused', code: 'release-key' });
  });

  test('of a build that is not sealed or not signed', async () => {
    await expect(published()).rejects.toMatchObject({ code: 'release-incomplete' });
    await seal(here);
    await expect(published()).rejects.toMatchObject({ code: 'release-incomplete' });
  });

  test('under the name of another build', async () => {
    await seal(here);
    await sendRelease(here);
    const other = build.replace(/.$/, '0') as typeof build;
    execFileSync('cp', ['-r', inDepot(buildPath(build)), inDepot(buildPath(other))]);
    const stolen = publish({ tree: here.tree, project, build: other, now });
    await expect(stolen).rejects.toMatchObject({ kind: 'refused', code: 'build-mismatch' });
  });
});

test('the statement that the signer believed is published, wherever it lies', async () => {
  await seal(here);
  await sendRelease(here);
  for (const [name, bytes] of statementFiles()) {
    rmSync(inBuild(name));
    writeFileSync(inBuild(name.replace('b1.', 'b1.2.')), bytes);
  }
  expect(await published()).toBe('new');
  expect(await here.tree.list(`${RELEASE}/countersign/statements`)).toContain('b1.json');
});
