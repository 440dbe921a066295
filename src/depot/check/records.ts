/** What the records of a build should be: approval and revocations here, what builders sent in sealed.ts. */
import { Failure } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { attempt } from '../../policy/attempt.ts';
import { slotsOf } from '../../policy/builder-key.ts';
import { approverCertificate } from '../../policy/gate/approval.ts';
import { parseApproval } from '../../records/approval.ts';
import type { Fingerprint } from '../../records/names.ts';
import { approvalFile, approvalSignatureFile, parseBuildFile } from '../../records/paths.ts';
import { revocationFile, revocationSignatureFile } from '../../records/paths.ts';
import type { BuildFile } from '../../records/paths.ts';
import { parseRevocation } from '../../records/revocation.ts';
import { sha256Hex } from '../../records/sha256.ts';
import type { Expected, Problem } from './expected.ts';
import { fits } from './signed.ts';
import { LOG, apart, digest, expected, namedOr } from './place.ts';
import type { Place } from './place.ts';
import { enrolmentsOf, statementsOf } from './sealed.ts';

/** All of them, whether they are there or not. Throws unable('disk'). */
export async function* recordsOf(place: Place): AsyncGenerator<Expected, void, undefined> {
  yield* approvalOf(place);
  const { approval } = place.facts;
  for (const slot of approval ? slotsOf(approval) : []) {
    const certificates: Certificate[] = [];
    yield* enrolmentsOf(place, slot, certificates);
    yield* statementsOf(place, slot, certificates);
  }
  if (!place.isRelease) yield* revocationsOf(place);
}

async function* approvalOf(place: Place): AsyncGenerator<Expected, void, undefined> {
  const { facts, there, at } = place;
  const { project } = facts.question;
  const signatures = filesOf(place, 'approval-signature');
  const bytes = await facts.find(approvalFile, facts.approvalSha256 ?? undefined);
  const own = bytes ?? (facts.approvalSha256 === null ? await facts.read(at(approvalFile)) : null);
  const others = [...there].some((file) => file !== approvalFile && !file.startsWith(`${approvalFile}.`));
  const isSigned = async (): Promise<boolean> => {
    for (const [file, { approver }] of signatures) {
      const certificate = approverCertificate(project, approver);
      const signature = await facts.read(at(file));
      // what somebody has signed who is no approver any more can't be judged
      if (own !== null && signature !== null && (!certificate || fits(signature, own, certificate)))
        return true;
    }
    return signatures.length === 0;
  };
  const signed = facts.approvalSha256 !== null || (await isSigned());
  const judge = (found: Buffer): Problem | null => {
    const parsed = attempt(() => parseApproval(found));
    if (parsed instanceof Failure) return { code: 'malformed', text: parsed.message };
    if (parsed.build !== facts.build) return { code: 'malformed', text: `it is of build ${parsed.build}` };
    return signed ? null : apart(approvalFile, signatures[0]?.[0] ?? '');
  };
  const is = facts.approvalSha256 === null ? judge : digest(facts.approvalSha256, LOG);
  if (facts.approvalSha256 !== null || others || there.has(approvalFile))
    yield expected(place, approvalFile, is, facts.approvalSha256 !== null ? LOG : 'what lies beside it');

  const named = [...facts.named.keys()].filter((file) => parseBuildFile(file)?.kind === 'approval-signature');
  const requester =
    signatures.length === 0 && facts.approval ? [approvalSignatureFile(facts.approval.requester)] : [];
  for (const file of new Set([...signatures.map(([name]) => name), ...named, ...requester])) {
    const parsed = parseBuildFile(file);
    const certificate =
      parsed?.kind === 'approval-signature' ? approverCertificate(project, parsed.approver) : undefined;
    const fit = namedOr(facts, (found) =>
      own === null || !certificate || fits(found, own, certificate) ? null : apart(file, approvalFile),
    );
    yield expected(
      place,
      file,
      fit,
      named.includes(file) ? LOG : requester.includes(file) ? approvalFile : null,
    );
  }
}

async function* revocationsOf(place: Place): AsyncGenerator<Expected, void, undefined> {
  const { facts, there, at } = place;
  const approvers = new Set<Fingerprint>();
  for (const [, { approver }] of [...filesOf(place, 'revocation'), ...filesOf(place, 'revocation-signature')])
    approvers.add(approver);
  for (const file of facts.named.keys()) {
    const parsed = parseBuildFile(file);
    if (parsed?.kind === 'revocation') approvers.add(parsed.approver);
  }
  for (const approver of approvers) {
    const [file, name] = [revocationFile(approver), revocationSignatureFile(approver)];
    const certificate = approverCertificate(facts.question.project, approver);
    const [bytes, signature] = [await facts.read(at(file)), await facts.read(at(name))];
    const sha256 = facts.named.get(file);
    // a signature that was left alone is none, and is replaced
    if (sha256 === undefined && !there.has(file)) continue;
    const judge = (found: Buffer): Problem | null => {
      const parsed = attempt(() => parseRevocation(found));
      if (parsed instanceof Failure) return { code: 'malformed', text: parsed.message };
      if (parsed.build !== facts.build) return { code: 'malformed', text: `it is of build ${parsed.build}` };
      return !signature || !certificate || fits(signature, found, certificate) ? null : apart(file, name);
    };
    yield expected(place, file, sha256 === undefined ? judge : digest(sha256, LOG), LOG);
    const whole = sha256 === undefined || (bytes !== null && sha256Hex(bytes) === sha256) ? bytes : null;
    const fit = namedOr(facts, (found) =>
      !whole || !certificate || fits(found, whole, certificate) ? null : apart(name, file),
    );
    yield expected(place, name, fit, file);
  }
}

type OfApprover = Extract<BuildFile, { readonly approver: Fingerprint }>;

/** Those of a kind that are there. */
function filesOf({ there }: Place, kind: OfApprover['kind']): [string, OfApprover][] {
  return [...there].flatMap((file): [string, OfApprover][] => {
    const parsed = parseBuildFile(file);
    return parsed !== null && 'approver' in parsed && parsed.kind === kind ? [[file, parsed]] : [];
  });
}
