/** A frozen build as a table: artifact by artifact, who made what of it. Read back from the refusal, which the log proves. */
import { isSha256 } from '../records/names.ts';
import type { Sha256 } from '../records/names.ts';
import type { Reason } from '../records/refusal.ts';

export interface Conflict {
  readonly artifact: string;
  readonly claims: readonly {
    /** The slot, or the statement's file where a slot has two. */
    readonly builder: string;
    /** Null: it made no such artifact. */
    readonly made: { readonly sha256: Sha256; readonly size: number } | null;
  }[];
}

const CLAIM = /^(\S{1,64}) has (?:no such artifact|([0-9a-f]{64}) \((\d{1,16}) bytes\))$/;

/** The conflicts over artifacts among the reasons; what a refusal had no room to say whole is left to its text. */
export function conflictsOf(reasons: readonly Reason[]): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const { code, where, text } of reasons) {
    const claims = code === 'conflict' ? text.split(', ').map(claimOf) : [null];
    if (claims.every((claim) => claim !== null)) conflicts.push({ artifact: where, claims });
  }
  return conflicts;
}

function claimOf(text: string): Conflict['claims'][number] | null {
  const [, builder, sha256, size] = CLAIM.exec(text) ?? [];
  if (builder === undefined) return null;
  return {
    builder,
    made: sha256 !== undefined && isSha256(sha256) ? { sha256, size: Number(size) } : null,
  };
}
