/**
 * Digest mode (protocol §5.5): artifacts that are not fetched. The builder states where its hash of each stood before the
 * end; we finish a copy of that and hold it against the statement's digest, and go on from it with a trailer of our own.
 */
import { passState } from '../openpgp/pass.ts';
import type { Passed } from '../openpgp/pass.ts';
import type { Approval } from '../records/approval.ts';
import type { Manifest } from '../records/manifest.ts';
import { isSlot } from '../records/names.ts';
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

/** Every artifact, by its digest, from states that the verdict on their statement has judged. */
export function passStates(
  { key, hashedPart }: Pick<Plan, 'key' | 'hashedPart'>,
  subjects: readonly StatedSubject[],
): ReadonlyMap<Sha256, Passed> {
  const passed = new Map<Sha256, Passed>();
  for (const { name, sha256, size, sha256State } of subjects) {
    if (passed.has(sha256)) continue;
    const pass = sha256State && passState(key, hashedPart, sha256State, size);
    if (pass?.sha256 !== sha256) throw new RangeError(`${name} has no state that finishes to its digest`);
    passed.set(sha256, pass);
  }
  return passed;
}

/** The subjects of the manifest as a builder stated them; all builders of it say the same. Throws unable. */
export async function statedSubjects(
  { state }: Round,
  { build, statements }: Manifest,
): Promise<readonly StatedSubject[]> {
  for (const [slot, sha256] of Object.entries(statements))
    if (isSlot(slot)) return parseStatement(await state.kept(build, statementFile(slot), sha256)).subjects;
  throw new RangeError('a manifest without a statement');
}
