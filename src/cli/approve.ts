/** `countersign approve`: an operator allows one build, and gets the ticket for its builder. */
import { now } from '../host/clock.ts';
import { Failure, refused } from '../failure.ts';
import { prepareApproval } from '../operator/approve.ts';
import type { ApprovalSummary, PreparedApproval } from '../operator/approve.ts';
import { requireNoTickets, submitApproval } from '../operator/submit.ts';
import { versionTaken } from '../operator/version-taken.ts';
import { logSize, waitForLog } from '../operator/wait.ts';
import { formatDuration, parseDuration } from '../policy/duration.ts';
import type { Project } from '../policy/project.ts';
import type { Approval } from '../records/approval.ts';
import { timestampDate } from '../records/names.ts';
import { locationUrl } from '../tree/location.ts';
import type { Depot } from '../tree/tree.ts';
import { parseCount, parseSize } from './values.ts';
import { command, wrongUse } from './command.ts';
import { depotLocation, loadProject, makeDepot, openDepot, rulesOf } from './config.ts';
import { EXIT } from './exit-status.ts';
import { stopSignal } from './listen.ts';
import { requireAnswer } from './question.ts';
import { keyRows, sourceRow } from './rows.ts';
import type { Terminal } from './terminal.ts';
import { alignColumns, bold, formatSize, plural } from './text.ts';

const optional = <T>(
  text: string | undefined,
  flag: string,
  parse: (text: string, flag: string) => T,
): T | null => (text === undefined ? null : parse(text, flag));

export { approve as command };

const approve = command({
  name: 'approve',
  synopsis: 'VERSION --tickets DIR [flags]',
  about: `Allows one build of VERSION: makes the build's own key, signs an approval that names it with your key
(gpg asks as usual), sends it to the depot and writes the ticket that the builder needs to DIR/b1.ticket.
The ticket is secret: hand it to the builder and to nobody else.`,
  flags: {
    tickets: { value: 'DIR', help: 'where the ticket is written, mode 0600' },
    source: { value: 'URI@COMMIT', help: 'what is built; else origin and HEAD of the checkout here' },
    artifact: {
      value: 'PATTERN',
      many: true,
      help: 'names that the build may have; else what the project allows',
    },
    'max-count': { value: 'N', help: 'artifacts at most' },
    'max-size': { value: 'BYTES', help: 'bytes of each artifact at most (64M, 2GiB)' },
    'max-total': { value: 'BYTES', help: 'bytes of all artifacts at most' },
    builders: { value: 'N', help: 'how many builders build it; only 1 in this version' },
    quorum: { value: 'K', help: 'how many of them must agree; only 1 in this version' },
    scheme: { value: 'SCHEME', help: 'how the builder proves itself; only keypair in this version' },
    mode: { value: 'MODE', help: 'how the signer gets the artifacts; only fetch in this version' },
    expires: {
      value: 'TIME',
      help: 'until when the signer must have seen the finished build (90s, 10m, 4h, 1d); 4h or what the project allows',
    },
    approver: { value: 'FPR', help: 'which key signs; else the one whose secret key is here' },
    expect: { value: 'DIGEST', help: 'refuse if the terms are not these' },
    wait: { help: 'write the ticket only when the signer has logged the approval, for all to see' },
    yes: { help: 'do not ask' },
  },
  operands: { min: 1, max: 1 },
  example: [
    "countersign approve 1.4.0 --artifact 'app-*.tgz' --tickets ./tickets",
    'scp -p tickets/b1.ticket builder:',
    'ssh builder countersign attest --ticket b1.ticket app-1.4.0.tgz',
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
      mode: flags.mode ?? null,
      lifetime: optional(flags.expires, '--expires', parseDuration),
      approver: flags.approver ?? null,
      expect: flags.expect ?? null,
      depot: locationUrl(location),
      now: now(),
    });
    await requireNoTickets(prepared, flags.tickets);
    await makeDepot(location, terminal);
    const depot = await openDepot(rulesOf(project), location);
    try {
      requireAnswer(terminal, flags.yes);
      const taken = await takenWarning(project, depot, prepared.summary.approval);
      showSummary(prepared.summary, flags.yes === true, terminal);
      for (const warning of prepared.summary.warnings) terminal.warn(warning);
      if (taken !== null) terminal.warn(taken);
      if (flags.yes !== true && !(await terminal.confirm('allow this build?')))
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
      terminal.hint(
        taken === null
          ? 'hand the ticket to the builder, there: countersign attest --ticket FILE PATH...'
          : 'mind the warning above before the ticket goes to the builder: a build that the signer refuses is in vain',
      );
      return EXIT.done;
    } finally {
      depot.close();
    }
  },
});

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

/** A warning; null also where the depot can't be asked: it will say so itself when the approval is sent. */
async function takenWarning(project: Project, depot: Depot, { version }: Approval): Promise<string | null> {
  try {
    const taken = await versionTaken(project, depot, version, now());
    return taken && `the signer will refuse this: ${taken}`;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const unseen = ['depot-listing', 'look-too-long'].includes(error.code);
    return unseen ? `whether another build has ${version} was not seen: ${error.message}` : null;
  }
}

function showSummary(summary: ApprovalSummary, yes: boolean, terminal: Terminal): void {
  const show = yes ? terminal.say.bind(terminal) : terminal.show.bind(terminal);
  const { approval } = summary;
  const { artifacts } = approval;
  const more = summary.furtherApprovers;
  show('about to allow a build of ', bold(`${approval.project} ${approval.version}`));
  const rows = [
    ['build', approval.build],
    sourceRow(approval.source),
    ['artifacts', `named ${artifacts.patterns.join('  ')}`],
    [
      'limits',
      `${plural(artifacts.maxCount, 'artifact')}, ${formatSize(artifacts.maxBytes)} each, ${formatSize(artifacts.maxTotalBytes)} in all`,
    ],
    ['builders', `${Object.keys(approval.builders).join(', ')}: ${summary.assurance}`],
    ['time', `until ${approval.expires}, in ${lifetimeOf(approval)}`],
    ['depot', summary.depot],
    ...keyRows('signs it', summary.releaseKey),
    ...keyRows('you', summary.approver),
    ['approvers', `${summary.threshold} needed${more > 0 ? `, ${more} more after you` : ''}`],
    ['terms', summary.terms],
  ];
  for (const row of alignColumns(rows)) show('  ', ...row);
}

const lifetimeOf = ({ notBefore, expires }: Approval): string =>
  formatDuration((timestampDate(expires).getTime() - timestampDate(notBefore).getTime()) / 1000);
