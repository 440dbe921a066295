/** The build of `policy/scene.ts` in a depot on disk, with real release signatures. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { encodeArmor } from '../../src/openpgp/armor.ts';
import type { Project } from '../../src/policy/project.ts';
import { formatChecksums, formatSignaturesList } from '../../src/records/signatures-list.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { BlobRef } from '../../src/tree/tree.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import type { RetentionTimes } from '../../src/tree/retire.ts';
import { SharedTree } from '../../src/tree/shared-tree.ts';
import type { SharedTreeOptions } from '../../src/tree/shared-tree.ts';
import { Sweep } from '../../src/tree/sweep.ts';
import { releaseFiles } from '../policy/release-scene.ts';
import {
  approvalFiles,
  artifacts,
  build,
  now,
  project,
  releaseKey,
  statementFiles,
  subjects,
  tokens,
} from '../policy/scene.ts';
import type { Person } from '../policy/scene.ts';

/** A file name and its bytes. */
export interface Named {
  readonly name: string;
  readonly bytes: Buffer;
}

/** A depot, and what takes away beside it. */
export interface Kept {
  readonly depot: GatedDepot;
  readonly sweep: Sweep;
}

export interface DepotOnDisk extends Kept {
  readonly directory: string;
  readonly tree: DirectoryTree;
  /** As somebody without a token sees it. */
  readonly depot: GatedDepot;
  readonly builder: GatedDepot;
  remove(): Promise<void>;
}

/** As the server does. */
export function keep(options: SharedTreeOptions, times?: RetentionTimes): Kept {
  const shared = new SharedTree(options);
  return { depot: GatedDepot.of(shared), sweep: new Sweep(shared, times) };
}

export async function makeDepot(changes: Partial<Project> = {}, time = { now }): Promise<DepotOnDisk> {
  const directory = await mkdtemp(join(tmpdir(), 'depot-'));
  const tree = await DirectoryTree.make(directory);
  const rules = { ...project, ...changes };
  const { depot, sweep } = keep({ tree, rules, now: () => time.now });
  const remove = (): Promise<void> => rm(directory, { recursive: true });
  return { directory, tree, depot, sweep, builder: depot.as(tokens.b1), remove };
}

export const blobs = Object.values(artifacts).map((bytes) => ({ sha256: sha256Hex(bytes), bytes }));

/** Sends a blob as a stream. */
export const put = (depot: GatedDepot, bytes: Buffer, says: Partial<BlobRef> = {}): Promise<string> =>
  depot.putBlob(build, says.sha256 ?? sha256Hex(bytes), says.size ?? bytes.length, () =>
    Readable.from([bytes]),
  );

/** Everything up to the sealed build. */
export async function seal({ depot, builder }: DepotOnDisk): Promise<void> {
  await depot.submit(build, approvalFiles());
  await builder.putBlobs(build, blobs);
  await builder.submit(build, statementFiles());
}

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);

/** `<name>.asc` of every artifact and of the checksums, as the signer makes them; `of` may change the bytes first. */
export function releaseSignatures(
  signer: Person = releaseKey,
  of: (name: string, bytes: Buffer) => Buffer = (_name, bytes) => bytes,
  at = now,
): Named[] {
  const signed = new Map([...Object.entries(artifacts), ['SHA256SUMS', formatChecksums(subjects)] as const]);
  return [...signed].map(([name, bytes]) => {
    const packet = signer.secret.sign(of(name, bytes), seconds(at));
    return { name: `${name}.asc`, bytes: Buffer.from(encodeArmor('PGP SIGNATURE', packet)) };
  });
}

/** The release records over these signatures. */
export const chainOf = (
  signatures: readonly Named[],
  changes: Omit<Parameters<typeof releaseFiles>[0] & object, 'list'> = {},
): Map<string, Buffer> => {
  const digests = signatures.map(({ name, bytes }) => [name, sha256Hex(bytes)] as const);
  return releaseFiles({ ...changes, list: formatSignaturesList(new Map(digests)) });
};

/** What the signer sends when it is done. */
export async function sendRelease({ depot }: DepotOnDisk, signatures = releaseSignatures()): Promise<void> {
  await depot.submit(build, chainOf(signatures));
  await depot.putSignatures(build, signatures);
}
