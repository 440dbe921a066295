/** The project file as `init` writes it: commented, for people to read, commit and edit. */
import { formatDuration } from './duration.ts';
import type { Project, ProjectPolicy } from './project.ts';

/** What the file says, with certificates by path. */
export interface ProjectText {
  readonly name: string;
  readonly threshold: number;
  readonly depot: string | null;
  readonly insecureHttp: boolean;
  /** `key`: the verifier key's text. */
  readonly log: { readonly origin: string; readonly key: string };
  readonly signerTokenSha256: string;
  /** Paths beside the project file. */
  readonly releaseCertificate: string;
  readonly approverCertificates: readonly string[];
  readonly encryptionCertificate: string | null;
  readonly hash: Project['release']['hash'];
  readonly policy: ProjectPolicy;
}

// Everything written is printable ASCII that a guard has passed or will refuse: JSON's escapes are TOML's.
const string = (value: string): string => JSON.stringify(value);

/** A line that stands as a comment until somebody wants it. */
const optional = (set: boolean, line: string): string => (set ? line : `# ${line}`);

const sizeComment = (bytes: number): string => {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let power = 0;
  while (power < units.length - 1 && bytes % 1024 ** (power + 1) === 0) power += 1;
  return `${bytes / 1024 ** power} ${units[power] ?? ''}`;
};

/** The text of `countersign.toml`. `parseProject` reads it back. */
export function formatProject(project: ProjectText): string {
  const { policy } = project;
  return `# What this project trusts. Public facts only: commit this file and keys/, copy them to every host.
# Consumers take them from here, never from the depot.

project = ${string(project.name)}

# How many different approvers must have signed before the release key is used.
threshold = ${project.threshold}

# Where builds and releases are served.
${optional(project.depot !== null, `depot = ${string(project.depot ?? 'https://depot.example.org')}`)}

# Tokens travel over https or to this host only. true sends them over plain HTTP to anybody: for test networks.
${optional(project.insecureHttp, 'insecure-http = true')}

# The newest entry of the log may be so old, like 3d; sign --watch writes one a day.
# max-log-age = "3d"

# A release waits until so many of the witnesses below have cosigned the log.
# witness-quorum = 1

# The log of the signer. Everything that is believed about a release rests on this key.
[log]
origin = ${string(project.log.origin)}
key = ${string(project.log.key)}

# Others, who vouch that the log never takes an entry back: one table each (C2SP tlog-witness).
# [[witnesses]]
# key = "witness.example/w1+…"
# url = "https://witness.example"

[signer]
# SHA-256 of the token with which the signer reads artifacts before they are published.
token-sha256 = ${string(project.signerTokenSha256)}
# Receives the sealed nonces of schemes mac and enrol: an encryption subkey whose secret half the signer has.
${optional(project.encryptionCertificate !== null, `encryption-certificate = ${string(project.encryptionCertificate ?? 'keys/signer.pgp')}`)}

# Signs artifacts and SHA256SUMS, and nothing else.
[release]
certificate = ${string(project.releaseCertificate)}
# sha256 or sha512
hash = ${string(project.hash)}

# The people who allow builds: one table a person, each with a key of their own.
${project.approverCertificates.map((path) => `[[approvers]]\ncertificate = ${string(path)}\n`).join('\n')}
# What any build may be. An approval may allow less, never more.
[policy]
# Every artifact's name must match one of these: * anything but /, ** anything, ? one character but /.
artifacts = [${policy.patterns.map(string).join(', ')}]
max-count = ${policy.maxCount}
# Bytes, each artifact: ${sizeComment(policy.maxBytes)}.
max-size = ${policy.maxBytes}
# Bytes, all artifacts of a build: ${sizeComment(policy.maxTotalBytes)}.
max-total = ${policy.maxTotalBytes}
# From an approval's notBefore to its expires: 90s, 10m, 4h, 1d.
max-lifetime = ${string(formatDuration(policy.maxLifetime))}
# How builders prove themselves: a key of their ticket, a MAC that convinces the signer alone, a key of their own.
schemes = [${policy.schemes.map(string).join(', ')}]
# How many independent builders must have made the same bytes. 1 trusts a single builder.
least-quorum = ${policy.leastQuorum}
# Whether an approval may say --mode digest: the signer signs from the builder's hash states and reads no artifact.
digest-mode = ${policy.digestMode}
`;
}
