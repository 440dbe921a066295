/** `countersign log show`: the entries of the log, and what became of builds. */
import { readEntries } from '../../audit/entries.ts';
import { KeyEnds, approversOf, conditionsOf, namesOf, parseKeyName, slotsOf } from '../../audit/filter.ts';
import type { Condition, Filter } from '../../audit/filter.ts';
import { Courses } from '../../audit/releases.ts';
import type { Outcome } from '../../audit/releases.ts';
import { requireHead } from '../../audit/verify.ts';
import { now } from '../../host/clock.ts';
import { BUILD_ENTRY_TYPES } from '../../records/log-entry.ts';
import type { LogEntry } from '../../records/log-entry.ts';
import { isSlot } from '../../records/names.ts';
import { LogReader } from '../../tree/log/reader.ts';
import type { Head } from '../../tree/log/reader.ts';
import { command, wrongUse } from '../command.ts';
import { EXIT } from '../exit-status.ts';
import { Rows } from './rows.ts';
import type { Terminal } from '../terminal.ts';
import { green, plural, red, yellow } from '../text.ts';
import { parseBuildId } from '../values.ts';
import { parseMoment } from './moment.ts';
import { LOG_FLAG, openProjectLog } from './source.ts';

export { show as command };

const show = command({
  name: 'log show',
  synopsis: '[--since TIME] [--key FPR] [--releases] …',
  about: `Shows the entries that all of the flags given match, each after it was found to be what the log signed. With
--releases it shows builds instead, and what became of them: those that have, for each flag, an entry that matches it.
So that is what a key, an approver, a builder or a span of time has touched. A key is its fingerprint, or the last 16
digits of it or more; TIME is 2026-11-22T12:00:00Z, a day, or 2d for two days ago.`,
  flags: {
    ...LOG_FLAG,
    releases: { help: 'the builds that it is about, and which releases followed' },
    build: { value: 'BUILD', help: 'entries of that build' },
    project: { value: 'NAME', help: 'entries of that project' },
    version: { value: 'VERSION', help: 'entries of that version' },
    key: { value: 'FPR', help: 'entries that name that key: of one build, or of an approver' },
    approver: { value: 'FPR', help: 'entries that name a signature of that approver' },
    builder: { value: 'SLOT', help: 'entries with a statement of that builder' },
    type: { value: 'TYPE', help: `${BUILD_ENTRY_TYPES.join(', ')}, heartbeat` },
    since: { value: 'TIME', help: 'entries from then on' },
    until: { value: 'TIME', help: 'entries up to then' },
  },
  operands: { min: 0, max: 0 },
  example: [
    'countersign log show --since 2d',
    'countersign log show --version 1.4.0 --json | jq .records',
    '# a ticket leaked: what was released with its key?',
    'countersign log show --releases --key 0F2A9D3C54B1E677',
    '# a laptop was stolen: what was allowed with its key since?',
    'countersign log show --releases --approver "$FPR" --since 3d',
    '# what happened that night?',
    'countersign log show --releases --since 2026-11-20 --until 2026-11-21',
  ],
  async run({ flags, globals, terminal }) {
    const { type = null, builder = null } = flags;
    const word = [...BUILD_ENTRY_TYPES, 'heartbeat' as const].find((each) => each === type) ?? null;
    if (type !== null && word === null)
      throw wrongUse('log show', `--type: one of ${BUILD_ENTRY_TYPES.join(', ')}, heartbeat`);
    if (builder !== null && !isSlot(builder))
      throw wrongUse('log show', `--builder: '${builder}' is no slot, like b1`);
    const time = now();
    const filter: Filter = {
      build: flags.build === undefined ? null : parseBuildId(flags.build),
      project: flags.project ?? null,
      version: flags.version ?? null,
      key: flags.key === undefined ? null : parseKeyName(flags.key, '--key'),
      approver: flags.approver === undefined ? null : parseKeyName(flags.approver, '--approver'),
      builder,
      type: word,
      since: flags.since === undefined ? null : parseMoment(flags.since, '--since', time, 'start'),
      until: flags.until === undefined ? null : parseMoment(flags.until, '--until', time, 'end'),
    };
    const { files, trust } = await openProjectLog(flags, { globals, terminal });
    try {
      const reader = new LogReader(files, trust);
      const head = await requireHead(reader);
      await requireOneKey(reader, head, filter);
      const strangers = namesOf(filter);
      const entries = unmet(readEntries(reader, head), strangers);
      const conditions = conditionsOf(filter);
      if (flags.releases === true) await showCourses(entries, conditions, terminal);
      else await showEntries(entries, head.checkpoint.size, conditions, terminal);
      // nothing found is good news only about what there is
      for (const what of strangers.keys()) terminal.warn(`no entry of this log names ${what}`);
      return EXIT.done;
    } finally {
      files.close();
    }
  },
});

/** Before anything is shown: the end of a fingerprint must be that of one key. */
async function requireOneKey(reader: LogReader, head: Head, filter: Filter): Promise<void> {
  const ends = new KeyEnds(filter);
  if (!ends.any) return;
  for await (const { entry } of readEntries(reader, head)) ends.take(entry);
}

type Entries = AsyncIterable<{ readonly index: number; readonly entry: LogEntry }>;

/** The entries; those of `names` that an entry has are taken away. */
async function* unmet(entries: Entries, names: Map<string, Condition>): Entries {
  for await (const each of entries) {
    for (const [what, holds] of names) if (holds(each.entry)) names.delete(what);
    yield each;
  }
}

async function showEntries(
  entries: Entries,
  size: number,
  conditions: readonly Condition[],
  terminal: Terminal,
): Promise<void> {
  let shown = 0;
  const rows = new Rows(terminal);
  for await (const { index, entry } of entries) {
    if (!conditions.every((holds) => holds(entry))) continue;
    shown += 1;
    terminal.record({ index, ...entry });
    const { type, time, project, version, build } = entry;
    rows.add([
      `${index}`,
      time,
      type,
      version === null ? project : `${project} ${version}`,
      build ?? '',
      whatOf(entry),
    ]);
  }
  rows.end();
  terminal.say(`${shown} of ${size} entries`);
}

/** The one thing that the entry is about. */
function whatOf(entry: LogEntry): string {
  const short = (text: string): string => text.slice(0, 12);
  const approvers = approversOf(entry).map((key) => key.slice(-16));
  const by = approvers.length > 0 ? `approved by ${approvers.join(' ')}` : '';
  const keys = entry.keys.length > 0 ? `, for ${entry.keys.map((key) => key.slice(-16)).join(' ')}` : '';
  switch (entry.type) {
    case 'approval':
    case 'intent':
      return `${by}${keys}`;
    case 'enrolment':
      return `${slotsOf(entry).join(' ')} enrolled${keys}`;
    case 'revocation':
      return `revoked by ${approvers.join(' ')}`;
    case 'statement':
    case 'conflict':
      return `by ${slotsOf(entry).join(' ')}`;
    case 'release':
    case 'refusal':
      return `${entry.type}.json ${short(entry.records[`${entry.type}.json`] ?? '')}`;
    case 'heartbeat':
      return '';
  }
}

async function showCourses(
  entries: Entries,
  conditions: readonly Condition[],
  terminal: Terminal,
): Promise<void> {
  const courses = new Courses(conditions);
  for await (const { index, entry } of entries) courses.take(entry, index);
  const rows = new Rows(terminal);
  let [builds, releases] = [0, 0];
  for (const course of courses.met()) {
    const { build, project, version, outcome, index, time, conflict, withdrawn } = course;
    builds += 1;
    if (outcome === 'released') releases += 1;
    terminal.record({ ...course });
    const later = [
      ...(conflict ? ['then builders disagreed'] : []),
      ...(withdrawn === null ? [] : [`withdrawn at ${withdrawn}`]),
    ].join(', ');
    rows.add([`${project} ${version}`, COLOURS[outcome](outcome), time, `entry ${index}`, build, red(later)]);
  }
  rows.end();
  terminal.say(`${plural(releases, 'release')} of ${plural(builds, 'build')}`);
}

const COLOURS = {
  released: green,
  refused: yellow,
  revoked: yellow,
  // the release key may have been used: nothing says that it was not
  intended: red,
  approved: yellow,
} satisfies Record<Outcome, unknown>;
