/** A release that the log has, as it leaves the signer: the same bytes whenever it does. */
import { Failure } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import type { Project } from '../policy/project.ts';
import { verifyReleaseEntry } from '../policy/release-chain.ts';
import { parseManifest } from '../records/manifest.ts';
import type { Manifest } from '../records/manifest.ts';
import {
  logEntryFile,
  manifestFile,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
} from '../records/paths.ts';
import { parseRelease } from '../records/release.ts';
import type { BuildHistory } from '../policy/history.ts';
import { Signatures } from './signatures.ts';
import type { Round } from './signer.ts';

export interface Released {
  readonly manifest: Manifest;
  /** The log entry, its proof, and what the entry authorises, by path below the build. */
  readonly records: ReadonlyMap<string, Buffer>;
  /** `<name>.asc` and its bytes. */
  readonly signatures: ReadonlyMap<string, Buffer>;
}

/**
 * Reads it, each file by its digest in the one before; its log entry is with the depot and the witnesses now. Throws
 * unable: `state-damaged`, `signatures-lost`, `disk`, and what sending the log does.
 */
export async function readReleased(
  { state, project, log }: Round,
  { build, intent, release }: BuildHistory,
): Promise<Released> {
  if (intent === null || release === null) throw new RangeError('no release is logged');
  const leaf = await state.journal.leaf(release.index);
  const record = await state.kept(build, releaseFile, release.sha256);
  const list = await state.kept(build, signaturesListFile, parseRelease(record).signatures.sha256);
  const bytes = await state.kept(build, manifestFile, intent.sha256);
  const manifest = parseManifest(bytes);
  // The proof is made once: the depot keeps the first, and the log grows. One that was made when the project asked
  // for fewer witnesses, and has not left yet, is made again.
  let proof = await state.read(build, releaseProofFile);
  const settled = await state.isSettled(build);
  if (proof === null || (!settled && proofProblem(proof, leaf, project) !== null)) {
    proof = state.journal.proof(release.index, null, await log.holding(release.index, { witnessed: true }));
    await state.write(build, releaseProofFile, proof);
  } else if (!settled) await log.holding(release.index, { witnessed: false });
  const signatures = await Signatures.open(state, build);
  try {
    return {
      manifest,
      records: new Map([
        ...([
          [logEntryFile, leaf],
          [releaseProofFile, proof],
        ] as const),
        ...([
          [releaseFile, record],
          [manifestFile, bytes],
          [signaturesListFile, list],
        ] as const),
      ]),
      signatures: signatures.files(manifest.subjects),
    };
  } finally {
    await signatures.close();
  }
}

/** Why the proof does not do for the release with this project file; null if it does: also one that others made. */
export function proofProblem(proof: Buffer, leaf: Buffer, { log }: Project): Failure | null {
  const proven = attempt(() => verifyReleaseEntry(proof, leaf, log));
  return proven instanceof Failure ? proven : null;
}
