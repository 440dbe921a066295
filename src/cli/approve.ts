/** `countersign approve`: an operator allows one build, and gets the ticket for its builder. */
import { now } from '../host/clock.ts';
import type { Broken } from '../host/http.ts';
import { Failure, refused } from '../failure.ts';
import { prepareApproval } from '../operator/approve.ts';
import type { ApprovalSummary, PreparedApproval } from '../operator/approve.ts';
import { changesSinceLast } from '../operator/changes.ts';
import type { Changes } from '../operator/changes.ts';
import { keyFact } from '../openpgp/key-fact.ts';
import { requireNoTickets, submitApproval } from '../operator/submit.ts';
import { versionTaken } from '../operator/version-taken.ts';
import { logSize, waitForLog } from '../operator/wait.ts';
import { parseDuration } from '../policy/duration.ts';
import type { Project } from '../policy/project.ts';
import type { Approval } from '../records/approval.ts';
import { locationUrl } from '../tree/location.ts';
import type { Depot } from '../tree/tree.ts';
import { SIZES, parseCount, parseSize } from './values.ts';
import { sayAway } from './away.ts';
import { command, wrongUse } from './command.ts';
import { depotLocation, loadProject, makeDepot, openDepot, rulesOf } from './config.ts';
import { EXIT } from './exit-status.ts';
import { stopSignal } from './listen.ts';
import { requireAnswer } from './question.ts';
import { approvalRows, buildInQuestion, changeRows } from './approval-rows.ts';
import { linesToSign } from './rows.ts';
import type { Terminal } from './terminal.ts';
import { alignColumns, bold, spaced } from './text.ts';

const optional = <T>(
  text: string | undefined,
  flag: string,
  parse: (text: string, flag: string) => T,
): T | null => (text === undefined ? null : parse(text, flag));

export { approve as command };

const approve = command({
  name: 'approve',
  synopsis: 'VERSION --tickets DIR [flags]',
  about: `Allows one build of VERSION: makes a key or a nonce for each of its builders, signs an approval that names
them with your key (gpg asks as usual), sends it to the depot and writes the ticket that each builder needs to
DIR/b1.ticket, DIR/b2.ticket and so on. A ticket is secret: hand it to its builder and to nobody else.`,
  flags: {
    tickets: { value: 'DIR', help: 'where the tickets are written, mode 0600' },
    source: { value: 'URI@COMMIT', help: 'what is built; else origin and HEAD of the checkout here' },
    artifact: {
      value: 'PATTERN',
      many: true,
      help: 'names that the build may have; else what the project allows',
    },
    'max-count': { value: 'N', help: 'artifacts at most' },
    'max-size': { value: 'BYTES', help: `bytes of each artifact at most (${SIZES})` },
    'max-total': { value: 'BYTES', help: 'bytes of all artifacts at most' },
    builders: { value: 'N', help: 'how many builders build it, 1 to 16; 1' },
    quorum: { value: 'K', help: 'how many of them must agree; all' },
    scheme: {
      value: 'SCHEME',
      help: 'how builders prove themselves: keypair (a key in the ticket), mac (convinces the signer alone) or enrol (a key of their own); keypair',
    },
    'enrol-by': { value: 'TIME', help: 'how long builders may enrol; the signer signs nothing before; 10m' },
    mode: {
      value: 'MODE',
      help: 'how the signer gets the artifacts: fetch, or digest (it signs from hash states, and reads none); fetch',
    },
    expires: {
      value: 'TIME',
      help: 'until when the signer must have seen the finished build (90s, 10m, 4h, 1d); 4h or what the project allows',
    },
    approver: { value: 'FPR', help: 'which key signs; else the one whose secret key is here' },
    expect: { value: 'DIGEST', help: 'refuse if the terms are not these' },
    wait: { help: 'write the tickets only when the signer has logged the approval, for all to see' },
    yes: { help: 'do not ask' },
  },
  operands: { min: 1, max: 1 },
  example: [
    "countersign approve 1.4.0 --artifact 'app-*.tgz' --tickets ./tickets",
    'scp -p tickets/b1.ticket builder:',
    'ssh builder countersign attest --ticket b1.ticket app-1.4.0.tgz',
    '# three builders, two of which must agree, each with a key of its own',
    'countersign approve 1.4.0 --builders 3 --quorum 2 --scheme enrol --tickets DIR',
    '# the ticket only once the approval is in the log; a short time while trying',
    'countersign approve 1.4.1 --wait --expires 10m --tickets ./tickets',
  ],
  async run({ flags, globals, operands: [version = ''], terminal }) {
    if (flags.tickets === undefined) throw wrongUse('approve', '--tickets DIR is missing');
    const { project } = loadProject(globals);
    const location = depotLocation(project, globals);
    const prepared = await prepareApproval(project, {
      version,
      source: flags.source ?? null,
      directory: process.cwd(),
      patterns: flags.artifact ?? null,
      maxCount: optional(flags['max-count'], '--max-count', parseCount),
      maxBytes: optional(flags['max-size'], '--max-size', parseSize),
      maxTotalBytes: optional(flags['max-total'], '--max-total', parseSize),
      builders: optional(flags.builders, '--builders', parseCount),
      quorum: optional(flags.quorum, '--quorum', parseCount),
      scheme: flags.scheme ?? null,
      enrolBy: optional(flags['enrol-by'], '--enrol-by', parseDuration),
      mode: flags.mode ?? null,
      lifetime: optional(flags.expires, '--expires', parseDuration),
      approver: flags.approver ?? null,
      expect: flags.expect ?? null,
      depot: locationUrl(location),
      now: now(),
    });
    await requireNoTickets(prepared, flags.tickets);
    await makeDepot(location, terminal);
    const say = sayAway(terminal);
    let said = '';
    const broken: Broken = (failure, pauseMs) => {
      if (failure !== null) said = `: ${failure.message}`;
      say(failure, pauseMs);
    };
    const depot = await openDepot(rulesOf(project), location, null, { broken });
    try {
      requireAnswer(terminal, flags.yes);
      const taken = await takenWarning(project, depot, prepared.summary.approval, () => said);
      const { approval } = prepared.summary;
      const changes = await changesSinceLast(project, depot, approval, now());
      showSummary(project, { summary: prepared.summary, changes, yes: flags.yes === true }, terminal);
      for (const warning of prepared.summary.warnings) terminal.warn(warning);
      if (taken !== null) terminal.warn(taken);
      if (flags.yes !== true && !(await terminal.confirm(`allow ${buildInQuestion(approval)}?`)))
        throw refused('declined', 'the answer was no: nothing is allowed');
      const submitted = await submitApproval(project, prepared, {
        depot,
        directory: flags.tickets,
        ...(flags.wait === true && { wait: await patience(project, depot, prepared, terminal) }),
      });
      terminal.record({ ...submitted });
      terminal.result(submitted.build);
      for (const [slot, path] of Object.entries(submitted.tickets))
        terminal.show(`ticket of ${slot}: `, bold(path));
      sayWhoIsAwaited(project, approval, terminal);
      terminal.hint(taken === null ? handOn(prepared.tickets.size) : MIND);
      return EXIT.done;
    } finally {
      depot.close();
    }
  },
});

const handOn = (tickets: number): string =>
  tickets === 1
    ? 'hand the ticket to the builder, there: countersign attest --ticket FILE PATH...'
    : 'hand each ticket to its own builder, there: countersign attest --ticket FILE PATH...';
const MIND =
  'mind the warning above before a ticket goes to its builder: a build that the signer refuses is in vain';

interface Shown {
  readonly summary: ApprovalSummary;
  readonly changes: Changes;
  readonly yes: boolean;
}

/** What `--wait` does once the approval is sent; called before, as it looks how far the log is. */
async function patience(
  project: Project,
  depot: Depot,
  { summary: { approval }, bytes }: PreparedApproval,
  terminal: Terminal,
): Promise<() => Promise<void>> {
  const from = await logSize(project, depot);
  return async () => {
    const { build, expires } = approval;
    const stop = new AbortController();
    void stopSignal().then(() => stop.abort());
    terminal.say(`build ${build} is sent; waiting until ${expires} for the signer to log the approval`);
    const report = (trouble: string): void => terminal.say(`${trouble}; tried again every second`);
    await waitForLog(project, depot, { approval, bytes }, from, { stop: stop.signal, now, report });
  };
}

/**
 * A warning, with what the depot `said` when it let us wait; null also where the depot can't be asked: it will say so
 * itself when the approval is sent.
 */
async function takenWarning(
  project: Project,
  depot: Depot,
  { version }: Approval,
  said: () => string,
): Promise<string | null> {
  try {
    return await versionTaken(project, depot, version, now());
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const unseen = ['depot-listing', 'look-too-long'].includes(error.code);
    return unseen ? `whether another build has ${version} was not seen: ${error.message}${said()}` : null;
  }
}

function showSummary(project: Project, { summary, changes, yes }: Shown, terminal: Terminal): void {
  const show = yes ? terminal.say.bind(terminal) : terminal.show.bind(terminal);
  const { approval } = summary;
  const more = project.threshold - 1;
  show('about to allow a build of ', bold(`${approval.project} ${approval.version}`));
  const rows = [
    ...approvalRows(project, approval),
    ['depot', summary.depot],
    ['approvers', `${project.threshold} needed${more > 0 ? `, ${more} more after you` : ''}`],
    ...changeRows(changes),
  ];
  for (const row of linesToSign(rows)) show('  ', ...row);
}

/** Whom the build waits for, with the line that each of them types. */
function sayWhoIsAwaited(
  { approvers, threshold }: Project,
  { build, requester }: Approval,
  terminal: Terminal,
): void {
  if (threshold === 1) return;
  const others = approvers.map(keyFact).filter(({ fingerprint }) => fingerprint !== requester);
  terminal.say(
    `it waits for ${threshold - 1} of these to endorse it, each with countersign endorse ${build}`,
  );
  for (const row of alignColumns(others.map(({ fingerprint, userId }) => [spaced(fingerprint), userId])))
    terminal.say('  ', ...row);
}
