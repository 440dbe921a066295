/**
 * What is certain of a build: what the log, or a proof from it, names by digest, and the records that have these
 * digests, wherever in the depot they lie.
 */
import { Failure, refused } from '../../failure.ts';
import { attempt } from '../../policy/attempt.ts';
import type { Project } from '../../policy/project.ts';
import { verifyEnrolment, verifyRefusal, verifyReleaseEntry } from '../../policy/release-chain.ts';
import { parseApproval } from '../../records/approval.ts';
import type { Approval } from '../../records/approval.ts';
import { LARGE_RECORD_MAX } from '../../records/canonical.ts';
import type { BuildEntryType } from '../../records/log-entry.ts';
import { parseManifest } from '../../records/manifest.ts';
import type { Manifest } from '../../records/manifest.ts';
import { timestampDate } from '../../records/names.ts';
import type { BuildId, Sha256 } from '../../records/names.ts';
import { approvalFile, buildPath, logEntryFile, manifestFile, parseBuildFile } from '../../records/paths.ts';
import { refusalFile, refusalProofFile, releaseDir, releaseFile } from '../../records/paths.ts';
import { releaseProofFile, signatureFile, signaturesListFile } from '../../records/paths.ts';
import { parseRefusal } from '../../records/refusal.ts';
import { parseRelease } from '../../records/release.ts';
import type { Release } from '../../records/release.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { CHECKSUMS_FILE, formatSignaturesList, parseSignaturesList } from '../../records/signatures-list.ts';
import { parseProof, verifyProof } from '../../tlog/proof.ts';
import type { Tree } from '../../tree/tree.ts';
import type { Problem } from './expected.ts';
import type { Ledger, Line } from './ledger.ts';

export interface Question {
  readonly tree: Tree;
  readonly project: Project;
  /** Null where there is no log that can be read. */
  readonly ledger: Ledger | null;
  readonly now: Date;
}

export class Facts {
  readonly question: Question;
  readonly build: BuildId;
  /** Its entries. */
  readonly lines: readonly Line[];
  /** Digests by path below the build, of all entries. */
  readonly named: ReadonlyMap<string, Sha256>;
  readonly digests: ReadonlySet<string>;
  /** Where its release is, or will be: null for a build that is not released. */
  readonly target: string | null;
  approval: Approval | null = null;
  approvalSha256: Sha256 | null = null;
  manifest: Manifest | null = null;
  release: Release | null = null;
  /** `<name>.asc` to its digest; null if that is not certain. */
  signatures: ReadonlyMap<string, Sha256> | null = null;

  private constructor(question: Question, build: BuildId, lines: readonly Line[]) {
    this.question = question;
    this.build = build;
    this.lines = lines;
    this.named = new Map(lines.flatMap(({ entry }) => Object.entries(entry.records)));
    this.digests = new Set(this.named.values());
    const released = this.line('release');
    this.target = released && releaseDir(released.entry.project, released.entry.version);
  }

  /** `release`: the directory of its release, where that is how the build was found. Throws unable('disk'). */
  static async of(question: Question, build: BuildId, release: string | null): Promise<Facts> {
    const logged = (await question.ledger?.lines(build)) ?? [];
    const types = new Set(logged.map(({ entry }) => entry.type));
    const places = [buildPath(build), ...(release === null ? [] : [`${release}/countersign`])];
    const proven: Line[] = [];
    for (const place of places) proven.push(...(await provenIn(question, place)));
    // a log that is older than its proofs, or damaged, or gone
    const more = proven.filter(({ entry }) => entry.build === build && !types.has(entry.type));
    const facts = new Facts(question, build, [...logged, ...more]);
    await facts.#find();
    return facts;
  }

  /** The first entry of that type. */
  line(type: BuildEntryType): Line | null {
    return this.lines.find(({ entry }) => entry.type === type) ?? null;
  }

  /** Whether the signer is done with it. */
  get isDecided(): boolean {
    return ['release', 'refusal', 'revocation'].some((type) =>
      this.lines.some(({ entry }) => entry.type === type),
    );
  }

  /** Whether somebody still needs what lies here for it, without the log's word. */
  get isOpen(): boolean {
    if (this.isDecided) return false;
    const { approval, question } = this;
    return (
      this.line('intent') !== null || (approval !== null && question.now < timestampDate(approval.expires))
    );
  }

  /** Where a file of the build may lie: in it, and in its release. */
  places(file: string): string[] {
    const here = buildPath(this.build, file);
    if (this.target === null) return [here];
    const { target } = this;
    const kind = parseBuildFile(file);
    if (kind?.kind === 'signature') return [here, `${target}/${file.slice('signatures/'.length)}`];
    return [here, `${target}/countersign/${file}`];
  }

  /** A file's bytes; null also where they can't be read, which is said of that file. Throws unable('disk'). */
  read(path: string): Promise<Buffer | null> {
    return readable(this.question.tree, path);
  }

  /** The bytes with that digest, wherever they lie. */
  async find(file: string, sha256: Sha256 | undefined): Promise<Buffer | null> {
    if (sha256 === undefined) return null;
    for (const path of this.places(file)) {
      const bytes = await this.read(path);
      if (bytes !== null && sha256Hex(bytes) === sha256) return bytes;
    }
    return null;
  }

  /** `signatures.list`, made of the signatures that are there; whether it is the one is for its digest to say. */
  async makeList(): Promise<Buffer | null> {
    if (this.manifest === null) return null;
    const listed = new Map<string, Sha256>();
    for (const name of [CHECKSUMS_FILE, ...this.manifest.subjects.map((subject) => subject.name)] as const)
      for (const path of this.places(signatureFile(name))) {
        const bytes = await this.read(path);
        if (bytes !== null) listed.set(`${name}.asc`, sha256Hex(bytes));
      }
    return formatSignaturesList(listed);
  }

  async #find(): Promise<void> {
    this.manifest = await this.#parsed(manifestFile, this.named.get(manifestFile), parseManifest);
    this.release = await this.#parsed(releaseFile, this.named.get(releaseFile), parseRelease);
    const listed = this.release?.signatures.sha256;
    let list = await this.find(signaturesListFile, listed);
    if (list === null && this.release !== null) {
      const made = await this.makeList();
      if (made !== null && sha256Hex(made) === listed) list = made;
    }
    const signatures = list && attempt(() => parseSignaturesList(list));
    this.signatures = signatures instanceof Failure ? null : signatures;
    const refusal = await this.#parsed(refusalFile, this.named.get(refusalFile), parseRefusal);
    this.approvalSha256 =
      this.named.get(approvalFile) ?? this.manifest?.approval ?? refusal?.approval ?? null;
    const bytes =
      this.approvalSha256 === null
        ? await this.read(buildPath(this.build, approvalFile))
        : await this.find(approvalFile, this.approvalSha256);
    const approval = bytes && attempt(() => parseApproval(bytes));
    if (approval !== null && !(approval instanceof Failure) && approval.build === this.build)
      this.approval = approval;
  }

  async #parsed<T>(file: string, sha256: Sha256 | undefined, parse: (bytes: Buffer) => T): Promise<T | null> {
    const bytes = await this.find(file, sha256);
    const parsed = bytes && attempt(() => parse(bytes));
    return parsed instanceof Failure ? null : parsed;
  }
}

/** The entries that proofs in a directory show. */
async function provenIn({ tree, project }: Question, directory: string): Promise<Line[]> {
  const log = { ...project.log, quorum: 0 };
  const lines: Line[] = [];
  const read = (file: string): Promise<Buffer | null> => readable(tree, `${directory}/${file}`);
  const take = (
    record: Buffer | null,
    leaf: Buffer | null,
    prove: (record: Buffer) => Omit<Line, 'leaf'>,
  ): void => {
    const proven = record && attempt(() => prove(record));
    if (leaf === null || proven === null || proven instanceof Failure) return;
    lines.push({ entry: proven.entry, index: proven.index, leaf });
  };
  const extraOf = (proof: Buffer): Buffer | null => {
    const parsed = attempt(() => parseProof(proof));
    return parsed instanceof Failure ? null : parsed.extra;
  };
  const release = await read(releaseProofFile);
  const entry = await read(logEntryFile);
  if (release !== null) take(entry, entry, (leaf) => verifyReleaseEntry(release, leaf, log));
  const refusal = await read(refusalProofFile);
  if (refusal !== null)
    take(await read(refusalFile), extraOf(refusal), (bytes) => verifyRefusal(refusal, bytes, log));
  for (const name of await tree.list(`${directory}/enrolments`)) {
    if (!name.endsWith('.json.receipt')) continue;
    const receipt = await read(`enrolments/${name}`);
    const record = await read(`enrolments/${name.slice(0, -'.receipt'.length)}`);
    if (receipt !== null) take(record, extraOf(receipt), (bytes) => verifyEnrolment(receipt, bytes, log));
  }
  return lines;
}

/** As `Tree.read`; null also for what is too large or can't be read: that is a finding, not the end. */
export async function readable(tree: Tree, path: string): Promise<Buffer | null> {
  try {
    return await tree.read(path, LARGE_RECORD_MAX * 2);
  } catch (error) {
    if (error instanceof Failure && (error.code === 'too-large' || isUnreadable(error))) return null;
    throw error;
  }
}

/** One file's fault, not the disk's: it may not be read, or lies on a bad sector. */
export function isUnreadable(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error;
  const code: unknown = cause instanceof Error && 'code' in cause ? cause.code : '';
  return code === 'EIO' || code === 'EACCES' || code === 'EBADMSG' || code === 'EUCLEAN';
}

/** What is wrong with a proof that brings its own entry, a receipt or a refusal's; null if it is one of this entry. */
export function proofProblem(proof: Buffer, { leaf, index }: Line, { question }: Facts): Problem | null {
  const verdict = attempt(() => {
    const parsed = parseProof(proof);
    if (parsed.extra?.equals(leaf) !== true || parsed.index !== index)
      throw refused('chain-broken', 'it is a proof of another entry');
    return verifyProof(parsed, leaf, { ...question.project.log, quorum: 0 });
  });
  return verdict instanceof Failure ? { code: 'proof', text: verdict.message } : null;
}
