/** Which entries of a log somebody asks about. Pure. */
import { usage } from '../failure.ts';
import type { LogEntry } from '../records/log-entry.ts';
import { isFingerprint } from '../records/names.ts';
import type { BuildId, Fingerprint, Slot, Timestamp } from '../records/names.ts';
import { parseBuildFile } from '../records/paths.ts';

/** What is null does not matter. */
export interface Filter {
  readonly build: BuildId | null;
  readonly project: string | null;
  readonly version: string | null;
  /** An ephemeral key, or that of an approver: all of its fingerprint, or the end. */
  readonly key: string | null;
  /** An approver whose signature or revocation an entry names, likewise. */
  readonly approver: string | null;
  /** Whose statement or enrolment an entry names. */
  readonly builder: Slot | null;
  readonly type: LogEntry['type'] | null;
  /** Both are included. */
  readonly since: Timestamp | null;
  readonly until: Timestamp | null;
}

/** Each of these must hold; for a build, of some entry of it each. */
export type Condition = (entry: LogEntry) => boolean;

/** The fewest digits that name a key. */
const KEY_DIGITS = 16;

/**
 * A fingerprint as people have it, in upper case without spaces: whole, or its last 16 digits or more.
 * Throws usage(`key-malformed`).
 */
export function parseKeyName(text: string, flag: string): string {
  const digits = text.replace(/\s/g, '').replace(/^0x/i, '').toUpperCase();
  if (/^[0-9A-F]{16,40}$/.test(digits)) return digits;
  throw usage(
    'key-malformed',
    `${flag}: not a fingerprint, nor the last ${KEY_DIGITS} digits or more of one`,
  );
}

/** What an entry must be. Type and time are one condition: they are of the same entry. */
export function conditionsOf(filter: Filter): Condition[] {
  const { type, since, until } = filter;
  const conditions = [...namesOf(filter).values()];
  if (type !== null || since !== null || until !== null)
    conditions.push(
      (entry) =>
        (type === null || entry.type === type) &&
        (since === null || entry.time >= since) &&
        (until === null || entry.time <= until),
    );
  return conditions;
}

/** Names that entries have, and that one is easily given wrong: what it is, and whether an entry has it. */
export function namesOf({ build, project, version, key, approver, builder }: Filter): Map<string, Condition> {
  const names = new Map<string, Condition>();
  if (build !== null) names.set(`build ${build}`, (entry) => entry.build === build);
  if (project !== null) names.set(`project ${project}`, (entry) => entry.project === project);
  if (version !== null) names.set(`version ${version}`, (entry) => entry.version === version);
  if (key !== null) names.set(`key ${key}`, (entry) => keysOf(entry).some((each) => each.endsWith(key)));
  if (approver !== null)
    names.set(`approver ${approver}`, (entry) => approversOf(entry).some((each) => each.endsWith(approver)));
  if (builder !== null) names.set(`builder ${builder}`, (entry) => slotsOf(entry).includes(builder));
  return names;
}

/** Every key that the entry names: ephemeral ones, approvers. */
export const keysOf = (entry: LogEntry): Fingerprint[] => [...entry.keys, ...approversOf(entry)];

/** The approvers whose signatures, or revocations, it names. */
export const approversOf = (entry: LogEntry): Fingerprint[] =>
  filesOf(entry).flatMap((file) =>
    file.kind === 'approval-signature' || file.kind === 'revocation' ? [file.approver] : [],
  );

/** The builders whose statements, or enrolments, it names. */
export const slotsOf = (entry: LogEntry): Slot[] =>
  filesOf(entry).flatMap((file) =>
    file.kind === 'statement' || file.kind === 'enrolment' ? [file.slot] : [],
  );

const filesOf = (entry: LogEntry) => Object.keys(entry.records).flatMap((path) => parseBuildFile(path) ?? []);

/**
 * Throws usage(`key-ambiguous`) when the end of a fingerprint is that of two keys in the log: nobody should take the
 * one for the other.
 */
export class KeyEnds {
  readonly #ends: readonly string[];
  readonly #found = new Map<string, Fingerprint>();

  constructor({ key, approver }: Filter) {
    this.#ends = [key, approver].filter((end) => end !== null && !isFingerprint(end)).map((end) => end ?? '');
  }

  /** Whether there is anything to look for. */
  get any(): boolean {
    return this.#ends.length > 0;
  }

  take(entry: LogEntry): void {
    for (const end of this.#ends)
      for (const key of keysOf(entry)) {
        if (!key.endsWith(end)) continue;
        const found = this.#found.get(end);
        if (found !== undefined && found !== key)
          throw usage(
            'key-ambiguous',
            `${end} is the end of ${found} and of ${key}`,
            'give all of the fingerprint',
          );
        this.#found.set(end, key);
      }
  }
}
