/** What a person sees before the release key is used, as data: whoever asks shows it. */
import type { Project } from '../policy/project.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { Approval } from '../records/approval.ts';
import { assuranceOf } from '../records/assurance.ts';
import type { Fingerprint, Sha256, Slot } from '../records/names.ts';
import { statementFile } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { BuildHistory } from '../policy/history.ts';
import type { Plan } from './plan.ts';
import type { Round, SigningQuestion } from './signer.ts';

/** A statement that agrees with the others. */
interface Agreeing {
  readonly slot: Slot;
  readonly statement: Pick<Statement, 'builderId' | 'command'>;
  readonly sha256: Sha256;
}

export function signingQuestion(
  project: Project,
  { approval }: { readonly approval: Approval },
  { statements }: { readonly statements: readonly Agreeing[] },
  { manifest, key }: Plan,
  approvers: readonly Fingerprint[],
): SigningQuestion {
  const { certificate } = project.release;
  return {
    build: approval.build,
    project: approval.project,
    version: approval.version,
    source: approval.source,
    artifacts: manifest.subjects.map(({ name, size }) => ({ name, size })),
    bytes: totalSize(manifest.subjects),
    mode: approval.mode,
    builders: statements.map(({ slot, statement, sha256 }) => ({
      ...{ slot, scheme: builderOf(approval, slot).scheme, statement: sha256 },
      ...{ id: statement.builderId, command: statement.command },
    })),
    slots: slotsOf(approval).length,
    quorum: approval.quorum,
    assurance: assuranceOf(approval),
    approvers: project.approvers
      .filter(({ primary }) => approvers.includes(primary.fingerprint))
      .map(({ primary, userIds }) => ({ fingerprint: primary.fingerprint, userId: userIds[0] ?? '' })),
    threshold: project.threshold,
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
  if (intent === null) throw new RangeError('no intent is logged');
  const { manifest } = plan;
  const approval = await state.approval(build, manifest.approval);
  const statements: Agreeing[] = [];
  for (const slot of slotsOf(approval)) {
    const sha256 = manifest.statements[slot];
    if (sha256 === undefined) continue;
    const { builderId, command } = parseStatement(await state.kept(build, statementFile(slot), sha256));
    statements.push({ slot, statement: { builderId, command }, sha256 });
  }
  return signingQuestion(project, { approval }, { statements }, plan, intent.approvers);
}

/** Of artifacts, in bytes. */
export const totalSize = (artifacts: Iterable<{ readonly size: number }>): number => {
  let bytes = 0;
  for (const { size } of artifacts) bytes += size;
  return bytes;
};
