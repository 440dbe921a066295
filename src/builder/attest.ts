/**
 * `attest`, the whole of the builder's work: enrol a key where the scheme says so, run the build if asked, hash what it
 * made, sign one statement that seals it, send it, forget the secret. Protocol §1 and §2 (statement, enrolment).
 */
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { Failure, refused, unable, usage } from '../failure.ts';
import type { TicketRules } from '../policy/gate/rules.ts';
import { DEFAULT_POLICY } from '../policy/project.ts';
import { decodeBase64Url } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { StatedSubject } from '../records/statement.ts';
import type { Ticket } from '../records/ticket.ts';
import { parseVerifierKey } from '../tlog/note.ts';
import { unwitnessed } from '../tlog/proof.ts';
import type { Depot } from '../tree/tree.ts';
import { dropKey, ownKey, withOwnKey } from './enrolment.ts';
import { EarlyUpload } from './early.ts';
import { hashAll } from './hash-all.ts';
import type { Hashed } from './hash-all.ts';
import { dropPending, readPending, savePending } from './pending.ts';
import { requireOutOfReach } from './reach.ts';
import { introduce } from './receipt.ts';
import { findUser, interruptible, runCommand } from './run-command.ts';
import type { User } from './run-command.ts';
import { seal } from './seal.ts';
import type { Sealed } from './seal.ts';
import type { AttestEvent, AttestResult, Report } from './events.ts';
import { checkApproval, checkTime, requireSecret } from './ticket-checks.ts';
import { findTicket } from './ticket-source.ts';
import type { TicketFile, TicketSource } from './ticket-source.ts';
import { compareWithSigned } from './repeat.ts';
import { send, sentBefore, sentResult } from './send.ts';
import type { Begun } from './upload.ts';
import type { Uploader } from './uploader.ts';
import { findArtifacts, requireBelow } from './walk.ts';
import type { Found } from './walk.ts';

export interface AttestOptions {
  /** `--ticket`: a file, `-` for standard input, null to look in the environment. */
  readonly ticket: string | null;
  /** Files and directories; names are relative to `base`. */
  readonly paths: readonly string[];
  readonly base: string;
  /** Patterns (protocol §2) of names that a walk leaves out. */
  readonly exclude: readonly string[];
  /** `--run`: a shell command that makes the artifacts, run in the working directory before anything is read. */
  readonly run: string | null;
  /** `--run-as`: the user it runs as. */
  readonly runAs: string | null;
  /** `--timeout`, in milliseconds: how long a builder that enrols waits for the log's receipt. */
  readonly timeout: number;
  /** Where `COUNTERSIGN_TICKET`, `CREDENTIALS_DIRECTORY`, `STATE_DIRECTORY` and the like are looked up. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly stdin: Readable;
  readonly now: () => Date;
  /** Opens the depot that the ticket names (or that `--depot` names instead). */
  readonly connect: (ticket: TicketDepot) => Depot | Promise<Depot>;
}

/** What a ticket says of its depot. The token is secret. */
export interface TicketDepot {
  readonly url: string;
  readonly insecureHttp: boolean;
  readonly token: Buffer;
  /** What a depot in a directory is written by. */
  readonly rules: TicketRules;
}

export type { AttestEvent, AttestResult };

/**
 * Attests. Returns once the depot holds artifacts, statement and signatures, and the key and the ticket are gone.
 * Throws usage (no ticket, bad paths), refused (bad names, expired ticket, another statement was there first),
 * unable (disk, network: run again, the same statement is sent).
 */
export async function attest(options: AttestOptions, report: Report): Promise<AttestResult> {
  if (options.runAs !== null && options.run === null) throw usage('run-as', '--run-as is for --run');
  const source = await findTicket(options.ticket, options.environment, options.stdin);
  const { ticket } = source;
  // before the build has run for nothing
  requireBelow(options);
  const user = options.runAs === null ? null : await findUser(options.runAs);
  if (user !== null) await requireOutOfReach(dirname(source.pending), user);
  report({
    kind: 'ticket',
    build: ticket.build,
    slot: ticket.slot,
    project: ticket.project,
    version: ticket.version,
  });
  for (const text of source.warnings) report({ kind: 'warning', text });

  const token = decodeBase64Url(ticket.uploadToken, 'ticket: uploadToken');
  const { depot: url, insecureHttp } = ticket;
  const depot = await options.connect({ url, insecureHttp, token, rules: rulesOf(ticket) });
  let early: Uploader | null = null;
  try {
    const pending = await readPending(source.pending, await withOwnKey(source));
    if (pending.kind === 'sent') {
      const statement = await sentBefore(depot, ticket, pending.statement);
      const [gone, ...more] = await compareWithSigned(options, source, statement, report);
      if (gone !== undefined) {
        const files = more.length === 0 ? `${gone} is` : `${gone} and ${more.length} more are`;
        report({ kind: 'warning', text: `${files} not here any more; the depot keeps what was signed` });
      }
      return sentResult(source, statement, pending.statement);
    }
    const resumed = pending.kind === 'ready';
    const { sealed, ...way } = resumed
      ? { sealed: pending.sealed, early: null }
      : await buildAndSeal(options, source, user, depot, report);
    early = way.early;
    // also after a crash between the two: the secret has done its act, so it goes
    await source.file?.blank(source.pending);
    if (ticket.secret.scheme === 'enrol') await dropKey(source);
    let begun: Begun = { resumed: false, early };
    if (resumed) {
      const { finishedOn } = sealed.statement;
      report({ kind: 'resuming', statement: sha256Hex(sealed.bytes), signedOn: finishedOn });
      const gone = await compareWithSigned(options, source, sealed.statement, report);
      begun = { resumed: true, gone: new Set(gone) };
    }
    return await send(depot, source, sealed, options.base, begun, report).catch(goesOn);
  } finally {
    depot.close();
    await early?.stop();
    token.fill(0);
  }
}

/** Nothing is lost with the network: what was signed is kept, and what has arrived. */
function goesOn(error: unknown): never {
  if (!(error instanceof Failure) || error.code !== 'network') throw error;
  const kept = 'the signed statement is kept, and the same command goes on';
  const hint = error.hint === '' ? kept : `${error.hint}; ${kept}`;
  throw unable(error.code, error.message, hint, error);
}

interface SealedHere {
  readonly sealed: Sealed;
  /** Its artifacts, on their way to the depot. */
  readonly early: Uploader | null;
}

/**
 * From the files to the pending statement. Until that is on disk the secret stays good, also if the build fails. The
 * artifacts may be on their way to the depot then.
 */
async function buildAndSeal(
  options: AttestOptions,
  source: TicketSource,
  user: User | null,
  depot: Depot,
  report: Report,
): Promise<SealedHere> {
  const { ticket } = source;
  checkTime(ticket, options.now());
  if (ticket.secret.scheme !== 'enrol') requireSecret(source, ticket);
  const reached = await checkApproval(depot, ticket, report);
  const enrolled = await enrol(options, source, depot, report);
  const startedOn = options.now();

  const work = async (signal: AbortSignal): Promise<SealedHere> => {
    let early: EarlyUpload | null = null;
    try {
      await runBuild(options, source, enrolled, user, signal, report);
      const found = await findOwn(options, source);
      if (reached) early = new EarlyUpload(depot, ticket, found, report);
      const subjects = await subjectsOf(found, ticket, early, signal, report);
      const now = options.now();
      checkTime(ticket, now);
      const sealed = seal(enrolled?.ticket ?? ticket, { subjects, command: options.run, startedOn }, now);
      await savePending(source.pending, sealed);
      await requireUnused(source, enrolled);
      const { scheme } = ticket.secret;
      report({ kind: 'signed', statement: sha256Hex(sealed.bytes), artifacts: subjects.length, scheme });
      return { sealed, early: early?.uploader ?? null };
    } catch (error) {
      depot.close();
      await early?.uploader.stop();
      await source.file?.restore();
      await enrolled?.restore();
      throw error;
    }
  };
  return options.run === null ? work(new AbortController().signal) : interruptible(work);
}

/** The key of a builder that enrols, once the signer has taken it; null for builders of other schemes. */
async function enrol(
  { now, timeout }: AttestOptions,
  source: TicketSource,
  depot: Depot,
  report: Report,
): Promise<TicketFile | null> {
  const { ticket, enrolment: directory } = source;
  const { secret } = ticket;
  if (secret.scheme !== 'enrol') return null;
  const enrolled = await ownKey(source, now());
  // also after a crash between the two: the nonce has introduced a key, so it goes
  await source.file?.blank(directory);
  const { fingerprint: key, resumed } = enrolled;
  report({ kind: 'enrolling', key, directory, resumed });
  const wait = {
    ...{ depot, ticket, enrolled, timeout, now },
    log: rulesOf(ticket).log,
    enrolBy: secret.enrolBy,
    checkTime: () => checkTime(ticket, now()),
  };
  await interruptible(
    (stop) => introduce({ ...wait, stop }, report),
    `the key is kept in ${directory}: run the same command again`,
  );
  report({ kind: 'enrolled', key });
  return enrolled.key;
}

/** Of two runs with one ticket at once, what one has signed leaves. Throws refused `ticket-used` in the other. */
async function requireUnused(
  { file, pending, ticket }: TicketSource,
  enrolled: TicketFile | null,
): Promise<void> {
  const holder = enrolled ?? file;
  if (holder === null || (await holder.isUnused())) return;
  await dropPending(pending, null);
  throw refused(
    'ticket-used',
    `another run has signed with the ticket for ${ticket.build} meanwhile`,
    'what that one signed is what counts; a ticket is for one run',
  );
}

/** What the ticket says of its project. */
function rulesOf({ project, approval, log }: Ticket): TicketRules {
  return {
    name: project,
    policy: DEFAULT_POLICY,
    log: unwitnessed({ origin: log.origin, key: parseVerifierKey(log.key) }),
    vouched: approval,
  };
}

async function runBuild(
  { run, environment }: AttestOptions,
  source: TicketSource,
  enrolled: TicketFile | null,
  user: User | null,
  signal: AbortSignal,
  report: Report,
): Promise<void> {
  if (run === null) return;
  if (user === null && source.file === null) {
    const text =
      'the build runs as this user, who can read the ticket of this process: --run-as USER keeps it apart';
    report({ kind: 'warning', text });
  }
  report({ kind: 'running', command: run });
  await source.file?.withdraw(user);
  await enrolled?.withdraw(user);
  await runCommand(run, user, environment, signal);
}

/**
 * The subjects of these files, each on its way to the depot as soon as its digest is known; with their hash states where
 * the ticket asks for them.
 */
async function subjectsOf(
  found: readonly Found[],
  { mode }: Ticket,
  early: EarlyUpload | null,
  signal: AbortSignal,
  report: Report,
): Promise<readonly StatedSubject[]> {
  // one that is another by now, as its upload finds, ends all of it
  const stop = early === null ? signal : AbortSignal.any([signal, early.changed]);
  const states = mode === 'digest' ? await (await import('./state.ts')).HashStates.make(found, stop) : null;
  try {
    const hashed: Hashed = (...each) => {
      early?.add(...each);
      states?.add(...each);
    };
    const subjects = await hashAll(found, report, hashed, stop);
    early?.close();
    return (await states?.stated(subjects)) ?? subjects;
  } finally {
    await states?.close();
  }
}

async function findOwn(options: AttestOptions, source: TicketSource): Promise<readonly Found[]> {
  const found = await findArtifacts(options, source.ticket.artifacts);
  const own = found.find(({ path }) => path === source.file?.path || path.startsWith(`${source.enrolment}/`));
  if (own !== undefined)
    throw refused(
      'artifacts-refused',
      `${own.name} is the ticket itself`,
      'keep it elsewhere, or leave it out with --exclude',
    );
  return found;
}
