/**
 * Builders whose tickets hold a nonce (schemes `mac` and `enrol`), and what somebody makes with it, or with whatever else
 * they could get hold of.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { sealNonce } from '../../src/openpgp/sealed.ts';
import { builderOf, ephemeralCreation } from '../../src/policy/builder-key.ts';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval, Builder } from '../../src/records/approval.ts';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import type { Enrolment } from '../../src/records/enrolment.ts';
import { macOf } from '../../src/records/mac.ts';
import { timestamp, toSlot } from '../../src/records/names.ts';
import type { Sha256, Slot } from '../../src/records/names.ts';
import {
  approvalFile,
  enrolmentFile,
  enrolmentMacFile,
  enrolmentSignatureFile,
  statementFile,
  statementMacFile,
} from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { World } from '../harness/world.ts';
import type { Approved, WorldOptions } from '../harness/world.ts';
import { b1, forgeApproval } from './forge.ts';

export const b2 = toSlot('b2', 'attack');

/** A build with a nonce in the ticket of slot `b1`, and who holds that. */
export interface Nonced {
  readonly build: string;
  readonly approval: Approval;
  /** `approval.json`. */
  readonly bytes: Buffer;
  readonly nonce: Buffer;
  readonly token: Buffer;
}

/** A world whose release certificate can also be encrypted to: nonces are sealed to that. */
export async function sealingWorld(options: WorldOptions = {}): Promise<World> {
  const home = new GnupgHome();
  const key = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
  home.addSubkey(key, 'ed25519', 'sign');
  home.addSubkey(key, 'cv25519', 'encr');
  return World.make({ ...options, release: { home, key }, init: ['--signer-key', key] });
}

/** What a thief knows who reads a ticket before it is used. */
export async function stealNonce(
  world: World,
  { build, ticket: path }: Pick<Approved, 'build' | 'ticket'>,
): Promise<Nonced> {
  const bytes = await readFile(world.tree('builds', build, approvalFile));
  const { secret, uploadToken } = parseTicket(await readFile(path, 'utf8'));
  if (secret.scheme === 'keypair' || secret.nonce === null) throw new Error('a ticket without a nonce');
  const [nonce, token] = [secret.nonce, uploadToken].map((text) => Buffer.from(text, 'base64url'));
  if (!nonce || !token) throw new Error('a ticket without a nonce');
  return { build, bytes, approval: parseApproval(bytes), nonce, token };
}

/** What is odd about an approval. */
export interface OddApproval {
  readonly version?: string;
  /** In place of a new one. */
  readonly nonce?: Buffer;
  /** In place of the nonce, encrypted to H. */
  readonly sealed?: Buffer;
  readonly nonceSha256?: Sha256;
  /** Seconds after `notBefore` until which builders may enrol. */
  readonly enrolSeconds?: number;
  readonly notBefore?: Approval['notBefore'];
  /** A second builder, `b2`. */
  readonly beside?: Builder;
}

/** An approval that an approver signed, of one builder with a nonce, and its files. */
export async function forgeNonced(
  world: World,
  like: Approval,
  scheme: 'mac' | 'enrol',
  odd: OddApproval = {},
): Promise<Nonced & { readonly files: Map<string, Buffer> }> {
  const { nonce = randomBytes(32), enrolSeconds = 60 } = odd;
  const token = randomBytes(32);
  const now = new Date();
  const certificate = parseCertificate(world.releaseHome.export(world.releaseKey));
  const sealed = {
    uploadTokenSha256: sha256Hex(token),
    sealedNonce: (odd.sealed ?? (await sealNonce(nonce, certificate))).toString('base64'),
    nonceSha256: odd.nonceSha256 ?? sha256Hex(nonce),
  };
  const enrolBy = timestamp(new Date(now.getTime() + enrolSeconds * 1000));
  const builder: Builder = scheme === 'mac' ? { scheme, ...sealed } : { scheme, ...sealed, enrolBy };
  const version = (odd.version ?? like.version) as Approval['version'];
  const builders = { [b1]: builder, ...(odd.beside && { [b2]: odd.beside }) };
  const forged = forgeApproval(world, like, {
    ...{ version, builders, quorum: Object.keys(builders).length },
    notBefore: odd.notBefore ?? timestamp(now),
  });
  return { ...forged, nonce, token };
}

/** What a MAC is made with, where that is not what it should be. */
export interface OddMac {
  readonly nonce?: Buffer;
  readonly slot?: Slot;
  readonly build?: string;
  readonly purpose?: 'statement' | 'enrolment';
}

/** The file of a MAC by the holder of the nonce. */
export const macBy = (
  held: Nonced,
  purpose: 'statement' | 'enrolment',
  bytes: Buffer,
  odd: OddMac = {},
): Buffer =>
  macOf(
    {
      purpose: odd.purpose ?? purpose,
      nonce: odd.nonce ?? held.nonce,
      build: (odd.build ?? held.build) as Approval['build'],
      slot: odd.slot ?? b1,
    },
    bytes,
  );

/** A statement and its MAC, as `attest` sends them; `mac`: in place of that. */
export function macked(held: Nonced, statement: Statement | Buffer, mac?: Buffer): Map<string, Buffer> {
  const bytes = Buffer.isBuffer(statement) ? statement : encodeStatement(statement);
  return new Map([
    [statementFile(b1), bytes],
    [statementMacFile(b1), mac ?? macBy(held, 'statement', bytes)],
  ]);
}

/** A builder's key pair, of the one shape. */
export type OwnKey = ReturnType<typeof makeEphemeral>;

export const newKey = ({ approval }: Pick<Nonced, 'approval'>): OwnKey =>
  makeEphemeral({ userId: 'a builder', created: ephemeralCreation(approval.notBefore) });

/** What is odd about an enrolment. */
export interface OddEnrolment extends OddMac {
  /** Who signs it. */
  readonly possessor?: OwnKey;
  /** What it says. */
  readonly record?: Partial<Enrolment>;
  /** In place of all that it says. */
  readonly bytes?: Buffer;
}

/** The enrolment of a key, as `attest` sends it. */
export function enrolmentBy(held: Nonced, key: OwnKey, odd: OddEnrolment = {}): Map<string, Buffer> {
  const certificate = key.certificate.toString('base64');
  const { build } = held.approval;
  const said = { build, slot: b1, approval: sha256Hex(held.bytes), certificate, ...odd.record };
  const bytes = odd.bytes ?? encodeEnrolment(said);
  const signature = parseEphemeralSecret((odd.possessor ?? key).secretKey).sign(bytes, Date.now() / 1000);
  return new Map([
    [enrolmentFile(b1), bytes],
    [enrolmentSignatureFile(b1), signature],
    [enrolmentMacFile(b1), macBy(held, 'enrolment', bytes, odd)],
  ]);
}

/** What the approval shows everybody of a builder's nonce. */
export function shownOf({ approval }: Nonced): { readonly sealed: Buffer; readonly sha256: Sha256 } {
  const builder = builderOf(approval, b1);
  if (builder.scheme === 'keypair') throw new Error('no nonce');
  return { sealed: Buffer.from(builder.sealedNonce, 'base64'), sha256: builder.nonceSha256 };
}
