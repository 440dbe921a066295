/** `countersign sign`: the signer's one command, on the host that holds the release key. */
import { join, resolve } from 'node:path';
import type { Failure } from '../failure.ts';
import { SteadyClock } from '../host/clock.ts';
import { Agent } from '../openpgp/agent.ts';
import { recover } from '../signer/recover.ts';
import type { Recovered } from '../signer/recover.ts';
import { exitStatus } from '../signer/result.ts';
import type { BuildResult } from '../signer/result.ts';
import { runRound } from '../signer/round.ts';
import type { AskedBuilder, Signer, SignerEvent, SigningQuestion } from '../signer/signer.ts';
import { openState } from '../signer/state.ts';
import { watch } from '../signer/watch.ts';
import { parseBuildId } from './values.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { sayAway } from './away.ts';
import { command, wrongUse } from './command.ts';
import { depotLocation, loadProject, openDepot, readGuardedFile, rulesOf } from './config.ts';
import { EXIT } from './exit-status.ts';
import { sayIfInterrupted } from './interrupted.ts';
import { Progress } from './progress.ts';
import { requireAnswer } from './question.ts';
import { keyRows, linesToSign, sourceRow } from './rows.ts';
import type { Terminal } from './terminal.ts';
import { bold, formatSize, green, plural, red, spaced, yellow } from './text.ts';
import type { Part, Styled } from './text.ts';

export { sign as command };

const WATCH_INTERVAL_SECONDS = 5;
/** A question names this many artifacts, and counts the rest. */
const LISTED = 10;

/** What the next run need not do again. */
const KEPT: Partial<Record<SignerEvent['kind'], string>> = {
  reading: 'nothing of this build is signed yet, and its artifacts are read again',
  signing: 'the signatures made so far are kept',
  delivering: 'all of this build is signed, and what the depot lacks is sent',
};

const sign = command({
  name: 'sign',
  synopsis: '[BUILD...] [--once|--watch]',
  about: `Examines every build that waits (or those named), signs the artifacts of those that approvers allowed and a
builder sealed, and publishes them. Uses the release key through gpg-agent alone; opens outbound connections
only. Whatever the depot or the network spoilt is tried again on the next run.`,
  flags: {
    state: { value: 'DIR', help: 'log key, token and journal; else signer/ beside the project file' },
    once: { help: 'one round, then end (as without it)' },
    watch: { help: 'round after round, until stopped' },
    'no-wait': { help: 'end when the depot has what is signed; the next run has it published' },
    yes: { help: 'do not ask' },
    keep: { value: 'DIR', help: 'have what it signs in DIR too, as PROJECT-VERSION/NAME' },
    recover: { help: 'first take back what the depot has of the log and this state has not' },
  },
  operands: { min: 0, max: 1_000 },
  example: ['countersign sign --once', 'countersign sign --watch --yes     # as a service'],
  async run({ flags, globals, operands, terminal }) {
    if (flags.once === true && flags.watch === true)
      throw wrongUse('sign', '--once and --watch exclude each other');
    if (flags.watch === true && operands.length > 0)
      throw wrongUse('sign', '--watch takes no BUILD: it handles all of them');
    if (flags.watch === true && flags['no-wait'] === true)
      throw wrongUse('sign', '--no-wait and --watch exclude each other: the next round waits');
    const clock = new SteadyClock();
    const named = operands.map(parseBuildId);

    const { project, directory } = loadProject(globals, readGuardedFile);
    // once there is something to ask would be late for a service
    if (flags.watch === true) requireAnswer(terminal, flags.yes);
    const location = depotLocation(project, globals);
    // a watch says it once: it goes on for days
    const waiting = flags.watch === true ? {} : { broken: sayAway(terminal) };
    const publicDepot = await openDepot(rulesOf(project), location, null, waiting);
    const stateDirectory = resolve(flags.state ?? join(directory, 'signer'));
    const state = await openState(stateDirectory, project, { recover: flags.recover === true });
    const depot = await openDepot(rulesOf(project), location, state.token, waiting);
    const keep = flags.keep === undefined ? null : await DirectoryTree.make(resolve(flags.keep));
    const report = reporter(terminal);
    let phase: SignerEvent['kind'] = 'note';
    const signer: Signer = {
      keep,
      wait: flags['no-wait'] !== true,
      loadProject: async () => loadProject(globals, readGuardedFile).project,
      depot,
      publicDepot,
      state,
      connectAgent: () => Agent.connect(),
      ask: (question) => ask(question, flags.yes === true, terminal),
      report: (event) => {
        if (event.kind !== 'note') phase = event.kind;
        report(event);
      },
      now: clock.now,
    };
    try {
      if (flags.recover === true) showRecovered(await recover(signer), terminal);
      if (flags.watch === true) {
        await watch(signer, { interval: WATCH_INTERVAL_SECONDS, stop: stopSignal() });
        return EXIT.done;
      }
      const done = sayIfInterrupted(terminal, () => KEPT[phase] ?? 'it goes on');
      const round = await runRound(signer, named).finally(done);
      if (round.log !== null) showUnsent(round.log, terminal);
      else if (round.results.length === 0) terminal.say('nothing to do');
      return exitStatus(round, named);
    } finally {
      depot.close();
      publicDepot.close();
      await state.close();
    }
  },
});

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}

async function ask(question: SigningQuestion, yes: boolean, terminal: Terminal): Promise<boolean> {
  requireAnswer(terminal, yes);
  const what = `${question.project} ${question.version}`;
  const show = yes ? terminal.say.bind(terminal) : terminal.show.bind(terminal);
  show('about to sign ', bold(what));
  for (const row of summaryRows(question)) show('  ', ...row);
  return yes || terminal.confirm(`sign ${what}, ${agreeing(question)}?`);
}

function summaryRows(question: SigningQuestion): Part[][] {
  const { artifacts, builders } = question;
  const rows: Part[][] = [
    ['build', question.build],
    sourceRow(question.source),
    ...question.approvers.flatMap((key) => keyRows('allowed by', key)),
    ['approvers', `${question.approvers.length} of ${question.threshold} needed`],
    ['built by', agreement(question)],
    ...builders.flatMap(builderRows),
    ...keyRows('release key', question.releaseKey),
    ['signing key', spaced(question.signingKey)],
    ['artifacts', `${artifacts.length}, ${formatSize(question.bytes)}`],
    ...artifacts.slice(0, LISTED).map(({ name, size }) => ['', `${name}  ${formatSize(size)}`]),
  ];
  if (artifacts.length > LISTED) rows.push(['', `… and ${artifacts.length - LISTED} more`]);
  if (question.mode === 'digest') rows.push(['mode', yellow('digest: signed without being fetched')]);
  return linesToSign(rows);
}

/** As `verify` says it: a quorum of one is a single builder, however many there are. */
function agreement({ assurance, builders, slots, quorum }: SigningQuestion): string {
  const names = builders.map(({ slot }) => slot).join(', ');
  if (assurance === 'single-builder') return `${assurance}: ${names}`;
  const needed = builders.length > quorum ? `, ${quorum} needed` : '';
  return `${builders.length} of ${slots} builders agree${needed}: ${names}`;
}

const agreeing = ({ builders, slots }: SigningQuestion): string =>
  `${builders.length} of ${plural(slots, 'builder')}`;

const builderRows = ({ slot, scheme, id, command, statement }: AskedBuilder): string[][] => [
  ['builder', `${slot}, ${id}`],
  ...(scheme === 'mac' ? [['', 'MAC: convinces this signer alone']] : []),
  ['command', command ?? 'not stated'],
  ['statement', statement],
];

/** Shows progress, and each build's result when it is known. */
function reporter(terminal: Terminal): (event: SignerEvent) => void {
  let progress: { readonly kind: string; readonly build: string; readonly shown: Progress } | null = null;
  return (event) => {
    if (event.kind === 'note')
      return terminal.say(event.build === null ? event.text : `${event.build}: ${event.text}`);
    if (event.kind === 'continuing') {
      const { project, version } = event.decided;
      terminal.say(
        'going on with ',
        bold(`${project} ${version}`),
        ': to sign it was decided and logged before',
      );
      return summaryRows(event.decided).forEach((row) => terminal.say('  ', ...row));
    }
    if (event.kind === 'result') {
      progress = null;
      return showResult(event.result, terminal);
    }
    if (event.kind === 'unreached') {
      progress = null;
      return recordResult(event.result, terminal);
    }
    if (event.kind === 'delivering') {
      // of a few it is over at once
      if (event.files > 100) terminal.status(`${event.step}  ${event.build}`);
      return;
    }
    if (progress?.kind !== event.kind || progress.build !== event.build)
      progress = { kind: event.kind, build: event.build, shown: new Progress(terminal, event.kind) };
    if (event.kind === 'reading') progress.shown.update(event.done, event.bytes, event.build);
    else progress.shown.count(event.done, event.signatures, 'signatures (with SHA256SUMS)');
  };
}

function showRecovered({ entries, closed }: Recovered, terminal: Terminal): void {
  terminal.record({ recovered: entries, closed });
  terminal.say(`adopted ${entries} of the log’s entries, closed ${plural(closed, 'build')}`);
}

function showUnsent({ code, message, hint }: Failure, terminal: Terminal): void {
  terminal.record({ log: 'unfinished', code, message, hint });
  terminal.say(`the log could not be sent: ${message}`);
  terminal.hint(hint);
}

const OUTCOME_STYLE: Record<BuildResult['outcome'], (text: string) => Styled> = {
  published: green,
  sent: green,
  waiting: yellow,
  void: red,
  declined: yellow,
  decided: yellow,
  refused: red,
  bad: red,
  unfinished: red,
};

function recordResult(result: BuildResult, terminal: Terminal): void {
  const { build, state, code, artifacts, bytes, signSeconds, publishSeconds } = result;
  const tally = { artifacts, bytes, signSeconds, publishSeconds };
  terminal.record({ build, state, ...(code !== null && { code }), ...tally });
}

function showResult(result: BuildResult, terminal: Terminal): void {
  recordResult(result, terminal);
  const { build, state, artifacts, bytes, signSeconds } = result;
  const line = [bold(build), '  ', OUTCOME_STYLE[result.outcome](state), `  ${result.text}`];
  if (!terminal.json) terminal.result(...line);
  else terminal.say(...line);
  if (result.outcome === 'published' || result.outcome === 'sent') {
    // 0: this run has signed nothing of it
    const signed = signSeconds > 0 ? `signed in ${signSeconds.toFixed(1)} s` : 'signed by an earlier run';
    terminal.say(`  ${plural(artifacts, 'artifact')}, ${formatSize(bytes)}, ${signed}`);
  }
  terminal.hint(result.hint);
}
