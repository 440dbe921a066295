/**
 * A signer and its depot in this process: a real directory behind the real gate for L, a real gpg-agent with the
 * release key for H, approvers and builders with real keys. The clock is set by hand.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from '../../src/openpgp/agent.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import type { EphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { DEFAULT_POLICY } from '../../src/policy/project.ts';
import type { Project } from '../../src/policy/project.ts';
import { APPROVAL_TYPE, encodeApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import type { LogEntry } from '../../src/records/log-entry.ts';
import {
  newBuildId,
  timestamp,
  toArtifactName,
  toProjectName,
  toSlot,
  toVersion,
} from '../../src/records/names.ts';
import type { BuildId, Fingerprint, Sha256 } from '../../src/records/names.ts';
import { approvalFile, blobFile, buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement, sortSubjects } from '../../src/records/statement.ts';
import type { Failure } from '../../src/failure.ts';
import { exitStatus } from '../../src/signer/result.ts';
import type { BuildResult } from '../../src/signer/result.ts';
import { recover } from '../../src/signer/recover.ts';
import type { Recovered } from '../../src/signer/recover.ts';
import { newSession, runRound } from '../../src/signer/round.ts';
import type { Session, Signer, SignerEvent, SigningQuestion } from '../../src/signer/signer.ts';
import { createState } from '../../src/signer/new-state.ts';
import { openState } from '../../src/signer/state.ts';
import type { SignerState } from '../../src/signer/state.ts';
import { parseVerifierKey } from '../../src/tlog/note.ts';
import { unwitnessed } from '../../src/tlog/proof.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { AgentProxy } from '../harness/agent-proxy.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { endorsement, person, sealed } from '../policy/scene.ts';
import type { Person } from '../policy/scene.ts';

export type Contents = Readonly<Record<string, string | Buffer>>;

/** A build that was approved, with what its ticket holds. */
export interface Build {
  readonly build: BuildId;
  readonly approval: Approval;
  readonly digest: Sha256;
  readonly secret: EphemeralSecret;
  readonly token: Buffer;
}

export interface Ran {
  readonly recovered: Recovered | null;
  readonly results: readonly BuildResult[];
  /** Why the log could not go out. */
  readonly log: Failure | null;
  /** The only result. */
  readonly result: BuildResult | undefined;
  readonly exit: number;
  readonly events: readonly SignerEvent[];
  readonly questions: readonly SigningQuestion[];
}

/** What a round is run with, where it differs from the usual. */
export type Odd = Partial<
  Pick<Signer, 'depot' | 'publicDepot' | 'keep' | 'connectAgent' | 'ask' | 'loadProject' | 'now'>
> & {
  readonly named?: readonly BuildId[];
  /** As with `--recover`. */
  readonly recovering?: boolean;
  /** Of the rounds before, as with `--watch`. */
  readonly session?: Session;
  /** Handed the open state before the round. */
  readonly meddle?: (state: SignerState) => void;
};

const b1 = toSlot('b1', 'scene');
const RELEASE = 'Releases <release@example.org>';
export const KEYS_MADE = '20260101T000000';

export class Scene {
  readonly directory = mkdtempSync(join(tmpdir(), 'cs-signer-'));
  readonly ada = person('Ada <ada@example.org>');
  readonly bob = person('Bob <bob@example.org>');
  readonly home: GnupgHome;
  project!: Project;
  agent!: AgentProxy;
  tree!: DirectoryTree;
  /** As somebody without a token sees it. */
  depot!: GatedDepot;
  /** Two days ago: gpgv goes by the system's clock, and believes in no key of tomorrow. */
  #milliseconds = Math.floor(Date.now() / 1000 - 2 * 86_400) * 1000;

  private constructor(home: GnupgHome) {
    this.home = home;
  }

  /** `algorithm`: of the release key, as gpg names it; or `release`: one that is made already, before 2026-01-02. */
  static async make(
    algorithm = 'ed25519',
    hash: 'sha256' | 'sha512' = 'sha256',
    release?: { readonly home: GnupgHome; readonly key: Fingerprint },
  ): Promise<Scene> {
    const scene = new Scene(release?.home ?? new GnupgHome());
    const primary = release?.key ?? scene.home.generate({ userId: RELEASE, usage: 'cert', at: KEYS_MADE });
    if (!release) scene.addReleaseKey(primary, algorithm);
    scene.agent = await AgentProxy.start(scene.home);
    process.env['GNUPGHOME'] = scene.agent.directory;

    const origin = 'example.org/hello';
    const state = await createState(scene.state, origin);
    scene.project = {
      name: toProjectName('hello', 'scene'),
      threshold: 1,
      depot: 'https://depot.example.org',
      insecureHttp: false,
      log: unwitnessed({ origin, key: parseVerifierKey(state.logKey) }),
      witnesses: [],
      maxLogAge: null,
      signerTokenSha256: state.tokenSha256,
      release: { certificate: parseCertificate(scene.home.export(primary)), hash },
      approvers: [scene.ada.certificate, scene.bob.certificate],
      encryption: null,
      policy: DEFAULT_POLICY,
    };
    await scene.newDepot();
    return scene;
  }

  /** Adds a signing subkey to the release key. */
  addReleaseKey(primary: Fingerprint, algorithm: string): void {
    const time = ['--faked-system-time', `${KEYS_MADE}!`, '--passphrase', ''];
    this.home.gpg([...time, '--quick-add-key', primary, algorithm, 'sign', 'never']);
  }

  get state(): string {
    return join(this.directory, 'signer');
  }

  now = (): Date => new Date(this.#milliseconds);

  pass(seconds: number): void {
    this.#milliseconds += seconds * 1000;
  }

  /** An empty depot in place of the one there is. */
  async newDepot(): Promise<void> {
    await rm(join(this.directory, 'depot'), { recursive: true, force: true });
    await this.reopenDepot();
  }

  /** The depot that there is, by the project file of now. */
  async reopenDepot(): Promise<void> {
    this.tree = await DirectoryTree.make(join(this.directory, 'depot'));
    this.depot = GatedDepot.over({ tree: this.tree, rules: this.project, now: this.now });
  }

  /** `approve`: for four hours, signed by Ada unless told. `terms` changes what is approved. */
  async approve(
    version = '1.0',
    terms: Partial<Approval> = {},
    signers: readonly Person[] = [this.ada],
  ): Promise<Build> {
    const start = timestamp(this.now());
    const pair = makeEphemeral({ userId: `hello ${version} b1`, created: ephemeralCreation(start) });
    const token = randomBytes(32);
    const approval: Approval = {
      type: APPROVAL_TYPE,
      signer: this.project.log.origin,
      build: newBuildId(this.now(), randomBytes(10)),
      project: this.project.name,
      version: toVersion(version, 'scene'),
      source: { uri: 'git+https://example.org/hello.git', digest: { gitCommit: 'c0'.repeat(20) } },
      artifacts: { patterns: ['**'], maxCount: 1000, maxBytes: 2 ** 30, maxTotalBytes: 2 ** 30 },
      builders: {
        [b1]: {
          scheme: 'keypair',
          uploadTokenSha256: sha256Hex(token),
          certificate: pair.certificate.toString('base64'),
        },
      },
      quorum: 1,
      mode: 'fetch',
      releaseKey: this.project.release.certificate.primary.fingerprint,
      notBefore: start,
      expires: timestamp(new Date(this.#milliseconds + 4 * 3600 * 1000)),
      requester: this.ada.certificate.primary.fingerprint,
      ...terms,
    };
    const bytes = encodeApproval(approval);
    const signatures = signers.map((signer) => endorsement(bytes, signer, this.now()));
    await this.depot.submit(approval.build, new Map([[approvalFile, bytes], ...signatures]));
    const secret = parseEphemeralSecret(pair.secretKey);
    return { build: approval.build, approval, digest: sha256Hex(bytes), secret, token };
  }

  /** `endorse`: a further approver's signature. */
  async endorse({ build, approval }: Build, signer: Person): Promise<void> {
    await this.depot.submit(build, new Map([endorsement(encodeApproval(approval), signer, this.now())]));
  }

  /** The statement files of a build that made `contents`. */
  statement(
    { build, approval, digest, secret }: Build,
    contents: Contents,
    invocation = 'urn:x:1',
  ): Map<string, Buffer> {
    const subjects = Object.entries(contents).map(([name, content]) => ({
      name: toArtifactName(name, 'scene'),
      sha256: sha256Hex(Buffer.from(content)),
      size: Buffer.from(content).length,
    }));
    const time = timestamp(this.now());
    const record = {
      ...{ subjects: sortSubjects(subjects), build, slot: b1, approval: digest, source: approval.source },
      ...{ command: 'make dist', builderId: 'https://depot.example.org/builders/keypair' },
      ...{ invocationId: invocation, startedOn: time, finishedOn: time },
    };
    return sealed(encodeStatement(record), b1, secret, this.now());
  }

  /** `attest`: uploads the artifacts and the statement. */
  async attest(build: Build, contents: Contents, invocation?: string): Promise<void> {
    const depot = this.depot.as(build.token);
    const files = Object.values(contents).map((content) => Buffer.from(content));
    await depot.putBlobs(
      build.build,
      files.map((bytes) => ({ sha256: sha256Hex(bytes), bytes })),
    );
    await depot.submit(build.build, this.statement(build, contents, invocation));
  }

  /** `sign --once`, as a process of its own would: state opened, one round, state closed. */
  async sign(odd: Odd = {}): Promise<Ran> {
    const { named = [], recovering = false, session, meddle, ...parts } = odd;
    const state = await openState(this.state, this.project, { recover: recovering });
    meddle?.(state);
    const events: SignerEvent[] = [];
    const questions: SigningQuestion[] = [];
    try {
      const signer: Signer = {
        loadProject: async () => this.project,
        depot: this.depot.as(state.token),
        publicDepot: this.depot.as(null),
        state,
        keep: null,
        wait: true,
        connectAgent: () => Agent.connect(),
        ask: async (question) => questions.push(question) > 0,
        report: (event) => events.push(event),
        now: this.now,
        ...parts,
      };
      const recovered = recovering ? await recover(signer) : null;
      const { results, log } = await runRound(signer, named, session);
      return {
        recovered,
        results,
        log,
        result: results[0],
        exit: exitStatus({ results, log }, named),
        events,
        questions,
      };
    } finally {
      await state.close();
    }
  }

  /** What a signer remembers from round to round. */
  newSession(): Session {
    return newSession({ connectAgent: () => Agent.connect() });
  }

  /** What `sign` would use as its depot. */
  async signerDepot(): Promise<Depot> {
    const token = await readFile(join(this.state, 'signer-token'), 'utf8');
    return this.depot.as(Buffer.from(token.trim(), 'base64url'));
  }

  /** The log's entries. */
  async log(): Promise<LogEntry[]> {
    const text = await readFile(join(this.state, 'journal'), 'latin1');
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => parseLogEntry(Buffer.from(line)));
  }

  /** `approval statement intent release` and so on. */
  async logged(build?: Build): Promise<string> {
    const entries = await this.log();
    return entries
      .filter((entry) => !build || entry.build === build.build)
      .map(({ type }) => type)
      .join(' ');
  }

  /** A file of the depot, or what it is replaced with: an L that does not keep its promises. */
  path(path: string): string {
    return join(this.directory, 'depot', path);
  }

  async tamper({ build }: Build, file: string, bytes: Buffer | string | null): Promise<void> {
    const path = this.path(buildPath(build, file));
    await rm(path, { force: true });
    if (bytes !== null) await writeFile(path, bytes);
  }

  blob(content: string | Buffer): string {
    return blobFile(sha256Hex(Buffer.from(content)));
  }

  async close(): Promise<void> {
    await this.agent.close();
    this.home.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
