/** An enrolment as it lies in the depot or is kept here, and whether the slot's nonce introduced its key (protocol §2). */
import { Failure } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { ephemeralProblem } from '../policy/approval-policy.ts';
import { attempt } from '../policy/attempt.ts';
import { ephemeralCertificate } from '../policy/builder-key.ts';
import type { Approval } from '../records/approval.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import { isMac } from '../records/mac.ts';
import type { BuildId, Sha256, Slot } from '../records/names.ts';
import {
  VARIANTS,
  buildPath,
  enrolmentFile,
  enrolmentMacFile,
  enrolmentSignatureFile,
} from '../records/paths.ts';
import { readSmall } from './approvers.ts';
import { authenticate } from './authenticate.ts';
import { nonceOf } from './nonce.ts';
import type { Round } from './signer.ts';

/** An enrolment and its authenticators, as they were read. */
export interface Offered {
  readonly file: string;
  readonly bytes: Buffer;
  readonly signature: Buffer | null;
  readonly mac: Buffer | null;
}

/** What the log has taken for the slot. */
export const loggedEnrolment = ({ state }: Round, build: BuildId, slot: Slot) =>
  state.journal.history.build(build)?.enrolments.get(slot);

/** What the depot has of the slot. A place that a write left half empty hides none behind it. */
export async function shownEnrolments(round: Round, build: BuildId, slot: Slot): Promise<Offered[]> {
  const offered: Offered[] = [];
  for (const variant of VARIANTS) {
    const file = enrolmentFile(slot, variant);
    const read = (name: string): Promise<Buffer | null> => readSmall(round, buildPath(build, name));
    const bytes = await read(file);
    if (bytes === null) continue;
    const signature = await read(enrolmentSignatureFile(slot, variant));
    offered.push({ file, bytes, signature, mac: await read(enrolmentMacFile(slot, variant)) });
  }
  return offered;
}

/** Whether the slot's nonce made its MAC. */
export async function isIntroduced(
  round: Round,
  approval: Approval,
  slot: Slot,
  { bytes, mac }: Pick<Offered, 'bytes' | 'mac'>,
): Promise<boolean> {
  if (mac === null) return false;
  const nonce = await nonceOf(round, approval, slot);
  return isMac(mac, { purpose: 'enrolment', nonce, build: approval.build, slot }, bytes);
}

/** The certificate that the nonce's holder introduces with it, at whatever time; null if it is nobody's, or no key for this. */
export async function introducedCertificate(
  round: Round,
  { approval, sha256 }: { readonly approval: Approval; readonly sha256: Sha256 },
  slot: Slot,
  offered: Offered,
): Promise<Certificate | null> {
  if (!(await isIntroduced(round, approval, slot, offered))) return null;
  const enrolment = attempt(() => parseEnrolment(offered.bytes));
  if (enrolment instanceof Failure || ephemeralProblem(approval, enrolment) !== null) return null;
  if (enrolment.build !== approval.build || enrolment.slot !== slot || enrolment.approval !== sha256)
    return null;
  const certificate = ephemeralCertificate(enrolment);
  const possession = await authenticate(offered.signature, offered.bytes, certificate, round.now());
  return possession.ok ? certificate : null;
}

/**
 * The certificate that the log has taken for the slot; null while it has taken none. One that the nonce did not introduce
 * is none either: with the log key alone somebody could have logged it. Throws unable, refused(`nonce-unusable`).
 */
export async function enrolledCertificate(
  round: Round,
  approval: Approval,
  slot: Slot,
): Promise<Certificate | null> {
  const { build } = approval;
  const bound = round.state.journal.history.build(build)?.approval;
  const taken = loggedEnrolment(round, build, slot);
  if (!bound || taken === undefined) return null;
  const file = enrolmentFile(slot);
  const bytes = await round.state.kept(build, file, taken.sha256);
  const signature = await round.state.read(build, enrolmentSignatureFile(slot));
  const mac = await round.state.read(build, enrolmentMacFile(slot));
  const kept = { file, bytes, signature, mac };
  const certificate = await introducedCertificate(round, { approval, sha256: bound.sha256 }, slot, kept);
  return certificate?.primary.fingerprint === taken.key ? certificate : null;
}
