/** From an approval to a published release, and what a signer leaves alone. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { refused } from '../../src/failure.ts';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

const contents = {
  'hello-1.0.tar.gz': 'a tarball',
  'doc/hello.txt': 'hello',
  'copy.txt': 'hello',
  empty: '',
};

describe('a build that approvers allowed and a builder sealed', () => {
  test('of a depot that has another certificate: the hint says what to copy', async () => {
    const build = await scene.approve();
    await scene.attest(build, { 'app.tgz': 'app' });
    const text = 'app.tgz.asc: made by a key that is not in the certificate';
    const publish = () => Promise.reject(refused('signature-invalid', text));
    const { result } = await scene.sign({ depot: oddDepot(await scene.signerDepot(), { publish }) });
    expect(result).toMatchObject({
      code: 'signature-invalid',
      hint: expect.stringMatching(/copy countersign.toml and keys\/ to L, and restart serve there/),
    });
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('is signed, published and read back', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    const { result, exit, questions } = await scene.sign();

    expect(result).toMatchObject({
      outcome: 'published',
      state: 'published',
      code: null,
      artifacts: 4,
      bytes: 19,
    });
    expect(result?.signSeconds).toBe(Number(result?.signSeconds.toFixed(3)));
    expect(exit).toBe(0);
    expect(await scene.logged()).toBe('approval statement intent release');
    expect(questions).toMatchObject([
      {
        version: '1.0',
        builders: [
          {
            ...{ slot: 'b1', scheme: 'keypair', command: 'make dist' },
            statement: sha256Hex((await scene.tree.read(buildPath(build.build, 'statements/b1.json')))!),
          },
        ],
        bytes: 19,
        approvers: [{ userId: 'Ada <ada@example.org>' }],
        assurance: 'single-builder',
      },
    ]);
    // Equal files are one signature: three contents and SHA256SUMS.
    expect(scene.agent.signatures).toBe(4);
  });

  test('has nothing left to do in the next round', async () => {
    await scene.attest(await scene.approve(), contents);
    await scene.sign();
    const { results, exit } = await scene.sign();
    expect({ results, exit }).toEqual({ results: [], exit: 0 });
    expect(scene.agent.signatures).toBe(4);
  });

  test('is read back again when it is named, and not signed again', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    const { events } = await scene.sign();
    expect(events.flatMap((event) => (event.kind === 'delivering' ? [event.step] : []))).toEqual([
      'sending 5 signatures',
      'the depot verifies and publishes 5 files',
      'reading 5 signatures back',
    ]);
    const { result } = await scene.sign({ named: [build.build] });
    expect(result).toMatchObject({ outcome: 'published', artifacts: 4 });
    writeFileSync(scene.path('releases/hello/1.0/SHA256SUMS'), 'others\n');
    const after = await scene.sign({ named: [build.build] });
    expect(after).toMatchObject({ exit: 1, result: { outcome: 'bad', code: 'release-differs' } });
    expect(scene.agent.signatures).toBe(4);
  });

  test('is not signed when the answer is no', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    const declined = await scene.sign({ ask: async () => false });
    expect(declined).toMatchObject({ exit: 1, result: { outcome: 'declined', code: 'declined' } });
    expect((await scene.sign({ ask: async () => false, named: [build.build] })).exit).toBe(1);
    expect(scene.agent.signatures).toBe(0);
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('many at once, each on its own', async () => {
    for (const version of ['1', '2', '3']) await scene.attest(await scene.approve(version), contents);
    const { results, exit } = await scene.sign();
    expect(results.map(({ outcome }) => outcome)).toEqual(['published', 'published', 'published']);
    expect(exit).toBe(0);
  });
});

describe('gpgv and sha256sum accept what comes out', () => {
  test.each([
    ['ed25519', 'sha256'],
    ['ed25519', 'sha512'],
    ['rsa2048', 'sha256'],
    ['nistp256/ecdsa', 'sha512'],
  ] as const)('of a release key %s with %s', async (algorithm, hash) => {
    const other = await Scene.make(algorithm, hash);
    await other.attest(await other.approve(), contents);
    expect((await other.sign()).result?.outcome).toBe('published');
    const release = other.path('releases/hello/1.0');
    const ring = join(other.directory, 'release.pgp');
    writeFileSync(ring, other.project.release.certificate.bytes);
    for (const name of [...Object.keys(contents), 'SHA256SUMS'])
      execFileSync('gpgv', ['--keyring', ring, `${name}.asc`, name], { cwd: release, stdio: 'ignore' });
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: release });
    await other.close();
  });
});

describe('a build that waits is no error', () => {
  test('for its statement', async () => {
    await scene.approve();
    expect(await scene.sign()).toMatchObject({ exit: 0, result: { outcome: 'waiting', state: 'approved' } });
    expect(await scene.sign()).toMatchObject({ exit: 0, result: { code: 'statement-waits' } });
    expect(await scene.logged()).toBe('approval');
  });

  test('for a second approver, and goes on once that one has signed', async () => {
    scene.project = { ...scene.project, threshold: 2 };
    await scene.newDepot();
    const build = await scene.approve();
    await scene.attest(build, contents);
    expect(await scene.sign()).toMatchObject({ exit: 0, result: { code: 'approval-waits' } });
    expect(await scene.logged()).toBe('');
    await scene.endorse(build, scene.bob);
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('and one that nobody sealed in time is over, without an entry, and its version free', async () => {
    const build = await scene.approve();
    await scene.sign();
    scene.pass(5 * 3600);
    expect(await scene.sign()).toMatchObject({ exit: 0, results: [], events: [] });
    const named = await scene.sign({ named: [build.build] });
    expect(named).toMatchObject({ exit: 1, result: { outcome: 'decided', state: 'expired' } });
    expect(named.result?.hint).toContain('countersign approve 1.0');
    expect(await scene.logged(build)).toBe('approval');
    await scene.attest(await scene.approve(), contents);
    expect((await scene.sign()).result?.outcome).toBe('published');
    const after = await scene.sign({ named: [build.build] });
    expect(after.result?.hint).toBe('hello 1.0 is released: approve another version');
  });
});

describe('the approvers are counted again right before the intent', () => {
  test('one who was removed from the project file meanwhile counts no more', async () => {
    await scene.attest(await scene.approve(), contents);
    const others = { ...scene.project, approvers: [scene.bob.certificate] };
    let loads = 0;
    const loadProject = async () => (++loads > 1 ? others : scene.project);
    expect((await scene.sign({ loadProject })).result).toMatchObject({
      outcome: 'waiting',
      code: 'approval-waits',
    });
    expect(await scene.logged()).toBe('approval statement');
    expect(scene.agent.signatures).toBe(0);
  });

  test('and the release key is looked at again: one that was revoked meanwhile signs no more', async () => {
    await scene.attest(await scene.approve(), contents);
    const { certificate } = scene.project.release;
    const keys = certificate.keys.map((status) => ({ ...status, revoked: !status.isPrimary }));
    const others = {
      ...scene.project,
      release: { certificate: { ...certificate, keys }, hash: 'sha256' as const },
    };
    let loads = 0;
    const loadProject = async () => (++loads > 1 ? others : scene.project);
    const { result } = await scene.sign({ loadProject });
    expect(result).toMatchObject({ outcome: 'unfinished', code: 'release-key-unusable' });
    expect(result?.text).toContain('has been revoked');
    expect(await scene.logged()).toBe('approval statement');
    expect(scene.agent.signatures).toBe(0);
  });
});

test('a build that nobody knows is not found', async () => {
  const { build } = await scene.approve();
  await scene.newDepot();
  expect(await scene.sign({ named: [build] })).toMatchObject({
    exit: 3,
    result: { code: 'approval-missing', hint: 'countersign status lists them' },
  });
});

test('the journal has one canonical entry a line', async () => {
  await scene.attest(await scene.approve(), contents);
  await scene.sign();
  const lines = readFileSync(join(scene.state, 'journal'), 'utf8').split('\n');
  expect(lines).toHaveLength(5);
  expect(lines.at(-1)).toBe('');
});

test('what our own verifier accepts and gpgv does not is not signed', async () => {
  await scene.attest(await scene.approve(), contents);
  const bin = join(scene.directory, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'gpgv'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`);
  expect(await scene.sign()).toMatchObject({ exit: 1, result: { outcome: 'bad', code: 'approval-invalid' } });
  vi.unstubAllEnvs();
  expect(await scene.logged()).toBe('');
});
