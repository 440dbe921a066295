/** `init`: a new project on the signer's host. Protocol §8. */
import { randomBytes } from 'node:crypto';
import { lstat, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Failure, usage } from '../failure.ts';
import { createOnce, makeDirectory, orNull, readFileBounded } from '../host/files.ts';
import { signingKeys } from '../openpgp/certificate.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { secretKeys } from '../openpgp/gpg.ts';
import { isLongEnough } from '../openpgp/pass.ts';
import { DEFAULT_POLICY, parseProject } from '../policy/project.ts';
import type { Project } from '../policy/project.ts';
import { formatProject } from '../policy/project-text.ts';
import type { ProjectText } from '../policy/project-text.ts';
import { isProjectName } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import { createState, removeState } from '../signer/new-state.ts';
import { generateNoteKey } from '../tlog/note.ts';
import { checkCanEncrypt, checkCanSign, loadCertificate } from './keys.ts';

/** What the command line says. Keys are fingerprints that gpg knows here, or files. */
export interface InitOptions {
  readonly directory: string;
  readonly name: string;
  readonly releaseKey: string;
  readonly approvers: readonly string[];
  /** Whose encryption key receives sealed nonces; null for none. */
  readonly signerKey: string | null;
  readonly threshold: number;
  readonly depot: string | null;
  /** Empty: the project's builds may have any names. */
  readonly patterns: readonly string[];
  readonly now: Date;
}

export interface NewProject {
  readonly project: Project;
  /** The project file. */
  readonly file: string;
  /** The signer's own directory. */
  readonly state: string;
  /** What a person should know or change. */
  readonly warnings: readonly string[];
}

/**
 * Makes the project file, `keys/` and `signer/`. Everything is checked before anything is written, and
 * nothing is overwritten. Throws usage (keys, names, `project-exists`, `key-in-two-roles`), unable.
 */
export async function initProject(options: InitOptions): Promise<NewProject> {
  const directory = resolve(options.directory);
  const file = join(directory, 'countersign.toml');
  const state = join(directory, 'signer');
  await refuseExisting(file, 'nothing is overwritten: choose another --dir');
  await refuseExisting(
    state,
    `nothing is overwritten: choose another --dir; if an init that was killed left it, and ${file} never was, remove it`,
  );

  if (!isProjectName(options.name))
    throw usage(
      'name-malformed',
      `'${options.name}' is not a project name`,
      'a-z 0-9 . _ - and at most 64 of them',
    );

  if (options.threshold > options.approvers.length)
    throw usage(
      'threshold',
      `threshold ${options.threshold} with ${options.approvers.length} of them to approve`,
      'name as many --approver, or lower --threshold',
    );

  const certificates = await loadCertificates(options);
  const origin = `countersign/${options.name}/${randomBytes(4).toString('hex')}`;
  const text = (logKey: string, tokenSha256: string): string =>
    formatProject({
      ...projectText(options, certificates),
      log: { origin, key: logKey },
      signerTokenSha256: tokenSha256,
    });
  const readKey = (path: string): Buffer => certificates.files.get(path)?.bytes ?? Buffer.alloc(0);
  checkFacts(() => parseProject(text(generateNoteKey(origin).verifier, sha256Hex(Buffer.alloc(0))), readKey));

  await makeDirectory(join(directory, 'keys'), 0o755);
  for (const [path, { bytes }] of certificates.files) await createOnce(join(directory, path), bytes);
  const { logKey, tokenSha256 } = await createState(state, origin);
  const toml = text(logKey, tokenSha256);
  await writeProjectFile(file, toml, state);
  return {
    project: parseProject(toml, readKey),
    file,
    state,
    warnings: [
      ...(await keyWarnings(certificates.release)),
      ...(await encryptionWarnings(certificates.encryption)),
      ...factWarnings(options),
    ],
  };
}

/** Writes the project file. If that fails the state goes too: nobody has seen its keys, and init can be repeated. */
async function writeProjectFile(file: string, text: string, state: string): Promise<void> {
  const bytes = Buffer.from(text);
  try {
    await createOnce(file, bytes);
  } catch (error) {
    const written = await readFileBounded(file, bytes.length).catch(() => null);
    if (written?.equals(bytes) === true) await rm(file, { force: true });
    await removeState(state);
    throw error;
  }
}

/** Names, limits and roles are checked the way every command will, before there is a real log key. */
function checkFacts(check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'config-malformed') throw error;
    // There is no countersign.toml yet whose author could mend it.
    const message = error.message.replace(/^countersign\.toml: /, '');
    throw usage('wrong-usage', `init: ${message}`, 'see countersign init --help', error);
  }
}

function factWarnings({ depot }: InitOptions): string[] {
  if (depot !== null) return [];
  return ['no depot is written down: give every command --depot, or add it to countersign.toml'];
}

async function refuseExisting(path: string, hint: string): Promise<void> {
  if ((await orNull(lstat(path), `look at ${path}`)) === null) return;
  throw usage('project-exists', `${path} is there already`, hint);
}

interface ProjectCertificates {
  readonly release: Certificate;
  readonly approvers: readonly Certificate[];
  readonly encryption: Certificate | null;
  /** By path beside the project file. */
  readonly files: ReadonlyMap<string, Certificate>;
}

const RELEASE_FILE = 'keys/release.pgp';
const SIGNER_FILE = 'keys/signer.pgp';
const approverFile = (certificate: Certificate): string =>
  `keys/approver-${certificate.primary.fingerprint}.pgp`;

async function loadCertificates(options: InitOptions): Promise<ProjectCertificates> {
  const release = await loadCertificate(options.releaseKey, 'release key');
  await checkCanSign(release, 'release key', options.now);
  const approvers: Certificate[] = [];
  for (const named of options.approvers) {
    const approver = await loadCertificate(named, 'approver');
    await checkCanSign(approver, 'approver', options.now);
    approvers.push(approver);
  }
  const encryption =
    options.signerKey === null ? null : await loadCertificate(options.signerKey, 'signer key');
  if (encryption !== null) checkCanEncrypt(encryption, options.now);
  const files = new Map([
    [RELEASE_FILE, release],
    ...approvers.map((approver) => [approverFile(approver), approver] as const),
    ...(encryption === null ? [] : [[SIGNER_FILE, encryption] as const]),
  ]);
  return { release, approvers, encryption, files };
}

function projectText(
  options: InitOptions,
  certificates: ProjectCertificates,
): Omit<ProjectText, 'log' | 'signerTokenSha256'> {
  return {
    name: options.name,
    threshold: options.threshold,
    depot: options.depot,
    insecureHttp: false,
    releaseCertificate: RELEASE_FILE,
    approverCertificates: certificates.approvers.map(approverFile),
    encryptionCertificate: certificates.encryption === null ? null : SIGNER_FILE,
    hash: hashFor(certificates.release, options.now),
    policy: { ...DEFAULT_POLICY, ...(options.patterns.length > 0 && { patterns: options.patterns }) },
  };
}

/** SHA-256, unless a curve of the release key asks for more. */
const hashFor = (release: Certificate, now: Date): Project['release']['hash'] =>
  signingKeys(release, now).every((key) => isLongEnough('sha256', key)) ? 'sha256' : 'sha512';

/** What is not wrong, but weaker than it could be. `init` runs on the signer's host. */
async function keyWarnings(release: Certificate): Promise<string[]> {
  const { fingerprint } = release.primary;
  const here = (await secretKeys(fingerprint)).filter((key) => !key.secretElsewhere);
  if (here.length === 0) return [`no secret half of release key ${fingerprint} is here: sign will need one`];
  if (!here.some((key) => key.capabilities.includes('c'))) return [];
  return [
    `release key ${fingerprint} can certify, and its primary secret is on this host: ` +
      'give the host a subkey that can only sign, and keep the primary offline',
  ];
}

/** Whether the signer, here, will be able to open what is sealed to it. */
async function encryptionWarnings(encryption: Certificate | null): Promise<string[]> {
  if (encryption === null) return [];
  const { fingerprint } = encryption.primary;
  const here = (await secretKeys(fingerprint)).some(
    ({ capabilities, secretElsewhere }) => capabilities.includes('e') && !secretElsewhere,
  );
  if (here) return [];
  return [
    `no secret half of signer key ${fingerprint} that decrypts is here: sign needs it for schemes mac and enrol`,
  ];
}
