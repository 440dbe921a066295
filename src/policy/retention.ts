/**
 * What a depot keeps, and how long. Protocol §3: "Blobs that no statement names are dropped when every slot is sealed or
 * the approval has expired, and the build is decided"; §4: "a build below the threshold is dropped after a set time".
 *
 * What was published is kept for ever, and so is every record that the log names, and every blob that a statement of a build
 * names that was not refused. All else goes at a set time, and only where nobody could miss it: by the log, by what is there,
 * and by the clocks of two hosts, for one may be wrong. Pure.
 */
import type { Approval } from '../records/approval.ts';
import type { LogEntry } from '../records/log-entry.ts';
import { timestampDate } from '../records/names.ts';
import type { BuildId, Timestamp } from '../records/names.ts';
import { slotsOf } from './builder-key.ts';
import { own } from './order.ts';
import type { Project } from './project.ts';

const HOUR_MS = 3600 * 1000;
/** Whoever else takes statements into the same tree goes by a clock of its own. */
const CLOCKS_MS = HOUR_MS;
/** How long after its end a build that was never approved by enough is shown: its requester may still look. */
const UNAPPROVED_MS = 24 * HOUR_MS;

/** Why something goes, which says what: */
export type Retired =
  /** blobs that no statement names; */
  | 'unnamed'
  /** all blobs, as the build was refused or taken back long ago; */
  | 'refused'
  /** all of the build. */
  | 'unapproved';

/** What the signer's log says of a build. */
export interface LoggedBuild {
  readonly intended: boolean;
  readonly released: boolean;
  /** When it was refused, or revoked before its release; null if neither. */
  readonly ended: Date | null;
}

export interface BuildFacts {
  readonly project: Project;
  readonly approval: Approval;
  /** Null if no entry of the log names the build. */
  readonly logged: LoggedBuild | null;
  /** Whether enough approvers have signed it, by the project file of today. */
  readonly approved: boolean;
  /** How many of its slots have a statement here. */
  readonly sealed: number;
  /** Whether its release is visible. */
  readonly published: boolean;
  /** Whether anything here is the signer's work on it, or nobody knows whose. */
  readonly begun: boolean;
  /** How long the blobs of a build that was refused are kept. */
  readonly keepRefusedMs: number;
}

export interface Retention {
  /** What goes now; null: nothing. */
  readonly drop: Retired | null;
  /** When there may be more to go; null: when the log says more of the build, or never. */
  readonly again: Date | null;
}

/** A kind of build, what of it goes, and when: the first that a build is of counts. */
interface Row {
  readonly is: (facts: BuildFacts) => boolean;
  readonly goes: (facts: BuildFacts) => readonly (readonly [what: Retired, from: Date])[];
  /** It changes soon, and no entry of the log says so. */
  readonly passing?: true;
}

const later = (date: Date, milliseconds: number): Date => new Date(date.getTime() + milliseconds);
const ends = ({ approval }: BuildFacts): Date => timestampDate(approval.expires);
/** From when on no statement comes that needs a blob: all are there, or none is taken any more. */
const settles = (facts: BuildFacts): Date =>
  facts.sealed === slotsOf(facts.approval).length ? new Date(0) : ends(facts);
const isSealed = ({ sealed, approval }: BuildFacts): boolean => sealed >= approval.quorum;

const ROWS: readonly Row[] = [
  // Another signer's, or another project's in the same tree: its log is not the one that was read.
  {
    is: ({ project, approval }) =>
      approval.project !== project.name || approval.signer !== project.log.origin,
    goes: () => [],
  },
  // Published: for ever. What no statement names was left by runs that failed.
  { is: ({ published }) => published, goes: (facts) => [['unnamed', settles(facts)]] },
  // Logged, and on its way out: it is published from these very blobs.
  { is: ({ logged }) => logged?.released === true, goes: () => [], passing: true },
  // Refused, frozen or taken back: all versions stay for a while, for whoever wants to know why they differ.
  {
    is: ({ logged }) => Boolean(logged?.ended),
    goes: (facts) => [
      ['refused', later(facts.logged?.ended ?? ends(facts), facts.keepRefusedMs)],
      ['unnamed', settles(facts)],
    ],
  },
  // After the intent nothing ends a build but its release.
  { is: ({ logged }) => logged?.intended === true, goes: () => [] },
  // The signer has been at work, and its log says nothing of it: that is older than what lies here.
  { is: ({ begun, logged }) => begun && logged === null, goes: () => [] },
  // Never approved by enough, and so never logged: its end is the end of it.
  {
    is: ({ approved, logged }) => !approved && logged === null,
    goes: (facts) => [['unapproved', later(ends(facts), UNAPPROVED_MS)], ...unsealed(facts)],
  },
  // Sealed: the signer signs it, or refuses it when it comes back.
  { is: isSealed, goes: () => [] },
  // Too few sealed it in time. What those who did stand for can't be made again.
  { is: () => true, goes: unsealed },
];

function unsealed(facts: BuildFacts): readonly (readonly [Retired, Date])[] {
  return isSealed(facts) ? [] : [['unnamed', later(ends(facts), CLOCKS_MS)]];
}

/**
 * The time that retention goes by; null: nothing goes. What is due must be due by the signer's log as well, or a host with a
 * wrong clock, or with a log that was put back from a copy, would take away what somebody needs.
 */
export function retentionTime(now: Date, newest: Date | null): Date | null {
  return newest !== null && newest > now ? now : newest;
}

/** What of the build goes at `now`, which is a `retentionTime`, and when to look again. */
export function retention(facts: BuildFacts, now: Date): Retention {
  const row = ROWS.find(({ is }) => is(facts));
  if (row?.passing) return { drop: null, again: now };
  const going = row?.goes(facts) ?? [];
  const [drop = null] = going.filter(([, from]) => now >= from).map(([what]) => what);
  // builders may send more until the end
  const times = [...going.map(([, from]) => from), ends(facts)].filter((time) => time > now);
  times.sort((a, b) => a.getTime() - b.getTime());
  return { drop, again: times[0] ?? null };
}

const BITS = { intended: 1, released: 2, ended: 4 } as const;
const ALL = 8;

/** What the log says of every build, in little memory: of a million entries, some tens of megabytes. */
export class LoggedBuilds {
  /** Bits, and above them when it ended, in seconds. */
  readonly #builds = new Map<BuildId, number>();
  #newest: Timestamp | null = null;

  /** When the newest entry was made; null if there is none. */
  get newest(): Date | null {
    return this.#newest && timestampDate(this.#newest);
  }

  /** Null if no entry names the build. */
  of(build: BuildId): LoggedBuild | null {
    const known = this.#builds.get(build);
    if (known === undefined) return null;
    const has = (bit: keyof typeof BITS): boolean => ((known % ALL) & BITS[bit]) !== 0;
    const ended = has('ended') ? new Date(Math.floor(known / ALL) * 1000) : null;
    return { intended: has('intended'), released: has('released'), ended };
  }

  /** Takes in an entry of the log; again, it changes nothing. */
  add(entry: LogEntry): void {
    this.#newest = entry.time;
    if (entry.type === 'heartbeat') return;
    const { type, build } = entry;
    const before = this.of(build);
    let known = this.#builds.get(build) ?? 0;
    const set = (bit: keyof typeof BITS): void => {
      if (((known % ALL) & BITS[bit]) === 0) known += BITS[bit];
    };
    if (type === 'intent') set('intended');
    if (type === 'release') set('released');
    // what is revoked after its release is published all the same
    if ((type === 'refusal' || (type === 'revocation' && !before?.released)) && !before?.ended) {
      set('ended');
      known += ALL * (timestampDate(entry.time).getTime() / 1000);
    }
    this.#builds.set(before ? build : own(build), known);
  }
}
