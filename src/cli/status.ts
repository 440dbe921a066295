/** `countersign status`: where each build stands, and why it waits. */
import { refused } from '../failure.ts';
import { now } from '../host/clock.ts';
import { listStatus } from '../operator/status.ts';
import type { Conflict } from '../operator/conflicts.ts';
import type { SlotStatus } from '../operator/explanation.ts';
import type { BuildStatus } from '../operator/status.ts';
import { isBuildId, isVersion } from '../records/names.ts';
import { command } from './command.ts';
import { depotLocation, loadProject, openDepot, rulesOf } from './config.ts';
import { EXIT } from './exit-status.ts';
import { Progress } from './progress.ts';
import { sourceRow } from './rows.ts';
import type { Terminal } from './terminal.ts';
import { alignColumns, bold, green, red, yellow } from './text.ts';
import type { Part } from './text.ts';
import { parseBuildId } from './values.ts';

export { status as command };

const status = command({
  name: 'status',
  synopsis: '[BUILD|VERSION]',
  about: `Says where each build of the depot stands and why it waits, or all about one of them, also what the log has of
it, or about those of a version. What the depot says is believed only as far as signatures and log proofs carry it.`,
  flags: {},
  operands: { min: 0, max: 1 },
  example: [
    'countersign status',
    'countersign status 1.4.0',
    'countersign status 01kat5bxhtqfj4v1rnd8mz3w7c --json | jq .state',
  ],
  async run({ globals, operands: [wanted], terminal }) {
    const version = wanted !== undefined && !isBuildId(wanted) && isVersion(wanted) ? wanted : null;
    const build = wanted === undefined || version !== null ? null : parseBuildId(wanted);
    const { project } = loadProject(globals);
    const depot = await openDepot(rulesOf(project), depotLocation(project, globals));
    try {
      const shown: BuildStatus[] = [];
      const progress = new Progress(terminal, 'reading the log');
      const readingLog = (done: number, entries: number): void => progress.count(done, entries);
      for await (const each of listStatus(project, depot, { build, now: now(), readingLog })) {
        if (version !== null && each.version !== version) continue;
        terminal.record({ ...each });
        shown.push(each);
      }
      if (version !== null && shown.length === 0)
        throw refused(
          'build-unknown',
          `the depot has no build of ${version}`,
          'countersign status lists all of them',
        );
      if (wanted === undefined) showTable(shown, terminal);
      else for (const each of shown) showOne(each, terminal);
      return EXIT.done;
    } finally {
      depot.close();
    }
  },
});

/** The state, in the word that people use. */
function coloured({ state, withdrawn }: BuildStatus): Part {
  const bad = ['refused', 'frozen', 'revoked', 'expired', 'unreadable'].includes(state);
  if (bad) return red(withdrawn ? 'withdrawn' : state);
  return state === 'published' ? green(state) : yellow(state);
}

function showTable(builds: readonly BuildStatus[], terminal: Terminal): void {
  if (builds.length === 0) terminal.say('no builds');
  // the reason below: beside all that there is no room for it
  const rows = builds.map((each) => [each.build, each.version ?? '?', coloured(each), '']);
  for (const [i, row] of alignColumns(rows).entries()) {
    terminal.result(...row, builds[i]?.assurance ?? '');
    for (const line of alignColumns([['', builds[i]?.why ?? '']])) terminal.result(...line);
  }
}

function showOne(build: BuildStatus, terminal: Terminal): void {
  terminal.result(bold(`${build.project ?? '?'} ${build.version ?? '?'}`), '  ', coloured(build));
  const rows: Part[][] = [
    ['build', build.build],
    ['why', build.conflicts.length === 0 ? build.why : 'builders do not agree: see below'],
    sourceRow(build.source),
    ['requester', build.requester ?? '?'],
    ['approvers', `${build.approvers.length} of ${build.threshold}: ${build.approvers.join(' ')}`],
    ['builders', quorumText(build)],
    ...build.slots.map((slot) => ['', `${slot.slot}: ${slot.scheme}, ${slotText(slot)}`]),
    ['expires', build.expires ?? '?'],
    ...build.revocations.flatMap(({ approver, reason, time }) => [
      ['taken back', `by ${approver}`],
      ['', `at ${time}: ${reason}`],
    ]),
    ...logRows(build),
    ...build.reasons
      .filter(({ where }) => !build.conflicts.some(({ artifact }) => artifact === where))
      .map(({ code, where, text }) => ['reason', `${code}: ${where}: ${text}`]),
  ];
  for (const row of alignColumns(rows)) terminal.result('  ', ...row);
  showConflicts(build.conflicts, terminal);
  terminal.hint(build.hint);
}

function quorumText({ quorum, assurance, slots }: BuildStatus): string {
  if (quorum === null) return '?';
  return slots.length === 1 ? `${assurance}` : `${quorum} of ${slots.length} must agree: ${assurance}`;
}

function slotText({ enrolBy, enrolled, statement }: SlotStatus): string {
  const sealed = statement ? 'sealed' : 'no statement yet';
  if (enrolBy === null) return sealed;
  return enrolled ? `enrolled, ${sealed}` : `not enrolled yet, until ${enrolBy}`;
}

/** More than anybody compares by eye; --json has all. */
const CONFLICTS_SHOWN = 20;

/** A table for each artifact: builder and digest, whole, as both have to be seen at once. */
function showConflicts(conflicts: readonly Conflict[], terminal: Terminal): void {
  for (const { artifact, claims } of conflicts.slice(0, CONFLICTS_SHOWN)) {
    terminal.result('  ', bold(artifact));
    const oneSize = new Set(claims.flatMap(({ made }) => (made === null ? [] : [made.size]))).size === 1;
    const rows = claims.flatMap(({ builder, made }) => [
      [builder, made === null ? yellow('made no such artifact') : made.sha256],
      ...(made === null || oneSize ? [] : [['', `${made.size} bytes`]]),
    ]);
    for (const row of alignColumns(rows)) terminal.result('    ', ...row);
  }
  const more = conflicts.length - CONFLICTS_SHOWN;
  if (more > 0) terminal.result(`  and ${more} more: --json has all`);
}

/** What the log has of it, an entry a row. */
function logRows({ log, logIndex }: BuildStatus): Part[][] {
  if (log === null || log.problem !== null) {
    const proven = logIndex === null ? [] : [['log', `entry ${logIndex}`]];
    return log === null ? proven : [...proven, ['log', yellow(`not read: ${log.problem}`)]];
  }
  if (log.entries.length === 0) return [['log', `nothing of it in ${log.size} entries: not logged yet`]];
  return log.entries.map(({ index, type, time }, at) => {
    const text = `entry ${index}, at ${time}: ${type}`;
    return [at === 0 ? 'log' : '', type === 'conflict' ? yellow(text) : text];
  });
}
