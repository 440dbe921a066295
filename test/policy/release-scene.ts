/** The end of the build in `scene.ts`: what the signer's log holds, and the files that rest on it. */
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { encodeManifest } from '../../src/records/manifest.ts';
import { timestamp } from '../../src/records/names.ts';
import {
  logEntryFile,
  manifestFile,
  refusalFile,
  refusalProofFile,
  releaseFile,
  releaseProofFile,
  signatureFile,
  signaturesListFile,
} from '../../src/records/paths.ts';
import { encodeRefusal, refusalOf } from '../../src/records/refusal.ts';
import { encodeRelease } from '../../src/records/release.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { formatSignaturesList } from '../../src/records/signatures-list.ts';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { signNote } from '../../src/tlog/note.ts';
import { formatProof } from '../../src/tlog/proof.ts';
import {
  ada,
  approval,
  approvalFiles,
  b1,
  build,
  logSigner,
  now,
  releaseKey,
  statementFiles,
  subjects,
} from './scene.ts';
import type { Files } from './scene.ts';

/** A proof that the leaf is the second of three entries, under the scene's log key or another. */
export function proofOf(leaf: Buffer, options: { extra?: boolean; signer?: typeof logSigner } = {}): Buffer {
  const { extra = false, signer = logSigner } = options;
  const leaves = [Buffer.from('before'), leaf, Buffer.from('after')].map(leafHash);
  const tree = treeOf(leaves);
  const checkpoint = formatCheckpoint({ origin: signer.name, size: tree.size, root: tree.root() });
  return formatProof({
    extra: extra ? leaf : null,
    index: 1,
    hashes: tree.inclusionProof(1),
    checkpoint: signNote(checkpoint, signer),
  });
}

const { project, version } = approval;
const signed = [...subjects.map((subject) => subject.name), 'SHA256SUMS' as const];

/** `signatures/<name>.asc`; the gate looks at their digests alone. */
export const signatures: Files = new Map(
  signed.map((name) => [signatureFile(name), Buffer.from(`signature of ${name}`)]),
);

const digestOf = (files: Files, name: string) => sha256Hex(files.get(name) ?? '');
const list = formatSignaturesList(
  new Map([...signatures].map(([path, bytes]) => [path.slice('signatures/'.length), sha256Hex(bytes)])),
);

export const manifest = {
  build,
  project,
  version,
  approval: digestOf(approvalFiles(), 'approval.json'),
  statements: { [b1]: digestOf(statementFiles(), 'statements/b1.json') },
  subjects,
  releaseKey: releaseKey.certificate.primary.fingerprint,
  signingKey: releaseKey.certificate.primary.fingerprint,
  hash: 'sha256',
  signedAt: timestamp(now),
} as const;

/** Release records, each part replaceable; digests follow. */
export function releaseFiles(
  changes: {
    entry?: Partial<BuildEntry>;
    release?: Partial<Parameters<typeof encodeRelease>[0]>;
    manifest?: Partial<Parameters<typeof encodeManifest>[0]>;
    list?: Buffer;
  } = {},
): Files {
  const manifestBytes = encodeManifest({ ...manifest, ...changes.manifest });
  const listBytes = changes.list ?? list;
  const release = encodeRelease({
    build,
    project,
    version,
    manifest: sha256Hex(manifestBytes),
    signatures: { count: listBytes.toString().split('\n').length - 1, sha256: sha256Hex(listBytes) },
    builders: { [b1]: 'keypair' },
    approvers: [ada.certificate.primary.fingerprint],
    assurance: 'single-builder',
    ...changes.release,
  });
  const entry = encodeLogEntry({
    type: 'release',
    time: timestamp(now),
    build,
    project,
    version,
    records: { [releaseFile]: sha256Hex(release), [manifestFile]: sha256Hex(manifestBytes) },
    keys: [],
    ...changes.entry,
  });
  return new Map([
    [logEntryFile, entry],
    [releaseProofFile, proofOf(entry)],
    [releaseFile, release],
    [manifestFile, manifestBytes],
    [signaturesListFile, listBytes],
  ]);
}

/** `refusal.json` and its proof. */
export function refusalFiles(
  changes: { entry?: Partial<BuildEntry>; proof?: (leaf: Buffer) => Buffer } = {},
): Files {
  const record = encodeRefusal(
    refusalOf({
      build,
      approval: manifest.approval,
      reasons: [{ code: 'too-large', where: 'hello.tar.gz', text: 'too large' }],
      time: timestamp(now),
    }),
  );
  const entry = encodeLogEntry({
    type: 'refusal',
    time: timestamp(now),
    build,
    project,
    version,
    records: { [refusalFile]: sha256Hex(record) },
    keys: [],
    ...changes.entry,
  });
  const proof = changes.proof ?? ((leaf) => proofOf(leaf, { extra: true }));
  return new Map([
    [refusalFile, record],
    [refusalProofFile, proof(entry)],
  ]);
}
