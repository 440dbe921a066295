/** Where two lists of artifacts differ. Pure. */
import type { ArtifactName } from '../records/names.ts';
import type { Subject } from '../records/statement.ts';

export interface Difference {
  readonly name: ArtifactName;
  /** Null: this side does not name it. */
  readonly ours: Subject | null;
  readonly theirs: Subject | null;
}

/** Artifact by artifact, in the order of our names, then theirs; empty if both name the same bytes. */
export function subjectDifferences(ours: readonly Subject[], theirs: readonly Subject[]): Difference[] {
  const byName = new Map(theirs.map((subject) => [subject.name, subject]));
  const differences: Difference[] = [];
  for (const subject of ours) {
    const other = byName.get(subject.name) ?? null;
    byName.delete(subject.name);
    if (other?.sha256 !== subject.sha256 || other.size !== subject.size)
      differences.push({ name: subject.name, ours: subject, theirs: other });
  }
  for (const [name, subject] of byName) differences.push({ name, ours: null, theirs: subject });
  return differences;
}
