/** What somebody with H's log key can make: release records and refusals that say whatever they like, each proven. */
import { readFile } from 'node:fs/promises';
import { encodeLogEntry, parseLogEntry } from '../../src/records/log-entry.ts';
import { encodeManifest, parseManifest } from '../../src/records/manifest.ts';
import { timestamp } from '../../src/records/names.ts';
import {
  logEntryFile,
  manifestFile,
  refusalFile,
  refusalProofFile,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
} from '../../src/records/paths.ts';
import { encodeRelease, parseRelease } from '../../src/records/release.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { parseSignerKey, signNote } from '../../src/tlog/note.ts';
import type { NoteSigner } from '../../src/tlog/note.ts';
import { formatProof } from '../../src/tlog/proof.ts';
import type { World } from '../harness/world.ts';
import type { Held } from './forge.ts';

/** A record of the chain: each is bent before the digests of it are taken, so that all others fit it. */
export type Bend = (file: string, bytes: Buffer) => Buffer;

export class LogThief {
  readonly #world: World;
  readonly #key: NoteSigner;

  private constructor(world: World, key: NoteSigner) {
    this.#world = world;
    this.#key = key;
  }

  static async enter(world: World): Promise<LogThief> {
    const key = await readFile(world.path('H', 'signer', 'log-key'), 'utf8');
    return new LogThief(world, parseSignerKey(key.trim()));
  }

  /** The proof that this leaf is the whole log. */
  prove(leaf: Buffer, extra = false): Buffer {
    const tree = treeOf([leafHash(leaf)]);
    const checkpoint = formatCheckpoint({ origin: this.#key.name, size: tree.size, root: tree.root() });
    const hashes = tree.inclusionProof(0);
    return formatProof({
      extra: extra ? leaf : null,
      index: 0,
      hashes,
      checkpoint: signNote(checkpoint, this.#key),
    });
  }

  /** The chain of a release that there is, made anew with `bend`; of another build where `as` says so. */
  async release(build: string, bend: Bend, as?: Held): Promise<Map<string, Buffer>> {
    const read = (file: string): Promise<Buffer> => readFile(this.#world.tree('builds', build, file));
    const other = as ? { build: as.approval.build, version: as.approval.version } : {};
    const signaturesList = bend(signaturesListFile, await read(signaturesListFile));
    const manifest = bend(
      manifestFile,
      encodeManifest({ ...parseManifest(await read(manifestFile)), ...other }),
    );
    const old = parseRelease(await read(releaseFile));
    const signatures = { ...old.signatures, sha256: sha256Hex(signaturesList) };
    const release = bend(
      releaseFile,
      encodeRelease({ ...old, ...other, signatures, manifest: sha256Hex(manifest) }),
    );
    const { time } = parseLogEntry(await read(logEntryFile));
    const { build: id, project, version } = { ...old, ...other };
    const records = { [releaseFile]: sha256Hex(release), [manifestFile]: sha256Hex(manifest) };
    const entry = { type: 'release', time, build: id, project, version, records, keys: [] } as const;
    const leaf = bend(logEntryFile, encodeLogEntry(entry));
    return new Map([
      [logEntryFile, leaf],
      [releaseProofFile, bend(releaseProofFile, this.prove(leaf))],
      [releaseFile, release],
      [manifestFile, manifest],
      [signaturesListFile, signaturesList],
    ]);
  }

  /** A proven refusal of a build: these bytes, whatever they are. */
  refusal({ approval }: Held, record: Buffer): Map<string, Buffer> {
    const { build, project, version } = approval;
    const records = { [refusalFile]: sha256Hex(record) };
    const time = timestamp(new Date());
    const leaf = encodeLogEntry({ type: 'refusal', time, build, project, version, records, keys: [] });
    return new Map([
      [refusalFile, record],
      [refusalProofFile, this.prove(leaf, true)],
    ]);
  }
}
