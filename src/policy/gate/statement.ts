/**
 * Who may write a statement: the builder, by its upload token and, where there is one to check, by the signature of its
 * ephemeral key (protocol §4); and anybody one that a logged release rests on.
 */
import { Failure } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { verifyDetached } from '../../openpgp/verify.ts';
import type { Approval, Scheme } from '../../records/approval.ts';
import { isMacFile } from '../../records/mac.ts';
import type { Slot } from '../../records/names.ts';
import { blobFile, parseBuildFile, statementAuthenticatorFile } from '../../records/paths.ts';
import { statementEnvelopeFile, statementFile, statementMacFile } from '../../records/paths.ts';
import { statementSignatureFile } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { parseStatement } from '../../records/statement.ts';
import type { Subject } from '../../records/statement.ts';
import { isExpired } from '../approval-policy.ts';
import { asRefusal, attempt } from '../attempt.ts';
import { builderOf } from '../builder-key.ts';
import { envelopeProblem } from '../envelope.ts';
import { claimedCertificates } from '../slot-key.ts';
import { authenticatorProblem, judgeStatement } from '../statement-verdict.ts';
import type { Authenticator, StatementQuestion } from '../statement-verdict.ts';
import type { Verified } from '../verified.ts';
import { signedApproval } from './approval.ts';
import type { Decided } from './decided.ts';
import { filesAs, findVariant, slotOfWrite } from './variants.ts';
import type { SlotFiles } from './variants.ts';
import { allowed, denied, deniedBy, deniedFor } from './verdict.ts';
import type { Denied, GateVerdict } from './verdict.ts';
import { decidedFor, otherBytes } from './write.ts';
import type { Write } from './write.ts';

/** What a builder of the scheme sends; a MAC has no envelope, which is signed. */
const namesOf = (scheme: Scheme): SlotFiles =>
  scheme === 'mac'
    ? { record: statementFile, beside: [statementMacFile], mac: statementMacFile }
    : { record: statementFile, beside: [statementEnvelopeFile, statementSignatureFile], mac: null };

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
  const slot = slotOfWrite(write, approval, logged !== null);
  if (typeof slot !== 'string') return slot;
  const builder = attempt(() => builderOf(approval, slot));
  if (builder instanceof Failure) return deniedBy(builder, 422);

  // 3. Record and the authenticator of its scheme, in one write.
  const names = namesOf(builder.scheme);
  const expected = filesAs(write, names, slot, 1);
  const stranger = [...files.keys()].find((name) => !expected.some(([other]) => other === name));
  if (stranger !== undefined)
    return denied(
      422,
      'name-not-allowed',
      `builder ${slot} is of scheme ${builder.scheme}: it has no ${stranger}`,
    );
  const bytes = files.get(statementFile(slot));
  const authenticator = files.get(statementAuthenticatorFile(builder.scheme, slot));
  if (bytes === undefined || authenticator === undefined)
    return (await otherBytes(write, files)) ?? incomplete(slot, bytes === undefined);

  // 4. Signed by the slot's ephemeral key, at a time that §6 allows; the envelope says the same.
  const vouched = await vouch(write, { approval, slot, bytes, authenticator, now });
  if ('allow' in vouched) return vouched;

  // 5. Before `expires`.
  if (!logged && isExpired(approval, now))
    return denied(403, 'expired', `build ${build} ended at ${approval.expires}`);

  // 6. The first is one that the signer could accept, with all its blobs. A second, different one is kept
  //    beside it, whatever it says, for the signer to decide: two of one builder are news.
  const variant = await findVariant(write, names, slot);
  if (typeof variant !== 'number') return variant;
  const { policy } = rules;
  const question = {
    ...{ policy, approval, approvalDigest: digest, slot, bytes },
    ...{ authenticator: vouched, firstSeen: now },
  };
  const problem = variant === 1 && !logged ? await firstProblem(write, question) : readProblem(bytes);
  return problem ?? allowed(filesAs(write, names, slot, variant));
}

interface Sent {
  readonly approval: Verified<Approval>;
  readonly slot: Slot;
  readonly bytes: Buffer;
  readonly authenticator: Buffer;
  readonly now: Date;
}

/** What stands behind a statement: its signature; of a MAC, which nobody without the nonce can check, its form alone. */
async function vouch(write: Write, sent: Sent): Promise<Authenticator | Denied> {
  const { approval, slot, bytes, authenticator, now } = sent;
  const { scheme } = builderOf(approval, slot);
  const name = statementAuthenticatorFile(scheme, slot);
  if (scheme === 'mac') {
    if (isMacFile(authenticator)) return { kind: 'unchecked' };
    return denied(422, 'mac-malformed', `${name} is not 44 characters of base64 and a line feed`);
  }
  const keys = await claimedCertificates(approval, slot, write.after).catch(asRefusal);
  if (keys instanceof Failure) return deniedBy(keys, 422);
  let unsigned = `builder ${slot} has not enrolled here`;
  for (const certificate of keys) {
    const verdict = verifyDetached(authenticator, bytes, certificate, now);
    const vouched = { kind: 'signature', verdict, key: certificate.primary.fingerprint } as const;
    const problem = authenticatorProblem({ slot, authenticator: vouched, firstSeen: now });
    if (problem === null) return envelopeOf(write, slot, bytes, certificate) ?? vouched;
    unsigned = problem;
  }
  return denied(403, 'signature-invalid', `${name}: ${unsigned}`);
}

function envelopeOf({ files }: Write, slot: Slot, bytes: Buffer, { primary }: Certificate): Denied | null {
  const name = statementEnvelopeFile(slot);
  const envelope = files.get(name);
  const mismatch = envelope === undefined ? null : envelopeProblem(envelope, bytes, primary);
  return mismatch === null ? null : denied(422, 'envelope-mismatch', `${name}: ${mismatch}`);
}

/** What the log decided, if the write's statement is one that the signer believed; else null. */
function loggedBy(files: Write['files'], decided: Decided | null): Decided | null {
  for (const [name, bytes] of files) {
    const file = parseBuildFile(name);
    if (file?.kind === 'statement' && decided?.statements[file.slot] === sha256Hex(bytes)) return decided;
  }
  return null;
}

const incomplete = (slot: Slot, recordMissing: boolean): Denied =>
  recordMissing
    ? denied(422, 'record-missing', `an authenticator came without ${statementFile(slot)}`)
    : denied(403, 'write-needs-authenticator', `${statementFile(slot)} came without its authenticator`);

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
