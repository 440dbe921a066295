/**
 * The artifacts of a sealed statement on their way to the depot: before the statement, because the depot takes that only
 * when every file is there. What the depot has already is not sent again.
 */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../failure.ts';
import { orNull } from '../host/files.ts';
import { slotsOf } from '../policy/builder-key.ts';
import { parseApproval } from '../records/approval.ts';
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import type { Sha256 } from '../records/names.ts';
import { approvalFile, buildPath, statementFile } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import { inParallel } from '../tree/parallel.ts';
import type { Depot } from '../tree/tree.ts';
import type { Report } from './events.ts';
import { changed } from './hash.ts';
import { Uploader } from './uploader.ts';

/** What was done for a statement's artifacts before it is sent. */
export type Begun =
  /** Signed by this run, which has sent some already; null where it could not. */
  | { readonly resumed: false; readonly early: Uploader | null }
  /** Signed by an earlier run: what it signed is as it was, but that this is gone. */
  | { readonly resumed: true; readonly gone: ReadonlySet<string> };

/** How many blobs are asked for at a time. */
const ASKED = 8;

/**
 * Sends the artifacts of a statement from below `base`, but for those that the depot has. Returns how many were sent.
 * With `all` none is taken to be there on a hint: the depot has said that some are not.
 *
 * That a file is gone is a warning where the depot has it, else it throws refused `artifact-changed`, as a file does that
 * has changed: the statement can't be signed again. Throws what the depot throws.
 */
export async function uploadArtifacts(
  depot: Depot,
  statement: Statement,
  { base, begun, all }: { readonly base: string; readonly begun: Begun; readonly all: boolean },
  report: Report,
): Promise<number> {
  const { build, subjects } = statement;
  const early = begun.resumed || all ? null : begun.early;
  // what it met is met again, and then it is told
  await early?.finish().catch(() => {});
  const there = early?.there ?? new Set<Sha256>();
  if (!begun.resumed && !early && !all) await addSealedByOthers(there, depot, statement);
  if (begun.resumed) await addGone(there, depot, statement, begun.gone, all ? () => {} : report);

  const bytes = subjects.reduce((sum, { size }) => sum + size, 0);
  const uploader = new Uploader({ depot, build, there, sample: begun.resumed && !all, bytes, report });
  const root = (await orNull(realpath(base), `look at ${base}`)) ?? base;
  for (const subject of subjects) uploader.add(join(root, subject.name), subject);
  await uploader.finish();
  return (early?.sent ?? 0) + uploader.sent;
}

/** What has no file here any more must be there. Throws refused `artifact-changed`. */
async function addGone(
  there: Set<Sha256>,
  depot: Depot,
  { build, subjects }: Statement,
  gone: ReadonlySet<string>,
  report: Report,
): Promise<void> {
  const lost = subjects.filter(({ name }) => gone.has(name));
  await inParallel(lost, ASKED, async ({ name, sha256 }) => {
    if (!(await depot.hasBlob(build, sha256))) throw changed(name);
    there.add(sha256);
  });
  for (const { name } of lost) {
    const text = `${name} has changed since the statement was signed; the depot keeps what was signed`;
    report({ kind: 'warning', text });
  }
}

/**
 * What other builders of this build have sealed: the depot took their statements with every file in place. No more than a
 * hint: what it lacks all the same it says when our statement comes.
 */
export async function addSealedByOthers(
  there: Set<Sha256>,
  depot: Depot,
  { build, slot }: Pick<Statement, 'build' | 'slot'>,
): Promise<void> {
  try {
    const approval = await depot.read(buildPath(build, approvalFile), RECORD_MAX);
    for (const other of approval === null ? [] : slotsOf(parseApproval(approval))) {
      if (other === slot) continue;
      const bytes = await depot.read(buildPath(build, statementFile(other)), LARGE_RECORD_MAX);
      for (const { sha256 } of bytes === null ? [] : parseStatement(bytes).subjects) there.add(sha256);
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}
