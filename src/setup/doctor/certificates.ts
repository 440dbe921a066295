/** The certificates of the project file: whose keys may sign now, and for how long yet. */
import { word } from '../../host/shell.ts';
import { allSigningFingerprints, keyProblem, signingKeys } from '../../openpgp/certificate.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { keyFact } from '../../openpgp/key-fact.ts';
import { expiryOf } from '../../openpgp/key-status.ts';
import { isLongEnough } from '../../openpgp/pass.ts';
import { encryptionCure } from '../../openpgp/encryption-cure.ts';
import { encryptionProblem } from '../../openpgp/sealed.ts';
import { digestModeOff, onlyEcdsa } from '../../policy/digest-mode.ts';
import type { Project } from '../../policy/project.ts';
import { timestamp } from '../../records/names.ts';
import type { Fingerprint } from '../../records/names.ts';
import { ok, problem, warning } from './finding.ts';
import type { Finding, Host } from './finding.ts';
import { encryptionFile, keyFile, withProject } from './project-file.ts';

/** Long enough to find whoever has the primary key, and to copy what they made to every host. */
const SOON_DAYS = 30;
const SOON_SECONDS = SOON_DAYS * 86_400;

export const checkCertificates = withProject(async (host, project) => {
  const findings = [...release(host, project), ...approvers(host, project), ...encryption(host, project)];
  if (findings.length > 0) return findings;
  const people = project.approvers.length === 1 ? 'the approver’s' : `${project.approvers.length} approvers’`;
  return [ok('certificates', `the release key and ${people} can sign, for ${SOON_DAYS} days at least`)];
});

function release(host: Host, project: Project): Finding[] {
  const { certificate, hash } = project.release;
  const keys = signingKeys(certificate, host.now);
  const what = `release key ${certificate.primary.fingerprint}`;
  if (keys.length === 0)
    return [
      problem(
        'certificates',
        `${what} cannot sign: ${reasons(certificate, host.now)}`,
        cure(host, certificate),
      ),
    ];
  if (!keys.some((key) => isLongEnough(hash, key)))
    return [
      problem(
        'certificates',
        `${what} is on a curve that needs hash = "sha512"`,
        `sed -i 's/^hash = .*/hash = "sha512"/' ${word(host.file)}   # on every host`,
      ),
    ];
  return [...expiring(host, certificate, what), ...digestMode(host, project)];
}

/** Where the project allows it: whether it can ever sign anything. */
function digestMode(host: Host, project: Project): Finding[] {
  if (!project.policy.digestMode) return [];
  const { certificate } = project.release;
  const { fingerprint } = certificate.primary;
  if (onlyEcdsa(project, host.now)) {
    const file = keyFile(host, certificate);
    const cured = `gpg --quick-add-key ${fingerprint} ed25519 sign 2y && gpg --export ${fingerprint} > ${file}   # where its primary key is; then copy it to every host`;
    const text = `digest mode signs nothing: release key ${fingerprint} can sign with ECDSA keys alone`;
    return [problem('certificates', text, cured)];
  }
  const off = digestModeOff(project);
  if (off === null) return [];
  const cured = `sed -i 's/^hash = .*/hash = "sha256"/' ${word(host.file)}   # on every host; or digest-mode = false`;
  return [problem('certificates', `digest mode signs nothing: ${off}`, cured)];
}

function approvers(host: Host, { approvers: all, threshold }: Project): Finding[] {
  const broken = all.filter((certificate) => signingKeys(certificate, host.now).length === 0);
  const level = all.length - broken.length < threshold ? problem : warning;
  return all.flatMap((certificate) => {
    const { fingerprint, userId } = keyFact(certificate);
    const what = `approver ${fingerprint} (${userId})`;
    if (!broken.includes(certificate)) return expiring(host, certificate, what);
    const text = `${what} cannot approve: ${reasons(certificate, host.now)}`;
    return [level('certificates', text, cure(host, certificate))];
  });
}

/** Where the project has one: whether approve can seal nonces to it. */
function encryption(host: Host, { encryption: certificate }: Project): Finding[] {
  const why = certificate === null ? null : encryptionProblem(certificate, host.now);
  if (certificate === null || why === null) return [];
  const { fingerprint } = certificate.primary;
  const path = encryptionFile(host, certificate);
  const text = `schemes mac and enrol cannot be approved: ${why}`;
  const commands = encryptionCure(certificate, host.now);
  if (commands === null)
    return [
      problem(
        'certificates',
        text,
        `make a new key, put its certificate into ${path}, and copy that to every host`,
      ),
    ];
  const exported = `gpg --export ${fingerprint} > ${path}`;
  const cured = `${[...commands, exported].join(' && ')}   # where its primary key is; then copy it to every host, and restart serve on L`;
  return [problem('certificates', text, cured)];
}

function expiring(host: Host, certificate: Certificate, what: string): Finding[] {
  const signing = signingKeys(certificate, host.now).map(({ fingerprint }) => fingerprint);
  const ends = certificate.keys
    .filter(({ key }) => signing.includes(key.fingerprint))
    .map((status) => expiryOf(status, host.now));
  // no subkey outlives its primary key
  const primary = certificate.keys.filter(({ isPrimary }) => isPrimary);
  const last = Math.min(Math.max(...ends), ...primary.map((status) => expiryOf(status, host.now)));
  if (last >= host.now.getTime() / 1000 + SOON_SECONDS) return [];
  const text = `${what} expires at ${timestamp(new Date(last * 1000))}`;
  return [warning('certificates', text, cure(host, certificate))];
}

/** What is wrong with each key, the cause that lies in the primary key once. */
const reasons = (certificate: Certificate, now: Date): string =>
  [...new Set(certificate.keys.map(({ key }) => keyProblem(certificate, key, now)?.reason ?? ''))].join('; ');

/** What to do where the primary key is; every host then needs the certificate anew. */
function cure(host: Host, certificate: Certificate): string {
  const { now } = host;
  const { fingerprint } = certificate.primary;
  const path = keyFile(host, certificate);
  const [primary] = certificate.keys;
  if (primary && primary.key.created > now.getTime() / 1000)
    return 'timedatectl   # is this host’s clock right?';
  if (primary?.revoked)
    return `make a new key, put its certificate into ${path}, and copy that to every host`;
  const commands = ending(certificate, now).map((key) =>
    key === fingerprint
      ? `gpg --quick-set-expire ${fingerprint} 2y`
      : `gpg --quick-set-expire ${fingerprint} 2y ${key}`,
  );
  if (commands.length === 0) commands.push(`gpg --quick-add-key ${fingerprint} ed25519 sign 2y`);
  const exported = `gpg --export ${fingerprint} > ${path}`;
  return `${commands.join(' && ')} && ${exported}   # where its primary key is; then copy it to every host`;
}

/** The keys whose end has come or comes soon: the primary key, and the newest subkey for signing. */
function ending(certificate: Certificate, now: Date): Fingerprint[] {
  const signing = allSigningFingerprints(certificate);
  const alive = certificate.keys.filter(({ revoked }) => !revoked);
  const newest = alive
    .filter(({ isPrimary, key }) => !isPrimary && signing.includes(key.fingerprint))
    .toSorted((a, b) => b.key.created - a.key.created)[0];
  return alive
    .filter((status) => status.isPrimary || status === newest)
    .filter((status) => expiryOf(status, now) < now.getTime() / 1000 + SOON_SECONDS)
    .map(({ key }) => key.fingerprint);
}
