/**
 * A frozen build as a table: artifact by artifact, who made what of it. Read back from the refusal, which the log proves;
 * what came too late to be in that is added as far as its signature carries it.
 */
import { readClaims } from '../policy/quorum.ts';
import type { Claim } from '../policy/quorum.ts';
import { statementFile } from '../records/paths.ts';
import type { Reason } from '../records/refusal.ts';
import type { Version } from './versions.ts';

/** What a builder says of an artifact; `late`: it came after the freeze. */
export type ConflictClaim = Claim & { readonly late: boolean };

export interface Conflict {
  readonly artifact: string;
  readonly claims: readonly ConflictClaim[];
}

/** The conflicts over artifacts among the reasons; what a refusal had no room to say whole is left to its text. */
export function conflictsOf(reasons: readonly Reason[]): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const { code, where, text } of reasons) {
    const claims = code === 'conflict' ? readClaims(text) : null;
    if (claims !== null)
      conflicts.push({ artifact: where, claims: claims.map((claim) => ({ ...claim, late: false })) });
  }
  return conflicts;
}

/** With what those say of the artifacts whose statements are not in the refusal. */
export function withLate(conflicts: readonly Conflict[], versions: readonly Version[]): Conflict[] {
  return conflicts.map(({ artifact, claims }) => {
    const builders = new Set(claims.map(({ builder }) => builder));
    const late = versions
      .filter(
        ({ name, slot, variant, unchecked }) =>
          unchecked === null && !builders.has(name) && !builders.has(statementFile(slot, variant)),
      )
      .map(({ name, statement }) => {
        const made = statement.subjects.find((subject) => subject.name === artifact);
        return {
          builder: name,
          made: made === undefined ? null : { sha256: made.sha256, size: made.size },
          late: true,
        };
      });
    return { artifact, claims: [...claims, ...late] };
  });
}
