/**
 * Who may write a statement: the builder, by its upload token and by the signature of its ephemeral key
 * (protocol §4); and anybody one that a logged release rests on.
 */
import { Failure } from '../../failure.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { Slot } from '../../records/names.ts';
import {
  VARIANTS,
  blobFile,
  parseBuildFile,
  statementEnvelopeFile,
  statementFile,
  statementSignatureFile,
} from '../../records/paths.ts';
import type { Variant } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { parseStatement } from '../../records/statement.ts';
import type { Subject } from '../../records/statement.ts';
import { isExpired } from '../approval-policy.ts';
import { attempt } from '../attempt.ts';
import { builderCertificate } from '../builder-key.ts';
import { envelopeProblem } from '../envelope.ts';
import { authenticatorProblem, judgeStatement } from '../statement-verdict.ts';
import type { StatementQuestion } from '../statement-verdict.ts';
import { signedApproval } from './approval.ts';
import type { Decided } from './decided.ts';
import { CARRIER, tokenSlot } from './token.ts';
import { allowed, denied, deniedBy, deniedFor } from './verdict.ts';
import type { Denied, GateVerdict } from './verdict.ts';
import { decidedFor, otherBytes } from './write.ts';
import type { Write } from './write.ts';

/** Whether the write's statement is taken, and as which variant. */
export async function judgeStatementWrite(write: Write): Promise<GateVerdict> {
  const { rules, build, files } = write;

  // 1. The build is approved. What the log has decided is judged as of then.
  const logged = loggedBy(files, await decidedFor(write));
  const now = logged?.at ?? write.now;
  const signed = await signedApproval(rules, build, write.after, now);
  if ('allow' in signed) return signed;
  const { approval, digest } = signed;

  // 2. Upload token: of the slot that is written, not merely of this build. The log needs none, nor the carrier.
  const slot = logged || write.bearer === CARRIER ? slotOfFiles(files) : tokenSlot(approval, write.bearer);
  if (typeof slot !== 'string') return slot;
  for (const name of files.keys())
    if (slotOfFile(name) !== slot)
      return denied(
        403,
        'token-of-another-slot',
        `the token is that of builder ${slot}, it writes no ${name}`,
      );

  // 3. Record and authenticator in one write.
  const bytes = files.get(statementFile(slot));
  const signature = files.get(statementSignatureFile(slot));
  if (bytes === undefined || signature === undefined)
    return (await otherBytes(write, files)) ?? incomplete(slot, bytes === undefined);

  // 4. Signed by the slot's ephemeral key, at a time that §6 allows; the envelope says the same.
  const certificate = attempt(() => builderCertificate(approval, slot));
  if (certificate instanceof Failure) return deniedBy(certificate, 422);
  const verdict = verifyDetached(signature, bytes, certificate, now);
  const question = {
    policy: rules.policy,
    approval,
    approvalDigest: digest,
    slot,
    bytes,
    authenticator: { kind: 'signature', verdict, key: certificate.primary.fingerprint } as const,
    firstSeen: now,
  };
  const unsigned = authenticatorProblem(question);
  if (unsigned !== null)
    return denied(403, 'signature-invalid', `${statementSignatureFile(slot)}: ${unsigned}`);
  const envelope = files.get(statementEnvelopeFile(slot));
  const mismatch = envelope === undefined ? null : envelopeProblem(envelope, bytes, certificate.primary);
  if (mismatch !== null)
    return denied(422, 'envelope-mismatch', `${statementEnvelopeFile(slot)}: ${mismatch}`);

  // 5. Before `expires`.
  if (!logged && isExpired(approval, now))
    return denied(403, 'expired', `build ${build} ended at ${approval.expires}`);

  // 6. The first is one that the signer could accept, with all its blobs. A second, different one is kept
  //    beside it, whatever it says, for the signer to decide: two signatures of one ephemeral key are news.
  const variant = await findVariant(write, slot, bytes);
  if (typeof variant !== 'number') return variant;
  const problem = variant === 1 && !logged ? await firstProblem(write, question) : readProblem(bytes);
  return problem ?? allowed(filesAs(write, slot, variant));
}

/** What the log decided, if the write's statement is one that the signer believed; else null. */
function loggedBy(files: Write['files'], decided: Decided | null): Decided | null {
  for (const [name, bytes] of files) {
    const file = parseBuildFile(name);
    if (file?.kind === 'statement' && decided?.statements[file.slot] === sha256Hex(bytes)) return decided;
  }
  return null;
}

/** The slot that all of the write is of, if it is one. */
const slotOfFiles = (files: Write['files']): Slot | Denied =>
  [...files.keys()].map(slotOfFile)[0] ?? denied(422, 'write-empty', 'there is nothing in the write');

function slotOfFile(name: string): Slot | null {
  const file = parseBuildFile(name);
  return file !== null && 'slot' in file ? file.slot : null;
}

const incomplete = (slot: Slot, recordMissing: boolean): Denied =>
  recordMissing
    ? denied(422, 'record-missing', `an authenticator came without ${statementFile(slot)}`)
    : denied(403, 'write-needs-authenticator', `${statementFile(slot)} came without its signature`);

/** What keeps the first statement of a slot from being kept; null for nothing. */
async function firstProblem(write: Write, question: StatementQuestion): Promise<Denied | null> {
  const judged = judgeStatement(question);
  if (judged.verdict === 'void') return denied(403, 'signature-invalid', judged.text);
  if (judged.verdict === 'refuse') return deniedFor(422, judged.reasons);
  const missing = await missingBlobs(write, judged.statement.subjects);
  if (missing.length === 0) return null;
  const named = missing
    .slice(0, MISSING_NAMED)
    .map(({ name, sha256, size }) => `${name} (${sha256}, ${size} bytes)`);
  const more = missing.length - named.length;
  const list = named.join(', ') + (more > 0 ? ` and ${more} more` : '');
  return denied(
    422,
    'blobs-missing',
    `not here, or not of that size: ${list}`,
    'upload them, then send it again',
  );
}

/** How many missing blobs a message names: with the longest names it still is one that clients read whole. */
const MISSING_NAMED = 10;
/** How many sizes are asked for at a time. */
const SIZES_AT_ONCE = 128;

/** The subjects whose blob is not there with the size stated. */
async function missingBlobs({ before }: Write, subjects: readonly Subject[]): Promise<Subject[]> {
  const missing: Subject[] = [];
  for (let start = 0; start < subjects.length; start += SIZES_AT_ONCE) {
    const some = subjects.slice(start, start + SIZES_AT_ONCE);
    const sizes = await Promise.all(some.map(({ sha256 }) => before.size(blobFile(sha256))));
    missing.push(...some.filter((subject, index) => sizes[index] !== subject.size));
  }
  return missing;
}

function readProblem(bytes: Buffer): Denied | null {
  const statement = attempt(() => parseStatement(bytes));
  return statement instanceof Failure ? deniedBy(statement, 422) : null;
}

/** Where the statement goes: where these bytes are, else the first free place; 409 when there is none. */
async function findVariant(write: Write, slot: Slot, bytes: Buffer): Promise<Variant | Denied> {
  for (const variant of VARIANTS) {
    const existing = await write.before.read(statementFile(slot, variant));
    if (existing !== null && !existing.equals(bytes)) continue;
    // Without its record an authenticator of another one is what a crash left: that place is not free.
    const conflict = await otherBytes(write, filesAs(write, slot, variant));
    if (conflict === null) return variant;
    if (existing !== null) return conflict;
  }
  const text = `builder ${slot} has sent ${VARIANTS.length} different statements already`;
  return denied(409, 'variants-full', text);
}

/** The write's files under the names of a variant: authenticators first, whoever sees the record finds them. */
function filesAs({ files }: Write, slot: Slot, variant: Variant): [string, Buffer][] {
  const names = [statementEnvelopeFile, statementSignatureFile, statementFile];
  return names.flatMap((name): [string, Buffer][] => {
    const bytes = files.get(name(slot));
    return bytes === undefined ? [] : [[name(slot, variant), bytes]];
  });
}
