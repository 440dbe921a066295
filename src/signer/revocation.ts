/**
 * Step 2 of protocol §5: approvers revoke a build. Before the release is logged one of them is enough, after it as many
 * as starting took; the release is then withdrawn.
 */
import type { BuildHistory } from '../policy/history.ts';
import type { Project } from '../policy/project.ts';
import { readRevocation, revokersNeeded } from '../policy/revocation-verdict.ts';
import type { Verified } from '../policy/verified.ts';
import type { Approval } from '../records/approval.ts';
import { timestamp, timestampDate } from '../records/names.ts';
import type { BuildId, Fingerprint, ProjectName, Sha256, Version } from '../records/names.ts';
import { buildPath, revocationFile, revocationSignatureFile } from '../records/paths.ts';
import type { Revocation } from '../records/revocation.ts';
import { sha256Hex } from '../records/sha256.ts';
import { readSmall } from './approvers.ts';
import { authenticate } from './authenticate.ts';
import { approvalOf, wayOn } from './holder.ts';
import { Stop } from './result.ts';
import { Signatures } from './signatures.ts';
import type { Round } from './signer.ts';

/** A build that the log has bound to an approval: what a revocation must be of. */
interface Bound {
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  readonly approval: Sha256;
}

/**
 * Logs the revocations that count by the project file of this moment, and ends the build, as long as its release is
 * not logged. Null if none counts. To be called right before whatever a revocation is to prevent. Throws unable.
 */
export async function endIfRevoked(round: Round, bound: Bound): Promise<Stop | null> {
  const project = await round.loadProject();
  const revocations = await countRevocations(round, project, bound);
  if (revocations.length < revokersNeeded(project, false)) return null;
  await logRevocation(round, bound, revocations);
  return settleRevocation(round, bound.build);
}

/**
 * An approval that some approvers have signed, too few, and that one of them has revoked: it ends here, and as a build
 * without a valid approval causes no entry (§5 step 1) the log has nothing of it. What counts is kept: the depot can't
 * take it back. Null if none counts. Throws unable.
 */
export async function revokedUnlogged(
  round: Round,
  approval: Approval,
  sha256: Sha256,
): Promise<Stop | null> {
  const { project } = round;
  const revocations = await countRevocations(round, project, { ...approval, approval: sha256 });
  if (revocations.length < revokersNeeded(project, false)) return null;
  await keepRevocations(round, approval.build, revocations);
  const never = `it never had its ${project.threshold} approvers, so the log has nothing of it`;
  const text = `revoked by ${saidBy(project, revocations)}; ${never}`;
  return new Stop('decided', 'revoked', 'revoked', text, await wayOn(round, approval));
}

/**
 * A build that the log says was revoked: over. Null if it was not. Throws unable(`state-damaged`, `disk`).
 */
export async function settleRevocation(round: Round, build: BuildId): Promise<Stop | null> {
  const history = round.state.journal.history.build(build);
  if (!history?.revocation) return null;
  const { project, version, release } = history;
  // Whatever was signed by then does not leave.
  if (release === null) await Signatures.discard(round.state, build);
  if (!(await round.state.isSettled(build))) await round.state.settle(build, round.now());
  const approval = await approvalOf(round, history);
  const said = saidBy(round.project, await loggedRevocations(round, history));
  const what = release === null ? 'revoked' : `${project} ${version} is withdrawn`;
  const who =
    said === '' ? ': the log says so, and no approver of the project file has signed it' : ` by ${said}`;
  return new Stop('decided', 'revoked', 'revoked', `${what}${who}`, await wayOn(round, approval));
}

/**
 * Those in the log that approvers of the project file made: with the log key alone somebody could have logged others, and
 * nobody's name is said with those. Throws unable(`state-damaged`, `disk`).
 */
async function loggedRevocations(
  { project, state }: Round,
  { build, approval, revocation: logged }: BuildHistory,
): Promise<Counted[]> {
  if (approval === null || logged === null) throw new RangeError('no revocation is logged');
  const counted: Counted[] = [];
  for (const [approver, sha256] of logged.revocations) {
    const bytes = await state.kept(build, revocationFile(approver), sha256);
    const signature = await state.read(build, revocationSignatureFile(approver));
    const certificate = project.approvers.find(({ primary }) => primary.fingerprint === approver);
    if (certificate === undefined) continue;
    const verdict = await authenticate(signature, bytes, certificate, timestampDate(logged.time));
    const bound = { build, approval: approval.sha256 };
    const revocation = readRevocation(project, bound, { approver, bytes, signature: verdict });
    if (typeof revocation === 'string') continue;
    counted.push({ approver, bytes, signature: signature ?? Buffer.alloc(0), revocation });
  }
  return counted;
}

/**
 * Withdraws a release that the log has, when as many approvers as the threshold have revoked it. Null while they have
 * not; those who have are said. Throws unable.
 */
export async function withdrawal(round: Round, history: BuildHistory): Promise<Stop | null> {
  const { build, project, version, approval, revocation } = history;
  if (approval === null) throw new RangeError('no approval is logged');
  if (revocation === null) {
    const current = await round.loadProject();
    const bound = { build, project, version, approval: approval.sha256 };
    const revocations = await countRevocations(round, current, bound);
    const needed = revokersNeeded(current, true);
    if (revocations.length < needed) {
      if (revocations.length > 0) noteTooFew(round, build, revocations, needed);
      return null;
    }
    await logRevocation(round, bound, revocations);
  }
  return settleRevocation(round, build);
}

/** An approver's word on the build, as it was read. */
interface Counted {
  readonly approver: Fingerprint;
  readonly bytes: Buffer;
  readonly signature: Buffer;
  readonly revocation: Verified<Revocation>;
}

/**
 * One a person: those kept here, and where there is none that counts, the depot's. One that does not count counts for
 * nothing and undoes nothing (§2): it is said.
 */
async function countRevocations(round: Round, project: Project, bound: Bound): Promise<Counted[]> {
  const { build } = bound;
  const counted: Counted[] = [];
  for (const certificate of project.approvers) {
    const approver = certificate.primary.fingerprint;
    const [file, signatureFile] = [revocationFile(approver), revocationSignatureFile(approver)];
    const judge = async (
      read: (name: string) => Promise<Buffer | null>,
    ): Promise<Counted | string | null> => {
      const bytes = await read(file);
      if (bytes === null) return null;
      const signature = await read(signatureFile);
      const verdict = await authenticate(signature, bytes, certificate, round.now());
      const revocation = readRevocation(project, bound, { approver, bytes, signature: verdict });
      if (typeof revocation === 'string') return revocation;
      return { approver, bytes, signature: signature ?? Buffer.alloc(0), revocation };
    };
    const kept = await judge((name) => round.state.read(build, name));
    const isCounted = kept !== null && typeof kept !== 'string';
    const found = isCounted ? kept : await judge((name) => readSmall(round, buildPath(build, name)));
    if (typeof found === 'string')
      round.report({ kind: 'note', build, text: `${file} does not count: ${found}` });
    else if (found !== null) counted.push(found);
  }
  return counted;
}

/** On the disk, then in the log: that puts it in force. */
async function logRevocation(
  round: Round,
  { build, project, version }: Bound,
  revocations: readonly Counted[],
): Promise<void> {
  const records = await keepRevocations(round, build, revocations);
  const time = timestamp(round.now());
  await round.state.journal.append({ type: 'revocation', time, build, project, version, records, keys: [] });
}

/** On the disk when this returns; their digests. */
async function keepRevocations(
  { state }: Round,
  build: BuildId,
  revocations: readonly Counted[],
): Promise<Record<string, Sha256>> {
  const records: Record<string, Sha256> = {};
  for (const { approver, bytes, signature } of revocations)
    for (const [file, content] of [
      [revocationFile(approver), bytes],
      [revocationSignatureFile(approver), signature],
    ] as const) {
      await state.write(build, file, content);
      records[file] = sha256Hex(content);
    }
  return records;
}

function noteTooFew(round: Round, build: BuildId, revocations: readonly Counted[], needed: number): void {
  const who = saidBy(round.project, revocations);
  const text = `its release is logged: to withdraw it takes ${needed} approvers, ${revocations.length} revoked it (${who})`;
  round.report({ kind: 'note', build, text });
}

const saidBy = (project: Project, revocations: readonly Counted[]): string =>
  revocations
    .map(({ approver, revocation }) => `${nameOf(project, approver)}: ${revocation.reason}`)
    .join('; ');

/** How a person knows an approver; by the fingerprint, one who is none any more. */
const nameOf = (project: Project, approver: Fingerprint): string =>
  project.approvers.find(({ primary }) => primary.fingerprint === approver)?.userIds[0] ?? approver;
