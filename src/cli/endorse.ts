/** `countersign endorse`: a further approver looks at what another asked for, and signs it too. */
import { refused } from '../failure.ts';
import { now } from '../host/clock.ts';
import { changesSinceLast } from '../operator/changes.ts';
import { endorsed, prepareEndorsement, submitEndorsement } from '../operator/endorse.ts';
import type { Endorsed, PreparedEndorsement } from '../operator/endorse.ts';
import type { Project } from '../policy/project.ts';
import { locationUrl } from '../tree/location.ts';
import type { Depot } from '../tree/tree.ts';
import { approvalRows, approverRows, buildInQuestion, changeRows, revocationRows } from './approval-rows.ts';
import { sayAway } from './away.ts';
import { command } from './command.ts';
import { depotLocation, loadProject, openDepot, rulesOf } from './config.ts';
import { EXIT } from './exit-status.ts';
import { requireAnswer } from './question.ts';
import { linesToSign } from './rows.ts';
import type { Terminal } from './terminal.ts';
import { bold, plural } from './text.ts';
import type { Part } from './text.ts';
import { parseBuildId } from './values.ts';

export { endorse as command };

const endorse = command({
  name: 'endorse',
  synopsis: 'BUILD [flags]',
  about: `A further approver's signature: shows what was asked for, by whom, who has signed it already and what is other
than in the project's last approval; asks; signs exactly what was shown with your key (gpg asks as usual). Of a
release that somebody wants to withdraw: the same, for the reason that they gave; where nobody would be asked about
that, only with --withdraw.`,
  flags: {
    approver: { value: 'FPR', help: 'which key signs; else the one whose secret key is here' },
    expect: { value: 'DIGEST', help: 'refuse if the terms are not these' },
    withdraw: { help: 'withdraw the release, as another has asked, and allow nothing' },
    yes: { help: 'do not ask' },
  },
  operands: { min: 1, max: 1 },
  example: [
    'countersign endorse 01kat5bxhtqfj4v1rnd8mz3w7c',
    '# without a question, if the terms are those that were agreed on',
    'countersign endorse 01kat5bxhtqfj4v1rnd8mz3w7c --expect "$TERMS" --yes',
  ],
  async run({ flags, globals, operands: [operand = ''], terminal }) {
    const build = parseBuildId(operand);
    const { project } = loadProject(globals);
    const location = depotLocation(project, globals);
    const depot = await openDepot(rulesOf(project), location, null, { broken: sayAway(terminal) });
    try {
      const wanted = { build, approver: flags.approver ?? null, expect: flags.expect ?? null, now: now() };
      const prepared = await prepareEndorsement(project, depot, wanted);
      if (prepared.already) {
        terminal.say(
          `${prepared.approver.primary.fingerprint} has signed ${what(prepared)} before: nothing to do`,
        );
        return report(prepared, endorsed(project, prepared), terminal);
      }
      const unasked = flags.yes === true || flags.expect !== undefined || !terminal.interactive;
      requireMeant(prepared, flags.withdraw === true, unasked);
      requireAnswer(terminal, flags.yes);
      const rows = await rowsOf(project, depot, prepared, locationUrl(location));
      showSummary(prepared, rows, flags.yes === true, terminal);
      if (flags.yes !== true && !(await terminal.confirm(question(prepared))))
        throw refused('declined', 'the answer was no: nothing is signed');
      return report(prepared, await submitEndorsement(project, depot, prepared, now()), terminal);
    } finally {
      depot.close();
    }
  },
});

/**
 * What allows a build, given again by a script, must not withdraw its release meanwhile; nor the other way round.
 * Throws refused: `withdrawal-waits`, `withdrawal-missing`.
 */
function requireMeant(
  { approval: { build }, revocation }: PreparedEndorsement,
  withdraw: boolean,
  unasked: boolean,
): void {
  if (revocation !== null && !withdraw && unasked)
    throw refused(
      'withdrawal-waits',
      `build ${build} is released: what waits for a signature is that it be withdrawn`,
      `if you want that, too: countersign endorse ${build} --withdraw`,
    );
  if (revocation === null && withdraw)
    throw refused(
      'withdrawal-missing',
      `nobody has asked to withdraw a release of build ${build}`,
      `to ask for it: countersign revoke ${build} --reason TEXT`,
    );
}

const question = ({ approval, revocation }: PreparedEndorsement): string =>
  revocation === null
    ? `allow ${buildInQuestion(approval)}, too?`
    : `withdraw the release of ${approval.project} ${approval.version}, too?`;

async function rowsOf(
  project: Project,
  depot: Depot,
  prepared: PreparedEndorsement,
  place: string,
): Promise<Part[][]> {
  const { approval, approver, signed, revocation } = prepared;
  const { fingerprint } = approver.primary;
  return [
    ...(revocation === null ? [] : revocationRows(project, revocation)),
    ...approvalRows(project, approval),
    ['depot', place],
    ...signed.flatMap((each, at) => approverRows(project, at === 0 ? 'signed by' : '', each)),
    ...approverRows(project, 'you', fingerprint),
    ['approvers', `${project.threshold} needed, you are number ${signed.length + 1}`],
    ...(revocation === null ? changeRows(await changesSinceLast(project, depot, approval, now())) : []),
  ];
}

function showSummary(
  { approval, revocation }: PreparedEndorsement,
  rows: readonly Part[][],
  yes: boolean,
  terminal: Terminal,
): void {
  const show = yes ? terminal.say.bind(terminal) : terminal.show.bind(terminal);
  const name = bold(`${approval.project} ${approval.version}`);
  show(revocation === null ? 'about to allow a build of ' : 'about to withdraw the release ', name);
  for (const row of linesToSign(rows)) show('  ', ...row);
}

const what = ({ revocation }: PreparedEndorsement): string =>
  revocation === null ? 'the approval' : 'the withdrawal';

function report(prepared: PreparedEndorsement, done: Endorsed, terminal: Terminal): typeof EXIT.done {
  const { build, approvers, threshold, missing } = done;
  terminal.record({ ...done });
  terminal.result(build);
  terminal.result(
    missing > 0
      ? `${approvers.length} of ${threshold} approvers have signed ${what(prepared)}: it waits for ${missing} more`
      : `${plural(approvers.length, 'approver')} signed ${what(prepared)}, ${threshold} needed: the threshold is reached`,
  );
  terminal.hint(missing > 0 ? `each of them: countersign endorse ${build}` : '');
  return EXIT.done;
}
