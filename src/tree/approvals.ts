/**
 * The verified approvals of the builds that were last asked about. Verifying one costs thousands of times what a look at
 * a token does, and anybody may send tokens. Its bytes never change; that its approvers' keys may sign is looked at again
 * after a minute.
 */
import { signedApproval } from '../policy/gate/approval.ts';
import type { SignedApproval } from '../policy/gate/approval.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import type { Denied } from '../policy/gate/verdict.ts';
import { below } from '../policy/view.ts';
import type { View } from '../policy/view.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath } from '../records/paths.ts';

const KEPT = 1_000;
const GOOD_FOR_MS = 60_000;

export class Approvals {
  readonly #rules: GateRules;
  readonly #tree: View;
  readonly #now: () => Date;
  readonly #kept = new Map<BuildId, { readonly signed: SignedApproval; readonly at: number }>();

  constructor(rules: GateRules, tree: View, now: () => Date) {
    this.#rules = rules;
    this.#tree = tree;
    this.#now = now;
  }

  /** As `signedApproval`. Throws unable('disk'). */
  async of(build: BuildId): Promise<SignedApproval | Denied> {
    const now = this.#now();
    const kept = this.#kept.get(build);
    const age = now.getTime() - (kept?.at ?? 0);
    if (kept && age >= 0 && age < GOOD_FOR_MS) return kept.signed;
    const signed = await signedApproval(this.#rules, build, below(this.#tree, buildPath(build)), now);
    this.#kept.delete(build);
    if ('allow' in signed) return signed;
    this.#kept.set(build, { signed, at: now.getTime() });
    const [oldest = build] = this.#kept.keys();
    if (this.#kept.size > KEPT) this.#kept.delete(oldest);
    return signed;
  }
}
