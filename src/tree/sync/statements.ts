/** Statements on their way from one depot into another. The gate numbers them anew there: the first is the first. */
import { Failure } from '../../failure.ts';
import { MAX_SIGNATURE_BYTES } from '../../openpgp/signature.ts';
import { attempt } from '../../policy/attempt.ts';
import { builderOf, slotsOf } from '../../policy/builder-key.ts';
import type { Approval } from '../../records/approval.ts';
import { LARGE_RECORD_MAX } from '../../records/canonical.ts';
import { ENVELOPE_MAX } from '../../records/dsse.ts';
import type { Slot } from '../../records/names.ts';
import { VARIANTS, statementAuthenticatorFile } from '../../records/paths.ts';
import { statementEnvelopeFile, statementFile, statementMacFile } from '../../records/paths.ts';
import type { Variant } from '../../records/paths.ts';
import { parseStatement } from '../../records/statement.ts';
import { carryBlobs, lackingBlobs, quarantine } from './blobs.ts';
import type { Passage } from './passage.ts';

export interface Shown {
  readonly slot: Slot;
  readonly bytes: Buffer;
  /** With its authenticators, under the names that a write has. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** What its authenticator is called. */
  readonly authenticator: (variant: Variant) => string;
}

/** The statements of the build with what else they have, one at a time: each may be large. Throws unable. */
export async function* shownStatements(
  passage: Passage,
  approval: Approval,
): AsyncGenerator<Shown, void, undefined> {
  for (const slot of slotsOf(approval)) {
    const name = authenticatorOf(approval, slot);
    for (const variant of VARIANTS) {
      const bytes = await passage.take(statementFile(slot, variant), LARGE_RECORD_MAX);
      if (bytes === null) continue;
      const files = new Map([[statementFile(slot), bytes]]);
      const authenticator = await passage.take(name(variant), MAX_SIGNATURE_BYTES);
      if (authenticator) files.set(name(1), authenticator);
      const envelope = await passage.take(statementEnvelopeFile(slot, variant), ENVELOPE_MAX);
      if (envelope) files.set(statementEnvelopeFile(slot), envelope);
      yield { slot, bytes, files, authenticator: name };
    }
  }
}

const authenticatorOf = (approval: Approval, slot: Slot): Shown['authenticator'] => {
  const { scheme } = builderOf(approval, slot);
  return (variant) => statementAuthenticatorFile(scheme, slot, variant);
};

/** A statement alone, where the other depot has none like it. Throws refused (what the gate says), unable. */
export async function carryStatement(passage: Passage, shown: Shown): Promise<void> {
  const { slot, bytes, files, authenticator } = shown;
  for (const variant of VARIANTS) {
    if ((await passage.compare(statementFile(slot, variant), bytes)) !== 'same') continue;
    // a signature of other bytes is as good as this: the gate there took it; of a MAC it knows nothing
    const mac = files.get(statementMacFile(slot));
    const name = authenticator(variant);
    if (mac ? (await passage.compare(name, mac)) === 'same' : await passage.isThere(name)) return;
  }
  await passage.submit(files);
}

/** A statement that waits to be signed, with the artifacts that the other depot lacks: they travel once it is judged. */
export async function carryWithBlobs(passage: Passage, shown: Shown): Promise<void> {
  try {
    await carryStatement(passage, shown);
    // a depot that has lost some of them since has the statement all the same
    await carryLost(passage, shown);
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'blobs-missing') throw error;
    if (!passage.from.quarantine) {
      passage.leave('quarantined', `the artifacts of ${shown.slot} are in quarantine there`, TOKEN_HINT);
      return;
    }
    const { subjects } = parseStatement(shown.bytes);
    const lacking = (await lackingBlobs(passage, subjects)) ?? subjects;
    if (await carryBlobs(passage, lacking, quarantine(passage))) await passage.submit(shown.files);
  }
}

async function carryLost(passage: Passage, { bytes }: Shown): Promise<void> {
  if (!passage.from.quarantine) return;
  const statement = attempt(() => parseStatement(bytes));
  const lacking = statement instanceof Failure ? null : await lackingBlobs(passage, statement.subjects);
  if (lacking !== null && lacking.length > 0) await carryBlobs(passage, lacking, quarantine(passage));
}

export const TOKEN_HINT = "with the signer's token: --signer-token FILE";
