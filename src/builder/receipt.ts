/**
 * The enrolment's way to the depot, and the wait for the log's receipt: until the signer has taken this very key, nothing
 * is built and nothing is signed (protocol §2, "enrolment").
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, refused, unable } from '../failure.ts';
import { verifyEnrolment, verifyRefusal } from '../policy/release-chain.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { timestamp, timestampDate, toBuildId } from '../records/names.ts';
import type { BuildId, Timestamp } from '../records/names.ts';
import {
  buildPath,
  enrolmentFile,
  enrolmentReceiptFile,
  refusalFile,
  refusalProofFile,
} from '../records/paths.ts';
import type { Ticket } from '../records/ticket.ts';
import { PROOF_MAX } from '../tlog/proof.ts';
import type { LogTrust } from '../tlog/proof.ts';
import type { Depot } from '../tree/tree.ts';
import type { Enrolled } from './enrolment.ts';
import type { Report } from './events.ts';

const POLL_MS = 1000;
/** For a receipt of what the signer took in the last moment to get here. */
const ON_ITS_WAY_MS = 60_000;

export interface Wait {
  readonly depot: Depot;
  readonly ticket: Ticket;
  readonly enrolled: Enrolled;
  readonly log: LogTrust;
  /** Until when the signer takes enrolments. */
  readonly enrolBy: Timestamp;
  /** `--timeout`, in milliseconds. */
  readonly timeout: number;
  /** Ends the wait at once: somebody stops this process. */
  readonly stop: AbortSignal;
  readonly now: () => Date;
  /** Throws when the ticket has expired. */
  readonly checkTime: () => void;
}

/**
 * Sends the enrolment, and returns once the log's receipt for it is here and verifies under the log key of the ticket.
 * Throws refused: `enrolment-not-first` (the depot keeps ours beside the other), `receipt-invalid`, `build-refused`,
 * `build-revoked`, what the depot says; unable: `receipt-missing`, and what keeps it from being sent; what `stop` was aborted with.
 */
export function introduce(wait: Wait, report: Report): Promise<void> {
  const stopped = new Promise<never>((_, reject) => {
    wait.stop.addEventListener('abort', () => reject(wait.stop.reason as Error));
  });
  return Promise.race([stopped, introduced(wait, report)]);
}

async function introduced(wait: Wait, report: Report): Promise<void> {
  const first = (await firstEnrolment(wait)) ?? (await sendOwn(wait));
  if (first !== null && !first.equals(wait.enrolled.bytes)) {
    // the depot can't tell whose is made with the nonce, but the signer can: what it took is what counts
    if (await hasReceipt(wait).catch(() => false)) return;
    await sendOwn(wait).catch(asRefused);
    throw notFirst(wait);
  }
  const ended = AbortSignal.timeout(wait.timeout);
  const ends = Math.min(wait.now().getTime() + wait.timeout, lastMoment(wait));
  report({ kind: 'waiting', key: wait.enrolled.fingerprint, until: timestamp(new Date(ends)) });
  await untilReceipt(wait, ended, report);
}

/** When the receipt of what was enrolled in time is here, at the latest. */
const lastMoment = ({ enrolBy }: Wait): number => timestampDate(enrolBy).getTime() + ON_ITS_WAY_MS;

async function untilReceipt(wait: Wait, ended: AbortSignal, report: Report): Promise<void> {
  const stop = AbortSignal.any([wait.stop, ended]);
  for (let trouble = ''; ;) {
    try {
      if (await hasReceipt(wait)) return;
      await requireGoing(wait);
      trouble = '';
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'unable') throw error;
      if (error.message !== trouble) report({ kind: 'warning', text: `${error.message}; still waiting` });
      trouble = error.message;
    }
    wait.checkTime();
    if (wait.now().getTime() >= lastMoment(wait)) throw missing(wait, `until ${wait.enrolBy}, when it could`);
    if (stop.aborted) throw missing(wait, 'in time');
    await sleep(POLL_MS, undefined, { signal: stop }).catch(() => {});
  }
}

const read = ({ depot, ticket }: Wait, file: string, max = RECORD_MAX): Promise<Buffer | null> =>
  depot.read(buildPath(ticket.build, file), max);

const firstEnrolment = (wait: Wait): Promise<Buffer | null> => read(wait, enrolmentFile(wait.ticket.slot));

/** What the depot shows then in the first place. */
async function sendOwn(wait: Wait): Promise<Buffer | null> {
  await wait.depot.submit(wait.ticket.build, wait.enrolled.files);
  return firstEnrolment(wait);
}

/** That the depot takes no more of them is no other news. */
function asRefused(error: unknown): void {
  if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
}

/** False while there is none. Throws refused `receipt-invalid` for one that is not of this key. */
async function hasReceipt(wait: Wait): Promise<boolean> {
  const { enrolled, log, ticket } = wait;
  const receipt = await read(wait, enrolmentReceiptFile(ticket.slot), PROOF_MAX);
  if (receipt === null) return false;
  try {
    // the bytes are our own: the entry that names them names this build, slot, approval and key
    verifyEnrolment(receipt, enrolled.bytes, log);
    return true;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw refused(
      'receipt-invalid',
      `the depot's receipt for slot ${ticket.slot} of build ${ticket.build} is not one of this key: ${error.message}`,
      'nothing was built or signed; somebody tampers with the depot, or has used this ticket: ask for a new approval',
      error,
    );
  }
}

/**
 * Whether the build can still come to anything. A refusal is believed by its proof; of a revocation the depot, which has
 * checked that an approver signed it, is asked, for who may revoke is not in the ticket.
 */
async function requireGoing(wait: Wait): Promise<void> {
  const { build } = wait.ticket;
  const [bytes, proof] = [await read(wait, refusalFile), await read(wait, refusalProofFile, PROOF_MAX)];
  const refusal = bytes && proof && provenRefusal(proof, bytes, wait.log);
  if (refusal && refusal.build === build) {
    const reasons = refusal.reasons.map(({ code, text }) => `${code}: ${text}`).join('; ');
    throw refused('build-refused', `the signer refused build ${build}: ${reasons}`, NEW_APPROVAL);
  }
  const { builds } = await wait.depot.revoked(justBefore(build));
  if (builds.includes(build))
    throw refused('build-revoked', `an approver has revoked build ${build}`, NEW_APPROVAL);
}

/** The first id of its millisecond (a ULID is ten characters of time and sixteen of chance). */
const justBefore = (build: BuildId): BuildId => toBuildId(`${build.slice(0, 10)}${'0'.repeat(16)}`, 'build');

function provenRefusal(proof: Buffer, bytes: Buffer, log: LogTrust) {
  try {
    return verifyRefusal(proof, bytes, log).refusal;
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

const NEW_APPROVAL = 'nothing was built or signed; the way on is a new approval';

function notFirst({ ticket: { build, slot }, enrolBy, now }: Wait): Failure {
  if (now() >= timestampDate(enrolBy))
    return refused(
      'enrolment-not-first',
      `too late: a key for slot ${slot} of build ${build} could be enrolled until ${enrolBy}, and another key was enrolled`,
      `nothing was built or signed; find out who else had the ticket: if the other key is not your builder's, countersign revoke ${build}`,
    );
  return refused(
    'enrolment-not-first',
    `another key was enrolled for slot ${slot} of build ${build} before this one: the ticket was used elsewhere`,
    'nothing was built or signed; find out who else had the ticket: the signer freezes a build with two enrolled keys, ' +
      'and the way on is a new approval',
  );
}

const missing = ({ ticket: { build, slot } }: Wait, when: string): Failure =>
  unable(
    'receipt-missing',
    `the signer has not taken the key of slot ${slot} of build ${build} ${when}`,
    'is the signer running? nothing was built or signed; run again while the approval lasts: it is the same key that waits',
  );
