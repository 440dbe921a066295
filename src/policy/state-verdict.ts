/**
 * Are the hash states of a statement what the approval's mode asks for (protocol §5.5)? They are the builder's word,
 * signed with the rest, so one that is wrong ends the build (§1 rule 7).
 */
import { mayBeStateOf, sha256From } from '../openpgp/hash-state.ts';
import type { Mode } from '../records/approval.ts';
import type { Reason } from '../records/refusal.ts';
import type { StatedSubject } from '../records/statement.ts';

const NOTHING = Buffer.alloc(0);

/** What is wrong with the states: one for digest mode where each is there, can be one of that size, and finishes to the digest beside it; none for `fetch`. */
export function stateProblems(mode: Mode, subjects: readonly StatedSubject[]): Reason[] {
  const stranger = subjects.find(({ sha256State }) => (sha256State !== undefined) !== (mode === 'digest'));
  if (stranger !== undefined) {
    const text =
      mode === 'digest'
        ? 'it has no hash state, which digest mode needs'
        : 'it has a hash state, and the approval is for mode fetch';
    return [{ code: 'statement-mode', where: stranger.name, text }];
  }
  return subjects.flatMap(({ name, sha256, size, sha256State }) => {
    if (sha256State === undefined) return [];
    const mismatch = (text: string): Reason[] => [{ code: 'state-mismatch', where: name, text }];
    if (!mayBeStateOf(sha256State, size))
      return mismatch(`its hash state is of ${size} bytes, and not where SHA-256 begins`);
    const finished = sha256From(sha256State, size, NOTHING).toString('hex');
    if (finished === sha256) return [];
    return mismatch(`its hash state finishes to ${finished}, its digest is ${sha256}`);
  });
}
