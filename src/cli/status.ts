/** `countersign status`: where each build stands, and why it waits. */
import { join } from 'node:path';
import { refused } from '../failure.ts';
import { now } from '../host/clock.ts';
import { word } from '../host/shell.ts';
import { chooseApprover } from '../operator/approver.ts';
import { readAskedBuild } from '../operator/asked-build.ts';
import type { Conflict } from '../operator/conflicts.ts';
import type { SlotStatus } from '../operator/explanation.ts';
import { differing, fetchVersions } from '../operator/fetch.ts';
import { listStatus } from '../operator/status.ts';
import type { BuildStatus } from '../operator/status.ts';
import { readVersions } from '../operator/versions.ts';
import type { Project } from '../policy/project.ts';
import { isBuildId, isVersion } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { locationUrl } from '../tree/location.ts';
import type { Location } from '../tree/location.ts';
import type { Depot } from '../tree/tree.ts';
import { approverRows, revocationRows } from './approval-rows.ts';
import { sayAway } from './away.ts';
import { command, wrongUse } from './command.ts';
import { depotLocation, loadProject, openDepot, rulesOf } from './config.ts';
import { EXIT } from './exit-status.ts';
import type { ExitStatus } from './exit-status.ts';
import { Progress } from './progress.ts';
import { sourceRow } from './rows.ts';
import type { Terminal } from './terminal.ts';
import { alignColumns, bold, formatSize, green, plural, red, yellow } from './text.ts';
import type { Part } from './text.ts';
import { parseBuildId } from './values.ts';

export { status as command };

const status = command({
  name: 'status',
  synopsis: '[BUILD|VERSION] [flags]',
  about: `Says where each build of the depot stands and why it waits, or all about one of them, also what the log has of
it, or about those of a version. What the depot says is believed only as far as signatures and log proofs carry it.`,
  flags: {
    fetch: {
      value: 'DIR',
      help: 'write what each builder of BUILD made to DIR/SLOT/, before anybody has vouched for it',
    },
    approver: { value: 'FPR', help: 'with --fetch: which key asks; else the one whose secret key is here' },
  },
  operands: { min: 0, max: 1 },
  example: [
    'countersign status',
    'countersign status 1.4.0',
    'countersign status 01kat5bxhtqfj4v1rnd8mz3w7c --json | jq .state',
    '# builders do not agree: what each of them made, for diffoscope',
    'countersign status 01kat5bxhtqfj4v1rnd8mz3w7c --fetch ./versions',
  ],
  async run({ flags, globals, operands: [wanted], terminal }) {
    const version = wanted !== undefined && !isBuildId(wanted) && isVersion(wanted) ? wanted : null;
    const build = wanted === undefined || version !== null ? null : parseBuildId(wanted);
    if (flags.fetch !== undefined && build === null) throw wrongUse('status', '--fetch DIR needs a BUILD');
    if (flags.fetch === undefined && flags.approver !== undefined)
      throw wrongUse('status', '--approver says nothing without --fetch');
    const { project } = loadProject(globals);
    const location = depotLocation(project, globals);
    const broken = sayAway(terminal);
    const depot = await openDepot(rulesOf(project), location, null, { broken });
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
      else for (const each of shown) showOne(project, each, flags.fetch !== undefined, terminal);
      if (flags.fetch === undefined || build === null) return EXIT.done;
      const approver = flags.approver ?? null;
      return await fetchAll(
        project,
        { depot, location },
        { build, approver, directory: flags.fetch },
        terminal,
      );
    } finally {
      depot.close();
    }
  },
});

/** What each builder made, to be looked at. */
async function fetchAll(
  project: Project,
  { depot, location }: { readonly depot: Depot; readonly location: Location },
  wanted: { readonly build: BuildId; readonly approver: string | null; readonly directory: string },
  terminal: Terminal,
): Promise<ExitStatus> {
  const { build, directory } = wanted;
  const approver = await chooseApprover(project, wanted.approver);
  const { approval } = await readAskedBuild(project, depot, build, now());
  const { versions, left, over } = await readVersions(project, depot, approval, now());
  for (const each of [...left, ...over]) terminal.warn(`${each}: left out`);
  if (versions.length === 0 && over.length === 0)
    throw refused('nothing-sealed', `no builder has sealed build ${build}: there is nothing to fetch`);
  const fetched = await fetchVersions(project, approval, versions, {
    directory,
    approver: approver.primary.fingerprint,
    url: locationUrl(location),
    now,
    open: (readRequest) =>
      openDepot(rulesOf(project), location, { readRequest }, { broken: sayAway(terminal) }),
    report: (name) => terminal.status(name),
  });
  terminal.status('');
  terminal.record({ build, fetched });
  terminal.result('fetched, and not to be used: nobody has vouched for it');
  const rows = fetched.map((each) => [
    each.name,
    each.unchecked === null ? 'signed by its builder' : yellow(`not checked: ${each.unchecked}`),
    `${plural(each.files, 'file')}, ${formatSize(each.bytes)}`,
  ]);
  for (const row of alignColumns(rows)) terminal.result('  ', ...row);
  for (const { name, missing } of fetched)
    for (const artifact of missing) terminal.warn(`${name}/${artifact}: the depot does not hold it`);
  const [first = '', ...others] = differing(versions).map((name) => word(join(directory, name)));
  terminal.hint(
    others.length === 0
      ? 'they do not differ'
      : others.map((other) => `diffoscope ${first} ${other}`).join('; '),
  );
  if (over.length > 0) return EXIT.refused;
  return fetched.some(({ missing }) => missing.length > 0) ? EXIT.unable : EXIT.done;
}

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
    for (const line of alignColumns([['', shortly(builds[i])]])) terminal.result(...line);
  }
}

/** Digests have no place in a list. */
function shortly(build: BuildStatus | undefined): string {
  const [first, ...more] = build?.conflicts ?? [];
  // a builder that speaks against itself is said before the table
  if (first === undefined || build?.reasons[0]?.where !== first.artifact) return build?.why ?? '';
  const others = more.length === 0 ? '' : ` and ${plural(more.length, 'other')}`;
  return `builders do not agree about ${first.artifact}${others}`;
}

function showOne(project: Project, build: BuildStatus, fetching: boolean, terminal: Terminal): void {
  terminal.result(bold(`${build.project ?? '?'} ${build.version ?? '?'}`), '  ', coloured(build));
  const rows: Part[][] = [
    ['build', build.build],
    ['why', shortly(build)],
    sourceRow(build.source),
    ...(build.requester === null ? [] : approverRows(project, 'requester', build.requester)),
    ['approvers', `${build.approvers.length} of ${build.threshold}`],
    ...build.approvers.flatMap((each) => approverRows(project, '', each)),
    ['builders', quorumText(build)],
    ...build.slots.map((slot) => ['', `${slot.slot}: ${slot.scheme}, ${slotText(slot)}`]),
    ...(build.mode === 'digest' ? [['mode', 'digest: signed without being fetched']] : []),
    ['expires', build.expires ?? '?'],
    ...build.revocations.flatMap((each) => revocationRows(project, each)),
    ...logRows(build),
    ...build.reasons
      .filter(({ where }) => !build.conflicts.some(({ artifact }) => artifact === where))
      .map(({ code, where, text }) => ['reason', `${code}: ${where}: ${text}`]),
  ];
  for (const row of alignColumns(rows)) terminal.result('  ', ...row);
  showConflicts(build.conflicts, terminal);
  // who fetches is told what to compare
  if (!fetching) terminal.hint(build.hint);
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
    const rows = claims.flatMap(({ builder, made, late }) => [
      [builder, made === null ? yellow('made no such artifact') : made.sha256],
      ...(made === null || oneSize ? [] : [['', `${made.size} bytes`]]),
      ...(late ? [['', 'came after the freeze']] : []),
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
