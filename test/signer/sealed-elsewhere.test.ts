/** A nonce that the signer can't open, whoever it is sealed to, is its own build's affair: other builds go on (protocol §2, `sealedNonce`). */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import type { Certificate } from '../../src/openpgp/certificate.ts';
import { sealNonce } from '../../src/openpgp/sealed.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { approveMany, attestBy, sealingScene } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import { oddDepot } from './odd-depot.ts';
import { KEYS_MADE } from './scene.ts';
import type { Scene } from './scene.ts';

const contents = { 'hello.txt': 'hello' };

let scene: Scene;
let stranger: GnupgHome;
beforeEach(async () => {
  scene = await sealingScene();
  stranger = new GnupgHome();
});
afterEach(async () => {
  stranger.close();
  await scene.close();
});

/** A certificate whose secret keys are not at the signer. */
function strangersCertificate(): Certificate {
  const key = stranger.generate({ userId: 'X <x@example.org>', usage: 'cert', at: KEYS_MADE });
  const then = ['--faked-system-time', `${KEYS_MADE}!`, '--passphrase', ''];
  stranger.gpg([...then, '--quick-add-key', key, 'cv25519', 'encr', 'never']);
  return parseCertificate(stranger.export(key));
}

/** Approved and sealed by its builders: a nonce that only a stranger can open, of the first `strangers` of them. */
async function sealedBuild(
  version: string,
  strangers = 0,
  builders = 1,
  quorum = builders,
): Promise<ManyBuild> {
  const certificate = strangers > 0 ? strangersCertificate() : scene.project.release.certificate;
  let left = strangers;
  const seal = (nonce: Buffer): Promise<Buffer> =>
    sealNonce(nonce, left-- > 0 ? certificate : scene.project.release.certificate);
  const schemes = Array.from({ length: builders }, () => 'mac' as const);
  const build = await approveMany(scene, schemes, quorum, { version, seal });
  for (const slot of Object.keys(build.tickets)) await attestBy(scene, build, slot, contents);
  scene.pass(1);
  return build;
}

test('one that is sealed to a stranger holds up no other, and its build is over with its approval', async () => {
  const foreign = await sealedBuild('0.9', 1);
  const own = await sealedBuild('1.0');
  const { results } = await scene.sign();
  expect(results).toMatchObject([
    { build: foreign.build, outcome: 'unfinished', code: 'nonce-locked' },
    { build: own.build, outcome: 'published' },
  ]);
  scene.pass(5 * 3600);
  expect((await scene.sign({ named: [foreign.build] })).result).toMatchObject({ state: 'expired' });
  expect(await scene.logged(foreign)).toBe('approval');
});

test('with a statement in the log, and too few: over as any other, and what the others said was taken in time', async () => {
  const build = await sealedBuild('1.0', 1, 2);
  expect((await scene.sign()).result).toMatchObject({ outcome: 'unfinished', code: 'nonce-locked' });
  expect(await scene.logged(build)).toBe('approval statement');
  scene.pass(5 * 3600);
  expect((await scene.sign()).result).toMatchObject({ outcome: 'refused', code: 'expired' });
});

test('with enough of the others: what it hides may be a dissent, and nothing is signed', async () => {
  const build = await sealedBuild('1.0', 1, 3, 2);
  for (const seconds of [0, 5 * 3600]) {
    scene.pass(seconds);
    expect((await scene.sign()).result).toMatchObject({ outcome: 'unfinished', code: 'nonce-locked' });
  }
  expect(await scene.logged(build)).toBe('approval statement statement');
});

/** A passphrase on all keys of the signer, and a person who gives it. */
function lockKeys(): FakePinentry {
  const primary = scene.project.release.certificate.primary.fingerprint;
  const pinentry = new FakePinentry(scene.home.directory, 'secret');
  scene.home.gpg(['--command-fd', '0', '--passphrase', 'secret', '--change-passphrase', primary]);
  scene.home.configureAgent(`pinentry-program ${pinentry.program}`);
  scene.home.gpg(['--list-secret-keys']);
  return pinentry;
}

const asked = (pinentry: FakePinentry): number =>
  pinentry.heard().filter((line) => line.startsWith('GETPIN')).length;

test('nobody is asked for the key on behalf of a build that has ended without a statement', async () => {
  const build = await sealedBuild('1.0');
  scene.pass(3 * 3600);
  await scene.sign({ depot: await blindDepot() });
  const pinentry = lockKeys();
  scene.pass(2 * 3600);
  expect((await scene.sign({ named: [build.build] })).result).toMatchObject({ state: 'expired' });
  expect(asked(pinentry)).toBe(0);
});

/** The signer's, which shows no statement. */
async function blindDepot(): Promise<Depot> {
  const depot = await scene.signerDepot();
  const read: Depot['read'] = async (path, maxBytes) =>
    path.includes('/statements/') ? null : depot.read(path, maxBytes);
  return oddDepot(depot, { read });
}

test('whoever was asked in vain for a stranger’s key is asked for the signer’s own', async () => {
  const foreign = await sealedBuild('0.9', 1);
  const own = await sealedBuild('1.0');
  const session = scene.newSession();
  expect((await scene.sign({ session, named: [foreign.build] })).result?.code).toBe('nonce-locked');
  const pinentry = lockKeys();
  const { results } = await scene.sign({ session });
  expect(results).toMatchObject([
    { build: foreign.build, code: 'nonce-locked' },
    { build: own.build, outcome: 'published' },
  ]);
  expect(asked(pinentry)).toBeGreaterThan(0);
});

test('one that is sealed to the signer’s own key and is spoilt holds up no other either', async () => {
  const spoil = async (nonce: Buffer): Promise<Buffer> => {
    const sealed = Buffer.from(await sealNonce(nonce, scene.project.release.certificate));
    // of the session key's packet: the algorithm, behind header, version and key id
    sealed[11] = 1;
    return sealed;
  };
  const spoilt = await approveMany(scene, ['mac'], 1, { version: '0.9', seal: spoil });
  await attestBy(scene, spoilt, 'b1', contents);
  scene.pass(1);
  const own = await sealedBuild('1.0');
  const { results } = await scene.sign();
  expect(results).toMatchObject([
    { build: spoilt.build, code: 'nonce-locked' },
    { build: own.build, outcome: 'published' },
  ]);
});
