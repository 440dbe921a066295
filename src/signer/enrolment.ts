/** The keys that builders of scheme `enrol` introduce (protocol §2, "enrolment"): taken once, before `enrolBy`. */
import { Failure } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import { ephemeralProblem } from '../policy/approval-policy.ts';
import { attempt } from '../policy/attempt.ts';
import { builderOf, ephemeralCertificate, slotsOf } from '../policy/builder-key.ts';
import { judgeEnrolment } from '../policy/enrolment-verdict.ts';
import type { Logged } from '../policy/history.ts';
import { projectSigningKeys } from '../policy/project.ts';
import type { Approval } from '../records/approval.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import { isMac } from '../records/mac.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { BuildId, Fingerprint, Sha256, Slot } from '../records/names.ts';
import {
  VARIANTS,
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
import { nonceOf, orRefused } from './nonce.ts';
import { ownProof } from './proof.ts';
import { refuse } from './refuse.ts';
import { Stop } from './result.ts';
import type { Round } from './signer.ts';
import { TRIED_AGAIN } from './spoilt.ts';

/**
 * The certificate that the log has taken for the slot; null while it has taken none. One that the nonce did not introduce
 * is none either: with the log key somebody could have logged it. Throws unable, refused(`nonce-unusable`).
 */
export async function enrolledCertificate(
  round: Round,
  approval: Approval,
  slot: Slot,
): Promise<Certificate | null> {
  const { build } = approval;
  const taken = logged(round, build, slot);
  if (taken === undefined) return null;
  const bytes = await round.state.kept(build, enrolmentFile(slot), taken.sha256);
  const mac = await round.state.read(build, enrolmentMacFile(slot));
  return (await isIntroduced(round, approval, slot, { bytes, mac }))
    ? ephemeralCertificate(parseEnrolment(bytes))
    : null;
}

/** An enrolment and its authenticators, as they were read. */
interface Offered {
  readonly file: string;
  readonly bytes: Buffer;
  readonly signature: Buffer | null;
  readonly mac: Buffer | null;
}

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
      const taken = await takeEnrolment(round, approved, slot);
      if (taken instanceof Stop) return taken;
      voids.push(...taken);
    }
    return voids;
  });
}

/**
 * A build is not signed while its builders may still enrol, so that a thief's enrolment is seen first: why it waits;
 * null from the last `enrolBy` on. What is wrong with the enrolments of a sealed build is said before.
 */
export function enrolmentOpen(round: Round, { approval }: Approved, [invalid]: readonly Void[]): Stop | null {
  const now = round.now();
  const last = Object.values(approval.builders)
    .flatMap((builder) => (builder.scheme === 'enrol' ? [builder.enrolBy] : []))
    .filter((enrolBy) => now < timestampDate(enrolBy))
    .sort()
    .at(-1);
  if (last === undefined) return null;
  if (invalid)
    return new Stop('bad', 'built', 'enrolment-invalid', `${invalid.where}: ${invalid.text}`, TRIED_AGAIN);
  const text = `it waits until ${last}: until then a second enrolment could show that a ticket was stolen`;
  return new Stop('waiting', 'built', 'enrolment-open', text);
}

const enrollingSlots = (approval: Approval): Slot[] =>
  slotsOf(approval).filter((slot) => builderOf(approval, slot).scheme === 'enrol');

async function takeEnrolment(round: Round, approved: Approved, slot: Slot): Promise<Stop | Void[]> {
  const { build } = approved.approval;
  const offered = await shownEnrolments(round, build, slot);
  const voids: Void[] = [];
  for (const each of offered) {
    if (logged(round, build, slot) !== undefined) break;
    const problem = await judge(round, approved, slot, each);
    if (problem instanceof Stop) return problem;
    if (problem !== null) voids.push({ where: each.file, text: problem });
  }
  const stolen = await secondKey(round, approved, slot, offered);
  if (stolen) return stolen;
  const taken = logged(round, build, slot);
  if (taken === undefined) {
    for (const { where, text } of voids)
      round.report({ kind: 'note', build, text: `${where} is not taken: ${text}` });
    return voids;
  }
  await sendReceipt(round, build, slot, taken, offered);
  return [];
}

const logged = ({ state }: Round, build: BuildId, slot: Slot) =>
  state.journal.history.build(build)?.enrolments.get(slot);

/** What the depot has of the slot, up to the first variant that isn't there. */
async function shownEnrolments(round: Round, build: BuildId, slot: Slot): Promise<Offered[]> {
  const offered: Offered[] = [];
  for (const variant of VARIANTS) {
    const file = enrolmentFile(slot, variant);
    const read = (name: string): Promise<Buffer | null> => readSmall(round, buildPath(build, name));
    const bytes = await read(file);
    if (bytes === null) break;
    const signature = await read(enrolmentSignatureFile(slot, variant));
    offered.push({ file, bytes, signature, mac: await read(enrolmentMacFile(slot, variant)) });
  }
  return offered;
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

/** Whether the slot's nonce made its MAC. */
async function isIntroduced(
  round: Round,
  approval: Approval,
  slot: Slot,
  { bytes, mac }: Pick<Offered, 'bytes' | 'mac'>,
): Promise<boolean> {
  if (mac === null) return false;
  const nonce = await nonceOf(round, approval, slot);
  return isMac(mac, { purpose: 'enrolment', nonce, build: approval.build, slot }, bytes);
}

/**
 * Why the enrolment that the log has is nobody's word; null if the slot's nonce introduced it. The log key alone, which
 * could have logged it, introduces nobody. Throws unable; refused(`nonce-unusable`).
 */
export async function unintroduced(
  round: Round,
  { approval, sha256 }: Pick<Approved, 'approval' | 'sha256'>,
  slot: Slot,
): Promise<string | null> {
  const { build } = approval;
  const taken = logged(round, build, slot);
  if (taken === undefined) return 'the log has no key of its builder';
  const bytes = await round.state.kept(build, enrolmentFile(slot), taken.sha256);
  const signature = await round.state.read(build, enrolmentSignatureFile(slot));
  const mac = await round.state.read(build, enrolmentMacFile(slot));
  const offered = { file: enrolmentFile(slot), bytes, signature, mac };
  const key = await introducedKey(round, { approval, sha256 }, slot, offered);
  return key === taken.key ? null : `key ${taken.key} was not introduced by the nonce of builder ${slot}`;
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

/** Two keys, each introduced by the one nonce: two have the ticket. Whenever that is seen, it ends the build. */
async function secondKey(
  round: Round,
  approved: Approved,
  slot: Slot,
  offered: readonly Offered[],
): Promise<Stop | null> {
  const taken = logged(round, approved.approval.build, slot);
  const keys = new Map<Fingerprint, string>();
  if (taken !== undefined) keys.set(taken.key, 'the log');
  for (const each of offered) {
    const key =
      sha256Hex(each.bytes) === taken?.sha256 ? null : await introducedKey(round, approved, slot, each);
    if (key !== null && !keys.has(key)) keys.set(key, each.file);
  }
  if (keys.size < 2) return null;
  const said = [...keys].map(([key, where]) => `${key} (${where})`).join(' and ');
  const text = `builder ${slot} introduced two keys, ${said}: somebody else has its ticket`;
  return refuse(round, approved, [{ code: 'conflict', where: enrolmentFile(slot), text }]);
}

/** The key that the nonce's holder introduces with it, at whatever time; null if it is nobody's, or no key for this. */
async function introducedKey(
  round: Round,
  { approval, sha256 }: Pick<Approved, 'approval' | 'sha256'>,
  slot: Slot,
  offered: Offered,
): Promise<Fingerprint | null> {
  if (!(await isIntroduced(round, approval, slot, offered))) return null;
  const enrolment = attempt(() => parseEnrolment(offered.bytes));
  if (enrolment instanceof Failure || ephemeralProblem(approval, enrolment) !== null) return null;
  if (enrolment.build !== approval.build || enrolment.slot !== slot || enrolment.approval !== sha256)
    return null;
  const certificate = ephemeralCertificate(enrolment);
  const possession = await authenticate(offered.signature, offered.bytes, certificate, round.now());
  return possession.ok ? certificate.primary.fingerprint : null;
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
