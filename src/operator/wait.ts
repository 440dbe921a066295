/**
 * `approve --wait`: until the signer has logged the approval, and the depot shows that log. Who gets a ticket only then
 * knows that nobody can deny or hide the approval any more.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, refused, unable } from '../failure.ts';
import { approveAgain } from '../policy/again.ts';
import { isExpired } from '../policy/approval-policy.ts';
import type { Project } from '../policy/project.ts';
import type { Approval } from '../records/approval.ts';
import type { Sha256 } from '../records/names.ts';
import { approvalFile } from '../records/paths.ts';
import type { Refusal } from '../records/refusal.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Head, LogReader } from '../tree/log/reader.ts';
import type { Depot } from '../tree/tree.ts';
import { entriesOf, logOf } from './build-log.ts';
import { provenRefusal } from './evidence.ts';

export interface Patience {
  /** Ends the wait. */
  readonly stop: AbortSignal;
  readonly now: () => Date;
  /** What keeps the log from being read; once while it lasts. */
  readonly report: (trouble: string) => void;
}

/** The approval, and its exact bytes. */
interface Sent {
  readonly approval: Approval;
  readonly bytes: Buffer;
}

const POLL_MS = 1000;

/** How far the log is before the approval is submitted: what is there cannot name it. 0 where that can't be told. */
export async function logSize(project: Project, depot: Depot): Promise<number> {
  try {
    return (await logOf(project, depot).head())?.checkpoint.size ?? 0;
  } catch (error) {
    if (error instanceof Failure) return 0;
    throw error;
  }
}

/**
 * Looks once a second for the `approval` entry of this build, with this approval's digest, among those from `from` on.
 * Throws refused(`build-refused`) with the signer's reasons, unable(`approval-not-logged`) when the approval expires or
 * the wait is stopped. What the depot can't or won't show is waited for.
 */
export async function waitForLog(
  project: Project,
  depot: Depot,
  { approval, bytes }: Sent,
  from: number,
  { stop, now, report }: Patience,
): Promise<void> {
  const digest = sha256Hex(bytes);
  const reader = logOf(project, depot);
  let size = from;
  for (let trouble = ''; ;) {
    let refusal: Awaited<ReturnType<typeof provenRefusal>> = null;
    try {
      refusal = await provenRefusal(project, depot, approval);
      const head = await reader.head();
      if (refusal === null && head !== null && head.checkpoint.size > size) {
        if (await isLogged(reader, head, size, approval, digest)) return;
        size = head.checkpoint.size;
      }
      trouble = '';
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.message !== trouble) report(error.message);
      trouble = error.message;
    }
    // Outside: a depot could name that code in any answer.
    if (refusal !== null) throw wasRefused(project, approval, refusal.refusal);
    if (isExpired(approval, now())) throw notLogged(approval, 'the signer did not log the approval in time');
    if (stop.aborted)
      throw notLogged(
        approval,
        'stopped before the signer had logged the approval: its tickets are gone, the approval stays',
      );
    await sleep(POLL_MS, undefined, { signal: stop }).catch(() => {});
  }
}

/** False also when the same entries refuse the build: `refusal.json`, which says why, is on its way. */
async function isLogged(
  reader: LogReader,
  head: Head,
  from: number,
  { build }: Approval,
  digest: Sha256,
): Promise<boolean> {
  let logged = false;
  for await (const { entry } of entriesOf(reader, head, build, from)) {
    if (entry.type === 'refusal') return false;
    if (entry.type === 'approval') logged = entry.records[approvalFile] === digest;
  }
  return logged;
}

const wasRefused = (project: Project, approval: Approval, { reasons }: Refusal): Failure =>
  refused(
    'build-refused',
    `the signer refused build ${approval.build}: ${reasons.map(({ code, text }) => `${code}: ${text}`).join('; ')}`,
    reasons.some(({ code }) => code === 'version-taken')
      ? `no ticket was written; what helps: countersign status ${approval.build}`
      : `no ticket was written; a new approval: ${approveAgain(project, approval)}`,
  );

const notLogged = ({ build, version, expires }: Approval, what: string): Failure =>
  unable(
    'approval-not-logged',
    `build ${build}: ${what}`,
    `no ticket was written, and the build expires at ${expires}: ${version} is its own until then; approve another version, or wait (to try things out, --expires 10m)`,
  );
