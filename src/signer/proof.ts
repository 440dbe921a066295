/** Proofs that bring their own entry (protocol §7): of a refusal, and of an enrolment, whose is called its receipt. */
import type { BuildId } from '../records/names.ts';
import type { Round } from './signer.ts';

/**
 * The proof of the entry at `index`, kept as `file` of the build. Made once: the depot keeps the first, and the log
 * grows. The log is sent before it, and no witness is waited for. Throws unable.
 */
export async function ownProof(
  { state, log }: Round,
  build: BuildId,
  file: string,
  { index }: { readonly index: number },
): Promise<Buffer> {
  const head = await log.holding(index, { witnessed: false });
  const kept = await state.read(build, file);
  if (kept !== null) return kept;
  const proof = state.journal.proof(index, await state.journal.leaf(index), head);
  await state.write(build, file, proof);
  return proof;
}
