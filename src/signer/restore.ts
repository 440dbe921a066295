/** The files of one build that the log names, taken back from the depot, each by its digest. */
import { Failure } from '../failure.ts';
import { decodeArmor, encodeArmor } from '../openpgp/armor.ts';
import { attempt } from '../policy/attempt.ts';
import type { BuildHistory } from '../policy/history.ts';
import type { Project } from '../policy/project.ts';
import { verifyRefusal, verifyReleaseEntry } from '../policy/release-chain.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import { parseManifest } from '../records/manifest.ts';
import type { BuildId, Sha256, Slot } from '../records/names.ts';
import {
  VARIANTS,
  buildPath,
  enrolmentFile,
  enrolmentMacFile,
  enrolmentSignatureFile,
  manifestFile,
  parseBuildFile,
  refusalFile,
  refusalProofFile,
  releaseDir,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
  statementFile,
  statementMacFile,
  statementSignatureFile,
} from '../records/paths.ts';
import type { BuildFile, Variant } from '../records/paths.ts';
import { parseRelease } from '../records/release.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseSignaturesList } from '../records/signatures-list.ts';
import { PROOF_MAX } from '../tlog/proof.ts';
import type { Depot } from '../tree/tree.ts';
import { Signatures, signedDigests } from './signatures.ts';
import type { SignerState } from './state.ts';

interface Host {
  readonly depot: Depot;
  readonly state: SignerState;
  readonly project: Project;
}

/**
 * Restores what is missing of `records`, which the log names by their paths, and of a release. Returns what the build
 * can't go on without and the depot has not; null if nothing.
 * Throws unable.
 */
export async function restoreBuild(
  host: Host,
  history: BuildHistory,
  records: ReadonlyMap<string, Sha256>,
): Promise<string | null> {
  const { state } = host;
  const { build, intent, release } = history;
  // Signatures of another intent, of a fork that is given up: nothing rests on them, and they have not left.
  if (intent !== null && release === null && !(await isKept(state, build, manifestFile, intent.sha256)))
    await Signatures.discard(state, build);
  for (const [file, sha256] of records) await restore(host, history, file, sha256);
  await restoreProof(host, history);
  if (intent !== null && !(await isKept(state, build, manifestFile, intent.sha256))) return manifestFile;
  if (release === null) return null;
  if (!(await isKept(state, build, releaseFile, release.sha256))) return releaseFile;
  const record = parseRelease(await state.kept(build, releaseFile, release.sha256));
  const { sha256 } = record.signatures;
  if (!(await restore(host, history, signaturesListFile, sha256))) return signaturesListFile;
  return (await restoreSignatures(host, history, sha256)) ? null : 'signatures of it';
}

const isKept = async (state: SignerState, build: BuildId, file: string, sha256: Sha256): Promise<boolean> => {
  const bytes = await state.read(build, file);
  return bytes !== null && sha256Hex(bytes) === sha256;
};

/** Whether the file is there now, with that digest. */
async function restore(host: Host, history: BuildHistory, file: string, sha256: Sha256): Promise<boolean> {
  const { depot, state } = host;
  const { build } = history;
  if (await isKept(state, build, file, sha256)) return true;
  for (const path of placesOf(history, file)) {
    const bytes = await depot.read(path, LARGE_RECORD_MAX);
    if (bytes === null || sha256Hex(bytes) !== sha256) continue;
    await state.write(build, file, bytes);
    return true;
  }
  return false;
}

/** Where a depot may have it: the statement or enrolment that was believed can be any of the slot's, and a release is a copy. */
function placesOf({ build, project, version }: BuildHistory, file: string): string[] {
  const parsed = parseBuildFile(file);
  const named = parsed && VARIED[parsed.kind];
  const files = named && 'slot' in parsed ? VARIANTS.map((variant) => named(parsed.slot, variant)) : [file];
  return [
    ...files.map((each) => buildPath(build, each)),
    `${releaseDir(project, version)}/countersign/${file}`,
  ];
}

/** What a slot can have several of, each under a name of its own. */
const VARIED: Partial<Record<BuildFile['kind'], (slot: Slot, variant: Variant) => string>> = {
  statement: statementFile,
  'statement-signature': statementSignatureFile,
  'statement-mac': statementMacFile,
  enrolment: enrolmentFile,
  'enrolment-signature': enrolmentSignatureFile,
  'enrolment-mac': enrolmentMacFile,
};

/**
 * Whether the depot shows the release: then nothing is left to do for it. How many witnesses it had is what the project
 * asked for at the time. Throws unable.
 */
export async function isPublished(
  { depot, state, project }: Host,
  { release, project: name, version }: BuildHistory,
): Promise<boolean> {
  if (release === null) return false;
  const directory = `${releaseDir(name, version)}/countersign`;
  const record = await depot.read(`${directory}/${releaseFile}`, LARGE_RECORD_MAX);
  const proof = await depot.read(`${directory}/${releaseProofFile}`, PROOF_MAX);
  if (record === null || proof === null || sha256Hex(record) !== release.sha256) return false;
  const leaf = await state.journal.leaf(release.index);
  return !(attempt(() => verifyReleaseEntry(proof, leaf, { ...project.log, quorum: 0 })) instanceof Failure);
}

/** The depot keeps the first proof that it took, so that one is kept here, too, unless there is one that is good. */
async function restoreProof(host: Host, history: BuildHistory): Promise<void> {
  const { depot, state, project } = host;
  const { build, release, refusal } = history;
  const decided = release ?? refusal;
  const file = release === null ? refusalProofFile : releaseProofFile;
  if (decided === null) return;
  const leaf = await state.journal.leaf(decided.index);
  const record = (await state.read(build, refusalFile)) ?? Buffer.alloc(0);
  const log = (await isPublished(host, history)) ? { ...project.log, quorum: 0 } : project.log;
  const isGood = (proof: Buffer | null): proof is Buffer =>
    proof !== null &&
    !(
      attempt(() =>
        release === null ? verifyRefusal(proof, record, log) : verifyReleaseEntry(proof, leaf, log),
      ) instanceof Failure
    );
  if (isGood(await state.read(build, file))) return;
  const proof = await depot.read(buildPath(build, file), PROOF_MAX);
  if (isGood(proof)) await state.write(build, file, proof);
}

/** Whether every signature of the release is there now. */
async function restoreSignatures(
  { depot, state }: Host,
  { build, project, version, intent }: BuildHistory,
  list: Sha256,
): Promise<boolean> {
  if (intent === null) return false;
  const { subjects } = parseManifest(await state.kept(build, manifestFile, intent.sha256));
  const listed = parseSignaturesList(await state.kept(build, signaturesListFile, list));
  const signatures = await Signatures.open(state, build);
  try {
    for (const [name, sha256] of signedDigests(subjects)) {
      const file = `${name}.asc`;
      const isListed = (): boolean => {
        const packet = signatures.get(sha256);
        if (packet === null) return false;
        return sha256Hex(Buffer.from(encodeArmor('PGP SIGNATURE', packet))) === listed.get(file);
      };
      if (isListed()) continue;
      for (const path of [
        buildPath(build, `signatures/${file}`),
        `${releaseDir(project, version)}/${file}`,
      ]) {
        const bytes = await depot.read(path, LARGE_RECORD_MAX);
        if (bytes === null || sha256Hex(bytes) !== listed.get(file)) continue;
        await signatures.add(sha256, decodeArmor(bytes, 'PGP SIGNATURE'));
        break;
      }
      if (!isListed()) return false;
    }
    await signatures.sync();
    return true;
  } finally {
    await signatures.close();
  }
}
