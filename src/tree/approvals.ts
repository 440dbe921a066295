/**
 * The verified approvals of the builds that were last asked about, and whether they were revoked. Verifying one costs
 * thousands of times what a look at a token does, and anybody may send tokens. Its bytes never change; that its approvers'
 * keys may sign, and that nobody has revoked it, is looked at again after a minute.
 */
import { isRevoked } from '../policy/gate.ts';
import { signedApproval } from '../policy/gate/approval.ts';
import type { SignedApproval } from '../policy/gate/approval.ts';
import { isProject } from '../policy/gate/rules.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import type { Denied } from '../policy/gate/verdict.ts';
import { below } from '../policy/view.ts';
import type { View } from '../policy/view.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath } from '../records/paths.ts';

const KEPT = 1_000;
const GOOD_FOR_MS = 60_000;

interface Kept {
  readonly signed: SignedApproval;
  readonly at: number;
  /** Once somebody has asked. */
  revoked: Promise<boolean> | null;
}

export class Approvals {
  readonly #rules: GateRules;
  readonly #tree: View;
  readonly #now: () => Date;
  readonly #kept = new Map<BuildId, Kept>();

  constructor(rules: GateRules, tree: View, now: () => Date) {
    this.#rules = rules;
    this.#tree = tree;
    this.#now = now;
  }

  /** As `signedApproval`. Throws unable('disk'). */
  async of(build: BuildId): Promise<SignedApproval | Denied> {
    const kept = this.#fresh(build);
    if (kept) return kept.signed;
    const now = this.#now();
    const signed = await signedApproval(this.#rules, build, this.#below(build), now);
    this.#kept.delete(build);
    if ('allow' in signed) return signed;
    this.#kept.set(build, { signed, at: now.getTime(), revoked: null });
    const [oldest = build] = this.#kept.keys();
    if (this.#kept.size > KEPT) this.#kept.delete(oldest);
    return signed;
  }

  /** As `isRevoked`, of the build's approval; false for whoever has no project file. Throws unable('disk'). */
  async isRevoked(signed: SignedApproval): Promise<boolean> {
    const rules = this.#rules;
    if (!isProject(rules)) return false;
    const { build } = signed.approval;
    const look = (): Promise<boolean> => isRevoked(rules, signed, this.#below(build), this.#now());
    const kept = this.#fresh(build);
    if (kept === null) return look();
    const revoked = (kept.revoked ??= look());
    return revoked.catch((error: unknown) => {
      // what failed is asked again
      if (kept.revoked === revoked) kept.revoked = null;
      throw error;
    });
  }

  /** To be told of records that came: one of them may revoke the build. */
  forget(build: BuildId): void {
    this.#kept.delete(build);
  }

  #below(build: BuildId): View {
    return below(this.#tree, buildPath(build));
  }

  #fresh(build: BuildId): Kept | null {
    const kept = this.#kept.get(build);
    const age = this.#now().getTime() - (kept?.at ?? 0);
    return kept && age >= 0 && age < GOOD_FOR_MS ? kept : null;
  }
}
