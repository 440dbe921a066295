/** What the builders of a build say they made: each statement that is a builder's, as far as an approver can tell. */
import { Failure } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import { attempt } from '../policy/attempt.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { Project } from '../policy/project.ts';
import { claimedCertificates } from '../policy/slot-key.ts';
import { sizeProblems } from '../policy/statement-verdict.ts';
import type { Approval } from '../records/approval.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import type { Slot } from '../records/names.ts';
import { VARIANTS, buildPath, statementFile, statementSignatureFile } from '../records/paths.ts';
import type { Variant } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { Depot } from '../tree/tree.ts';
import { directoryOf, enrolledCertificate } from './evidence.ts';

/** One statement. */
export interface Version {
  /** Its slot, `b1`; a second statement of it is `b1.2`. */
  readonly name: string;
  readonly slot: Slot;
  readonly variant: Variant;
  readonly statement: Statement;
  /** What of it an approver can't check; null: it is signed with the key that is the slot's. */
  readonly unchecked: string | null;
}

export interface Versions {
  readonly versions: readonly Version[];
  /** Statements that are nobody's word, and why; a sentence each. */
  readonly left: readonly string[];
  /** Those of more than is allowed, and why. */
  readonly over: readonly string[];
}

/** Reads the statements of every slot, variants too. Throws unable. */
export async function readVersions(
  project: Project,
  depot: Depot,
  approval: Approval,
  now: Date,
): Promise<Versions> {
  const versions: Version[] = [];
  const left: string[] = [];
  const over: string[] = [];
  for (const slot of slotsOf(approval)) {
    const keys = await keysOf(project, depot, approval, slot);
    for (const variant of VARIANTS) {
      const file = statementFile(slot, variant);
      const bytes = await depot.read(buildPath(approval.build, file), LARGE_RECORD_MAX);
      if (bytes === null) continue;
      const signatureFile = buildPath(approval.build, statementSignatureFile(slot, variant));
      const signature = keys === null ? null : await depot.read(signatureFile, MAX_SIGNATURE_BYTES);
      const isBy = (key: Certificate): boolean =>
        signature !== null && verifyDetached(signature, bytes, key, now).ok;
      const unchecked = uncheckedOf(keys, isBy);
      const statement = unchecked === undefined ? null : attempt(() => parseStatement(bytes));
      if (unchecked === undefined || statement === null)
        left.push(`${file} is not signed by builder ${slot}`);
      else if (statement instanceof Failure) left.push(`${file}: ${statement.message}`);
      else {
        const [tooMuch] = sizeProblems(project.policy, approval, slot, statement);
        const name = variant === 1 ? slot : `${slot}.${variant}`;
        if (tooMuch === undefined) versions.push({ name, slot, variant, statement, unchecked });
        else over.push(`${file}: ${tooMuch.text}`);
      }
    }
  }
  return { versions, left, over };
}

/** The key that is the slot's, and those that say that they are. */
interface Keys {
  readonly own: Certificate | null;
  readonly claimed: readonly Certificate[];
}

/** Null for a slot of scheme `mac`. */
async function keysOf(project: Project, depot: Depot, approval: Approval, slot: Slot): Promise<Keys | null> {
  const { scheme } = builderOf(approval, slot);
  if (scheme === 'mac') return null;
  const claimed = await claimedCertificates(approval, slot, directoryOf(depot, approval.build));
  const [approved = null] = claimed;
  const own = scheme === 'enrol' ? await enrolledCertificate(project, depot, approval, slot) : approved;
  return { own, claimed };
}

/** What can't be checked of a statement, null for nothing; undefined: it is not the builder's. */
function uncheckedOf(keys: Keys | null, isBy: (key: Certificate) => boolean): string | null | undefined {
  if (keys === null) return 'only the signer can check its MAC';
  if (keys.own !== null && isBy(keys.own)) return null;
  // whoever holds the depot can put an enrolment there: only the log says whose a key is
  return keys.claimed.some(isBy) ? 'the log has not taken in its key' : undefined;
}
