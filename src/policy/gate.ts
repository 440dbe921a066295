/**
 * The gate (protocol §4): who may write what. No accounts and no passwords: every write carries its own
 * authority, checked against the project file before a byte is kept for good.
 *
 *     approval, endorsement     an approver's signature                                    gate/approval.ts
 *     blob                      upload token of a slot, within counts and sizes, in time   gate/blob.ts
 *     statement, enrolment      upload token, and the ephemeral key's signature if any     gate/statement.ts, enrolment.ts
 *     receipt                   a log proof of type `enrolment` that names it              gate/enrolment.ts
 *     revocation                an approver's signature                                    gate/revocation.ts
 *     refusal                   a log proof of type `refusal` that names it                gate/proven.ts
 *     release and signatures    a log proof of type `release`, then digest by digest       gate/proven.ts
 *     the log                   a checkpoint under the log key that goes on from the last  gate/log.ts
 *
 * What the log has decided (gate/decided.ts) has no end: the approval and statements that a logged release names by
 * their digests, from anybody; its blobs, from the signer.
 *
 * One pure function of the write and the tree. It belongs to no role: the depot runs it for HTTP, whoever
 * writes into a directory runs it there.
 */
import { LARGE_RECORD_MAX, RECORD_MAX } from '../records/canonical.ts';
import { ENVELOPE_MAX } from '../records/dsse.ts';
import { LOG_ENTRY_MAX } from '../records/log-entry.ts';
import type { BuildId } from '../records/names.ts';
import { MAC_FILE_BYTES } from '../records/mac.ts';
import { buildPath, parseBuildFile } from '../records/paths.ts';
import type { BuildFile } from '../records/paths.ts';
import { PROOF_MAX } from '../tlog/proof.ts';
import { judgeApprovalWrite } from './gate/approval.ts';
import type { Decided } from './gate/decided.ts';
import { judgeEnrolmentWrite, judgeReceiptWrite } from './gate/enrolment.ts';
import { judgeRefusalWrite, judgeReleaseWrite } from './gate/proven.ts';
import { judgeRevocationWrite } from './gate/revocation.ts';
import type { GateRules } from './gate/rules.ts';
import { judgeStatementWrite } from './gate/statement.ts';
import type { Bearer } from './gate/token.ts';
import { allowed, denied } from './gate/verdict.ts';
import type { Denied, GateVerdict } from './gate/verdict.ts';
import { isThere } from './gate/write.ts';
import type { Write } from './gate/write.ts';
import { below, overlay } from './view.ts';
import type { View } from './view.ts';

export type { Denied, GateVerdict } from './gate/verdict.ts';
export { isRevoked, judgeBlob, judgeBuilder, judgeUpload } from './gate/blob.ts';
export { judgeRead } from './gate/read.ts';

export interface RecordsWrite {
  readonly rules: GateRules;
  readonly build: BuildId;
  /** By path below `builds/<build>/`: a map, or the entries of an archive, which may name a file twice. */
  readonly files: Iterable<readonly [string, Buffer]>;
  readonly bearer: Bearer;
  /** The whole tree. */
  readonly view: View;
  /** What the log has decided on the build, where whoever asks has read it already: reading it costs. */
  readonly decided?: Decided | null;
  /** By the clock of whoever keeps the tree. */
  readonly now: Date;
}

/**
 * Whether records and their authenticators may be written, judged whole: every file is authorised, or none
 * is kept. Throws only what `view` throws.
 */
export async function judgeRecords(question: RecordsWrite): Promise<GateVerdict> {
  const { rules, build, bearer, now, decided = null } = question;

  // 1. Each a file that a build has, once, within its size.
  const groups = sortOut(question.files);
  if (!(groups instanceof Map)) return groups;

  // 2. Judged in the presence of each other.
  const files = new Map([...groups.values()].flatMap((group) => [...group]));
  const before = below(question.view, buildPath(build));
  const after = overlay(before, files);
  const write: Write = { rules, build, bearer, now, files, before, after, decided };

  // 3. Each record with its authenticators, by its rule. What is there already with these bytes needs no
  //    authority: nothing is written.
  const taken: (readonly [string, Buffer])[] = [];
  const abandoned: string[] = [];
  for (const [judge, group] of groups) {
    if (await isThere(before, group)) continue;
    const verdict = await judge({ ...write, files: group });
    if (!verdict.allow) return verdict;
    taken.push(...verdict.files);
    abandoned.push(...verdict.abandoned);
  }
  return allowed(taken, abandoned);
}

type Rule = (write: Write) => Promise<GateVerdict>;

/** Detached signatures, armored or not (§6). */
const SIGNATURE_MAX = 4 * 1024;

/** Each kind of file: the most bytes it may have, and the rule that judges it, together with all others of that rule. */
const KINDS: Readonly<
  Record<Exclude<BuildFile['kind'], 'blob'>, { readonly maxBytes: number; readonly rule: Rule }>
> = {
  approval: { maxBytes: RECORD_MAX, rule: judgeApprovalWrite },
  'approval-signature': { maxBytes: SIGNATURE_MAX, rule: judgeApprovalWrite },
  statement: { maxBytes: LARGE_RECORD_MAX, rule: judgeStatementWrite },
  'statement-signature': { maxBytes: SIGNATURE_MAX, rule: judgeStatementWrite },
  'statement-envelope': { maxBytes: ENVELOPE_MAX, rule: judgeStatementWrite },
  'statement-mac': { maxBytes: MAC_FILE_BYTES, rule: judgeStatementWrite },
  enrolment: { maxBytes: RECORD_MAX, rule: judgeEnrolmentWrite },
  'enrolment-signature': { maxBytes: SIGNATURE_MAX, rule: judgeEnrolmentWrite },
  'enrolment-mac': { maxBytes: MAC_FILE_BYTES, rule: judgeEnrolmentWrite },
  'enrolment-receipt': { maxBytes: PROOF_MAX, rule: judgeReceiptWrite },
  revocation: { maxBytes: RECORD_MAX, rule: judgeRevocationWrite },
  'revocation-signature': { maxBytes: SIGNATURE_MAX, rule: judgeRevocationWrite },
  refusal: { maxBytes: RECORD_MAX, rule: judgeRefusalWrite },
  'refusal-proof': { maxBytes: PROOF_MAX, rule: judgeRefusalWrite },
  'log-entry': { maxBytes: LOG_ENTRY_MAX, rule: judgeReleaseWrite },
  'release-proof': { maxBytes: PROOF_MAX, rule: judgeReleaseWrite },
  release: { maxBytes: RECORD_MAX, rule: judgeReleaseWrite },
  manifest: { maxBytes: LARGE_RECORD_MAX, rule: judgeReleaseWrite },
  'signatures-list': { maxBytes: LARGE_RECORD_MAX, rule: judgeReleaseWrite },
  signature: { maxBytes: SIGNATURE_MAX, rule: judgeReleaseWrite },
};

/** The files of a write by rule; a denial for a name, a repetition or a size that no rule takes. */
function sortOut(files: RecordsWrite['files']): Map<Rule, Map<string, Buffer>> | Denied {
  const groups = new Map<Rule, Map<string, Buffer>>();
  for (const [name, bytes] of files) {
    const file = parseBuildFile(name);
    // Blobs are no records, and the gate itself numbers the variants of statements and enrolments.
    if (file === null || file.kind === 'blob' || ('variant' in file && file.variant !== 1))
      return denied(422, 'name-not-allowed', `no record of a build is written as '${name.slice(0, 300)}'`);
    const { maxBytes, rule } = KINDS[file.kind];
    const group = groups.get(rule) ?? new Map<string, Buffer>();
    if (group.has(name)) return denied(422, 'duplicate-name', `${name} is in the write twice`);
    if (bytes.length > maxBytes)
      return denied(
        413,
        'record-too-large',
        `${name} has ${bytes.length} bytes, at most ${maxBytes} are taken`,
      );
    groups.set(rule, group.set(name, bytes));
  }
  return groups.size === 0 ? denied(422, 'write-empty', 'there is nothing in the write') : groups;
}
