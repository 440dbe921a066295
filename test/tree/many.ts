/** A release of as many artifacts as asked for, in the build of `policy/scene.ts`: what is sent, step by step. */
import { encodeArmor } from '../../src/openpgp/armor.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { formatChecksums, formatSignaturesList } from '../../src/records/signatures-list.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { Blob } from '../../src/tree/tree.ts';
import { releaseFiles } from '../policy/release-scene.ts';
import { approval, approvalFiles, now, releaseKey, statement, statementFiles } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import type { Named } from './depot.ts';

export interface Many {
  readonly approval: Files;
  readonly blobs: readonly Blob[];
  readonly statement: Files;
  readonly chain: Files;
  readonly signatures: readonly Named[];
}

/** Artifacts by name. `sign` may sign other bytes in the place of those of an artifact. */
export function many(
  contents: ReadonlyMap<string, Buffer>,
  sign: (name: string, bytes: Buffer) => Buffer = (_name, bytes) => bytes,
): Many {
  const maxBytes = Math.max(...[...contents.values()].map(({ length }) => length));
  const artifacts = {
    ...{ patterns: ['**'], maxCount: contents.size, maxBytes },
    maxTotalBytes: maxBytes * contents.size,
  };
  const approved = { ...approval, artifacts };
  const subjects = [...contents]
    .map(([name, bytes]) => ({
      ...{ name: toArtifactName(name, 'many'), sha256: sha256Hex(bytes), size: bytes.length },
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const stated = { ...statement, subjects, approval: sha256Hex(encodeApproval(approved)) };
  const seconds = Math.floor(now.getTime() / 1000);
  const signatures = [...contents, ['SHA256SUMS', formatChecksums(subjects)] as const].map(
    ([name, bytes]) => ({
      name: `${name}.asc`,
      bytes: Buffer.from(encodeArmor('PGP SIGNATURE', releaseKey.secret.sign(sign(name, bytes), seconds))),
    }),
  );
  return {
    approval: approvalFiles(approved),
    blobs: [...contents.values()].map((bytes) => ({ sha256: sha256Hex(bytes), bytes })),
    statement: statementFiles(stated),
    chain: releaseFiles({
      manifest: {
        subjects,
        approval: stated.approval,
        statements: { [stated.slot]: sha256Hex(encodeStatement(stated)) },
      },
      list: formatSignaturesList(new Map(signatures.map(({ name, bytes }) => [name, sha256Hex(bytes)]))),
    }),
    signatures,
  };
}
