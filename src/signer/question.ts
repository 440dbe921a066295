/** What a person sees before the release key is used, as data: whoever asks shows it. */
import type { Project } from '../policy/project.ts';
import { loggedApproval } from '../policy/logged.ts';
import type { Approval } from '../records/approval.ts';
import { isSlot } from '../records/names.ts';
import type { Fingerprint } from '../records/names.ts';
import { approvalFile, statementFile } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { BuildHistory } from '../policy/history.ts';
import type { Plan } from './plan.ts';
import type { Round, SigningQuestion } from './signer.ts';
import type { Sealed } from './statement.ts';

export function signingQuestion(
  project: Project,
  { approval }: { readonly approval: Approval },
  { slot, statement, sha256 }: Omit<Sealed, 'statement'> & { readonly statement: Statement },
  { manifest, key }: Plan,
  approvers: readonly Fingerprint[],
): SigningQuestion {
  const { certificate } = project.release;
  return {
    build: approval.build,
    project: approval.project,
    version: approval.version,
    source: statement.source,
    statement: sha256,
    artifacts: manifest.subjects.map(({ name, size }) => ({ name, size })),
    bytes: totalSize(manifest.subjects),
    builder: { slot, id: statement.builderId, command: statement.command },
    approvers: project.approvers
      .filter(({ primary }) => approvers.includes(primary.fingerprint))
      .map(({ primary, userIds }) => ({ fingerprint: primary.fingerprint, userId: userIds[0] ?? '' })),
    threshold: project.threshold,
    assurance: 'single-builder',
    releaseKey: { fingerprint: certificate.primary.fingerprint, userId: certificate.userIds[0] ?? '' },
    signingKey: key.fingerprint,
  };
}

/** The same of a build whose intent is logged, out of what is kept of it: the decision is made. Throws unable. */
export async function decidedQuestion(
  { project, state }: Round,
  { build, intent }: BuildHistory,
  plan: Plan,
): Promise<SigningQuestion> {
  const { manifest } = plan;
  const approval = loggedApproval(
    await state.kept(build, approvalFile, manifest.approval),
    manifest.approval,
  );
  const [slot] = Object.keys(manifest.statements).filter(isSlot);
  const sha256 = slot && manifest.statements[slot];
  if (!sha256 || intent === null) throw new RangeError('no intent is logged');
  const statement = parseStatement(await state.kept(build, statementFile(slot), sha256));
  return signingQuestion(project, { approval }, { slot, statement, sha256 }, plan, intent.approvers);
}

/** Of artifacts, in bytes. */
export const totalSize = (artifacts: Iterable<{ readonly size: number }>): number => {
  let bytes = 0;
  for (const { size } of artifacts) bytes += size;
  return bytes;
};
