/** The keys that builders of scheme `enrol` introduce (protocol §2, "enrolment"): taken once, before `enrolBy`. */
import { Failure } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import { judgeEnrolment } from '../policy/enrolment-verdict.ts';
import type { Logged } from '../policy/history.ts';
import { projectSigningKeys } from '../policy/project.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { BuildId, Fingerprint, Sha256, Slot, Timestamp } from '../records/names.ts';
import {
  approvalFile,
  buildPath,
  enrolmentFile,
  enrolmentMacFile,
  enrolmentReceiptFile,
  enrolmentSignatureFile,
} from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Approved } from './approval.ts';
import { readSmall } from './approvers.ts';
import { authenticate } from './authenticate.ts';
import { isIntroduced, loggedEnrolment, shownEnrolments } from './enrolment.ts';
import type { Offered } from './enrolment.ts';
import { orRefused } from './nonce.ts';
import { ownProof } from './proof.ts';
import { refuse } from './refuse.ts';
import { Stop } from './result.ts';
import type { Round } from './signer.ts';
import { enrollingSlots, secondKey, unlessOver } from './second-key.ts';
import { TRIED_AGAIN } from './spoilt.ts';

/** What the depot shows and nobody introduced: it is tried again, until `enrolBy`. */
interface Void {
  readonly where: string;
  readonly text: string;
}

/**
 * Takes the key that each builder introduces: judged and logged, and answered with a receipt. A second key of one
 * builder, whenever it is seen, ends the build: its ticket was stolen. Returns what is shown for slots without a key.
 * Throws unable.
 */
export function takeEnrolments(round: Round, approved: Approved): Promise<Stop | readonly Void[]> {
  return orRefused(round, approved, async () => {
    const voids: Void[] = [];
    for (const slot of enrollingSlots(approved.approval)) {
      const taken = await unlessOver(round, approved, slot, () => takeEnrolment(round, approved, slot));
      if (taken instanceof Stop) return taken;
      voids.push(...(taken ?? []));
    }
    return voids;
  });
}

/**
 * Whether its builders may still enrol, by the approval in the log, else by the depot's, which nobody has judged: enough
 * for its place in a round. A build that cannot be looked at now has none. Throws nothing of the depot's or the disk's.
 */
export async function mayEnrol(round: Round, build: BuildId): Promise<boolean> {
  try {
    const approval = await shownApproval(round, build);
    return approval !== null && openUntil(approval, round.now()) !== undefined;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

async function shownApproval(round: Round, build: BuildId): Promise<Approval | null> {
  const logged = round.state.journal.history.build(build)?.approval;
  if (logged) return round.state.approval(build, logged.sha256);
  const shown = await readSmall(round, buildPath(build, approvalFile));
  return shown && parseApproval(shown);
}

/** The last `enrolBy` that has not come by then; undefined if all have. */
const openUntil = ({ builders }: Approval, now: Date): Timestamp | undefined =>
  Object.values(builders)
    .flatMap((builder) => (builder.scheme === 'enrol' ? [builder.enrolBy] : []))
    .filter((enrolBy) => now < timestampDate(enrolBy))
    .sort()
    .at(-1);

/**
 * A build is not signed while its builders may still enrol, so that a thief's enrolment is seen first: why it waits;
 * null if they were looked at when the last `enrolBy` had come. What is wrong with the enrolments of a sealed build is said before.
 */
export function enrolmentOpen({ approval }: Approved, [invalid]: readonly Void[], looked: Date): Stop | null {
  const last = openUntil(approval, looked);
  if (last === undefined) return null;
  if (invalid)
    return new Stop('bad', 'built', 'enrolment-invalid', `${invalid.where}: ${invalid.text}`, TRIED_AGAIN);
  const text = `it waits until ${last}: until then a second enrolment could show that a ticket was stolen`;
  return new Stop('waiting', 'built', 'enrolment-open', text);
}

async function takeEnrolment(round: Round, approved: Approved, slot: Slot): Promise<Stop | Void[]> {
  const { build } = approved.approval;
  const offered = await shownEnrolments(round, build, slot);
  const voids: Void[] = [];
  for (const each of offered) {
    if (loggedEnrolment(round, build, slot) !== undefined) break;
    const problem = await judge(round, approved, slot, each);
    if (problem instanceof Stop) return problem;
    if (problem !== null) voids.push({ where: each.file, text: problem });
  }
  const stolen = await secondKey(round, approved, slot, offered);
  if (stolen) return stolen;
  const taken = loggedEnrolment(round, build, slot);
  if (taken === undefined) {
    for (const { where, text } of voids)
      round.report({ kind: 'note', build, text: `${where} is not taken: ${text}` });
    return voids;
  }
  await sendReceipt(round, build, slot, taken, offered);
  return [];
}

/** Logs it if it is the builder's; why it is not, or that it ended the build. */
async function judge(
  round: Round,
  approved: Approved,
  slot: Slot,
  offered: Offered,
): Promise<Stop | string | null> {
  const { approval, sha256: approvalDigest } = approved;
  const { bytes, signature } = offered;
  const mac = await isIntroduced(round, approval, slot, offered);
  // Seen once all of it is here, and the nonce is open.
  const firstSeen = round.now();
  const verify = (certificate: Certificate): Promise<SignatureVerdict> =>
    authenticate(signature, bytes, certificate, firstSeen);
  const keysSeen = new Set([...round.state.journal.history.keys, ...projectSigningKeys(round.project)]);
  const verdict = await judgeEnrolment({
    ...{ approval, approvalDigest, slot, bytes, mac, verify, keysSeen, firstSeen },
  });
  if (verdict.verdict === 'void') return verdict.text;
  if (verdict.verdict === 'refuse') return refuse(round, approved, verdict.reasons);
  await logEnrolment(round, approval, slot, offered, verdict.certificate.primary.fingerprint, firstSeen);
  return null;
}

/** On the disk, then in the log: its time is when it was first seen. */
async function logEnrolment(
  { state }: Round,
  { build, project, version }: Approval,
  slot: Slot,
  { bytes, signature, mac }: Offered,
  key: Fingerprint,
  firstSeen: Date,
): Promise<void> {
  const records: Record<string, Sha256> = {};
  for (const [file, content] of [
    [enrolmentFile(slot), bytes],
    [enrolmentSignatureFile(slot), signature ?? Buffer.alloc(0)],
    [enrolmentMacFile(slot), mac ?? Buffer.alloc(0)],
  ] as const) {
    await state.write(build, file, content);
    records[file] = sha256Hex(content);
  }
  const time = timestamp(firstSeen);
  await state.journal.append({ type: 'enrolment', time, build, project, version, records, keys: [key] });
}

/** The builder waits for it. A depot that has lost it, or the enrolment, gets both again. */
async function sendReceipt(
  round: Round,
  build: BuildId,
  slot: Slot,
  taken: Logged,
  offered: readonly Offered[],
): Promise<void> {
  const { depot, state } = round;
  const file = enrolmentReceiptFile(slot);
  if ((await depot.size(buildPath(build, file))) !== null) return;
  const files = new Map([[file, await ownProof(round, build, file, taken)]]);
  if (!offered.some(({ bytes }) => sha256Hex(bytes) === taken.sha256))
    for (const name of [enrolmentFile(slot), enrolmentSignatureFile(slot), enrolmentMacFile(slot)])
      files.set(name, (await state.read(build, name)) ?? Buffer.alloc(0));
  await depot.submit(build, files);
}
