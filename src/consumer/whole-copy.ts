/** A directory that is a copy of a whole release: every artifact, every signature, and nothing else. */
import type { Scheme } from '../records/approval.ts';
import { parseBuildFile } from '../records/paths.ts';
import type { BuildFile } from '../records/paths.ts';
import { CHECKSUMS_FILE } from '../records/signatures-list.ts';
import { inParallel } from '../tree/parallel.ts';
import { checkArtifact } from './artifact.ts';
import type { FileProgress } from './artifact.ts';
import { findingOf, incomplete } from './copy.ts';
import type { DirectoryCopy } from './copy.ts';
import type { CheckedRelease } from './release.ts';
import { unjudged } from './verdict.ts';
import type { FileVerdict, Finding } from './verdict.ts';

/**
 * A verdict on every artifact, missing ones too, and findings for what has no place in the release.
 * Throws unable (disk).
 */
export async function checkWholeCopy(
  copy: DirectoryCopy,
  release: CheckedRelease,
  progress: (file: string) => FileProgress,
): Promise<{ files: FileVerdict[]; findings: Finding[] }> {
  const { subjects } = release.chain.manifest;
  const present = new Set(await copy.names());
  const expected = new Set<string>([
    CHECKSUMS_FILE,
    ...subjects.map(({ name }) => name),
    ...release.chain.signatures.keys(),
  ]);
  const findings = [...present]
    .filter((name) => !expected.has(name) && !isRecord(name, release))
    .sort()
    .map((name): Finding => ({ code: 'extra-file', text: `${name} is no file of this release` }));
  const files = await judgeAll(subjects, (subject) => {
    const { name } = subject;
    if (!present.has(name)) return withFinding(name, Promise.reject(incomplete(copy, name)));
    return withFinding(name, checkArtifact(copy.path(name), subject, release, progress(name)));
  });
  return { files, findings };
}

/** So many files are read while others are hashed. */
const READERS = 4;

/** A verdict on each, in their order. Throws what `judge` throws. */
export async function judgeAll<Item>(
  items: readonly Item[],
  judge: (item: Item) => Promise<FileVerdict>,
): Promise<FileVerdict[]> {
  const verdicts: FileVerdict[] = [];
  await inParallel(items.entries(), READERS, async ([i, item]) => {
    verdicts[i] = await judge(item);
  });
  return verdicts;
}

/** The verdict on one file, so that what is wrong with it, or missing, does not hide what is wrong with the next. */
export async function withFinding(file: string, judged: Promise<FileVerdict>): Promise<FileVerdict> {
  try {
    return await judged;
  } catch (error) {
    const finding = findingOf(error);
    if (finding === null) throw error;
    return { ...unjudged(file), findings: [finding] };
  }
}

const RECORDS = 'countersign/';

/** What lies there of a builder, by its scheme. */
const OF_BUILDERS: Readonly<Record<Scheme, ReadonlySet<BuildFile['kind']>>> = {
  keypair: new Set(['statement', 'statement-signature', 'statement-envelope']),
  mac: new Set(['statement', 'statement-mac']),
  enrol: new Set([
    ...(['statement', 'statement-signature', 'statement-envelope'] as const),
    ...(['enrolment', 'enrolment-signature', 'enrolment-mac', 'enrolment-receipt'] as const),
  ]),
};

/** What a build has, and its release has not. */
const OF_BUILDS: ReadonlySet<BuildFile['kind']> = new Set([
  ...(['blob', 'signature', 'refusal', 'refusal-proof'] as const),
  ...(['revocation', 'revocation-signature'] as const),
]);

/** Whether the release has a record of this name: of a builder only where the manifest names it. */
function isRecord(name: string, { chain }: CheckedRelease): boolean {
  const file = name.startsWith(RECORDS) ? parseBuildFile(name.slice(RECORDS.length)) : null;
  if (file === null) return false;
  if (!('slot' in file)) return !OF_BUILDS.has(file.kind);
  const scheme = chain.release.builders[file.slot];
  return file.variant === 1 && scheme !== undefined && OF_BUILDERS[scheme].has(file.kind);
}
