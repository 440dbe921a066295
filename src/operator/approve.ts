/**
 * `approve`, first half: makes the secrets of a build's builders and the approval that names them. Protocol §2 (approval, ticket).
 *
 * A person can look before the second half, `submitApproval`, has it signed.
 */
import { randomBytes } from 'node:crypto';
import { refused, usage } from '../failure.ts';
import { keyFact } from '../openpgp/key-fact.ts';
import type { KeyFact } from '../openpgp/key-fact.ts';
import { DEFAULT_ENROL_BY, defaultLifetime } from '../policy/again.ts';
import { approvalProblems } from '../policy/approval-policy.ts';
import { digestModeOff, onlyEcdsa } from '../policy/digest-mode.ts';
import { formatDuration } from '../policy/duration.ts';
import type { Project } from '../policy/project.ts';
import { APPROVAL_TYPE, encodeApproval, MAX_BUILDERS, MODES } from '../records/approval.ts';
import { parseApproval, SCHEMES } from '../records/approval.ts';
import type { Approval, Mode, Scheme, Source } from '../records/approval.ts';
import { isVersion, newBuildId, timestamp, timestampDate } from '../records/names.ts';
import type { Sha256, Slot, Timestamp, Version } from '../records/names.ts';
import { isPattern } from '../records/pattern.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Ticket } from '../records/ticket.ts';
import { chooseApprover } from './approver.ts';
import { makeBuilders } from './builders.ts';
import { isChanged, parseSourceFlag, sourceOfCheckout } from './source.ts';
import { expectedTerms } from './terms.ts';

/** What the command line says; null where it says nothing. */
export interface ApprovalRequest {
  readonly version: string;
  /** `--source URI@COMMIT`; null: origin and HEAD of the checkout at `directory`. */
  readonly source: string | null;
  readonly directory: string;
  readonly patterns: readonly string[] | null;
  readonly maxCount: number | null;
  readonly maxBytes: number | null;
  readonly maxTotalBytes: number | null;
  readonly builders: number | null;
  readonly quorum: number | null;
  readonly scheme: string | null;
  /** `--enrol-by`, seconds. */
  readonly enrolBy: number | null;
  readonly mode: string | null;
  /** `--expires`, seconds. */
  readonly lifetime: number | null;
  /** `--approver`, a fingerprint. */
  readonly approver: string | null;
  /** `--expect`, the terms. */
  readonly expect: string | null;
  /** URL of the depot, which the ticket will name. */
  readonly depot: string;
  readonly now: Date;
}

/** What a person must see before saying yes, beside the project file. */
export interface ApprovalSummary {
  readonly approval: Approval;
  /** Digest of the approval less ids, times and keys. */
  readonly terms: Sha256;
  readonly depot: string;
  readonly approver: KeyFact;
  /** What may be other than the person thinks; a sentence each. */
  readonly warnings: readonly string[];
}

export interface PreparedApproval {
  readonly summary: ApprovalSummary;
  /** The exact bytes that will be signed. */
  readonly bytes: Buffer;
  /** Secret: one ticket a slot. */
  readonly tickets: ReadonlyMap<Slot, Ticket>;
}

/**
 * Builds the approval. Nothing is signed, written or sent.
 * Throws usage (wrong options, no approver key here, nobody to seal a nonce to), refused (`--expect`, policy).
 */
export async function prepareApproval(project: Project, request: ApprovalRequest): Promise<PreparedApproval> {
  const { version, scheme, mode, builders: count, ...times } = checkRequest(project, request);
  const { quorum, enrolBy, lifetime } = times;
  const { depot } = request;
  if (mode === 'digest') checkDigestMode(project, request.now);
  const approver = await chooseApprover(project, request.approver);
  const source =
    request.source === null ? await sourceOfCheckout(request.directory) : parseSourceFlag(request.source);

  const { policy } = project;
  const notBefore = timestamp(request.now);
  const after = (seconds: number): Timestamp =>
    timestamp(new Date(timestampDate(notBefore).getTime() + seconds * 1000));
  const build = newBuildId(request.now, randomBytes(10));
  const builders = await makeBuilders(project, {
    version,
    build,
    count,
    scheme,
    notBefore,
    enrolBy: after(enrolBy),
  });
  const approval: Approval = {
    type: APPROVAL_TYPE,
    signer: project.log.origin,
    build,
    project: project.name,
    version,
    source,
    artifacts: {
      patterns: [...(request.patterns ?? policy.patterns)],
      maxCount: request.maxCount ?? policy.maxCount,
      maxBytes: request.maxBytes ?? policy.maxBytes,
      maxTotalBytes: request.maxTotalBytes ?? policy.maxTotalBytes,
    },
    builders: Object.fromEntries([...builders].map(([slot, { builder }]) => [slot, builder])),
    quorum,
    mode,
    releaseKey: project.release.certificate.primary.fingerprint,
    notBefore,
    expires: after(lifetime),
    requester: approver.primary.fingerprint,
  };
  const bytes = encodeApproval(approval);
  checkApproval(project, parseApproval(bytes), request.now);
  const agreed = expectedTerms(approval, request.expect);

  const tickets = new Map<Slot, Ticket>();
  for (const [slot, { secret, uploadToken }] of builders)
    tickets.set(slot, {
      build,
      slot,
      project: project.name,
      version,
      depot,
      insecureHttp: project.insecureHttp,
      log: { origin: project.log.origin, key: project.log.key.text },
      secret,
      uploadToken,
      source,
      artifacts: approval.artifacts,
      mode,
      notBefore,
      expires: approval.expires,
      approval: sha256Hex(bytes),
    });
  const summary: ApprovalSummary = {
    approval,
    terms: agreed,
    depot,
    approver: keyFact(approver),
    warnings: await warningsOf(request, source),
  };
  return { summary, bytes, tickets };
}

async function warningsOf(
  { source: named, directory }: ApprovalRequest,
  source: Source | null,
): Promise<string[]> {
  if (named !== null || source === null || !(await isChanged(directory))) return [];
  return ['the checkout here has changes that are not in the commit named as source'];
}

interface Checked {
  readonly version: Version;
  readonly scheme: Scheme;
  readonly mode: Mode;
  readonly builders: number;
  readonly quorum: number;
  /** Seconds from `notBefore` on, as `lifetime`. */
  readonly enrolBy: number;
  readonly lifetime: number;
}

/** What a name must look like, words that there are, and numbers that go together. */
function checkRequest(project: Project, request: ApprovalRequest): Checked {
  const { version, patterns } = request;
  const bad = patterns?.find((pattern) => !isPattern(pattern));
  if (bad !== undefined)
    throw usage(
      'pattern-malformed',
      `'${bad}' is no pattern of artifact names`,
      'only *, ** and ? are special',
    );
  if (!isVersion(version))
    throw usage(
      'version-malformed',
      `'${version}' is no version`,
      '1 to 64 of A-Z a-z 0-9 . + ~ _ -, first a letter or digit',
    );
  const wanted = request.scheme ?? 'keypair';
  const scheme = SCHEMES.find((each) => each === wanted);
  if (scheme === undefined)
    throw usage('scheme-unknown', `'${wanted}' is no scheme`, `one of ${SCHEMES.join(', ')}`);
  const mode = MODES.find((each) => each === (request.mode ?? 'fetch'));
  if (mode === undefined)
    throw usage('wrong-usage', `'${request.mode}' is no mode`, `one of ${MODES.join(', ')}`);
  const builders = request.builders ?? 1;
  if (builders > MAX_BUILDERS)
    throw usage('wrong-usage', `--builders ${builders}: a build has 1 to ${MAX_BUILDERS} builders`);
  const quorum = request.quorum ?? builders;
  if (quorum > builders)
    throw usage(
      'wrong-usage',
      `--quorum ${quorum}: there are ${builders} builders to agree`,
      `--builders ${quorum} or more, or a lower --quorum`,
    );
  const lifetime = request.lifetime ?? defaultLifetime(project);
  const enrolBy = enrolTime(request, scheme, lifetime);
  return { version, scheme, mode, builders, quorum, enrolBy, lifetime };
}

/** Until when builders may enrol, in seconds. Throws usage where that is too late, or nobody enrols. */
function enrolTime({ enrolBy }: ApprovalRequest, scheme: Scheme, lifetime: number): number {
  if (enrolBy !== null && scheme !== 'enrol')
    throw usage('wrong-usage', `--enrol-by says nothing to scheme ${scheme}`, 'add --scheme enrol');
  const time = enrolBy ?? DEFAULT_ENROL_BY;
  if (scheme !== 'enrol' || time < lifetime) return time;
  throw usage(
    'wrong-usage',
    `builders may enrol for ${formatDuration(time)}, and the approval ends after ${formatDuration(lifetime)}`,
    'a shorter --enrol-by, or a longer --expires',
  );
}

/** What could never be signed in digest mode: said before anybody builds it. Throws refused. */
function checkDigestMode(project: Project, now: Date): void {
  const off = digestModeOff(project);
  const without = 'or approve without --mode digest';
  const line = project.policy.digestMode
    ? 'hash = "sha256" under [release]'
    : 'digest-mode = true under [policy]';
  if (off !== null)
    throw refused('policy-mode', off, `${line} in countersign.toml on every host; ${without}`);
  if (!onlyEcdsa(project, now)) return;
  const text = 'the release certificate can sign with ECDSA keys alone, which digest mode does not take';
  throw refused('release-key-ecdsa', text, `give it an Ed25519 or RSA subkey; ${without}`);
}

/** What the project file does not allow: said before anybody signs. */
function checkApproval(project: Project, approval: Approval, now: Date): void {
  const [first, ...more] = approvalProblems(project, approval, now);
  if (first !== undefined)
    throw refused(
      first.code,
      `${first.where}: ${first.text}`,
      more.length > 0
        ? `and ${more.map(({ text }) => text).join('; ')}`
        : 'the signer would refuse this approval',
    );
}
