/** The two lists in sha256sum's format: signatures.list and SHA256SUMS (protocol §2, "release"). */
import { LARGE_RECORD_MAX, MAX_SUBJECTS } from './canonical.ts';
import { malformed } from './fields.ts';
import { isArtifactName, isSha256 } from './names.ts';
import type { Sha256 } from './names.ts';
import type { Subject } from './subject.ts';
import { refused } from '../failure.ts';

/** The checksum file of a release; its signature covers every artifact at once. */
export const CHECKSUMS_FILE = 'SHA256SUMS';
const SUFFIX = '.asc';
/** A signature for each artifact, and one for SHA256SUMS. */
const MAX_LINES = MAX_SUBJECTS + 1;

const isSignatureName = (name: string): boolean => {
  const signed = name.slice(0, -SUFFIX.length);
  return name.endsWith(SUFFIX) && (signed === CHECKSUMS_FILE || isArtifactName(signed));
};

/** Names here are ASCII without backslash or newline, so sha256sum needs no escapes. */
const lines = (entries: Iterable<readonly [string, Sha256]>): Buffer =>
  Buffer.from([...entries].map(([name, sha256]) => `${sha256}  ${name}\n`).join(''));

const byName = ([a]: readonly [string, Sha256], [b]: readonly [string, Sha256]): number =>
  a < b ? -1 : Number(a > b);

/** The SHA256SUMS file of these artifacts, in byte order. */
export const formatChecksums = (subjects: readonly Subject[]): Buffer =>
  lines(subjects.map((subject) => [subject.name, subject.sha256] as const).sort(byName));

/** signatures.list of these signature files (`<name>.asc` to digest), in byte order. */
export const formatSignaturesList = (signatures: ReadonlyMap<string, Sha256>): Buffer =>
  lines([...signatures].sort(byName));

/**
 * Reads signatures.list: `<name>.asc` to digest, byte order, each name once, that of SHA256SUMS among them.
 * Throws refused: `record-malformed`, `record-too-large`.
 */
export function parseSignaturesList(bytes: Uint8Array): Map<string, Sha256> {
  const where = 'signatures.list';
  if (bytes.length > LARGE_RECORD_MAX)
    throw refused('record-too-large', `${where}: more than ${LARGE_RECORD_MAX} bytes`);
  const latin1 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  // The limit of split keeps 64 MiB of newlines from becoming as many strings.
  const rows = latin1.split('\n', MAX_LINES + 2);
  if (rows.length > MAX_LINES + 1) throw malformed(where, `more than ${MAX_LINES} lines`);
  if (rows.pop() !== '') throw malformed(where, 'does not end with a newline');
  const signatures = new Map<string, Sha256>();
  let last = '';
  for (const [index, row] of rows.entries()) {
    const sha256 = row.slice(0, 64);
    const name = row.slice(66);
    if (!isSha256(sha256) || row.slice(64, 66) !== '  ' || !isSignatureName(name))
      throw malformed(where, `line ${index + 1} is not 'sha256  name.asc'`);
    if (name <= last) throw malformed(where, `line ${index + 1} is not in byte order`);
    signatures.set(name, sha256);
    last = name;
  }
  if (!signatures.has(CHECKSUMS_FILE + SUFFIX)) throw malformed(where, `no ${CHECKSUMS_FILE}${SUFFIX}`);
  return signatures;
}
