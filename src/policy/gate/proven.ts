/**
 * Who may write refusals and release records: whoever shows that the signer's log names them (protocol §4).
 * No token: the log key is the authority, and any copy of the proof will do.
 */
import { Failure } from '../../failure.ts';
import {
  logEntryFile,
  manifestFile,
  refusalFile,
  refusalProofFile,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
} from '../../records/paths.ts';
import type { BuildEntry } from '../../records/log-entry.ts';
import type { Sha256 } from '../../records/names.ts';
import type { Release } from '../../records/release.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { formatProof, parseProof, withoutStrangers } from '../../tlog/proof.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { attempt } from '../attempt.ts';
import {
  verifyManifest,
  verifyRefusal,
  verifyRelease,
  verifyReleaseEntry,
  verifySignaturesList,
} from '../release-chain.ts';
import type { Verified } from '../verified.ts';
import { CARRIER } from './token.ts';
import { allowed, denied, deniedBy } from './verdict.ts';
import type { Denied, GateVerdict } from './verdict.ts';
import { otherBytes } from './write.ts';
import type { Write } from './write.ts';

/** Whether the write's refusal is taken: a proof of type `refusal` names its digest. */
export async function judgeRefusalWrite(write: Write): Promise<GateVerdict> {
  const { log } = write.rules;
  const record = write.files.get(refusalFile);
  const proof = write.files.get(refusalProofFile);
  // 1. Final: other bytes never replace.
  const files = await unlessProven(write, refusalProofFile, (each) =>
    verifyRefusal(each, record ?? none, log),
  );
  const conflict = await otherBytes(write, files);
  if (conflict !== null) return conflict;

  // 2. Record and proof in one write.
  if (record === undefined)
    return denied(422, 'record-missing', `${refusalProofFile} came without ${refusalFile}`);
  if (proof === undefined)
    return denied(403, 'write-needs-authenticator', `${refusalFile} came without ${refusalProofFile}`);

  // 3. The log names this record, for this build.
  const proven = attempt(() => verifyRefusal(proof, record, log));
  if (proven instanceof Failure) return deniedBy(proven, 403);
  return otherBuild(write, proven.entry) ?? inOrder(files, log);
}

/** Whether the write's release records and signatures are taken: each by its digest in the one before. */
export async function judgeReleaseWrite(write: Write): Promise<GateVerdict> {
  const { after } = write;
  const log = trustOf(write);
  const logEntry = await after.read(logEntryFile);
  // 1. Write-once.
  const files = await unlessProven(write, releaseProofFile, (each) =>
    verifyReleaseEntry(each, logEntry ?? none, log),
  );
  const conflict = await otherBytes(write, files);
  if (conflict !== null) return conflict;

  // 2. The proof comes first: in this write or in one before it.
  const proof = await after.read(releaseProofFile);
  if (proof === null) return denied(403, 'write-needs-authenticator', `there is no ${releaseProofFile} yet`);
  if (logEntry === null)
    return denied(422, 'record-missing', `${releaseProofFile} came without ${logEntryFile}`);
  const proven = attempt(() => verifyReleaseEntry(proof, logEntry, log));
  if (proven instanceof Failure) return deniedBy(proven, 403);
  const stranger = otherBuild(write, proven.entry);
  if (stranger !== null) return stranger;

  // 3. release.json by its digest in the entry. The proof is not taken without: everybody can make one from the log,
  //    and the first is kept; release.json is the signer's alone until it sends it.
  const releaseBytes = await after.read(releaseFile);
  if (releaseBytes === null) return tooEarly(releaseFile);
  const release = attempt(() => verifyRelease(proven, releaseBytes));
  if (release instanceof Failure) return deniedBy(release, 403);

  // 4. The manifest by its digest in release.json.
  const manifestBytes = files.get(manifestFile);
  const manifest = manifestBytes && attempt(() => verifyManifest(release, manifestBytes));
  if (manifest instanceof Failure) return deniedBy(manifest, 403);

  // 5. signatures.list likewise, and each signature by its digest in the list.
  const signatures = [...files].filter(([name]) => name.startsWith('signatures/'));
  if (signatures.length === 0 && !files.has(signaturesListFile)) return inOrder(files, log);
  const list = await listedSignatures(write, release);
  if ('allow' in list) return list;
  for (const [path, bytes] of signatures) {
    const listed = list.get(path.slice('signatures/'.length));
    if (listed === undefined)
      return denied(403, 'signature-not-listed', `${signaturesListFile} has no ${path}`);
    if (sha256Hex(bytes) !== listed)
      return denied(
        403,
        'chain-broken',
        `these are not the bytes of ${path} that ${signaturesListFile} names`,
      );
  }
  return inOrder(files, log);
}

/** The build's list, as it was read with the log's decision, if it was: of a large release it comes with each batch. */
async function listedSignatures(
  { after, files, decided }: Write,
  release: Verified<Release>,
): Promise<ReadonlyMap<string, Sha256> | Denied> {
  const known = decided?.signatures;
  // the release that is judged names it: a directory may have been put back as it was before another release
  if (known && known.sha256 === release.signatures.sha256 && !files.has(signaturesListFile))
    return known.listed;
  const bytes = await after.read(signaturesListFile);
  if (bytes === null) return tooEarly(signaturesListFile);
  const list = attempt(() => verifySignaturesList(release, bytes));
  return list instanceof Failure ? deniedBy(list, 403) : list;
}

/**
 * How many witnesses must have cosigned is for who sends a release, and for who verifies it: whoever keeps a copy of a
 * depot also copies what was released when the project asked for fewer.
 */
const trustOf = ({ rules: { log }, bearer }: Write): LogTrust =>
  bearer === CARRIER ? { ...log, quorum: 0 } : log;

const none = Buffer.alloc(0);

const tooEarly = (name: string): Denied =>
  denied(403, 'write-needs-authenticator', `there is no ${name} yet`);

/** A proof of one build authorises nothing in another. */
export function otherBuild({ build, rules }: Write, entry: BuildEntry): Denied | null {
  if (entry.build === build && entry.project === rules.name) return null;
  const text = `the log entry is of ${entry.project} build ${entry.build}`;
  return denied(403, 'build-mismatch', `${text}, not of ${rules.name} build ${build}`);
}

/**
 * What is left to write: of two proofs of one record either will do, and the first that came stays. Else whoever sends
 * one before the signer does would keep the signer's out, and the release with it.
 */
export async function unlessProven(
  { files, before }: Pick<Write, 'files' | 'before'>,
  name: string,
  verify: (proof: Buffer) => unknown,
): Promise<ReadonlyMap<string, Buffer>> {
  const brought = files.get(name);
  const present = brought && (await before.read(name));
  if (!brought || !present) return files;
  if ([present, brought].some((proof) => attempt(() => verify(proof)) instanceof Failure)) return files;
  return new Map([...files].filter(([other]) => other !== name));
}

/** A proof as it is kept: what strangers signed of it is left out. */
export const ownProof = (bytes: Buffer, log: LogTrust): Buffer =>
  formatProof(withoutStrangers(parseProof(bytes), log));

/** What each file rests on is written before it. */
const ORDER = [
  ...[logEntryFile, releaseProofFile, releaseFile, manifestFile, signaturesListFile],
  ...[refusalProofFile, refusalFile],
];

function inOrder(files: ReadonlyMap<string, Buffer>, log: LogTrust): GateVerdict {
  const chain = ORDER.flatMap((name): [string, Buffer][] => {
    const bytes = files.get(name);
    if (bytes === undefined) return [];
    const isProof = name === releaseProofFile || name === refusalProofFile;
    return [[name, isProof ? ownProof(bytes, log) : bytes]];
  });
  const listed = new Set(ORDER);
  return allowed([...chain, ...[...files].filter(([name]) => !listed.has(name))]);
}
