/** Scheme mac: the nonce reaches the signer sealed, and what is not made with it is nobody's word (protocol §2). */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sealNonce } from '../../src/openpgp/sealed.ts';
import { parseRelease } from '../../src/records/release.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { approveMany, attestBy, sealingScene, statementBy } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import type { Ran, Scene } from './scene.ts';

const contents = { 'hello.txt': 'hello' };
const forged = { 'hello.txt': 'hullo' };
const MAC = 'statements/b1.json.mac';

let scene: Scene;
let build: ManyBuild;
beforeEach(async () => {
  scene = await sealingScene();
});
afterEach(() => scene.close());

const once = (odd = {}): Promise<Ran> => scene.sign({ named: [build.build], ...odd });

async function expectBad(run: Ran): Promise<void> {
  expect(run).toMatchObject({ exit: 1, result: { outcome: 'bad', code: 'statement-invalid' } });
  expect(run.result?.text).toBe('statements/b1.json: its MAC is not made with the nonce of builder b1');
  expect(scene.agent.signatures).toBe(0);
  expect(await scene.logged(build)).toBe('approval');
}

describe('one builder with a nonce', () => {
  beforeEach(async () => {
    build = await approveMany(scene, ['mac'], 1);
  });

  test('is signed and published; the release says by whom, and nobody but the signer has the nonce', async () => {
    await attestBy(scene, build, 'b1', contents);
    const ran = await once();
    expect(ran).toMatchObject({ exit: 0, result: { outcome: 'published' } });
    expect(ran.questions).toMatchObject([{ builders: [{ slot: 'b1', scheme: 'mac' }] }]);
    const release = await readFile(scene.path('releases/hello/1.0/countersign/release.json'));
    expect({ ...parseRelease(release).builders }).toEqual({ b1: 'mac' });
    const nonce = build.tickets['b1']?.nonce ?? Buffer.alloc(32);
    for (const directory of [scene.state, scene.path('.')])
      for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const bytes = await readFile(join(entry.parentPath, entry.name));
        for (const form of [
          nonce,
          nonce.toString('hex'),
          nonce.toString('base64'),
          nonce.toString('base64url'),
        ])
          expect(bytes.includes(form), entry.name).toBe(false);
      }
  });

  test('a MAC that is not made with it is reported, tried again, and heals', async () => {
    await attestBy(scene, build, 'b1', contents);
    const good = await readFile(scene.path(`builds/${build.build}/${MAC}`));
    const flipped = Buffer.from(good);
    flipped[5] = flipped.readUInt8(5) === 0x41 ? 0x42 : 0x41;
    for (const bad of [flipped, Buffer.alloc(0), good.subarray(0, 44), Buffer.concat([good, good]), null]) {
      await scene.tamper(build, MAC, bad);
      await expectBad(await once());
    }
    await scene.tamper(build, MAC, good);
    expect((await once()).result).toMatchObject({ outcome: 'published' });
  });

  test.each<
    [string, (nonce: Buffer) => Partial<{ nonce: Buffer; slot: ManyBuild['tickets'][string]['slot'] }>]
  >([
    [
      'keyed with what everybody can read, its hash',
      (nonce) => ({ nonce: Buffer.from(sha256Hex(nonce), 'hex') }),
    ],
    ['keyed with nothing', () => ({ nonce: Buffer.alloc(32) })],
  ])('a statement whose MAC is %s', async (_, as) => {
    await attestBy(scene, build, 'b1', contents);
    const nonce = build.tickets['b1']?.nonce ?? Buffer.alloc(32);
    for (const [file, bytes] of statementBy(scene, build, 'b1', forged, as(nonce)))
      await scene.tamper(build, file, bytes);
    await expectBad(await once());
  });

  test('a locked key: a person is asked once a session, nothing is signed, and it goes on when it is unlocked', async () => {
    await attestBy(scene, build, 'b1', contents);
    const primary = scene.project.release.certificate.primary.fingerprint;
    const pinentry = new FakePinentry(scene.home.directory, null);
    // a passphrase on all of its keys
    scene.home.gpg(['--command-fd', '0', '--passphrase', 'secret', '--change-passphrase', primary]);
    scene.home.configureAgent(`pinentry-program ${pinentry.program}`);
    scene.home.gpg(['--list-secret-keys']);
    const asked = (): number => pinentry.heard().filter((line) => line.startsWith('GETPIN')).length;
    const session = scene.newSession();
    for (const run of [1, 2, 3]) {
      expect(await once({ session }), `run ${run}`).toMatchObject({
        exit: 3,
        result: { outcome: 'unfinished', code: 'nonce-locked' },
      });
      expect(asked()).toBe(1);
    }
    expect(await scene.logged(build)).toBe('approval');
    const giving = new FakePinentry(scene.home.directory, 'secret');
    expect((await once()).result, giving.program).toMatchObject({ outcome: 'published' });
  });
});

describe('a nonce that approvers signed, and is none, ends the build', () => {
  test.each<[string, (nonce: Buffer) => Promise<Buffer>]>([
    ['of another hash', () => sealNonce(Buffer.alloc(32, 1), scene.project.release.certificate)],
    [
      'of another length',
      async () =>
        scene.home.gpg(
          ['--trust-model', 'always', '-r', 'release@example.org', '--encrypt'],
          Buffer.alloc(16),
        ),
    ],
    ['not sealed at all', async (nonce) => nonce],
  ])('%s', async (_, seal) => {
    build = await approveMany(scene, ['mac'], 1, { seal });
    await attestBy(scene, build, 'b1', contents);
    expect(await once()).toMatchObject({ exit: 1, result: { outcome: 'refused', code: 'nonce-unusable' } });
    expect(await scene.logged(build)).toBe('approval refusal');
  });
});

test('two builders with nonces, and one with a key: the nonce of one makes no statement of another', async () => {
  build = await approveMany(scene, ['mac', 'mac', 'keypair'], 2);
  await attestBy(scene, build, 'b2', contents);
  await attestBy(scene, build, 'b1', contents);
  const theirs = build.tickets['b2']?.nonce;
  for (const [file, bytes] of statementBy(scene, build, 'b1', forged, theirs && { nonce: theirs }))
    await scene.tamper(build, file, bytes);
  expect((await once()).result).toMatchObject({ outcome: 'bad', code: 'statement-invalid' });
  expect(await scene.logged(build), 'that of b2 is logged all the same').toBe('approval statement');
  for (const [file, bytes] of statementBy(scene, build, 'b1', contents))
    await scene.tamper(build, file, bytes);
  expect((await once()).result).toMatchObject({ outcome: 'published' });
  await attestBy(scene, build, 'b3', forged);
  await once();
  expect(await scene.logged(build)).toBe('approval statement statement intent release conflict');
});
