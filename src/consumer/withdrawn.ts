/**
 * A release that was withdrawn: the log says so, and that is enough; why, the approvers' revocations say, where the
 * depot shows them (protocol §2, revocation).
 */
import { Failure } from '../failure.ts';
import { keyFact } from '../openpgp/key-fact.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import type { Project } from '../policy/project.ts';
import { readRevocation } from '../policy/revocation-verdict.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import type { BuildEntry } from '../records/log-entry.ts';
import { timestampDate } from '../records/names.ts';
import type { Fingerprint } from '../records/names.ts';
import { buildPath, parseBuildFile, revocationFile, revocationSignatureFile } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseLocation } from '../tree/location.ts';
import { DirectoryCopy, UrlCopy } from './copy.ts';
import type { ReleaseCopy } from './copy.ts';
import type { CheckedRelease } from './release.ts';
import type { Finding, Withdrawal } from './verdict.ts';

/** The revocation that the log has at `index`; `place`: the depot whose log it is. Throws no Failure. */
export async function withdrawalOf(
  { index, entry }: { readonly index: number; readonly entry: BuildEntry },
  place: string,
  release: CheckedRelease,
  project: Project,
): Promise<Withdrawal> {
  const location = parseLocation(place);
  const depot = location.kind === 'url' ? new UrlCopy(location.url) : new DirectoryCopy(location.directory);
  const revokers = revokersOf(entry);
  const reasons: Withdrawal['reasons'][number][] = [];
  try {
    for (const approver of revokers) {
      const certificate = project.approvers.find(({ primary }) => primary.fingerprint === approver);
      const reason = certificate && (await reasonOf(certificate, entry, depot, release, project));
      if (certificate && reason) reasons.push({ approver, userId: keyFact(certificate).userId, reason });
    }
  } finally {
    if (depot instanceof UrlCopy) depot.close();
  }
  return { entry: index, time: entry.time, reasons, unshown: revokers.length - reasons.length };
}

/** What speaks against the release. */
export function withdrawn({ entry, time, reasons, unshown }: Withdrawal): Finding {
  const said = reasons.map(({ userId, reason }) => `${userId}: ${reason}`);
  if (unshown > 0) said.push(`${unshown} whose revocation the depot does not show, or who did not sign it`);
  return {
    code: 'revoked',
    text: `withdrawn at ${time} (entry ${entry} of the log), by ${said.join('; ')}`,
    hint: 'do not use it: ask the project for the version that replaces it',
  };
}

/** Those whose revocations counted, by the log's word. */
const revokersOf = ({ records }: BuildEntry): Fingerprint[] =>
  Object.keys(records).flatMap((path) => {
    const file = parseBuildFile(path);
    return file?.kind === 'revocation' ? [file.approver] : [];
  });

/** Only what the log names and the approver signed; else null. */
async function reasonOf(
  certificate: Certificate,
  entry: BuildEntry,
  depot: ReleaseCopy,
  { chain }: CheckedRelease,
  project: Project,
): Promise<string | null> {
  const approver = certificate.primary.fingerprint;
  const read = async (name: string, maxBytes: number): Promise<Buffer | null> => {
    const bytes = await depot.read(buildPath(entry.build, name), maxBytes);
    return bytes !== null && sha256Hex(bytes) === entry.records[name] ? bytes : null;
  };
  try {
    const bytes = await read(revocationFile(approver), RECORD_MAX);
    const file = await read(revocationSignatureFile(approver), MAX_SIGNATURE_BYTES);
    if (bytes === null || file === null) return null;
    const signature = verifyDetached(file, bytes, certificate, timestampDate(entry.time));
    const revocation = readRevocation(project, chain.manifest, { approver, bytes, signature });
    return typeof revocation === 'string' ? null : revocation.reason;
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}
