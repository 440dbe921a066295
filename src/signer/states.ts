/**
 * Digest mode (protocol §5.5): artifacts that are not fetched. The builder states where its hash of each stood before the
 * end; we finish a copy of that and hold it against the statement's digest, and go on from it with a trailer of our own.
 */
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { passState } from '../openpgp/pass.ts';
import type { Passed } from '../openpgp/pass.ts';
import { slotsOf } from '../policy/builder-key.ts';
import type { Approval } from '../records/approval.ts';
import type { Manifest } from '../records/manifest.ts';
import type { Sha256 } from '../records/names.ts';
import { statementFile } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { StatedSubject } from '../records/statement.ts';
import type { Plan } from './plan.ts';
import type { ReleaseKey } from './release-key.ts';
import type { StopCode } from './result.ts';
import type { Round } from './signer.ts';

interface Unfit {
  readonly code: StopCode;
  readonly where: string;
  readonly text: string;
  readonly hint: string;
}

/**
 * Why this key is not used in the approval's mode; null if it may be. What a key signs unseen must be worth nothing as a
 * certification, whatever anybody finds out about SHA-256: so one that can make them is not here.
 */
export function unfitForMode({ mode }: Approval, { key, certifying }: ReleaseKey): Unfit | null {
  if (mode === 'fetch') return null;
  if (certifying !== null)
    return {
      code: 'release-key-certifies',
      where: `release key ${certifying}`,
      text: 'it can certify, and its secret half is on this host: digest mode takes a subkey that can only sign',
      hint: 'countersign doctor says how to take the primary key offline; or approve without --mode digest',
    };
  if (key.algorithm !== 'ecdsa') return null;
  return {
    code: 'release-key-ecdsa',
    where: `release key ${key.fingerprint}`,
    text: 'what an ECDSA key signs without the file cannot be checked here',
    hint: 'give this host an Ed25519 or RSA subkey; or approve without --mode digest',
  };
}

/**
 * Every artifact of the manifest, by its digest, from the states that a builder stated: whatever else that builder has said
 * is not passed. Throws unable(`state-damaged`) for a manifest that is not of what was stated.
 */
export function passStates(
  { key, hashedPart, manifest }: Pick<Plan, 'key' | 'hashedPart' | 'manifest'>,
  stated: readonly StatedSubject[],
): ReadonlyMap<Sha256, Passed> {
  const misfit = (what: string): Failure =>
    unable('state-damaged', `manifest.json of build ${manifest.build}: ${what}`, 'restore a back-up');
  if (manifest.hash !== 'sha256')
    throw misfit(`a hash state is of SHA-256, and it asks for ${manifest.hash}`);
  const byName = new Map(stated.map((subject) => [subject.name, subject]));
  const passed = new Map<Sha256, Passed>();
  for (const { name, sha256, size } of manifest.subjects) {
    const subject = byName.get(name);
    if (subject?.sha256State === undefined || subject.sha256 !== sha256 || subject.size !== size)
      throw misfit(`no builder stated its ${name}`);
    const pass = passed.get(sha256) ?? passState(key, hashedPart, subject.sha256State, size);
    if (pass.sha256 !== sha256 || pass.size !== size) throw misfit(`${name} has not the state of its digest`);
    passed.set(sha256, pass);
  }
  return passed;
}

/**
 * The subjects of the manifest as a builder of its approval stated them; all builders of it say the same. For a manifest
 * that is not `unvouched`: what it says of others is nobody's word. Throws unable.
 */
export async function statedSubjects(
  { state }: Round,
  approval: Approval,
  { build, statements }: Manifest,
): Promise<readonly StatedSubject[]> {
  for (const slot of slotsOf(approval)) {
    const sha256 = statements[slot];
    if (sha256) return parseStatement(await state.kept(build, statementFile(slot), sha256)).subjects;
  }
  throw new RangeError('a manifest without a statement');
}
