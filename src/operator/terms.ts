/** The terms of an approval, held against those that `--expect` names: scripts allow nothing else. */
import { refused } from '../failure.ts';
import { terms } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import type { Sha256 } from '../records/names.ts';

/** The terms; null expects nothing. Throws refused(`terms-differ`). */
export function expectedTerms(approval: Approval, expect: string | null): Sha256 {
  const agreed = terms(approval);
  if (expect === null || expect === agreed) return agreed;
  throw refused(
    'terms-differ',
    `the terms are ${agreed}, not those of --expect`,
    'nothing was signed or sent',
  );
}
