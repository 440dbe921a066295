/**
 * Do enough builders agree? (Protocol §2, quorum: the answer to a compromised builder.) Pure: the statements come in
 * verified, one a slot; whoever has two of one slot compares them as it compares two slots.
 */
import type { Approval } from '../records/approval.ts';
import { isSha256 } from '../records/names.ts';
import type { ArtifactName, Sha256, Slot } from '../records/names.ts';
import type { Reason } from '../records/refusal.ts';
import type { StatedSubject, Statement, Subject } from '../records/statement.ts';
import type { Verified } from './verified.ts';

/** A statement, and how a person names it: its slot, or its file where a slot has two. */
export interface Vote {
  readonly slot: Slot;
  readonly name: string;
  readonly statement: Verified<Statement>;
}

export type QuorumVerdict =
  /** All that is there agrees, and it is enough. */
  | { readonly verdict: 'agreed'; readonly subjects: readonly StatedSubject[] }
  | { readonly verdict: 'wait'; readonly have: number; readonly need: number }
  /** Two vote for other bytes: it ends the build, whatever the rest say. */
  | { readonly verdict: 'conflict'; readonly reasons: readonly Reason[] };

/** What one artifact is to each vote, in the order of the votes: null where it is not named. */
export interface Disagreement {
  readonly name: ArtifactName;
  readonly claims: readonly (Subject | null)[];
}

/** The verdict over the votes so far. */
export function judgeQuorum({ quorum }: Pick<Approval, 'quorum'>, votes: readonly Vote[]): QuorumVerdict {
  // 1. Dissent comes first: however many agree, one that does not is the warning that all this is for.
  const disagreements = disagreementsOf(votes.map(({ statement }) => statement.subjects));
  if (disagreements.length > 0) {
    const reasons = disagreements.map((each) => describe(votes, each));
    return { verdict: 'conflict', reasons };
  }
  // 2. Builders are counted, not statements.
  const have = new Set(votes.map(({ slot }) => slot)).size;
  const [first] = votes;
  if (first === undefined || have < quorum) return { verdict: 'wait', have, need: quorum };
  return { verdict: 'agreed', subjects: first.statement.subjects };
}

/** Artifact by artifact where the lists differ, in order of names; empty if all name the same bytes under the same names. */
export function disagreementsOf(lists: readonly (readonly Subject[])[]): Disagreement[] {
  const claims = new Map<ArtifactName, (Subject | null)[]>();
  for (const [at, subjects] of lists.entries())
    for (const subject of subjects) {
      const row = claims.get(subject.name) ?? lists.map(() => null);
      row[at] = subject;
      claims.set(subject.name, row);
    }
  const differ = ([first, ...others]: readonly (Subject | null)[]): boolean =>
    others.some((other) => other?.sha256 !== first?.sha256 || other?.size !== first?.size);
  return [...claims]
    .filter(([, row]) => differ(row))
    .map(([name, row]) => ({ name, claims: row }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One line of the table of artifact by builder: who agree stand together. `readClaims` reads it back. */
function describe(votes: readonly Vote[], { name, claims }: Disagreement): Reason {
  const said = new Map<string, string[]>();
  for (const [at, { name: voter }] of votes.entries()) {
    const claim = claims[at] ?? null;
    const what = claim === null ? 'no such artifact' : `${claim.sha256} (${claim.size} bytes)`;
    said.set(what, [...(said.get(what) ?? []), voter]);
  }
  const parts = [...said].map(([what, voters]) => `${listed(voters)} ${what}`);
  return { code: 'conflict', where: name, text: parts.join(', ') };
}

/** `b1 has`, `b1 and b2 have`, `b1, b2 and b3 have`. */
const listed = (voters: readonly string[]): string =>
  voters.length === 1
    ? `${voters.join('')} has`
    : `${voters.slice(0, -1).join(', ')} and ${voters.at(-1)} have`;

/** What a builder says of an artifact, as the reason of a refusal has it. */
export interface Claim {
  /** The slot, or the statement's file where a slot has two. */
  readonly builder: string;
  /** Null: it made no such artifact. */
  readonly made: { readonly sha256: Sha256; readonly size: number } | null;
}

const CLAIMS = /(\S[^()]*?) ha(?:s|ve) (?:no such artifact|([0-9a-f]{64}) \((\d{1,16}) bytes\))(?:, |$)/gy;

/** The claims in the text of a reason that `describe` wrote; null for any other text, and for one that was cut. */
export function readClaims(text: string): Claim[] | null {
  const claims: Claim[] = [];
  let end = 0;
  for (const { 0: whole, 1: voters = '', 2: sha256, 3: size } of text.matchAll(CLAIMS)) {
    const made = sha256 !== undefined && isSha256(sha256) ? { sha256, size: Number(size) } : null;
    claims.push(...voters.split(/, | and /).map((builder) => ({ builder, made })));
    end += whole.length;
  }
  return claims.length > 0 && end === text.length ? claims : null;
}
