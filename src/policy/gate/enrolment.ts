/**
 * Who may write an enrolment: the builder, by its upload token, and by a signature of the key that it introduces; the
 * MAC that introduces it is the signer's to check (protocol §4). And its receipt: whoever shows that the log names it.
 */
import { Failure, refused } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { SignatureVerdict } from '../../openpgp/verify.ts';
import { parseEnrolment } from '../../records/enrolment.ts';
import { isMacFile } from '../../records/mac.ts';
import { timestampDate } from '../../records/names.ts';
import type { Slot } from '../../records/names.ts';
import { VARIANTS, enrolmentFile, enrolmentMacFile } from '../../records/paths.ts';
import { enrolmentReceiptFile, enrolmentSignatureFile, parseBuildFile } from '../../records/paths.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { isExpired } from '../approval-policy.ts';
import { attempt } from '../attempt.ts';
import { builderOf, ephemeralCertificate } from '../builder-key.ts';
import { judgeEnrolment } from '../enrolment-verdict.ts';
import { projectSigningKeys } from '../project.ts';
import { verifyEnrolment } from '../release-chain.ts';
import { enrolmentsOf } from '../slot-key.ts';
import { signedApproval } from './approval.ts';
import { otherBuild, ownProof, unlessProven } from './proven.ts';
import { isProject } from './rules.ts';
import { filesAs, findVariant, slotOfWrite } from './variants.ts';
import type { SlotFiles } from './variants.ts';
import { allowed, denied, deniedBy, deniedFor } from './verdict.ts';
import type { Denied, GateVerdict } from './verdict.ts';
import { otherBytes } from './write.ts';
import type { Write } from './write.ts';

const NAMES: SlotFiles = {
  record: enrolmentFile,
  beside: [enrolmentSignatureFile, enrolmentMacFile],
  mac: enrolmentMacFile,
};

/** Whether the write's enrolment is taken, and as which variant. */
export async function judgeEnrolmentWrite(write: Write): Promise<GateVerdict> {
  const { rules, build, files } = write;

  // 1. The build is approved. What the log has taken in is judged as of then.
  const taken = await takenByLog(write);
  const at = taken ?? write.now;
  const signed = await signedApproval(rules, build, write.after, at);
  if ('allow' in signed) return signed;
  const { approval } = signed;

  // 2. Upload token, of this slot, which enrols. What is in the log needs none, nor the carrier.
  const slot = slotOfWrite(write, approval, taken !== null);
  if (typeof slot !== 'string') return slot;
  const builder = attempt(() => builderOf(approval, slot));
  if (builder instanceof Failure) return deniedBy(builder, 422);
  if (builder.scheme !== 'enrol')
    return denied(
      422,
      'name-not-allowed',
      `builder ${slot} is of scheme ${builder.scheme}: it does not enrol`,
    );

  // 3. Record, signature and MAC in one write.
  const [bytes, signature, mac] = [enrolmentFile, enrolmentSignatureFile, enrolmentMacFile].map((name) =>
    files.get(name(slot)),
  );
  if (bytes === undefined || signature === undefined || mac === undefined)
    return (await otherBytes(write, files)) ?? incomplete(slot, bytes === undefined);
  if (!isMacFile(mac))
    return denied(
      422,
      'mac-malformed',
      `${enrolmentMacFile(slot)} is not 44 characters of base64 and a line feed`,
    );

  // 4. Before `enrolBy`; one beside it before `expires`, for the signer to decide: two of one builder are news.
  //    The last place is for one that the log has taken in: whoever has the token alone can't keep that out.
  const places = taken === null ? VARIANTS.slice(0, -1) : VARIANTS;
  const variant = await findVariant(write, NAMES, slot, places);
  if (typeof variant !== 'number') return variant;
  const ends = variant === 1 ? builder.enrolBy : approval.expires;
  if (taken === null && (write.now >= timestampDate(ends) || isExpired(approval, write.now)))
    return denied(403, 'expired', `builder ${slot} of build ${build} could enrol until ${ends}`);

  // 5. Possession, of a key that may be used.
  const verify = async (certificate: Certificate): Promise<SignatureVerdict> =>
    verifyDetached(signature, bytes, certificate, at);
  if (variant > 1 || taken !== null) {
    const certificate = attempt(() => ephemeralCertificate(parseEnrolment(bytes)));
    if (certificate instanceof Failure) return deniedBy(certificate, 422);
    const verdict = await verify(certificate);
    return verdict.ok ? allowed(filesAs(write, NAMES, slot, variant)) : unsigned(slot, verdict.reason);
  }
  const judged = await judgeEnrolment({
    ...{ approval, approvalDigest: signed.digest, slot, bytes, mac: null, verify, firstSeen: at },
    keysSeen: isProject(rules) ? projectSigningKeys(rules) : new Set(),
  });
  if (judged.verdict === 'void') return unsigned(slot, judged.text);
  return judged.verdict === 'refuse'
    ? deniedFor(422, judged.reasons)
    : allowed(filesAs(write, NAMES, slot, variant));
}

const incomplete = (slot: Slot, recordMissing: boolean): Denied =>
  recordMissing
    ? denied(422, 'record-missing', `an authenticator came without ${enrolmentFile(slot)}`)
    : denied(
        403,
        'write-needs-authenticator',
        `${enrolmentFile(slot)} came without its signature and its MAC`,
      );

const unsigned = (slot: Slot, reason: string): Denied =>
  denied(403, 'signature-invalid', `${enrolmentSignatureFile(slot)}: ${reason}`);

/** When the log took in the write's enrolment, by a receipt that is there or comes with it; null if there is none. */
async function takenByLog({ rules, build, files, after }: Write): Promise<Date | null> {
  for (const [name, bytes] of files) {
    const file = parseBuildFile(name);
    const receipt = file?.kind === 'enrolment' && (await after.read(enrolmentReceiptFile(file.slot)));
    if (!receipt) continue;
    const proven = attempt(() => verifyEnrolment(receipt, bytes, rules.log));
    if (proven instanceof Failure || proven.enrolment.slot !== file.slot) continue;
    const { entry } = proven;
    if (entry.build === build && entry.project === rules.name) return timestampDate(entry.time);
  }
  return null;
}

/** Whether the write's receipts are taken: each a proof of type `enrolment` of one that is there or comes with it. */
export async function judgeReceiptWrite(write: Write): Promise<GateVerdict> {
  const { rules, files, after } = write;
  let taken = files;
  for (const [name, receipt] of files) {
    const file = parseBuildFile(name);
    if (file?.kind !== 'enrolment-receipt') continue;
    const enrolments = await enrolmentsOf(after, file.slot);
    if (enrolments.length === 0)
      return denied(422, 'record-missing', `${name} came without ${enrolmentFile(file.slot)}`);
    const verify = (proof: Buffer): ProvenEnrolment => provenOf(proof, enrolments, rules.log);

    // 1. The log names one of them, of this build and slot.
    const proven = attempt(() => verify(receipt));
    if (proven instanceof Failure) return deniedBy(proven, 403);
    const stranger = otherBuild(write, proven.entry);
    if (stranger !== null) return stranger;
    if (proven.enrolment.slot !== file.slot)
      return denied(403, 'build-mismatch', `${name} is of builder ${proven.enrolment.slot}`);
    // 2. Write-once: the first that came stays.
    taken = await unlessProven({ ...write, files: taken }, name, verify);
  }
  const conflict = await otherBytes(write, taken);
  if (conflict !== null) return conflict;
  return allowed([...taken].map(([name, bytes]) => [name, ownProof(bytes, rules.log)]));
}

type ProvenEnrolment = ReturnType<typeof verifyEnrolment>;

/** Of these enrolments the one that the log names. Throws what is wrong with the last that it does not. */
function provenOf(receipt: Buffer, enrolments: readonly Buffer[], log: LogTrust): ProvenEnrolment {
  let failure = refused('chain-broken', 'there is no enrolment');
  for (const bytes of enrolments) {
    const proven = attempt(() => verifyEnrolment(receipt, bytes, log));
    if (!(proven instanceof Failure)) return proven;
    failure = proven;
  }
  throw failure;
}
