/** `countersign status`: where each build stands, and why it waits. */
import { now } from '../host/clock.ts';
import { listStatus } from '../operator/status.ts';
import type { BuildStatus } from '../operator/status.ts';
import { command } from './command.ts';
import { loadProject, openDepot } from './config.ts';
import { EXIT } from './exit-status.ts';
import type { Terminal } from './terminal.ts';
import { alignColumns, bold, green, red, yellow } from './text.ts';
import type { Part } from './text.ts';
import { parseBuildId } from './values.ts';

export { status as command };

const status = command({
  name: 'status',
  synopsis: '[BUILD]',
  about: `Says where each build of the depot stands and why it waits, or all about one of them. What the depot says is
believed only as far as signatures and log proofs carry it.`,
  flags: {},
  operands: { min: 0, max: 1 },
  example: ['countersign status', 'countersign status 01kat5bxhtqfj4v1rnd8mz3w7c --json | jq .state'],
  async run({ globals, operands: [wanted], terminal }) {
    const build = wanted === undefined ? null : parseBuildId(wanted);
    const { project } = loadProject(globals);
    const depot = openDepot(project, globals);
    try {
      const shown: BuildStatus[] = [];
      for await (const each of listStatus(project, depot, { build, now: now() })) {
        terminal.record({ ...each });
        shown.push(each);
      }
      if (build === null) showTable(shown, terminal);
      else for (const each of shown) showOne(each, terminal);
      return EXIT.done;
    } finally {
      depot.close();
    }
  },
});

function coloured(state: string): Part {
  if (state === 'published') return green(state);
  return ['refused', 'frozen', 'expired', 'unreadable'].includes(state) ? red(state) : yellow(state);
}

function showTable(builds: readonly BuildStatus[], terminal: Terminal): void {
  if (builds.length === 0) terminal.say('no builds');
  const rows = builds.map((each) => [
    each.build,
    each.version ?? '?',
    coloured(each.state),
    each.assurance,
    each.why,
  ]);
  for (const row of alignColumns(rows)) terminal.result(...row);
}

function showOne(build: BuildStatus, terminal: Terminal): void {
  terminal.result(bold(`${build.project ?? '?'} ${build.version ?? '?'}`), '  ', coloured(build.state));
  const slots = build.slots.map(
    (slot) => `${slot.slot} (${slot.scheme}, ${slot.statement ? 'sealed' : 'no statement yet'})`,
  );
  const rows: [string, string][] = [
    ['build', build.build],
    ['why', build.why],
    [
      'source',
      build.source ? `${build.source.uri} at ${build.source.digest.gitCommit}` : 'source not stated',
    ],
    ['requester', build.requester ?? '?'],
    ['approvers', `${build.approvers.length} of ${build.threshold}: ${build.approvers.join(' ')}`],
    ['builders', `${slots.join(', ')}: ${build.assurance}`],
    ['expires', build.expires ?? '?'],
    ...(build.logIndex === null ? [] : [['log', `entry ${build.logIndex}`] as [string, string]]),
    ...build.reasons.map((reason): [string, string] => [
      'reason',
      `${reason.code}: ${reason.where}: ${reason.text}`,
    ]),
  ];
  for (const row of alignColumns(rows)) terminal.result('  ', ...row);
  terminal.hint(build.hint);
}
