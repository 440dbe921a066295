/** `revoke`: an approver ends a build, or withdraws what was released. Protocol §2 (revocation). */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, refused, usage } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { missingApprovers } from '../policy/approval-verdict.ts';
import type { Project } from '../policy/project.ts';
import { revokersNeeded } from '../policy/revocation-verdict.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { timestamp } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { releaseProofFile, revocationFile, revocationSignatureFile } from '../records/paths.ts';
import { printable } from '../records/printable.ts';
import { encodeRevocation, REASON_MAX } from '../records/revocation.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Depot } from '../tree/tree.ts';
import { chooseApprover, signAsApprover } from './approver.ts';
import { readAskedBuild } from './asked-build.ts';
import { entriesOf, logOf, readBuildLog } from './build-log.ts';
import type { CountedRevocation } from './evidence.ts';
import { sendRecords } from './send.ts';

export interface RevocationRequest {
  readonly build: BuildId;
  readonly reason: string;
  /** `--approver`, a fingerprint. */
  readonly approver: string | null;
  readonly now: Date;
  /** Entries of the log read so far. */
  readonly readingLog: (done: number, entries: number) => void;
}

/** What a person must see before saying yes. */
export interface PreparedRevocation {
  readonly approval: Approval;
  /** The exact bytes of the approval. */
  readonly bytes: Buffer;
  readonly reason: string;
  readonly approver: Certificate;
  /** The log has its release: what is withdrawn may be in use. */
  readonly released: boolean;
  /** How many persons it takes. */
  readonly needed: number;
  /** Those that are there. */
  readonly revocations: readonly CountedRevocation[];
  /** The entry of the log that has it in force already. */
  readonly logged: number | null;
  /** Too few approvers had allowed it: the signer never logs anything of it, and `endorse` refuses it from now on. */
  readonly neverAllowed: boolean;
  /** How many entries of the log have been looked at. */
  readonly seen: number;
}

/**
 * Reads what is to be revoked. Nothing is signed or sent.
 * Throws usage (a reason that is none, no approver key here), refused (unknown, not this project's, refused by the signer), unable.
 */
export async function prepareRevocation(
  project: Project,
  depot: Depot,
  request: RevocationRequest,
): Promise<PreparedRevocation> {
  const { build, now } = request;
  const reason = checkReason(request.reason);
  const approver = await chooseApprover(project, request.approver);
  const { approval, bytes, evidence } = await readAskedBuild(project, depot, build, now);
  if (evidence.refusal !== null)
    throw refused('build-decided', `build ${build} was refused by the signer: there is nothing to revoke`);
  const log = await readBuildLog(project, depot, build, request.readingLog);
  const entry = (type: 'approval' | 'release' | 'revocation'): number | null =>
    log.entries.find((each) => each.type === type)?.index ?? null;
  const released = evidence.files.has(releaseProofFile) || entry('release') !== null;
  return {
    approval,
    bytes,
    reason,
    approver,
    released,
    needed: revokersNeeded(project, released),
    revocations: evidence.revocations,
    logged: entry('revocation'),
    neverAllowed:
      !released &&
      entry('approval') === null &&
      missingApprovers(project, approval, evidence.approvers) !== null,
    seen: log.size ?? 0,
  };
}

/** It stands on pages and in terminals for good. Throws usage. */
function checkReason(given: string): string {
  const reason = given.trim();
  if (reason === '') throw usage('reason-malformed', '--reason is empty', 'people will ask why');
  if (printable(reason) !== reason)
    throw usage('reason-malformed', '--reason: one line, without control characters');
  if (Buffer.byteLength(reason) > REASON_MAX)
    throw usage('reason-malformed', `--reason is longer than ${REASON_MAX} bytes`, 'link to the rest');
  return reason;
}

/** Signs a revocation of the build as this approver, and sends it. Throws refused, unable. */
export async function sendRevocation(
  project: Project,
  depot: Depot,
  {
    approval,
    approver,
    reason,
    now,
  }: {
    /** The exact bytes of the approval that is revoked. */
    readonly approval: Buffer;
    readonly approver: Certificate;
    readonly reason: string;
    readonly now: Date;
  },
): Promise<CountedRevocation> {
  const { build } = parseApproval(approval);
  const { fingerprint } = approver.primary;
  const time = timestamp(now);
  const record = encodeRevocation({ build, approval: sha256Hex(approval), reason, time });
  const signature = await signAsApprover(project, fingerprint, record);
  const files = new Map([
    [revocationFile(fingerprint), record],
    [revocationSignatureFile(fingerprint), signature],
  ]);
  await sendRecords(depot, build, files);
  return { approver: fingerprint, reason, time };
}

const POLL_MS = 1000;

/**
 * The entry of the log that has the revocation, among those from `from` on; null if it is not there within `seconds`, or
 * the wait is stopped. What the depot can't or won't show is waited for, and reported once.
 */
export async function loggedRevocation(
  project: Project,
  depot: Depot,
  build: BuildId,
  wait: {
    readonly from: number;
    readonly seconds: number;
    readonly stop: AbortSignal;
    readonly report: (trouble: string) => void;
  },
): Promise<number | null> {
  const ends = performance.now() + wait.seconds * 1000;
  const reader = logOf(project, depot);
  let { from } = wait;
  for (let trouble = ''; ;) {
    try {
      const head = await reader.head();
      if (head !== null && head.checkpoint.size > from) {
        for await (const { index, entry } of entriesOf(reader, head, build, from))
          if (entry.type === 'revocation') return index;
        from = head.checkpoint.size;
      }
      trouble = '';
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.message !== trouble) wait.report(error.message);
      trouble = error.message;
    }
    if (wait.stop.aborted || performance.now() >= ends) return null;
    await sleep(POLL_MS, undefined, { signal: wait.stop }).catch(() => {});
  }
}
