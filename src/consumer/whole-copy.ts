/** A directory that is a copy of a whole release: every artifact, every signature, and nothing else. */
import { parseBuildFile } from '../records/paths.ts';
import { CHECKSUMS_FILE } from '../records/signatures-list.ts';
import { checkArtifact } from './artifact.ts';
import type { FileProgress } from './artifact.ts';
import { incomplete } from './copy.ts';
import type { DirectoryCopy } from './copy.ts';
import type { CheckedRelease } from './release.ts';
import type { FileVerdict, Finding } from './verdict.ts';

/**
 * A verdict on every artifact, and findings for what has no place in the release.
 * Throws unable (`release-incomplete`, disk).
 */
export async function checkWholeCopy(
  copy: DirectoryCopy,
  release: CheckedRelease,
  progress: (file: string, ...about: Parameters<FileProgress>) => void,
): Promise<{ files: FileVerdict[]; findings: Finding[] }> {
  const { subjects } = release.chain.manifest;
  const present = new Set(await copy.names());
  const expected = new Set<string>([
    CHECKSUMS_FILE,
    ...subjects.map(({ name }) => name),
    ...release.chain.signatures.keys(),
  ]);
  // first that all is there: an incomplete copy is no bad one
  for (const name of expected) if (!present.has(name)) throw incomplete(copy, name);

  const findings = [...present]
    .filter((name) => !expected.has(name) && !isRecord(name))
    .sort()
    .map((name): Finding => ({ code: 'extra-file', text: `${name} is no file of this release` }));
  const files: FileVerdict[] = [];
  for (const subject of subjects) {
    const report: FileProgress = (done, bytes) => progress(subject.name, done, bytes);
    files.push(await checkArtifact(copy.path(subject.name), subject, release, report));
  }
  return { files, findings };
}

const RECORDS = 'countersign/';

/** Whether a release has a record of this name; those that count have been read by name already. */
function isRecord(name: string): boolean {
  const kind = name.startsWith(RECORDS) ? parseBuildFile(name.slice(RECORDS.length))?.kind : undefined;
  return kind !== undefined && !['blob', 'signature', 'refusal', 'refusal-proof'].includes(kind);
}
