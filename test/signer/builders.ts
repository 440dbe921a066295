/** Builds with several builders, of schemes with a key and with a nonce, each with what its ticket holds. */
import { randomBytes } from 'node:crypto';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import type { EphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { sealNonce } from '../../src/openpgp/sealed.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import type { Approval, Builder, Scheme } from '../../src/records/approval.ts';
import { macOf } from '../../src/records/mac.ts';
import { timestamp, toArtifactName, toSlot } from '../../src/records/names.ts';
import type { Slot, Timestamp } from '../../src/records/names.ts';
import { statementFile, statementMacFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement, sortSubjects } from '../../src/records/statement.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { sealed } from '../policy/scene.ts';
import { KEYS_MADE, Scene } from './scene.ts';
import type { Build, Contents } from './scene.ts';

export interface Ticket {
  readonly slot: Slot;
  readonly token: Buffer;
  readonly nonce: Buffer;
  /** What makes its authenticator: a key, or null for its nonce. */
  readonly secret: EphemeralSecret | null;
}

export interface ManyBuild extends Build {
  readonly tickets: Readonly<Record<string, Ticket>>;
}

/** A scene whose release certificate has an encryption subkey too: nonces are sealed to that. */
export async function sealingScene(): Promise<Scene> {
  const home = new GnupgHome();
  const key = home.generate({ userId: 'Releases <release@example.org>', usage: 'cert', at: KEYS_MADE });
  const then = ['--faked-system-time', `${KEYS_MADE}!`, '--passphrase', ''];
  home.gpg([...then, '--quick-add-key', key, 'ed25519', 'sign', 'never']);
  home.gpg([...then, '--quick-add-key', key, 'cv25519', 'encr', 'never']);
  const scene = await Scene.make('ed25519', 'sha256', { home, key });
  scene.project = { ...scene.project, encryption: scene.project.release.certificate };
  await scene.reopenDepot();
  return scene;
}

/** `approve --builders N --quorum K`: b1, b2 and so on, each of the scheme named; `seal`: other nonces than those of the tickets. */
export async function approveMany(
  scene: Scene,
  schemes: readonly Scheme[],
  quorum: number,
  {
    version = '1.0',
    seal = (nonce: Buffer) => sealNonce(nonce, scene.project.release.certificate),
    ...terms
  }: Partial<Omit<Approval, 'version'>> & {
    version?: string;
    seal?: (nonce: Buffer) => Promise<Buffer>;
  } = {},
): Promise<ManyBuild> {
  const created = ephemeralCreation(timestamp(scene.now()));
  const builders: Record<Slot, Builder> = {};
  const tickets: Record<string, Ticket> = {};
  for (const [at, scheme] of schemes.entries()) {
    const slot = toSlot(`b${at + 1}`, 'scene');
    const [token, nonce] = [randomBytes(32), randomBytes(32)];
    const uploadTokenSha256 = sha256Hex(token);
    if (scheme === 'keypair') {
      const pair = makeEphemeral({ userId: `hello ${version} ${slot}`, created });
      builders[slot] = { scheme, uploadTokenSha256, certificate: pair.certificate.toString('base64') };
      tickets[slot] = { slot, token, nonce, secret: parseEphemeralSecret(pair.secretKey) };
    } else {
      const sealedNonce = (await seal(nonce)).toString('base64');
      const nonceSha256 = sha256Hex(nonce);
      builders[slot] =
        scheme === 'mac'
          ? { scheme, uploadTokenSha256, sealedNonce, nonceSha256 }
          : { scheme, uploadTokenSha256, sealedNonce, nonceSha256, enrolBy: inTenMinutes(scene) };
      tickets[slot] = { slot, token, nonce, secret: null };
    }
  }
  return { ...(await scene.approve(version, { builders, quorum, ...terms })), tickets };
}

const inTenMinutes = (scene: Scene): Timestamp => timestamp(new Date(scene.now().getTime() + 600_000));

/** The files of a builder's statement that names `contents`; `as`: what it is made with, where that is another's. */
export function statementBy(
  scene: Scene,
  { build, approval, digest, tickets }: ManyBuild,
  slot: string,
  contents: Contents,
  as: Partial<Ticket> = {},
): Map<string, Buffer> {
  const own = tickets[slot];
  if (own === undefined) throw new Error(`no builder ${slot}`);
  const ticket = { ...own, ...as };
  const subjects = Object.entries(contents).map(([name, content]) => ({
    ...{ name: toArtifactName(name, 'scene'), sha256: sha256Hex(Buffer.from(content)) },
    size: Buffer.from(content).length,
  }));
  const time = timestamp(scene.now());
  const bytes = encodeStatement({
    ...{
      subjects: sortSubjects(subjects),
      build,
      slot: ticket.slot,
      approval: digest,
      source: approval.source,
    },
    ...{
      command: 'make dist',
      builderId: 'https://depot.example.org/builders/any',
      invocationId: `urn:${slot}`,
    },
    ...{ startedOn: time, finishedOn: time },
  });
  if (ticket.secret !== null) return sealed(bytes, own.slot, ticket.secret, scene.now());
  const mac = macOf({ purpose: 'statement', nonce: ticket.nonce, build, slot: ticket.slot }, bytes);
  return new Map([
    [statementFile(own.slot), bytes],
    [statementMacFile(own.slot), mac],
  ]);
}

/** `attest` of one builder: artifacts, then the statement, through the gate. */
export async function attestBy(
  scene: Scene,
  build: ManyBuild,
  slot: string,
  contents: Contents,
  as: Partial<Ticket> = {},
): Promise<void> {
  const depot = scene.depot.as(build.tickets[slot]?.token ?? Buffer.alloc(0));
  const files = Object.values(contents).map((content) => Buffer.from(content));
  await depot.putBlobs(
    build.build,
    files.map((bytes) => ({ sha256: sha256Hex(bytes), bytes })),
  );
  await depot.submit(build.build, statementBy(scene, build, slot, contents, as));
}
