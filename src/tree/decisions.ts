/**
 * What the signer's log has decided on the builds that were last asked about. It does not change its mind, and reading
 * it may mean a manifest of a hundred thousand artifacts: so it is read once, however often strangers write.
 */
import { readDecided } from '../policy/gate/decided.ts';
import type { Decided } from '../policy/gate/decided.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import { below } from '../policy/view.ts';
import type { View } from '../policy/view.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath } from '../records/paths.ts';

/** Artifacts, and their signatures: what two of the largest releases have. */
const FILES_KEPT = 500_000;

export class Decisions {
  readonly #rules: GateRules;
  readonly #tree: View;
  readonly #kept = new Map<BuildId, Decided>();
  #files = 0;

  constructor(rules: GateRules, tree: View) {
    this.#rules = rules;
    this.#tree = tree;
  }

  /** Null while the build's directory has no decision of the log. Throws unable('disk'). */
  async of(build: BuildId): Promise<Decided | null> {
    const kept = this.#kept.get(build);
    if (kept) return kept;
    const decided = await readDecided(this.#rules, build, below(this.#tree, buildPath(build)));
    if (decided && isWhole(decided) && !this.#kept.has(build)) this.#keep(build, decided);
    return decided;
  }

  /** The oldest go, down to this one. */
  #keep(build: BuildId, decided: Decided): void {
    this.#kept.set(build, decided);
    this.#files += filesOf(decided);
    for (const [other, kept] of this.#kept) {
      if (this.#files <= FILES_KEPT || other === build) break;
      this.#kept.delete(other);
      this.#files -= filesOf(kept);
    }
  }
}

/** A refusal, or a release whose list of signatures is there: else that may come yet. */
const isWhole = ({ artifacts, signatures }: Decided): boolean => artifacts.size === 0 || signatures !== null;

/** A refusal counts as one. */
const filesOf = ({ artifacts, signatures }: Decided): number =>
  artifacts.size + (signatures?.listed.size ?? 0) + 1;
