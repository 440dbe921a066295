/** The build of `policy/scene.ts` with as many builders as a test wants, of any scheme, each as it would prove itself. */
import { randomBytes } from 'node:crypto';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import type { Approval, Builder, Scheme } from '../../src/records/approval.ts';
import { assuranceOf } from '../../src/records/assurance.ts';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { macOf } from '../../src/records/mac.ts';
import { timestamp, toSlot } from '../../src/records/names.ts';
import type { Slot } from '../../src/records/names.ts';
import {
  enrolmentFile,
  enrolmentMacFile,
  enrolmentReceiptFile,
  enrolmentSignatureFile,
  statementFile,
  statementMacFile,
} from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { proofOf } from '../policy/release-scene.ts';
import { approval, approvalFiles, build, minutes, notBefore, sealed, statement } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';

/** What a ticket holds, or its builder makes. */
interface Secrets {
  readonly nonce: Buffer;
  readonly key: ReturnType<typeof parseEphemeralSecret>;
  readonly certificate: Buffer;
}

export type Built = ReturnType<typeof builtBy>;

interface Changes {
  readonly quorum?: number;
  /** Whose statements were believed; else all. */
  readonly agreed?: readonly string[];
  /** Of the builder's statement. */
  readonly said?: (slot: Slot) => Partial<Statement>;
  /** Else nobody can open the nonce. */
  readonly seal?: (nonce: Buffer) => Buffer;
}

const at = minutes(-5);

/** A build by these, each of that scheme. */
export function builtBy(schemes: Readonly<Record<string, Scheme>>, changes: Changes = {}) {
  const slots = Object.keys(schemes).map((name) => toSlot(name, 'test'));
  const secrets = Object.fromEntries(slots.map((slot) => [slot, newSecrets(slot)]));
  const builders = Object.fromEntries(
    slots.map((slot): [Slot, Builder] => [
      slot,
      builderOf(schemes[slot] ?? 'keypair', secrets[slot] ?? newSecrets(slot), changes.seal),
    ]),
  );
  const approved: Approval = { ...approval, builders, quorum: changes.quorum ?? slots.length };
  const digest = sha256Hex(encodeApproval(approved));
  const agreed = slots.filter((slot) => changes.agreed?.includes(slot) ?? true);
  const files: Files = new Map();
  for (const slot of agreed) {
    const own = { slot, approval: digest, invocationId: `${build}/${slot}` };
    const bytes = encodeStatement({ ...statement, ...own, ...changes.said?.(slot) });
    const scheme = schemes[slot] ?? 'keypair';
    for (const [name, content] of writtenBy(slot, scheme, bytes, digest, secrets[slot] ?? newSecrets(slot)))
      files.set(name, content);
  }
  const statements = agreed.map((slot) => [slot, sha256Hex(files.get(statementFile(slot)) ?? '')] as const);
  const believed = agreed.map((slot) => [slot, schemes[slot] ?? 'keypair'] as const);
  const records = {
    manifest: { approval: digest, statements: Object.fromEntries(statements) },
    release: { builders: Object.fromEntries(believed), assurance: assuranceOf(approved) },
  };
  return { approved, approval: approvalFiles(approved), statement: files, records, secrets };
}

function newSecrets(slot: Slot): Secrets {
  const pair = makeEphemeral({ userId: `hello 1.0 ${slot}`, created: ephemeralCreation(notBefore) });
  return {
    nonce: randomBytes(32),
    key: parseEphemeralSecret(pair.secretKey),
    certificate: pair.certificate,
  };
}

function builderOf(
  scheme: Scheme,
  { nonce, certificate }: Secrets,
  seal: (nonce: Buffer) => Buffer = () => randomBytes(64),
): Builder {
  const uploadTokenSha256 = sha256Hex(randomBytes(32));
  if (scheme === 'keypair') return { scheme, uploadTokenSha256, certificate: certificate.toString('base64') };
  const sealedNonce = seal(nonce).toString('base64');
  const both = { uploadTokenSha256, sealedNonce, nonceSha256: sha256Hex(nonce) };
  return scheme === 'mac' ? { scheme, ...both } : { scheme, ...both, enrolBy: timestamp(minutes(-10)) };
}

function writtenBy(
  slot: Slot,
  scheme: Scheme,
  bytes: Buffer,
  digest: ReturnType<typeof sha256Hex>,
  { nonce, key, certificate }: Secrets,
): Files {
  if (scheme === 'mac')
    return new Map([
      [statementFile(slot), bytes],
      [statementMacFile(slot), macOf({ purpose: 'statement', nonce, build, slot }, bytes)],
    ]);
  const own = sealed(bytes, slot, key);
  if (scheme === 'keypair') return own;
  const enrolment = encodeEnrolment({
    ...{ build, slot, approval: digest },
    certificate: certificate.toString('base64'),
  });
  return new Map([
    ...own,
    [enrolmentFile(slot), enrolment],
    [enrolmentSignatureFile(slot), key.sign(enrolment, at.getTime() / 1000)],
    [enrolmentMacFile(slot), macOf({ purpose: 'enrolment', nonce, build, slot }, enrolment)],
    [enrolmentReceiptFile(slot), receiptOf(enrolment, slot, key.fingerprint)],
  ]);
}

/** The log's word on an enrolment. */
export function receiptOf(
  enrolment: Buffer,
  slot: Slot,
  fingerprint: Secrets['key']['fingerprint'],
  changes: Partial<BuildEntry> = {},
): Buffer {
  const { project, version } = approval;
  const leaf = encodeLogEntry({
    ...{ type: 'enrolment', time: timestamp(at), build, project, version },
    records: { [enrolmentFile(slot)]: sha256Hex(enrolment) },
    keys: [fingerprint],
    ...changes,
  });
  return proofOf(leaf, { extra: true });
}
