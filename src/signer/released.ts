/** A release that the log has, as it leaves the signer: the same bytes whenever it does. */
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
import type { SignerState } from './state.ts';

export interface Released {
  readonly manifest: Manifest;
  /** The log entry and its proof, by path below the build. */
  readonly entry: ReadonlyMap<string, Buffer>;
  /** What the entry authorises, by path below the build. */
  readonly records: ReadonlyMap<string, Buffer>;
  /** `<name>.asc` and its bytes. */
  readonly signatures: ReadonlyMap<string, Buffer>;
}

/** Reads it, each file by its digest in the one before. Throws unable: `state-damaged`, `signatures-lost`, `disk`. */
export async function readReleased(
  state: SignerState,
  { build, intent, release }: BuildHistory,
): Promise<Released> {
  if (intent === null || release === null) throw new RangeError('no release is logged');
  const leaf = await state.journal.leaf(release.index);
  const record = await state.kept(build, releaseFile, release.sha256);
  const list = await state.kept(build, signaturesListFile, parseRelease(record).signatures.sha256);
  const bytes = await state.kept(build, manifestFile, intent.sha256);
  const manifest = parseManifest(bytes);
  // The proof is made once: the depot keeps the first, and the log grows.
  let proof = await state.read(build, releaseProofFile);
  if (proof === null) {
    proof = await state.prove(release.index, null);
    await state.write(build, releaseProofFile, proof);
  }
  const signatures = await Signatures.open(state, build);
  try {
    return {
      manifest,
      entry: new Map([[logEntryFile, leaf], [releaseProofFile, proof]]), // prettier-ignore
      records: new Map([[releaseFile, record], [manifestFile, bytes], [signaturesListFile, list]]), // prettier-ignore
      signatures: signatures.files(manifest.subjects),
    };
  } finally {
    await signatures.close();
  }
}
