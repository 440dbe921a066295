/**
 * What the log says so far, for the decisions that rest on it. Derived from the entries alone, so that it
 * can always be rebuilt from them. Pure.
 */
import type { BuildEntry, LogEntry } from '../records/log-entry.ts';
import type {
  BuildId,
  Fingerprint,
  ProjectName,
  Sha256,
  Slot,
  Timestamp,
  Version,
} from '../records/names.ts';
import { approvalFile, manifestFile, parseBuildFile, refusalFile, releaseFile } from '../records/paths.ts';
import { Order } from './order.ts';

/** A record in the log. */
export interface Logged {
  /** Of its entry. */
  readonly index: number;
  readonly time: Timestamp;
  readonly sha256: Sha256;
}

/** That approvers took a build back. */
export interface Revoked {
  /** Of its entry. */
  readonly index: number;
  readonly time: Timestamp;
  /** Digests of their revocations. */
  readonly revocations: ReadonlyMap<Fingerprint, Sha256>;
}

/** What the log holds of one build. What is there is used, never repeated (§1 rule 6, §5.6). */
export interface BuildHistory {
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  /** The approval that the build is bound to. */
  readonly approval: Logged | null;
  /** The time is when the statement was first seen. */
  readonly statements: ReadonlyMap<Slot, Logged>;
  /** The manifest that is to be signed, and the approvers counted for it. */
  readonly intent: (Logged & { readonly approvers: readonly Fingerprint[] }) | null;
  readonly release: Logged | null;
  readonly refusal: Logged | null;
  /** The key that each builder of scheme `enrol` introduced. */
  readonly enrolments: ReadonlyMap<Slot, Logged & { readonly key: Fingerprint }>;
  /** Revoked: before the release it ends the build, after it the release is withdrawn. */
  readonly revocation: Revoked | null;
  /** Further statements, signed for other artifacts after the intent, by their paths. */
  readonly conflicts: ReadonlyMap<string, Logged>;
}

export class History {
  readonly #order = new Order();
  readonly #builds = new Map<BuildId, BuildHistory>();
  readonly #versions = new Map<string, BuildId>();
  readonly #keys = new Set<Fingerprint>();
  #newest: Timestamp | null = null;

  /** Null if no entry names the build. */
  build(build: BuildId): BuildHistory | null {
    return this.#builds.get(build) ?? null;
  }

  /** Every build that an entry names, in the order of its first. */
  builds(): BuildHistory[] {
    return [...this.#builds.values()];
  }

  /**
   * The build that (project, version) is bound to: the one with its intent, for ever; before there is one, the last that
   * was approved. Null if there is none, or it was refused, or revoked before an intent.
   */
  holder(project: ProjectName, version: Version): BuildHistory | null {
    const build = this.#versions.get(`${project}/${version}`);
    const holder = build === undefined ? null : this.build(build);
    return holder?.refusal || (holder?.revocation && !holder.intent) ? null : holder;
  }

  /** The ephemeral keys of every approval and enrolment so far. */
  get keys(): ReadonlySet<Fingerprint> {
    return this.#keys;
  }

  /** When the newest entry was logged; null if there is none. */
  get newest(): Timestamp | null {
    return this.#newest;
  }

  /** Throws RangeError if no log goes on with the entry: see `Order.check`. */
  check(entry: LogEntry): void {
    this.#order.check(entry);
  }

  /** Takes in the entry at `index`. Throws as `check`, and takes nothing. */
  add(entry: LogEntry, index: number): void {
    this.check(entry);
    if (entry.type !== 'heartbeat') this.#change(entry, index);
    this.#order.take(entry);
    this.#newest = entry.time;
  }

  #change(entry: BuildEntry, index: number): void {
    const { build, project, version } = entry;
    const before = this.build(build);
    this.#builds.set(build, {
      ...{ build, project, version },
      ...{ approval: null, statements: new Map(), intent: null, release: null, refusal: null },
      ...{ conflicts: new Map(), enrolments: new Map(), revocation: null },
      ...before,
      ...change(before, entry, index),
    });
    this.#bind(entry);
    for (const key of entry.keys) this.#keys.add(key);
  }

  #bind({ type, build, project, version }: BuildEntry): void {
    const isDecided = Boolean(this.holder(project, version)?.intent);
    if (type === 'intent' || (type === 'approval' && !isDecided))
      this.#versions.set(`${project}/${version}`, build);
  }
}

/** What the entry adds to what is known of its build. */
function change(before: BuildHistory | null, entry: BuildEntry, index: number): Partial<BuildHistory> {
  const logged = (sha256: Sha256): Logged => ({ index, time: entry.time, sha256 });
  switch (entry.type) {
    case 'approval':
      return { approval: logged(digestOf(entry, approvalFile)) };
    case 'statement': {
      const added = statementsOf(entry).map(({ slot, sha256 }) => [slot, logged(sha256)] as const);
      return { statements: new Map([...(before?.statements ?? []), ...added]) };
    }
    case 'enrolment': {
      const added = enrolmentsOf(entry).map(
        ({ slot, sha256, key }) => [slot, { ...logged(sha256), key }] as const,
      );
      return { enrolments: new Map([...(before?.enrolments ?? []), ...added]) };
    }
    case 'intent':
      return { intent: { ...logged(digestOf(entry, manifestFile)), approvers: approversOf(entry) } };
    case 'release':
      return { release: logged(digestOf(entry, releaseFile)) };
    case 'refusal':
      return { refusal: logged(digestOf(entry, refusalFile)) };
    case 'revocation':
      return { revocation: { index, time: entry.time, revocations: revocationsOf(entry) } };
    case 'conflict': {
      const added = statementsOf(entry).map(({ path, sha256 }) => [path, logged(sha256)] as const);
      return { conflicts: new Map([...(before?.conflicts ?? []), ...added]) };
    }
  }
}

function digestOf(entry: BuildEntry, file: string): Sha256 {
  const sha256 = entry.records[file];
  if (sha256 === undefined) throw new RangeError(`log entry: ${entry.type} without ${file}`);
  return sha256;
}

interface LoggedStatement {
  readonly path: string;
  readonly slot: Slot;
  readonly variant: number;
  readonly sha256: Sha256;
}

function statementsOf(entry: BuildEntry): LoggedStatement[] {
  return Object.entries(entry.records).flatMap(([path, sha256]) => {
    const file = parseBuildFile(path);
    return file?.kind === 'statement' ? [{ path, slot: file.slot, variant: file.variant, sha256 }] : [];
  });
}

/** One slot and one key an entry: `Order` sees to it. */
function enrolmentsOf({
  records,
  keys: [key],
}: BuildEntry): { slot: Slot; sha256: Sha256; key: Fingerprint }[] {
  return Object.entries(records).flatMap(([path, sha256]) => {
    const file = parseBuildFile(path);
    return file?.kind === 'enrolment' && key !== undefined ? [{ slot: file.slot, sha256, key }] : [];
  });
}

/** By the approver whose they are. */
function revocationsOf({ records }: BuildEntry): Map<Fingerprint, Sha256> {
  const revocations = new Map<Fingerprint, Sha256>();
  for (const [path, sha256] of Object.entries(records)) {
    const file = parseBuildFile(path);
    if (file?.kind === 'revocation') revocations.set(file.approver, sha256);
  }
  return revocations;
}

/** The approvers whose signatures the entry names. */
function approversOf(entry: BuildEntry): Fingerprint[] {
  return Object.keys(entry.records).flatMap((path) => {
    const file = parseBuildFile(path);
    return file?.kind === 'approval-signature' ? [file.approver] : [];
  });
}
