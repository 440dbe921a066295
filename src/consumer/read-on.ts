/**
 * Online, `verify` reads on from the release's entry to the head of the log: what has become of it since
 * (protocol §7). Everything read is authenticated under the log key; nothing of it is needed for the release to be
 * valid, but the log may contradict it.
 */
import { readEntry } from '../audit/entries.ts';
import { Failure } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { formatDuration } from '../policy/duration.ts';
import type { Project } from '../policy/project.ts';
import type { ProvenEntry } from '../policy/release-chain.ts';
import type { BuildEntry } from '../records/log-entry.ts';
import { timestampDate } from '../records/names.ts';
import type { Timestamp } from '../records/names.ts';
import { TILE_WIDTH } from '../tlog/tile.ts';
import type { Cosignature } from '../tlog/cosignature.ts';
import { parseLocation } from '../tree/location.ts';
import { LogReader, openLog } from '../tree/log/reader.ts';
import type { Head } from '../tree/log/reader.ts';
import type { ReleaseCopy } from './copy.ts';
import type { CheckedRelease } from './release.ts';
import type { Where } from './target.ts';
import type { Finding, HeadFacts, Withdrawal } from './verdict.ts';
import { withdrawalOf, withdrawn } from './withdrawn.ts';

export interface Reading {
  /** null where there was nothing to read, or it could not be read. */
  readonly head: HeadFacts | null;
  /** Who has cosigned a head that contains the release, if they are as many as are needed. */
  readonly witnessed: readonly Cosignature[] | null;
  readonly revoked: Withdrawal | null;
  /** The log contradicts the release, or takes it back. */
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
}

interface ReadOptions extends Where {
  readonly now: Date;
  readonly readingLog?: (done: number, entries: number) => void;
}

/**
 * Where everybody reads the log: the depot of the command line or of the project file, and only where neither names
 * one that which the release came from. A thief of the log key has a log of his own beside what he serves.
 */
const placeOf = ({ depot }: Where, project: Project, { where }: ReleaseCopy): string | null =>
  depot ?? project.depot ?? /^(.+)\/releases\/[^/]+\/[^/]+$/.exec(where)?.[1] ?? null;

/** Reads on. A log that can't be read, or has been tampered with, is said: it proves nothing. Throws no Failure. */
export async function readOn(
  release: CheckedRelease,
  project: Project,
  options: ReadOptions,
): Promise<Reading> {
  if (options.offline) return unread(release, 'offline');
  const place = placeOf(options, project, release.copy);
  if (place === null) return unseen(release, project, 'no depot is named');
  try {
    const files = await openLog(parseLocation(place), options.broken);
    try {
      return await read(new LogReader(files, project.log), place, release, project, options);
    } finally {
      files.close();
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const reading = unseen(release, project, `${place}: ${error.message}`);
    if (error.kind !== 'refused') return reading;
    const { code, message, hint } = error;
    return { ...reading, warnings: [...reading.warnings, { code, text: `${place}: ${message}`, hint }] };
  }
}

const unread = ({ chain }: CheckedRelease, why: string): Reading => ({
  head: null,
  witnessed: null,
  revoked: null,
  findings: [],
  warnings: [],
  checked: [],
  notChecked: [
    `whether the log still has entry ${chain.index}, and what it says of this build since (${why})`,
    'whether it was withdrawn since',
  ],
});

/** A log that nobody could see is as good as an old one: whoever hides a withdrawal need not do it better. */
function unseen(release: CheckedRelease, { maxLogAge }: Project, why: string): Reading {
  const reading = unread(release, why);
  if (maxLogAge === null) return reading;
  const allowed = formatDuration(maxLogAge);
  const text = `the project allows its log to be ${allowed} old, and none that new could be read`;
  return { ...reading, warnings: [{ code: 'log-stale', text, hint: STALE_HINT }] };
}

const STALE_HINT = 'the signer is away, or an old copy of the log is shown: ask the project';

async function read(
  reader: LogReader,
  place: string,
  release: CheckedRelease,
  project: Project,
  options: ReadOptions,
): Promise<Reading> {
  const head = await reader.head();
  if (head === null) return unseen(release, project, `${place} has no log`);
  const contradiction = await contradictionIn(reader, head, place, release);
  const checkpoints = { proof: release.note, head: head.note };
  const facts = { log: place, size: head.checkpoint.size, newest: null, checkpoints };
  if (contradiction !== null)
    return {
      head: facts,
      witnessed: null,
      revoked: null,
      findings: [contradiction],
      warnings: [],
      checked: [],
      notChecked: [],
    };

  const { newest, conflicts, unknown, revocation } = await laterEntries(reader, head, release, options);
  const revoked = revocation && (await withdrawalOf(revocation, place, release, project));
  const warnings: Finding[] = [];
  if (conflicts.length > 0)
    warnings.push({
      code: 'conflict',
      text: `a builder of this build signed another statement after it was decided: ${entries(conflicts)} of the log`,
      hint: 'the signatures stand; ask the project which builder was wrong',
    });
  if (unknown.length > 0)
    warnings.push({
      code: 'log-entry-unknown',
      text: `${entries(unknown)} of the log is of a kind that this version of countersign does not know`,
      hint: 'a newer version may say more of this release',
    });
  const age = (options.now.getTime() - timestampDate(newest).getTime()) / 1000;
  if (project.maxLogAge !== null && age > project.maxLogAge)
    warnings.push({
      code: 'log-stale',
      text: `the newest entry of the log is of ${newest}, and the project allows it to be ${formatDuration(project.maxLogAge)} old`,
      hint: STALE_HINT,
    });
  return {
    head: { ...facts, newest },
    witnessed: head.cosignatures.length >= project.log.quorum ? head.cosignatures : null,
    revoked,
    findings: revoked === null ? [] : [withdrawn(revoked)],
    warnings,
    checked: [`the log at ${place}: entry ${release.chain.index} is in it, read on to its head`],
    notChecked: unwitnessedHead(head, release, project),
  };
}

/** The head's tree must hold the proof's: one key has signed both. */
async function contradictionIn(
  reader: LogReader,
  head: Head,
  place: string,
  { chain }: CheckedRelease,
): Promise<Finding | null> {
  const { size, root } = chain.checkpoint;
  if (head.checkpoint.size < size)
    return {
      code: 'log-rollback',
      text: `the release is proven in a log of ${size} entries, but that at ${place} has ${head.checkpoint.size}`,
      hint: 'that log was set back, or the release is of another: ask the project, and show it both checkpoints (--json)',
    };
  if ((await reader.rootAt(head, size)).equals(root)) return null;
  return {
    code: 'log-fork',
    text: `the log at ${place} is not the one that the release is proven in: its key has signed two histories`,
    hint: 'show both checkpoints (--json) to the project and to everybody: the log key is in other hands',
  };
}

interface Later {
  /** Of the newest entry. */
  readonly newest: Timestamp;
  /** Indexes. */
  readonly conflicts: readonly number[];
  readonly unknown: readonly number[];
  readonly revocation: { readonly index: number; readonly entry: BuildEntry } | null;
}

async function laterEntries(
  reader: LogReader,
  head: Head,
  { chain }: CheckedRelease,
  { readingLog = () => {} }: ReadOptions,
): Promise<Later> {
  let newest = chain.entry.time;
  const conflicts: number[] = [];
  const unknown: number[] = [];
  let revocation: Later['revocation'] = null;
  const from = await intentOf(reader, head, chain);
  for await (const { index, leaf } of reader.entries(head, from)) {
    const entry = attempt(() => readEntry(leaf));
    if (entry instanceof Failure) unknown.push(index);
    else {
      newest = entry.time;
      if (entry.build === chain.entry.build && entry.type === 'conflict') conflicts.push(index);
      if (entry.build === chain.entry.build && entry.type === 'revocation') revocation ??= { index, entry };
    }
    readingLog(index + 1 - from, head.checkpoint.size - from);
  }
  return { newest, conflicts, unknown, revocation };
}

/** Builders may disagree from there on; a release follows it soon. */
async function intentOf(
  reader: LogReader,
  head: Head,
  { index: release, entry }: ProvenEntry,
): Promise<number> {
  for (let to = release; to > 0;) {
    const from = Math.floor((to - 1) / TILE_WIDTH) * TILE_WIDTH;
    for await (const { index, leaf } of reader.entries(head, from, to)) {
      const before = attempt(() => readEntry(leaf));
      if (!(before instanceof Failure) && before.build === entry.build && before.type === 'intent')
        return index;
    }
    to = from;
  }
  return release;
}

/** Under a quorum the release was seen by witnesses; what came later may not have been. */
function unwitnessedHead(head: Head, { chain }: CheckedRelease, { log }: Project): string[] {
  const later = head.checkpoint.size - chain.checkpoint.size;
  if (later === 0 || head.cosignatures.length >= log.quorum) return [];
  return [
    `whether witnesses have seen the log since: ${head.cosignatures.length} have cosigned its head, ${log.quorum} needed`,
  ];
}

const SHOWN = 10;

/** `entry 7`, `entries 7, 9`. */
function entries(indexes: readonly number[]): string {
  const more = indexes.length > SHOWN ? ` and ${indexes.length - SHOWN} more` : '';
  return `${indexes.length === 1 ? 'entry' : 'entries'} ${indexes.slice(0, SHOWN).join(', ')}${more}`;
}
