/**
 * An OpenPGP certificate (transferable public key, RFC 4880 §11.1): exactly one, with what its own
 * signatures say about each of its keys.
 *
 * Third parties' signatures mean nothing here: which certificate is whose is written in the project file.
 */
import { refused } from '../failure.ts';
import type { Fingerprint } from '../records/names.ts';
import { lifeProblem, maySign, purposeProblem } from './key-status.ts';
import type { KeyProblem, KeyStatus } from './key-status.ts';
import { TAG, parsePackets } from './packet.ts';
import type { Fail, Packet } from './packet.ts';
import { framed, parsePublicKey } from './public-key.ts';
import type { PublicKey } from './public-key.ts';
import {
  isRevocation,
  readSelfSignature,
  SIGNATURE_TYPE,
  subkeyMaterial,
  userIdMaterial,
} from './self-signature.ts';
import type { SelfSignature } from './self-signature.ts';
import { parseSignaturePacket } from './signature-packet.ts';
import type { SignaturePacket } from './signature-packet.ts';

export type { KeyProblem, KeyStatus };

export const MAX_CERTIFICATE_BYTES = 256 * 1024;

export interface Certificate {
  /** The binary certificate as received. */
  bytes: Buffer;
  primary: PublicKey;
  userIds: string[];
  /** The primary key first. */
  keys: KeyStatus[];
}

const malformed: Fail = (text) =>
  refused('certificate-malformed', `the certificate is not acceptable: ${text}`);

/** A packet and the signatures that follow it. */
interface Component {
  packet: Packet;
  signatures: SignaturePacket[];
}

/**
 * Reads a binary certificate of at most 256 KiB. It may be expired or revoked: whether a key may sign at a
 * given time is `keyProblem`'s answer.
 *
 * @throws refused `certificate-malformed`, for anything but one certificate with a version 4 primary key
 *   of a supported algorithm and at least one user id that it has certified
 */
export function parseCertificate(binary: Buffer): Certificate {
  if (binary.length === 0) throw malformed('it is empty');
  if (binary.length > MAX_CERTIFICATE_BYTES)
    throw malformed(`it is larger than ${MAX_CERTIFICATE_BYTES} bytes`);
  const [first, ...others] = readComponents(binary);
  if (first === undefined) throw malformed('it is empty');
  const primary = parsePublicKey(first.packet.body, malformed);
  if (primary.algorithm === 'unsupported') {
    throw malformed(
      `its primary key (algorithm ${primary.algorithmId}) is of a kind, size or form not supported`,
    );
  }

  const direct = selfSignatures(first, [SIGNATURE_TYPE.directKey], primary, framed(primary.body), null);
  const identities = others
    .filter(({ packet }) => packet.tag === TAG.userId || packet.tag === TAG.userAttribute)
    .map((component) => ({ component, signatures: certifications(component, primary) }));
  const userIds = identities.filter(({ component }) => component.packet.tag === TAG.userId);
  if (!userIds.some(({ signatures }) => signatures.length > 0)) {
    throw malformed(
      'it has no user id that its primary key has certified (SHA-256 or better) and not revoked',
    );
  }

  const groups = [direct, ...identities.map(({ signatures }) => signatures)].filter(
    (group) => group.length > 0,
  );
  const revokers = groups.flat().flatMap((signature) => signature.revokers);
  const revoked = first.signatures.some(
    (packet) =>
      packet.type === SIGNATURE_TYPE.keyRevocation &&
      isRevocation(packet, primary, framed(primary.body), revokers),
  );
  const subkeys = others
    .filter(({ packet }) => packet.tag === TAG.publicSubkey)
    .map((component) => readSubkey(component, primary, revokers));
  return {
    bytes: binary,
    primary,
    userIds: userIds.map(({ component }) => component.packet.body.toString('utf8')),
    keys: [{ key: primary, isPrimary: true, revoked, groups }, ...subkeys],
  };
}

/** Splits a certificate into its key, user ids and subkeys, each with its signatures. */
function readComponents(binary: Buffer): Component[] {
  const components: Component[] = [];
  for (const packet of parsePackets(binary, malformed)) {
    const current = components.at(-1);
    if (packet.tag === TAG.signature && current !== undefined) {
      // Version 3 is what third parties' signatures of the nineties are; with any other gpgv takes none of it.
      if (packet.body[0] !== 3) current.signatures.push(parseSignaturePacket(packet.body, malformed));
      continue;
    }
    if ((packet.tag === TAG.publicKey) !== (current === undefined)) {
      throw malformed(
        current === undefined ? 'it does not start with a public key' : 'it holds more than one certificate',
      );
    }
    if (!COMPONENT_TAGS.has(packet.tag)) throw malformed(`packet ${packet.tag} has no place in it`);
    if (current?.packet.tag === TAG.publicSubkey && packet.tag !== TAG.publicSubkey)
      throw malformed('it has a user id behind a subkey');
    components.push({ packet, signatures: [] });
  }
  return components;
}

const COMPONENT_TAGS: ReadonlySet<number> = new Set([
  TAG.publicKey,
  TAG.userId,
  TAG.userAttribute,
  TAG.publicSubkey,
]);

/** The primary key's verified signatures of these types over `material`. */
function selfSignatures(
  { signatures }: Component,
  types: readonly number[],
  primary: PublicKey,
  material: Buffer,
  subkey: PublicKey | null,
): SelfSignature[] {
  return signatures
    .filter(({ type }) => types.includes(type))
    .map((packet) => readSelfSignature(packet, primary, material, subkey, malformed))
    .filter((signature) => signature !== null);
}

const CERTIFICATIONS = [0x10, 0x11, 0x12, SIGNATURE_TYPE.positiveCertification];

/** The primary key's certifications of a user id that are younger than every revocation of it. */
function certifications(component: Component, primary: PublicKey): SelfSignature[] {
  const tagOctet = component.packet.tag === TAG.userId ? 0xb4 : 0xd1;
  const material = userIdMaterial(primary, component.packet.body, tagOctet);
  const revocations = selfSignatures(
    component,
    [SIGNATURE_TYPE.certificationRevocation],
    primary,
    material,
    null,
  );
  const revokedAt = Math.max(-1, ...revocations.map(({ created }) => created));
  const valid = selfSignatures(component, CERTIFICATIONS, primary, material, null);
  return valid.filter(({ created }) => created > revokedAt);
}

function readSubkey(component: Component, primary: PublicKey, revokers: readonly string[]): KeyStatus {
  const key = parsePublicKey(component.packet.body, malformed);
  const material = subkeyMaterial(primary, key);
  const bindings = selfSignatures(component, [SIGNATURE_TYPE.subkeyBinding], primary, material, key);
  const revoked = component.signatures.some(
    (packet) =>
      packet.type === SIGNATURE_TYPE.subkeyRevocation && isRevocation(packet, primary, material, revokers),
  );
  return { key, isPrimary: false, revoked, groups: bindings.length > 0 ? [bindings] : [] };
}

/** Null, or why this key of the certificate may not sign at `now`: the primary key's life is asked first. */
export function keyProblem(certificate: Certificate, key: PublicKey, now: Date): KeyProblem | null {
  const status = certificate.keys.find((candidate) => candidate.key.fingerprint === key.fingerprint);
  const primary = certificate.keys.find(({ isPrimary }) => isPrimary);
  if (status === undefined || primary === undefined) {
    return { code: 'key-unusable', reason: `key ${key.fingerprint} is not one of this certificate` };
  }
  return lifeProblem(primary, now) ?? lifeProblem(status, now) ?? purposeProblem(status, now);
}

/** The keys that may sign at `now`, the newest first: gpg would take the first one it has. */
export function signingKeys(certificate: Certificate, now: Date): PublicKey[] {
  return certificate.keys
    .map(({ key }) => key)
    .filter((key) => keyProblem(certificate, key, now) === null)
    .toSorted((a, b) => b.created - a.created);
}

/**
 * The fingerprints that must not stand in two roles: the primary key, and every subkey that was ever bound
 * for signing, expired or revoked ones too.
 */
export function allSigningFingerprints(certificate: Certificate): Fingerprint[] {
  return certificate.keys
    .filter(
      ({ isPrimary, groups }) =>
        isPrimary || groups.flat().some(({ flags }) => flags === null || maySign(flags)),
    )
    .map(({ key }) => key.fingerprint);
}
