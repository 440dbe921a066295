/** The build of `scene.ts` by builders of the other schemes: nonces, enrolments, the log's receipts; and its end, taken back. */
import { randomBytes } from 'node:crypto';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import type { EphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import type { Project } from '../../src/policy/project.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import type { Approval, EnrolBuilder, MacBuilder } from '../../src/records/approval.ts';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import type { Enrolment } from '../../src/records/enrolment.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { macOf } from '../../src/records/mac.ts';
import { timestamp } from '../../src/records/names.ts';
import {
  enrolmentFile,
  enrolmentMacFile,
  enrolmentReceiptFile,
  enrolmentSignatureFile,
  revocationFile,
  revocationSignatureFile,
  statementFile,
  statementMacFile,
} from '../../src/records/paths.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import type { Revocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { proofOf } from './release-scene.ts';
import { approval, b1, build, minutes, notBefore, now, person, project } from './scene.ts';
import { statement, statementFiles, tokens } from './scene.ts';
import type { Files, Person } from './scene.ts';

/** With somebody to seal nonces to. */
export const sealing: Project = { ...project, encryption: person('H <h@example.org>').certificate };

export const nonce = randomBytes(32);
const sealed = {
  uploadTokenSha256: sha256Hex(tokens.b1),
  sealedNonce: Buffer.from('sealed').toString('base64'),
  nonceSha256: sha256Hex(nonce),
};
const mac: MacBuilder = { scheme: 'mac', ...sealed };
/** Half an hour from now. */
export const enrolBy = timestamp(minutes(30));
export const enrol: EnrolBuilder = { scheme: 'enrol', ...sealed, enrolBy };

export const macApproval: Approval = { ...approval, builders: { [b1]: mac } };
export const enrolApproval: Approval = { ...approval, builders: { [b1]: enrol } };

const digestOf = (record: Approval) => sha256Hex(encodeApproval(record));

/** The statement of `b1` under this approval, `n` to tell several apart. */
export const statementUnder = (record: Approval, n = 0) => ({
  ...statement,
  approval: digestOf(record),
  invocationId: `${build}/b1/${n}`,
});

/** `b1.json` and its MAC, as `attest` sends them. */
export function macFiles(n = 0, key = nonce): Files {
  const bytes = encodeStatement(statementUnder(macApproval, n));
  const made = macOf({ purpose: 'statement', nonce: key, build, slot: b1 }, bytes);
  return new Map([
    [statementFile(b1), bytes],
    [statementMacFile(b1), made],
  ]);
}

/** A key that a builder has made for itself. */
export interface OwnKey {
  readonly certificate: string;
  readonly secret: EphemeralSecret;
}

export function ownKey(created = ephemeralCreation(notBefore)): OwnKey {
  const pair = makeEphemeral({ userId: 'hello 1.0 b1', created });
  return { certificate: pair.certificate.toString('base64'), secret: parseEphemeralSecret(pair.secretKey) };
}

export const [first, second] = [ownKey(), ownKey()];

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);

/** The enrolment of a key, its signature by that or another one, its MAC. */
export function enrolmentFiles(
  key = first,
  changes: Partial<Enrolment> = {},
  signer = key.secret,
  at = now,
): Files {
  const record = { build, slot: b1, approval: digestOf(enrolApproval), certificate: key.certificate };
  const bytes = encodeEnrolment({ ...record, ...changes });
  return new Map([
    [enrolmentFile(b1), bytes],
    [enrolmentSignatureFile(b1), signer.sign(bytes, seconds(at))],
    [enrolmentMacFile(b1), macOf({ purpose: 'enrolment', nonce, build, slot: b1 }, bytes)],
  ]);
}

/** The log's receipt for the key's enrolment. */
export function receiptFiles(
  key = first,
  changes: Partial<BuildEntry> = {},
  proof = (leaf: Buffer) => proofOf(leaf, { extra: true }),
): Files {
  const bytes = enrolmentFiles(key).get(enrolmentFile(b1)) ?? '';
  const entry = encodeLogEntry({
    ...{ type: 'enrolment', time: timestamp(now), build, project: project.name, version: approval.version },
    records: { [enrolmentFile(b1)]: sha256Hex(bytes) },
    keys: [key.secret.fingerprint],
    ...changes,
  });
  return new Map([[enrolmentReceiptFile(b1), proof(entry)]]);
}

/** The statement of `b1`, signed by a key of its own. */
export const enrolledStatement = (key = first, n = 0): Files =>
  statementFiles(statementUnder(enrolApproval, n), key.secret);

/** One person's revocation, of the build in `scene.ts` unless said. */
export function revocationFiles(who: Person, changes: Partial<Revocation> = {}, at = now): Files {
  const record = { build, approval: digestOf(approval), reason: 'a leaked key', time: timestamp(at) };
  const bytes = encodeRevocation({ ...record, ...changes });
  const { fingerprint } = who.certificate.primary;
  return new Map([
    [revocationFile(fingerprint), bytes],
    [revocationSignatureFile(fingerprint), who.secret.sign(bytes, seconds(at))],
  ]);
}
