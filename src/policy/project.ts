/**
 * The project file, `countersign.toml` and `keys/` (protocol §8): public facts, the same on every host.
 *
 * Whom the project trusts with what is decided here and nowhere else. A closed schema: what is not known is
 * an error, so that a misspelt limit cannot be no limit.
 */
import { TomlError, parse as parseToml } from 'smol-toml';
import { Failure, usage } from '../failure.ts';
import { allSigningFingerprints, parseCertificate } from '../openpgp/certificate.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { dearmorKey } from '../openpgp/armor.ts';
import { MAX_BUILDERS, SCHEMES } from '../records/approval.ts';
import type { Scheme } from '../records/approval.ts';
import { boolean, closedObject, integer, listOf, malformed, nullOr, oneOf, text } from '../records/fields.ts';
import { MAX_SUBJECTS } from '../records/canonical.ts';
import { toProjectName, toSha256 } from '../records/names.ts';
import type { Fingerprint, ProjectName, Sha256 } from '../records/names.ts';
import { toPatterns } from '../records/pattern.ts';
import type { LogKey } from '../tlog/checkpoint.ts';
import { parseWitnessKey } from '../tlog/cosignature.ts';
import type { WitnessKey } from '../tlog/cosignature.ts';
import { parseVerifierKey } from '../tlog/note.ts';
import type { LogTrust } from '../tlog/proof.ts';
import { attempt } from './attempt.ts';
import { durationSeconds } from './duration.ts';

/** What any build of the project may be; an approval may allow less, never more. */
export interface ProjectPolicy {
  readonly patterns: readonly string[];
  readonly maxCount: number;
  /** Each artifact. */
  readonly maxBytes: number;
  /** All artifacts of a build together. */
  readonly maxTotalBytes: number;
  /** From `notBefore` to `expires`, in seconds. */
  readonly maxLifetime: number;
  /** How a builder may prove itself. */
  readonly schemes: readonly Scheme[];
  /** How many builders must agree, at least. */
  readonly leastQuorum: number;
  /** Whether an approval may have artifacts signed that the signer has not read. */
  readonly digestMode: boolean;
}

export interface Project {
  readonly name: ProjectName;
  /** How many persons must have signed an approval. */
  readonly threshold: number;
  /** Base URL without a slash at its end, or the absolute path of a directory; null where every command is told one. */
  readonly depot: string | null;
  /** Tokens may travel over plain HTTP to hosts other than this one. */
  readonly insecureHttp: boolean;
  /** The signer's log, and how many of its witnesses must have cosigned what a release rests on. */
  readonly log: LogTrust;
  /** Those of `log`, and where each is asked. */
  readonly witnesses: readonly Witness[];
  /** Seconds after which the newest entry of the log is too old; null: any age will do. */
  readonly maxLogAge: number | null;
  readonly signerTokenSha256: Sha256;
  readonly release: { readonly certificate: Certificate; readonly hash: 'sha256' | 'sha512' };
  /** One certificate a person. */
  readonly approvers: readonly Certificate[];
  /** Receives sealed nonces; null where no scheme needs it. */
  readonly encryption: Certificate | null;
  readonly policy: ProjectPolicy;
}

/** Somebody else, who vouches that the log never takes an entry back. */
export interface Witness {
  readonly key: WitnessKey;
  /** Prefix of its requests (C2SP tlog-witness), without a slash at its end. */
  readonly url: string;
}

export const DEFAULT_POLICY: ProjectPolicy = {
  patterns: ['**'],
  maxCount: MAX_SUBJECTS,
  maxBytes: 64 * 2 ** 30,
  maxTotalBytes: 256 * 2 ** 30,
  maxLifetime: 86_400,
  schemes: SCHEMES,
  leastQuorum: 1,
  digestMode: false,
};

const TOP_LEVEL = [
  'project',
  'threshold',
  'depot',
  'insecure-http',
  'max-log-age',
  'witness-quorum',
  'log',
  'witnesses',
  'signer',
  'release',
  'approvers',
  'policy',
] as const;

const MAX_APPROVERS = 64;
const MAX_WITNESSES = 64;
const MAX_LIFETIME = 365 * 86_400;

/**
 * The project that a `countersign.toml` describes. `readKey` gives the bytes of a key file, binary or
 * armored, by its path beside the project file; what it throws goes through.
 *
 * Throws usage: `config-malformed` naming the field, or `key-in-two-roles`.
 */
export function parseProject(toml: string, readKey: (relativePath: string) => Buffer): Project {
  try {
    const project = readProject(parseToml(toml), readKey);
    checkRoles(project);
    return project;
  } catch (error) {
    const problem = problemOf(error);
    if (problem === null) throw error;
    throw usage(
      'config-malformed',
      `countersign.toml: ${problem}`,
      'countersign init writes a valid one',
      error,
    );
  }
}

/** What is wrong with the file, in a line; null for a fault of another kind. */
function problemOf(error: unknown): string | null {
  if (error instanceof TomlError) return `line ${error.line}: ${error.message.split('\n', 1).join('')}`;
  // The readers of records call bad input refused; in a configuration it is for its owner to mend.
  return error instanceof Failure && error.kind === 'refused' ? error.message : null;
}

function readProject(table: unknown, readKey: (relativePath: string) => Buffer): Project {
  const certificateAt = (value: unknown, where: string): Certificate => {
    const path = keyPath(value, where);
    const certificate = attempt(() => parseCertificate(dearmorKey(readKey(path))));
    if (certificate instanceof Failure) throw malformed(`${where}: ${path}`, certificate.message);
    return certificate;
  };

  const defaults = {
    ...{ depot: null, 'insecure-http': false, policy: {} },
    ...{ witnesses: [], 'witness-quorum': null, 'max-log-age': null },
  };
  const top = closedObject({ ...defaults, ...object(table) }, 'top level', TOP_LEVEL);
  const log = closedObject(top.log, '[log]', ['origin', 'key']);
  const signer = closedObject({ 'encryption-certificate': null, ...object(top.signer) }, '[signer]', [
    'token-sha256',
    'encryption-certificate',
  ]);
  const release = closedObject({ hash: 'sha256', ...object(top.release) }, '[release]', [
    'certificate',
    'hash',
  ]);

  const approvers = listOf(top.approvers, '[[approvers]]', { min: 1, max: MAX_APPROVERS }, (value, where) =>
    certificateAt(closedObject(value, where, ['certificate']).certificate, `${where}.certificate`),
  );
  const witnesses = listOf(top.witnesses, '[[witnesses]]', { min: 0, max: MAX_WITNESSES }, readWitness);
  return {
    name: toProjectName(top.project, 'project'),
    // A threshold that the approvers cannot reach would refuse every build, and only once there is one.
    threshold: integer(top.threshold, 'threshold', { min: 1, max: approvers.length }),
    depot: nullOr(top.depot, 'depot', depotPlace),
    insecureHttp: boolean(top['insecure-http'], 'insecure-http'),
    log: {
      ...readLog(log.origin, log.key),
      witnesses: witnesses.map(({ key }) => key),
      quorum: readQuorum(top['witness-quorum'], witnesses.length),
    },
    witnesses,
    maxLogAge: nullOr(top['max-log-age'], 'max-log-age', duration),
    signerTokenSha256: toSha256(signer['token-sha256'], '[signer] token-sha256'),
    release: {
      certificate: certificateAt(release.certificate, '[release] certificate'),
      hash: oneOf(release.hash, '[release] hash', ['sha256', 'sha512'] as const),
    },
    approvers,
    encryption: nullOr(signer['encryption-certificate'], '[signer] encryption-certificate', certificateAt),
    policy: readPolicy(top.policy),
  };
}

function readLog(origin: unknown, key: unknown): LogKey {
  const verifier = parseVerifierKey(text(key, '[log] key', 512));
  if (verifier.name !== origin) throw malformed('[log] key', `is the key of another log than the origin`);
  return { origin: verifier.name, key: verifier };
}

function readWitness(value: unknown, where: string): Witness {
  const { key, url } = closedObject(value, where, ['key', 'url']);
  return { key: parseWitnessKey(text(key, `${where}.key`, 512)), url: httpUrl(url, `${where}.url`) };
}

/** Said outright wherever there are witnesses: a quorum of none that nobody chose would look like safety. */
function readQuorum(value: unknown, witnesses: number): number {
  if (value === null && witnesses > 0)
    throw malformed('witness-quorum', `missing: how many of the ${witnesses} witnesses a release waits for`);
  return value === null ? 0 : integer(value, 'witness-quorum', { min: 0, max: witnesses });
}

function duration(value: unknown, where: string): number {
  const seconds = durationSeconds(text(value, where, 16));
  if (seconds === null || seconds > MAX_LIFETIME)
    throw malformed(where, 'not a length of time like 10m, 4h or 1d, of at most 365d');
  return seconds;
}

function readPolicy(value: unknown): ProjectPolicy {
  const defaults = {
    artifacts: DEFAULT_POLICY.patterns,
    'max-count': DEFAULT_POLICY.maxCount,
    'max-size': DEFAULT_POLICY.maxBytes,
    'max-total': DEFAULT_POLICY.maxTotalBytes,
    'max-lifetime': `${DEFAULT_POLICY.maxLifetime}s`,
    schemes: DEFAULT_POLICY.schemes,
    'least-quorum': DEFAULT_POLICY.leastQuorum,
    'digest-mode': DEFAULT_POLICY.digestMode,
  };
  const policy = closedObject({ ...defaults, ...object(value) }, '[policy]', [
    'artifacts',
    'max-count',
    'max-size',
    'max-total',
    'max-lifetime',
    'schemes',
    'least-quorum',
    'digest-mode',
  ]);
  const one = (scheme: unknown, where: string): Scheme => oneOf(scheme, where, SCHEMES);
  const all = { min: 1, max: SCHEMES.length };
  return {
    patterns: toPatterns(policy.artifacts, '[policy] artifacts'),
    maxCount: integer(policy['max-count'], '[policy] max-count', { min: 1, max: MAX_SUBJECTS }),
    maxBytes: integer(policy['max-size'], '[policy] max-size', { min: 1 }),
    maxTotalBytes: integer(policy['max-total'], '[policy] max-total', { min: 1 }),
    maxLifetime: duration(policy['max-lifetime'], '[policy] max-lifetime'),
    schemes: listOf(policy.schemes, '[policy] schemes', all, one),
    leastQuorum: integer(policy['least-quorum'], '[policy] least-quorum', { min: 1, max: MAX_BUILDERS }),
    digestMode: boolean(policy['digest-mode'], '[policy] digest-mode'),
  };
}

/** What `closedObject` will look at; anything but a table is left for it to refuse. */
const object = (value: unknown): object =>
  typeof value === 'object' && value !== null ? value : { '': value };

/** A path below the project file's directory: the same files lie on every host. */
function keyPath(value: unknown, where: string): string {
  const path = text(value, where, 255);
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/.test(path))
    throw malformed(where, 'not a path below the directory of the project file, like keys/release.pgp');
  return path;
}

function depotPlace(value: unknown, where: string): string {
  const place = text(value, where, 1024);
  if (/^\/[^\0-\x1f\x7f]*$/.test(place)) return place;
  return httpUrl(value, where, ' nor an absolute path');
}

/** An http or https URL without user, query and fragment, and without a slash at its end; `otherwise`: what else would do. */
function httpUrl(value: unknown, where: string, otherwise = ''): string {
  const url = text(value, where, 1024);
  // Printable and plain: it goes into tickets and statements, and tokens are sent to it.
  const parsed = /^https?:\/\/[\x21-\x7e]+$/.test(url) && URL.canParse(url) ? new URL(url) : null;
  if (
    parsed === null ||
    parsed.username !== '' ||
    parsed.password !== '' ||
    parsed.search !== '' ||
    parsed.hash !== ''
  )
    throw malformed(
      where,
      `${otherwise === '' ? 'not' : 'neither'} an http or https URL without user, query and fragment${otherwise}`,
    );
  return url.replace(/\/+$/, '');
}

/**
 * A key signs one kind of thing (protocol §1, rule 3): no signing key may stand in two roles, and one in two
 * approvers' certificates would be two votes of one person.
 */
function checkRoles(project: Project): void {
  const holders = new Map<Fingerprint, string>();
  const roles: [string, Certificate][] = [
    ['release', project.release.certificate],
    ...project.approvers.map((certificate, index): [string, Certificate] => [
      `approver ${index + 1}`,
      certificate,
    ]),
  ];
  const publicKeys = [project.log.key, ...project.log.witnesses];
  for (const [at, { publicKey, name }] of publicKeys.entries())
    if (publicKeys.slice(0, at).some((other) => other.publicKey.equals(publicKey)))
      throw usage(
        'key-in-two-roles',
        `countersign.toml: the key of ${name} is that of the log, or of another witness`,
        'the log, and each witness, needs a key of its own',
      );
  for (const [role, certificate] of roles)
    for (const key of allSigningFingerprints(certificate)) {
      const holder = holders.get(key);
      if (holder !== undefined)
        throw usage(
          'key-in-two-roles',
          `countersign.toml: signing key ${key} is that of ${holder} and of ${role}`,
          'each role, and each approver, needs a key of its own',
        );
      holders.set(key, role);
    }
}

/** The fingerprints of every signing key that the project file names. */
export const projectSigningKeys = (project: Project): ReadonlySet<Fingerprint> =>
  new Set(
    [project.release.certificate, ...project.approvers].flatMap((each) => [...allSigningFingerprints(each)]),
  );
