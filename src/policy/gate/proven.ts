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
import { sha256Hex } from '../../records/sha256.ts';
import { attempt } from '../attempt.ts';
import {
  verifyManifest,
  verifyRefusal,
  verifyRelease,
  verifyReleaseEntry,
  verifySignaturesList,
} from '../release-chain.ts';
import { allowed, denied, deniedBy } from './verdict.ts';
import type { Denied, GateVerdict } from './verdict.ts';
import { otherBytes } from './write.ts';
import type { Write } from './write.ts';

/** Whether the write's refusal is taken: a proof of type `refusal` names its digest. */
export async function judgeRefusalWrite(write: Write): Promise<GateVerdict> {
  // 1. Final: other bytes never replace.
  const conflict = await otherBytes(write, write.files);
  if (conflict !== null) return conflict;

  // 2. Record and proof in one write.
  const record = write.files.get(refusalFile);
  const proof = write.files.get(refusalProofFile);
  if (record === undefined)
    return denied(422, 'record-missing', `${refusalProofFile} came without ${refusalFile}`);
  if (proof === undefined)
    return denied(403, 'write-needs-authenticator', `${refusalFile} came without ${refusalProofFile}`);

  // 3. The log names this record, for this build.
  const proven = attempt(() => verifyRefusal(proof, record, write.rules.log));
  if (proven instanceof Failure) return deniedBy(proven, 403);
  return (
    otherBuild(write, proven.entry) ??
    allowed([
      [refusalProofFile, proof],
      [refusalFile, record],
    ])
  );
}

/** Whether the write's release records and signatures are taken: each by its digest in the one before. */
export async function judgeReleaseWrite(write: Write): Promise<GateVerdict> {
  const { files, after, rules } = write;
  // 1. Write-once.
  const conflict = await otherBytes(write, files);
  if (conflict !== null) return conflict;

  // 2. The proof comes first: in this write or in one before it.
  const logEntry = await after.read(logEntryFile);
  const proof = await after.read(releaseProofFile);
  if (proof === null) return denied(403, 'write-needs-authenticator', `there is no ${releaseProofFile} yet`);
  if (logEntry === null)
    return denied(422, 'record-missing', `${releaseProofFile} came without ${logEntryFile}`);
  const proven = attempt(() => verifyReleaseEntry(proof, logEntry, rules.log));
  if (proven instanceof Failure) return deniedBy(proven, 403);
  const stranger = otherBuild(write, proven.entry);
  if (stranger !== null) return stranger;
  const beyond = [...files.keys()].filter((name) => name !== logEntryFile && name !== releaseProofFile);
  if (beyond.length === 0) return inOrder(write);

  // 3. release.json by its digest in the entry.
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
  if (signatures.length === 0 && !files.has(signaturesListFile)) return inOrder(write);
  const listBytes = await after.read(signaturesListFile);
  if (listBytes === null) return tooEarly(signaturesListFile);
  const list = attempt(() => verifySignaturesList(release, listBytes));
  if (list instanceof Failure) return deniedBy(list, 403);
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
  return inOrder(write);
}

const tooEarly = (name: string): Denied =>
  denied(403, 'write-needs-authenticator', `there is no ${name} yet`);

/** A proof of one build authorises nothing in another. */
function otherBuild({ build, rules }: Write, entry: BuildEntry): Denied | null {
  if (entry.build === build && entry.project === rules.name) return null;
  const text = `the log entry is of ${entry.project} build ${entry.build}`;
  return denied(403, 'build-mismatch', `${text}, not of ${rules.name} build ${build}`);
}

/** What each file rests on is written before it. */
const ORDER = [logEntryFile, releaseProofFile, releaseFile, manifestFile, signaturesListFile];

function inOrder({ files }: Write): GateVerdict {
  const chain = ORDER.flatMap((name): [string, Buffer][] => {
    const bytes = files.get(name);
    return bytes === undefined ? [] : [[name, bytes]];
  });
  return allowed([...chain, ...files]);
}
