/**
 * Who may revoke a build: an approver of the project file, by a signed revocation, whatever has become of the build
 * (protocol §4). How many of them it takes is for the signer; a depot that shows it counts the same way.
 */
import { Failure } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { parseSignature } from '../../openpgp/signature.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { SignatureVerdict } from '../../openpgp/verify.ts';
import type { Fingerprint } from '../../records/names.ts';
import {
  approvalFile,
  parseBuildFile,
  revocationFile,
  revocationSignatureFile,
} from '../../records/paths.ts';
import { parseRevocation } from '../../records/revocation.ts';
import type { Revocation } from '../../records/revocation.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { attempt } from '../attempt.ts';
import type { Project } from '../project.ts';
import { readRevocation } from '../revocation-verdict.ts';
import type { Revocable } from '../revocation-verdict.ts';
import type { Verified } from '../verified.ts';
import type { View } from '../view.ts';
import { approverCertificate, signedApproval } from './approval.ts';
import { judgedAt } from './decided.ts';
import { isProject } from './rules.ts';
import { allowed, denied, deniedBy } from './verdict.ts';
import type { Denied, GateVerdict } from './verdict.ts';
import { compare, decidedFor, otherBytes } from './write.ts';
import type { Write } from './write.ts';

/** Whether the write's revocations are taken. */
export async function judgeRevocationWrite(write: Write): Promise<GateVerdict> {
  const { rules, build, files, before, after, now } = write;
  if (!isProject(rules)) return denied(403, 'approver-unknown', 'a ticket revokes nothing');

  // 1. One a person: other bytes never replace. A signature without its record is none: a depot that failed between the
  // two has it, and whoever revokes again signs another time.
  const abandoned: string[] = [];
  for (const [name, bytes] of files) {
    const file = parseBuildFile(name);
    if (file?.kind !== 'revocation-signature') continue;
    if ((await before.size(revocationFile(file.approver))) !== null) continue;
    if ((await compare(before, name, bytes)) === 'other') abandoned.push(name);
  }
  const conflict = await otherBytes(
    write,
    [...files].filter(([name]) => !abandoned.includes(name)),
  );
  if (conflict !== null) return conflict;

  // 2. Of an approved build. Once the log has decided, keys are judged as of then.
  const decided = await decidedFor(write);
  const at = judgedAt(decided, sha256Hex((await after.read(approvalFile)) ?? ''), now);
  const signed = await signedApproval(rules, build, after, at);
  if ('allow' in signed) return signed;

  // 3. Each with its signature, by the approver whom it names.
  const revocable = { build, approval: signed.digest };
  const approvers = new Set<Fingerprint>();
  for (const name of files.keys()) {
    const file = parseBuildFile(name);
    if (file !== null && 'approver' in file) approvers.add(file.approver);
  }
  const taken: [string, Buffer][] = [];
  for (const approver of approvers) {
    const [name, signatureName] = [revocationFile(approver), revocationSignatureFile(approver)];
    const [bytes, signature] = [files.get(name), files.get(signatureName)];
    if (bytes === undefined) return denied(422, 'record-missing', `${signatureName} came without ${name}`);
    if (signature === undefined)
      return denied(403, 'write-needs-authenticator', `${name} came without its signature`);
    const problem = problemOf(rules, revocable, { approver, bytes, signature, now });
    if (problem !== null) return problem;
    // the record last: whoever sees it finds its authenticator
    taken.push([signatureName, signature], [name, bytes]);
  }
  return allowed(taken, abandoned);
}

interface Sent {
  readonly approver: Fingerprint;
  readonly bytes: Buffer;
  readonly signature: Buffer;
  readonly now: Date;
}

function problemOf(project: Project, revocable: Revocable, sent: Sent): Denied | null {
  const { approver, bytes, signature, now } = sent;
  const certificate = approverCertificate(project, approver);
  if (certificate === undefined)
    return denied(403, 'approver-unknown', `${revocationFile(approver)}: no approver of the project`);
  const verdict = verifyRevocation(signature, bytes, certificate, now);
  if (!verdict.ok)
    return denied(403, 'signature-invalid', `${revocationSignatureFile(approver)}: ${verdict.reason}`);
  const read = attempt(() => parseRevocation(bytes));
  if (read instanceof Failure) return deniedBy(read, 422);
  const revocation = readRevocation(project, revocable, { approver, bytes, signature: verdict });
  return typeof revocation === 'string' ? denied(422, 'build-mismatch', revocation) : null;
}

/**
 * The verdict on a revocation's signature. A key that has expired since does not undo it: whoever copies a depot years
 * later must learn of a withdrawal. So, unlike the signer, who is there in time, a depot believes the signature's date.
 */
function verifyRevocation(
  signature: Buffer,
  bytes: Buffer,
  certificate: Certificate,
  now: Date,
): SignatureVerdict {
  const verdict = verifyDetached(signature, bytes, certificate, now);
  if (verdict.ok || verdict.code !== 'key-expired') return verdict;
  const made = attempt(() => new Date(parseSignature(signature).created * 1000));
  return made instanceof Failure || made > now
    ? verdict
    : verifyDetached(signature, bytes, certificate, made);
}

/** The build's revocations that count, by person, in the order of the project file; all else is as if it were not there. */
export async function validRevocations(
  project: Project,
  revocable: Revocable,
  directory: Pick<View, 'read'>,
  now: Date,
): Promise<Map<Fingerprint, Verified<Revocation>>> {
  const found = new Map<Fingerprint, Verified<Revocation>>();
  for (const certificate of project.approvers) {
    const approver = certificate.primary.fingerprint;
    const bytes = await directory.read(revocationFile(approver));
    const file = bytes && (await directory.read(revocationSignatureFile(approver)));
    if (!bytes || !file) continue;
    const signature = verifyRevocation(file, bytes, certificate, now);
    const revocation = readRevocation(project, revocable, { approver, bytes, signature });
    if (typeof revocation !== 'string') found.set(approver, revocation);
  }
  return found;
}
