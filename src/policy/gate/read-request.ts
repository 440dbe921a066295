/**
 * Whether an approver may read artifacts in quarantine: by a signed request to this depot, for this build, made just now
 * (protocol §2, §4). Whoever overhears one may repeat it for as long; it gives nothing else.
 */
import { Failure } from '../../failure.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { BuildId } from '../../records/names.ts';
import { timestampDate } from '../../records/names.ts';
import { parseReadRequest } from '../../records/read-request.ts';
import { attempt } from '../attempt.ts';
import type { Project } from '../project.ts';
import type { ReadAuthority } from './token.ts';
import { denied } from './verdict.ts';
import type { Denied } from './verdict.ts';

const GOOD_FOR_MS = 5 * 60 * 1000;

export interface ReadRequestQuestion {
  readonly project: Project;
  /** Whose artifacts are asked for. */
  readonly build: BuildId;
  readonly authority: ReadAuthority;
  /** The URL that the depot answers at, beside the one in the project file. */
  readonly url: string | null;
  readonly now: Date;
}

/** Null if it is one, else the denial. */
export function judgeReadRequest(question: ReadRequestQuestion): Denied | null {
  const { project, build, authority, url, now } = question;
  const { bytes, signature } = authority;
  // 1. Signed by an approver of the project file, before anything is read.
  const verdicts = project.approvers.map((certificate) => verifyDetached(signature, bytes, certificate, now));
  if (!verdicts.some(({ ok }) => ok))
    return denied(403, 'signature-invalid', 'no approver of the project has signed the read request');
  const request = attempt(() => parseReadRequest(bytes));
  if (request instanceof Failure) return denied(401, 'read-request-malformed', request.message, request.hint);
  // 2. To this depot, of this signer, for this build.
  const foreign = (what: string): Denied =>
    denied(403, 'read-request-foreign', `the read request is ${what}`, 'ask again, at the URL of this depot');
  if (request.signer !== project.log.origin) return foreign(`about signer ${request.signer}`);
  if (request.build !== build) return foreign(`for build ${request.build}`);
  if (request.depot !== project.depot && request.depot !== url) return foreign(`to ${request.depot}`);
  // 3. Just now.
  if (Math.abs(now.getTime() - timestampDate(request.time).getTime()) <= GOOD_FOR_MS) return null;
  return denied(
    403,
    'read-request-expired',
    `the read request was made at ${request.time}: it is good for five minutes`,
    'ask again; if the clocks of the hosts differ, set them',
  );
}
