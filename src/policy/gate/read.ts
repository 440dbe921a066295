/** Who may read what: everything is public but blobs, which are in quarantine, and releases that are not whole (protocol §3, §4). */
import { isBuildId, isProjectName, isVersion } from '../../records/names.ts';
import { buildPath, isTreePath, releaseDir } from '../../records/paths.ts';
import { isLogPath } from '../../tlog/tile.ts';
import { matchesDigest } from '../token.ts';
import { below } from '../view.ts';
import type { View } from '../view.ts';
import { signedApproval } from './approval.ts';
import { judgeReadRequest } from './read-request.ts';
import { isProject } from './rules.ts';
import type { GateRules } from './rules.ts';
import { CARRIER, tokenSlot } from './token.ts';
import type { Bearer } from './token.ts';
import { denied } from './verdict.ts';
import type { Denied } from './verdict.ts';

export interface ReadQuestion {
  readonly rules: GateRules;
  /** A tree path. */
  readonly path: string;
  /** Only whether it is there, and its size. */
  readonly head: boolean;
  readonly bearer: Bearer;
  /** The URL that the depot answers at, beside the one in the project file; null for a directory. */
  readonly url: string | null;
  /** The whole tree. */
  readonly view: View;
  readonly now: Date;
}

/** Null if the file may be read (it need not be there), else the denial. */
export async function judgeRead(question: ReadQuestion): Promise<Denied | null> {
  const { path, view } = question;
  const notFound = denied(404, 'not-found', 'there is no such file');
  if (!isTreePath(path)) return notFound;
  const [root = '', first = '', second = ''] = path.split('/');

  // 1. Blobs are in quarantine.
  if (root === 'builds' && second === 'blobs') return judgeQuarantine(question, first);
  // 2. A release exists if and only if its proof does: it is written last.
  if (root === 'releases' && isProjectName(first) && isVersion(second)) {
    const proof = await view.size(`${releaseDir(first, second)}/countersign/release.proof`);
    return proof === null ? notFound : null;
  }
  // 3. All of the log is public.
  if (root === 'log') return isLogPath(path.slice('log/'.length)) ? null : notFound;
  // 4. All else below builds/ is public.
  return root === 'builds' && isBuildId(first) ? null : notFound;
}

/** The signer and approvers read artifacts before they are published, and whoever keeps them; a builder learns what it need not send again. */
async function judgeQuarantine(question: ReadQuestion, build: string): Promise<Denied | null> {
  const { rules, bearer, view, now, url } = question;
  if (!isBuildId(build)) return denied(404, 'not-found', 'there is no such file');
  if (bearer === CARRIER) return null;
  if (bearer === null)
    return denied(401, 'token-missing', 'artifacts of a build are in quarantine until they are published');
  if (!Buffer.isBuffer(bearer))
    return isProject(rules)
      ? judgeReadRequest({ project: rules, build, authority: bearer, url, now })
      : denied(403, 'quarantined', 'a ticket shows no artifacts');
  if (isProject(rules) && matchesDigest(bearer, rules.signerTokenSha256)) return null;
  if (!question.head)
    return denied(
      403,
      'quarantined',
      'only the signer and approvers read artifacts before they are published',
    );

  const signed = await signedApproval(rules, build, below(view, buildPath(build)), now);
  if ('allow' in signed) return signed;
  const slot = tokenSlot(signed.approval, bearer);
  return typeof slot === 'string' ? null : slot;
}
