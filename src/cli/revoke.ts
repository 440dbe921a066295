/** `countersign revoke`: an approver ends a build, or withdraws a release. */
import { refused } from '../failure.ts';
import { now } from '../host/clock.ts';
import { loggedRevocation, prepareRevocation, sendRevocation } from '../operator/revoke.ts';
import type { PreparedRevocation } from '../operator/revoke.ts';
import type { Project } from '../policy/project.ts';
import type { Depot } from '../tree/tree.ts';
import { approverRows, revocationRows } from './approval-rows.ts';
import { sayAway } from './away.ts';
import { command, wrongUse } from './command.ts';
import { depotLocation, loadProject, openDepot, rulesOf } from './config.ts';
import { EXIT } from './exit-status.ts';
import type { ExitStatus } from './exit-status.ts';
import { stopSignal } from './listen.ts';
import { Progress } from './progress.ts';
import { requireAnswer } from './question.ts';
import { linesToSign, sourceRow } from './rows.ts';
import type { Terminal } from './terminal.ts';
import { bold, plural } from './text.ts';
import { parseBuildId, parseCount } from './values.ts';

export { revoke as command };

const revoke = command({
  name: 'revoke',
  synopsis: 'BUILD --reason TEXT [flags]',
  about: `Takes an approval back. Before its build is released one approver is enough, and the signer signs nothing of it any more.
After that the release is withdrawn, which takes as many approvers as allowing it did; verify then says no, and why.
In force once the signer has logged it. Never undone.`,
  flags: {
    reason: { value: 'TEXT', help: 'why, in a line; everybody will read it' },
    approver: { value: 'FPR', help: 'which key signs; else the one whose secret key is here' },
    wait: { value: 'SECONDS', help: 'how long to wait for the signer to log it; exit 3 if it has not' },
    yes: { help: 'do not ask' },
  },
  operands: { min: 1, max: 1 },
  example: [
    "countersign revoke 01kat5bxhtqfj4v1rnd8mz3w7c --reason 'the builder is broken'",
    '# in a script: ends when the signer has logged it, or with status 3',
    'countersign revoke $BUILD --reason "wrong commit" --yes --wait 120',
  ],
  async run({ flags, globals, operands: [operand = ''], terminal }) {
    if (flags.reason === undefined) throw wrongUse('revoke', '--reason TEXT is missing');
    const build = parseBuildId(operand);
    const seconds = flags.wait === undefined ? null : parseCount(flags.wait, '--wait');
    const { project } = loadProject(globals);
    const depot = await openDepot(rulesOf(project), depotLocation(project, globals), null, {
      broken: sayAway(terminal),
    });
    try {
      const progress = new Progress(terminal, 'reading the log');
      const prepared = await prepareRevocation(project, depot, {
        build,
        reason: flags.reason,
        approver: flags.approver ?? null,
        now: now(),
        readingLog: (done, entries) => progress.count(done, entries),
      });
      if (prepared.logged === null && !isMine(prepared)) {
        requireAnswer(terminal, flags.yes);
        showSummary(project, prepared, flags.yes === true, terminal);
        if (flags.yes !== true && !(await terminal.confirm(question(prepared))))
          throw refused('declined', 'the answer was no: nothing is revoked');
        const { bytes: approval, approver, reason } = prepared;
        const mine = await sendRevocation(project, depot, { approval, approver, reason, now: now() });
        return await report(
          project,
          depot,
          { ...prepared, revocations: [...prepared.revocations, mine] },
          { seconds, terminal },
        );
      }
      terminal.say(
        prepared.logged === null
          ? 'nothing to do: you have revoked it already'
          : 'nothing to do: it is revoked already',
      );
      return await report(project, depot, prepared, { seconds, terminal });
    } finally {
      depot.close();
    }
  },
});

const isMine = ({ approver, revocations }: PreparedRevocation): boolean =>
  revocations.some((each) => each.approver === approver.primary.fingerprint);

const question = ({ approval: { project, version }, released }: PreparedRevocation): string =>
  released ? `withdraw the release of ${project} ${version}?` : `revoke this build of ${project} ${version}?`;

function showSummary(project: Project, prepared: PreparedRevocation, yes: boolean, terminal: Terminal): void {
  const show = yes ? terminal.say.bind(terminal) : terminal.show.bind(terminal);
  const { approval, reason, approver, released, needed, revocations } = prepared;
  show(
    released ? 'about to withdraw the release ' : 'about to revoke a build of ',
    bold(`${approval.project} ${approval.version}`),
  );
  const have = revocations.length;
  const rows = [
    ['build', approval.build],
    sourceRow(approval.source),
    ...approverRows(project, 'asked by', approval.requester),
    ['reason', reason],
    ...revocations.flatMap((each) => revocationRows(project, each)),
    ...approverRows(project, 'you', approver.primary.fingerprint),
    [
      'effect',
      released
        ? `it is released: withdrawing it takes ${plural(needed, 'approver')}, you are number ${have + 1}`
        : 'it is not released: you alone end it, and nothing of it is signed any more',
    ],
  ];
  for (const row of linesToSign(rows)) show('  ', ...row);
}

/** What became of it: in force when the log has it. */
async function report(
  project: Project,
  depot: Depot,
  prepared: PreparedRevocation,
  { seconds, terminal }: { readonly seconds: number | null; readonly terminal: Terminal },
): Promise<ExitStatus> {
  const { build } = prepared.approval;
  const { needed, neverAllowed, revocations } = prepared;
  const missing = Math.max(0, needed - revocations.length);
  // what never comes is not waited for
  const isAwaited = seconds !== null && prepared.logged === null && !neverAllowed;
  if (isAwaited) terminal.say(`waiting ${seconds} s for the signer to log it`);
  const stop = new AbortController();
  if (seconds !== null) void stopSignal().then(() => stop.abort());
  const logged =
    prepared.logged ??
    (await loggedRevocation(project, depot, build, {
      from: prepared.seen,
      seconds: isAwaited ? seconds : 0,
      stop: stop.signal,
      report: (trouble) => terminal.say(trouble),
    }));
  const approvers = revocations.map(({ approver }) => approver);
  terminal.record({ build, logged, approvers, needed });
  terminal.result(build);
  if (logged !== null) terminal.result(`in force: entry ${logged} of the log`);
  else if (missing > 0)
    terminal.result(`${revocations.length} of ${needed} approvers have signed: it waits for ${missing} more`);
  else if (neverAllowed)
    terminal.result(
      `over: it never had its ${project.threshold} approvers, so there is nothing to log; endorse refuses it`,
    );
  else terminal.result('not in force yet: the signer has not logged it');
  if (logged === null && !neverAllowed)
    terminal.hint(
      missing > 0
        ? `it takes ${missing} more: countersign endorse ${build}, each of them`
        : `on H: countersign sign; countersign status ${build} says when it is`,
    );
  return logged === null && isAwaited ? EXIT.unable : EXIT.done;
}
