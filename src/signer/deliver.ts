/** Step 8 of protocol §5: a logged release leaves the signer, is published, and is read back. */
import { Failure } from '../failure.ts';
import type { BuildHistory } from '../policy/history.ts';
import { buildPath, logEntryFile, releaseProofFile } from '../records/paths.ts';
import { PROOF_MAX } from '../tlog/proof.ts';
import { receiptProblem } from './receipt.ts';
import { proofProblem } from './released.ts';
import type { Released } from './released.ts';
import { Stop } from './result.ts';
import type { Round } from './signer.ts';

/**
 * Submits, publishes and reads back what the log says is released; may be repeated after any failure. Without `wait` the
 * depot has it all in the end, and nobody has asked it to publish.
 * Throws unable, refused (what the depot says).
 */
export async function deliverRelease(
  round: Round,
  history: BuildHistory,
  released: Released,
  wait: boolean,
): Promise<Stop> {
  const { build } = history;
  const { depot } = round;
  // Each next file is authorised by its digest in the one before (§4).
  await depot.submit(build, released.records);
  const unproven = await insufficientProof(round, history, released);
  if (unproven) return unproven;
  const signatures = [...released.signatures].map(([name, bytes]) => ({ name, bytes }));
  const files = signatures.length;
  const tell = (step: string): void => round.report({ kind: 'delivering', build, files, step });
  tell(`sending ${files} signatures`);
  await depot.putSignatures(build, signatures);
  if (!wait) {
    const text = 'signed, and the depot has it; the next run has it published';
    return new Stop('sent', 'signed', null, text, `to have that now: countersign sign ${build}`);
  }
  tell(`the depot verifies and publishes ${files} files`);
  await depot.publish(build).catch(otherwise);
  tell(`reading ${files} signatures back`);
  const stop = await takeReceipt(round, history, released);
  if (stop.standing.outcome === 'published') await round.state.settle(build, round.now());
  return stop;
}

/** It was checked here, with the certificate of the project file: if a depot can't, its own is another. */
function otherwise(error: unknown): never {
  if (!(error instanceof Failure) || error.code !== 'signature-invalid') throw error;
  const hint =
    "if the depot's project file or certificate is another: copy countersign.toml and keys/ to L, and restart serve there";
  throw new Failure(error.kind, error.code, error.message, hint, error);
}

/**
 * The depot keeps the first proof that came, and of its cosignatures those of the witnesses that it knows. One that is
 * too little here would be published as it is.
 */
async function insufficientProof(
  { depot, project }: Round,
  { build }: BuildHistory,
  { records }: Released,
): Promise<Stop | null> {
  const path = buildPath(build, releaseProofFile);
  const kept = await depot.read(path, PROOF_MAX);
  const problem = kept && proofProblem(kept, records.get(logEntryFile) ?? Buffer.alloc(0), project);
  if (problem === null) return null;
  const text = `the depot keeps a proof that is too little here: ${path}: ${problem.message}`;
  const hint = 'give the depot this project file, remove that file there, and run this again';
  return new Stop('bad', 'signed', 'proof-insufficient', text, hint);
}

/** Reads a published release back as a consumer would get it. Throws unable. */
export async function takeReceipt(round: Round, history: BuildHistory, released: Released): Promise<Stop> {
  const { project, version } = history;
  const problem = await receiptProblem(round, history, released);
  if (problem === null) return new Stop('published', 'published', null, `${project} ${version} is published`);
  const hint = 'consumers get what the depot shows: look at it before they do';
  return new Stop(
    'bad',
    'signed',
    'release-differs',
    `the depot does not show what was signed: ${problem}`,
    hint,
  );
}
