/** How much a stranger may make the depot hold in memory. */
import { judgeUpload } from '../policy/gate.ts';
import type { Project } from '../policy/project.ts';
import { matchesDigest } from '../policy/token.ts';
import { LARGE_RECORD_MAX, MAX_SUBJECTS } from '../records/canonical.ts';
import type { BuildId } from '../records/names.ts';
import type { TarLimits } from '../tree/tar.ts';
import type { View } from '../policy/view.ts';

/** An approval, a refusal, a proof: all that is written without a token fits. */
export const SMALL_WRITE_MAX = 1024 * 1024;

/** A statement of the largest size, its envelope, which holds it again in base64, and what else comes in a tar. */
const LARGE_WRITE_MAX = 3 * LARGE_RECORD_MAX;

/** The bounds of a body of many files: wide for the signer and the builders of the build, narrow for everybody else. */
export async function bodyLimits(question: {
  readonly project: Project;
  readonly tree: View;
  readonly build: BuildId;
  readonly token: Buffer | null;
  readonly now: () => Date;
}): Promise<TarLimits> {
  const { project, tree, build, token, now } = question;
  const known =
    matchesDigest(token, project.signerTokenSha256) ||
    isBuilder(await judgeUpload({ rules: project, build, bearer: token, view: tree, now: now() }));
  const bytes = known ? LARGE_WRITE_MAX : SMALL_WRITE_MAX;
  return { files: known ? MAX_SUBJECTS + 1 : 1000, fileBytes: bytes, bytes };
}

const isBuilder = (upload: Awaited<ReturnType<typeof judgeUpload>>): boolean =>
  upload.allow && upload.limits !== null;
