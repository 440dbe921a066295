/** The receipt of protocol §5.8: what was published, read back without the signer's token and compared. */
import { randomInt } from 'node:crypto';
import { Failure } from '../failure.ts';
import { builderOf } from '../policy/builder-key.ts';
import type { Scheme } from '../records/approval.ts';
import { isSlot } from '../records/names.ts';
import type { ArtifactName, Slot } from '../records/names.ts';
import { isMacFile } from '../records/mac.ts';
import {
  approvalFile,
  approvalSignatureFile,
  enrolmentFile,
  enrolmentMacFile,
  enrolmentSignatureFile,
  logEntryFile,
  releaseDir,
  releaseProofFile,
  statementAuthenticatorFile,
  statementFile,
} from '../records/paths.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../records/signatures-list.ts';
import { PROOF_MAX } from '../tlog/proof.ts';
import { inParallel } from '../tree/parallel.ts';
import type { Depot } from '../tree/tree.ts';
import type { BuildHistory } from '../policy/history.ts';
import { proofProblem } from './released.ts';
import type { Released } from './released.ts';
import type { Round } from './signer.ts';
import type { SignerState } from './state.ts';
import { REQUESTS, shownAsLarge, shownSame } from './together.ts';

/**
 * What the depot shows otherwise than it was signed, the first that is found; null if nothing. Records, checksums
 * and signatures are compared whole, artifacts by size: SHA256SUMS covers them, and consumers check it. Signatures and sizes
 * are asked for many at a time, all else and a sample of them by itself. Any proof
 * of the entry will do: the depot keeps the first. Of MACs it can't tell which is the builder's, and nobody but the
 * signer relies on one: any will do. Throws unable.
 */
export async function receiptProblem(
  { publicDepot: depot, state, project }: Round,
  history: BuildHistory,
  released: Released,
): Promise<string | null> {
  const { project: projectName, version } = history;
  const shownRelease = { depot, project: projectName, version };
  const directory = releaseDir(projectName, version);
  const leaf = released.records.get(logEntryFile) ?? Buffer.alloc(0);
  let problem: string | null = null;
  const { subjects } = released.manifest;
  // By themselves, as a consumer asks: a web server that shows the files may have others than the depot that answers for many.
  const alone = new Set<string>([CHECKSUMS_FILE, ...sampleOf(subjects.map(({ name }) => name))]);
  const many = [...released.signatures].filter(([file]) => !alone.has(file.replace(/\.asc$/, '')));
  const same = await shownSame(shownRelease, many);
  const others = (await expectedFiles(state, history, released)).filter(([file]) => !same.has(file));
  await inParallel(others, REQUESTS, async ([name, bytes]) => {
    if (problem !== null) return;
    const isProof = name === `countersign/${releaseProofFile}`;
    const shown = await readBack(depot, `${directory}/${name}`, isProof ? PROOF_MAX : bytes.length);
    if (isProof && shown !== null && proofProblem(shown, leaf, project) === null) return;
    if (name.endsWith('.mac') && shown !== null && isMacFile(shown)) return;
    if (shown?.equals(bytes) !== true) problem ??= `${name} ${shown === null ? 'is missing' : 'is another'}`;
  });
  const asLarge = await shownAsLarge(
    shownRelease,
    subjects.filter(({ name }) => !alone.has(name)),
  );
  const unknown = subjects.filter((subject) => !asLarge.has(subject.name));
  await inParallel(unknown, REQUESTS, async ({ name, size }) => {
    if (problem !== null) return;
    const shown = await depot.size(`${directory}/${name}`);
    if (shown !== size)
      problem ??= `${name} ${shown === null ? 'is missing' : `has ${shown} bytes, not ${size}`}`;
  });
  return problem;
}

/** How many artifacts are asked for by themselves, besides the first and the last. */
const SAMPLE = 16;

/** The first and the last, and some that nobody knows before. */
function sampleOf(names: readonly ArtifactName[]): ArtifactName[] {
  const places = Array.from({ length: SAMPLE }, () => randomInt(names.length));
  return [0, ...places, names.length - 1].flatMap((at) => names[at] ?? []);
}

/** Every file of the release that we have, by name below its directory; that is all but the artifacts. */
async function expectedFiles(
  state: SignerState,
  { build, intent }: BuildHistory,
  { manifest, records, signatures }: Released,
): Promise<[string, Buffer][]> {
  const approval = await state.approval(build, manifest.approval);
  const kept = [
    approvalFile,
    ...(intent?.approvers ?? []).map(approvalSignatureFile),
    ...Object.keys(manifest.statements)
      .filter(isSlot)
      .flatMap((slot) => slotFiles(builderOf(approval, slot).scheme, slot)),
  ];
  const below = new Map(records);
  for (const file of kept) below.set(file, (await state.read(build, file)) ?? Buffer.alloc(0));
  return [
    ...[...below].map(([file, bytes]): [string, Buffer] => [`countersign/${file}`, bytes]),
    ...signatures,
    [CHECKSUMS_FILE, formatChecksums(manifest.subjects)],
  ];
}

/** What is published of a builder: its statement, its authenticator, and who introduced its key. Its receipt may be any. */
const slotFiles = (scheme: Scheme, slot: Slot): string[] => [
  statementFile(slot),
  statementAuthenticatorFile(scheme, slot),
  ...(scheme === 'enrol' ? [enrolmentFile(slot), enrolmentSignatureFile(slot), enrolmentMacFile(slot)] : []),
];

/** A file that is larger than ours is another; nothing more of it is read. */
async function readBack(depot: Depot, path: string, size: number): Promise<Buffer | null> {
  try {
    return await depot.read(path, size);
  } catch (error) {
    if (error instanceof Failure && error.code === 'too-large') return Buffer.alloc(0);
    throw error;
  }
}
