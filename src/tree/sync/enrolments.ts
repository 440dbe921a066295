/** Enrolments on their way from one depot into another, with the receipts that answer them; before what they vouch for. */
import { Failure } from '../../failure.ts';
import { MAX_SIGNATURE_BYTES } from '../../openpgp/signature.ts';
import { attempt } from '../../policy/attempt.ts';
import { builderOf, slotsOf } from '../../policy/builder-key.ts';
import { verifyEnrolment } from '../../policy/release-chain.ts';
import type { Approval } from '../../records/approval.ts';
import { RECORD_MAX } from '../../records/canonical.ts';
import { MAC_FILE_BYTES } from '../../records/mac.ts';
import type { Slot } from '../../records/names.ts';
import { VARIANTS, enrolmentFile, enrolmentMacFile } from '../../records/paths.ts';
import { enrolmentReceiptFile, enrolmentSignatureFile } from '../../records/paths.ts';
import type { Variant } from '../../records/paths.ts';
import { PROOF_MAX } from '../../tlog/proof.ts';
import type { Passage } from './passage.ts';

/** Carries what the gate there takes: an enrolment with its receipt at any time, one without in time alone. Throws unable. */
export async function carryEnrolments(passage: Passage, approval: Approval): Promise<void> {
  for (const slot of slotsOf(approval))
    if (builderOf(approval, slot).scheme === 'enrol') await carrySlot(passage, slot);
}

async function carrySlot(passage: Passage, slot: Slot): Promise<void> {
  const name = enrolmentReceiptFile(slot);
  const receipt = (await passage.isThere(name)) ? null : await passage.take(name, PROOF_MAX);
  for (const variant of VARIANTS) {
    const bytes = await passage.take(enrolmentFile(slot, variant), RECORD_MAX);
    if (bytes === null) continue;
    const files = await takeEnrolment(passage, slot, variant, bytes);
    if (await isThere(passage, slot, files)) files.clear();
    // with the enrolment that it is of: it says when the log took that in
    const proven = receipt && attempt(() => verifyEnrolment(receipt, bytes, passage.project.log));
    if (receipt && !(proven instanceof Failure)) files.set(name, receipt);
    await submit(passage, slot, files);
  }
}

/** With the same MAC: the gate there can't tell which of two is wrong. */
async function isThere(passage: Passage, slot: Slot, files: ReadonlyMap<string, Buffer>): Promise<boolean> {
  for (const variant of VARIANTS) {
    const isSame = async (name: (of: Slot, at?: Variant) => string): Promise<boolean> => {
      const bytes = files.get(name(slot));
      return bytes === undefined || (await passage.compare(name(slot, variant), bytes)) === 'same';
    };
    if ((await isSame(enrolmentFile)) && (await isSame(enrolmentMacFile))) return true;
  }
  return false;
}

async function takeEnrolment(
  passage: Passage,
  slot: Slot,
  variant: Variant,
  bytes: Buffer,
): Promise<Map<string, Buffer>> {
  const files = new Map([[enrolmentFile(slot), bytes]]);
  const signature = await passage.take(enrolmentSignatureFile(slot, variant), MAX_SIGNATURE_BYTES);
  if (signature) files.set(enrolmentSignatureFile(slot), signature);
  const mac = await passage.take(enrolmentMacFile(slot, variant), MAC_FILE_BYTES);
  if (mac) files.set(enrolmentMacFile(slot), mac);
  return files;
}

async function submit(passage: Passage, slot: Slot, files: ReadonlyMap<string, Buffer>): Promise<void> {
  try {
    await passage.submit(files);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    if (error.code === 'token-missing' || error.code === 'token-unknown')
      passage.leave('builder-sends', `only its builder can send the enrolment of ${slot} there`);
    else if (error.code === 'expired') passage.leave('too-late', error.message);
    else passage.spoil(error);
  }
}
