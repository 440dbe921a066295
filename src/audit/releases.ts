/** What became of the builds that somebody asks about: the releases that followed from a key, an approver, a time. Pure. */
import type { BuildEntry, LogEntry } from '../records/log-entry.ts';
import type { BuildId, ProjectName, Timestamp, Version } from '../records/names.ts';
import type { Condition } from './filter.ts';

/** How far a build came: the log says no more of it. */
export type Outcome = 'released' | 'refused' | 'revoked' | 'intended' | 'approved';

export interface Course {
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  readonly outcome: Outcome;
  /** Of the entry that says so. */
  readonly index: number;
  readonly time: Timestamp;
  /** Builders disagreed after it was decided to sign. */
  readonly conflict: boolean;
  /** When its release was withdrawn. */
  readonly withdrawn: Timestamp | null;
}

const OUTCOMES: Partial<Record<BuildEntry['type'], Outcome>> = {
  release: 'released',
  refusal: 'refused',
  revocation: 'revoked',
  intent: 'intended',
  approval: 'approved',
};

/** Builds, each of which meets a condition once one of its entries does. */
export class Courses {
  readonly #conditions: readonly Condition[];
  readonly #builds = new Map<BuildId, Course & { readonly met: number }>();

  constructor(conditions: readonly Condition[]) {
    this.#conditions = conditions;
  }

  /** Takes in the next entry. */
  take(entry: LogEntry, index: number): void {
    if (entry.type === 'heartbeat') return;
    const { build, project, version, time, type } = entry;
    const before = this.#builds.get(build);
    // what is released stays so, and is not to be used
    const withdrawn = type === 'revocation' && before?.outcome === 'released' ? time : null;
    const outcome = withdrawn === null ? OUTCOMES[type] : undefined;
    const met = this.#conditions.reduce(
      (bits, holds, at) => (holds(entry) ? bits | (1 << at) : bits),
      before?.met ?? 0,
    );
    this.#builds.set(build, {
      ...(before ?? { build, project, version, outcome: 'approved', index, time }),
      ...(outcome && { outcome, index, time }),
      conflict: type === 'conflict' || before?.conflict === true,
      withdrawn: withdrawn ?? before?.withdrawn ?? null,
      met,
    });
  }

  /** Those that meet all conditions, in the order of the log. */
  *met(): Generator<Course, void, undefined> {
    for (const { met, ...course } of this.#builds.values())
      if (met === (1 << this.#conditions.length) - 1) yield course;
  }
}
