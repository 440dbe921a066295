/** `countersign approve`: an operator allows one build, and gets the ticket for its builder. */
import { now } from '../host/clock.ts';
import { refused } from '../failure.ts';
import { prepareApproval, submitApproval } from '../operator/approve.ts';
import type { ApprovalSummary } from '../operator/approve.ts';
import { parseDuration } from '../policy/duration.ts';
import { parseCount, parseSize } from './values.ts';
import { command, wrongUse } from './command.ts';
import { depotUrl, loadProject, openDepot } from './config.ts';
import { EXIT } from './exit-status.ts';
import { requireAnswer } from './question.ts';
import type { Terminal } from './terminal.ts';
import { alignColumns, bold, formatSize, plural, spaced, yellow } from './text.ts';

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
    builders: { value: 'N', help: 'how many builders build it; 1' },
    quorum: { value: 'K', help: 'how many of them must agree; all' },
    scheme: { value: 'SCHEME', help: 'how the builder proves itself; keypair' },
    mode: { value: 'MODE', help: 'how the signer gets the artifacts; fetch' },
    expires: {
      value: 'TIME',
      help: 'until when the builder must be done (90s, 10m, 4h, 1d); 4h or what the project allows',
    },
    approver: { value: 'FPR', help: 'which key signs; else the one whose secret key is here' },
    expect: { value: 'DIGEST', help: 'refuse if the terms are not these' },
    yes: { help: 'do not ask' },
  },
  operands: { min: 1, max: 1 },
  example: [
    "countersign approve 1.4.0 --artifact 'app-*.tgz' --tickets ./tickets",
    'scp -p tickets/b1.ticket builder:   # then, there: countersign attest --ticket b1.ticket app-1.4.0.tgz',
  ],
  async run({ flags, globals, operands: [version = ''], terminal }) {
    if (flags.tickets === undefined) throw wrongUse('approve', '--tickets DIR is missing');
    requireAnswer(terminal, flags.yes);
    const { project } = loadProject(globals);
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
      depot: depotUrl(project, globals),
      now: now(),
    });
    showSummary(prepared.summary, terminal);
    if (flags.yes !== true && !(await terminal.confirm('allow this build?')))
      throw refused('declined', 'the answer was no: nothing is allowed');
    const depot = openDepot(project, globals);
    try {
      const submitted = await submitApproval(project, prepared, {
        depot,
        directory: flags.tickets,
      });
      terminal.record({ ...submitted });
      terminal.result(submitted.build);
      for (const [slot, path] of Object.entries(submitted.tickets))
        terminal.say(`ticket of ${slot}: `, bold(path));
      terminal.hint('hand the ticket to the builder, there: countersign attest --ticket FILE PATH...');
      return EXIT.done;
    } finally {
      depot.close();
    }
  },
});

function showSummary(summary: ApprovalSummary, terminal: Terminal): void {
  const { approval } = summary;
  const { artifacts } = approval;
  const more = summary.furtherApprovers;
  terminal.show('about to allow a build of ', bold(`${approval.project} ${approval.version}`));
  const rows = [
    ['build', approval.build],
    [
      'source',
      approval.source
        ? `${approval.source.uri} at ${approval.source.digest.gitCommit}`
        : yellow('source not stated'),
    ],
    ['artifacts', `named ${artifacts.patterns.join('  ')}`],
    [
      'limits',
      `${plural(artifacts.maxCount, 'artifact')}, ${formatSize(artifacts.maxBytes)} each, ${formatSize(artifacts.maxTotalBytes)} in all`,
    ],
    ['builders', `${Object.keys(approval.builders).join(', ')}: ${summary.assurance}`],
    ['time', `until ${approval.expires}`],
    ['depot', summary.depot],
    ['signs it', `${spaced(summary.releaseKey.fingerprint)}  ${summary.releaseKey.userId}`],
    ['you', `${spaced(summary.approver.fingerprint)}  ${summary.approver.userId}`],
    ['approvers', `${summary.threshold} needed${more > 0 ? `, ${more} more after you` : ''}`],
    ['terms', summary.terms],
  ];
  for (const row of alignColumns(rows)) terminal.show('  ', ...row);
}
