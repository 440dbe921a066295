/**
 * `approve`, first half: makes a build's ephemeral key and the approval that names it. Protocol §2 (approval, ticket).
 *
 * A person can look before the second half, `submitApproval`, has it signed.
 */
import { randomBytes } from 'node:crypto';
import { refused, usage } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { makeEphemeral } from '../openpgp/ephemeral.ts';
import { keyFact } from '../openpgp/key-fact.ts';
import type { KeyFact } from '../openpgp/key-fact.ts';
import { approvalProblems } from '../policy/approval-policy.ts';
import { ephemeralCreation } from '../policy/builder-key.ts';
import type { Project } from '../policy/project.ts';
import { APPROVAL_TYPE, encodeApproval, parseApproval, terms } from '../records/approval.ts';
import type { Approval, KeypairBuilder, Source } from '../records/approval.ts';
import { isVersion, newBuildId, timestamp, timestampDate, toSlot } from '../records/names.ts';
import type { BuildId, ProjectName, Sha256, Slot, Timestamp, Version } from '../records/names.ts';
import { isPattern } from '../records/pattern.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Ticket } from '../records/ticket.ts';
import { chooseApprover } from './approver.ts';
import { isChanged, parseSourceFlag, sourceOfCheckout } from './source.ts';

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

/** What a person must see before saying yes. */
export interface ApprovalSummary {
  readonly approval: Approval;
  /** Digest of the approval less ids, times and keys. */
  readonly terms: Sha256;
  readonly depot: string;
  readonly approver: KeyFact;
  readonly releaseKey: KeyFact;
  readonly threshold: number;
  /** How many further approvers the project file asks for after this one. */
  readonly furtherApprovers: number;
  readonly assurance: 'single-builder';
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

const DEFAULT_LIFETIME = 4 * 3600;

/**
 * Builds the approval. Nothing is signed, written or sent.
 * Throws usage (wrong or not yet supported options, no approver key here), refused (`--expect`, policy).
 */
export async function prepareApproval(project: Project, request: ApprovalRequest): Promise<PreparedApproval> {
  const version = checkRequest(request);
  const { depot } = request;
  const approver = await chooseApprover(project, request.approver);
  const source =
    request.source === null ? await sourceOfCheckout(request.directory) : parseSourceFlag(request.source);

  const { policy } = project;
  const notBefore = timestamp(request.now);
  const lifetime = request.lifetime ?? Math.min(DEFAULT_LIFETIME, policy.maxLifetime);
  const build = newBuildId(request.now, randomBytes(10));
  const slot = toSlot('b1', 'slot');
  const key = makeKey(project.name, version, build, slot, notBefore);
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
    builders: { [slot]: key.builder },
    quorum: 1,
    mode: 'fetch',
    releaseKey: project.release.certificate.primary.fingerprint,
    notBefore,
    expires: timestamp(new Date(timestampDate(notBefore).getTime() + lifetime * 1000)),
    requester: approver.primary.fingerprint,
  };
  const bytes = encodeApproval(approval);
  checkApproval(project, parseApproval(bytes), request);

  const ticket: Ticket = {
    build,
    slot,
    project: project.name,
    version,
    depot,
    insecureHttp: project.insecureHttp,
    log: { origin: project.log.origin, key: project.log.key.text },
    secret: { scheme: 'keypair', secretKey: key.secretKey },
    uploadToken: key.uploadToken,
    source,
    artifacts: approval.artifacts,
    notBefore,
    expires: approval.expires,
    approval: sha256Hex(bytes),
  };
  const summary: ApprovalSummary = {
    approval,
    terms: terms(approval),
    depot,
    approver: keyFact(approver),
    releaseKey: keyFact(project.release.certificate),
    threshold: project.threshold,
    furtherApprovers: project.threshold - 1,
    assurance: 'single-builder',
    warnings: await warningsOf(project, request, source),
  };
  return { summary, bytes, tickets: new Map([[slot, ticket]]) };
}

async function warningsOf(
  { threshold }: Project,
  { source: named, directory }: ApprovalRequest,
  source: Source | null,
): Promise<string[]> {
  const warnings: string[] = [];
  if (named === null && source !== null && (await isChanged(directory)))
    warnings.push('the checkout here has changes that are not in the commit named as source');
  if (threshold > 1)
    warnings.push(
      `the project asks for ${threshold} approvers, and this version has no countersign endorse: the build will wait until it expires`,
    );
  return warnings;
}

/** What this version can do, and what a name must look like. Returns the version. */
function checkRequest(request: ApprovalRequest): Version {
  const { version, builders, quorum, scheme, mode, patterns } = request;
  if (builders !== null && builders !== 1) throw notYet(`--builders ${builders}`, '--builders 1');
  if (quorum !== null && quorum !== 1) throw notYet(`--quorum ${quorum}`, '--quorum 1');
  if (scheme !== null && scheme !== 'keypair') throw notYet(`--scheme ${scheme}`, '--scheme keypair');
  if (mode !== null && mode !== 'fetch') throw notYet(`--mode ${mode}`, '--mode fetch');
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
  return version;
}

const notYet = (asked: string, supported: string): Failure =>
  usage('not-yet', `${asked} is not supported yet`, `this version does ${supported}`);

/** What the project file or `--expect` does not allow: said before anybody signs. */
function checkApproval(project: Project, approval: Approval, request: ApprovalRequest): void {
  const [first, ...more] = approvalProblems(project, approval, request.now);
  if (first !== undefined)
    throw refused(
      first.code,
      `${first.where}: ${first.text}`,
      more.length > 0
        ? `and ${more.map(({ text }) => text).join('; ')}`
        : 'the signer would refuse this approval',
    );
  const agreed = terms(approval);
  if (request.expect !== null && request.expect !== agreed)
    throw refused(
      'terms-differ',
      `the terms are ${agreed}, not those of --expect`,
      'nothing was signed or sent',
    );
}

interface BuilderKey {
  readonly builder: KeypairBuilder;
  readonly secretKey: string;
  readonly uploadToken: string;
}

/** The slot's own key and token: public halves for the approval, secret ones for the ticket. */
function makeKey(
  project: ProjectName,
  version: Version,
  build: BuildId,
  slot: Slot,
  notBefore: Timestamp,
): BuilderKey {
  const userId = `${project} ${version} build ${build} slot ${slot}`;
  const { certificate, secretKey } = makeEphemeral({ userId, created: ephemeralCreation(notBefore) });
  const token = randomBytes(32);
  const key: BuilderKey = {
    builder: {
      scheme: 'keypair',
      uploadTokenSha256: sha256Hex(token),
      certificate: certificate.toString('base64'),
    },
    secretKey: secretKey.toString('base64'),
    uploadToken: token.toString('base64url'),
  };
  secretKey.fill(0);
  token.fill(0);
  return key;
}
