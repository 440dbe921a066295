/** The release of `made-release.ts`, proven in a log that has the rest of its build as well, and goes on after it. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntryType } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import {
  cosign,
  generateWitnessKey,
  parseWitnessKey,
  parseWitnessSigner,
} from '../../src/tlog/cosignature.ts';
import type { CosignatureSigner, WitnessKey } from '../../src/tlog/cosignature.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { signNote } from '../../src/tlog/note.ts';
import { formatProof } from '../../src/tlog/proof.ts';
import { MadeLog, digest } from '../harness/made-log.ts';
import { approval, build, logSigner, minutes } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import { madeRelease, write } from './made-release.ts';
import type { ReleaseChanges } from './made-release.ts';

/** An entry, so many minutes after the release. */
export function leaf(
  type: BuildEntryType,
  at: number,
  file: string,
  of = build,
  keys: readonly Fingerprint[] = [],
): Buffer {
  const { project, version } = approval;
  const records = { [file]: digest(at + 1000) };
  return encodeLogEntry({
    type,
    time: timestamp(minutes(at)),
    build: of,
    project,
    version,
    records,
    keys,
  });
}

export interface Story {
  readonly release?: ReleaseChanges;
  /** Entries after the build's intent and before its release. */
  readonly between?: readonly Buffer[];
  /** After it, when it was proven. */
  readonly proven?: readonly Buffer[];
  /** Since then. */
  readonly since?: readonly Buffer[];
  readonly signer?: typeof logSigner;
  /** Who cosigned the proof's checkpoint, and when, in minutes. */
  readonly cosigned?: readonly (readonly [CosignatureSigner, number])[];
}

export interface Told {
  readonly files: Files;
  /** A copy of the release. */
  readonly release: string;
  readonly depot: string;
  readonly log: MadeLog;
  /** The proof's checkpoint. */
  readonly checkpoint: string;
}

/** Writes it all below `parent`. */
export function tell(parent: string, story: Story = {}): Told {
  const { between = [], proven = [], since = [], signer = logSigner, cosigned = [] } = story;
  const files = madeRelease(story.release);
  const before = [
    leaf('approval', -30, 'approval.json'),
    leaf('statement', -2, 'statements/b1.json'),
    leaf('intent', -1, 'manifest.json'),
    ...between,
  ];
  const entry = files.get('countersign/log-entry.json') ?? Buffer.alloc(0);
  const leaves = [...before, entry, ...proven];
  const tree = treeOf(leaves.map(leafHash));
  const text = formatCheckpoint({ origin: signer.name, size: tree.size, root: tree.root() });
  const lines = cosigned.map(([by, at]) => cosign(text, by, minutes(at).getTime() / 1000));
  const checkpoint = signNote(text, signer) + lines.join('');
  const hashes = tree.inclusionProof(before.length);
  const proof = formatProof({ extra: null, index: before.length, hashes, checkpoint });
  files.set('countersign/release.proof', proof);
  const depot = mkdtempSync(join(parent, 'cs-depot-'));
  const log = new MadeLog(join(depot, 'log'), signer);
  log.add([...leaves, ...since]);
  return { files, release: write(files, parent), depot, log, checkpoint };
}

/** A witness: its public key, and what signs for it. */
export function newWitness(name: string): { key: WitnessKey; signer: CosignatureSigner } {
  const { signer, verifier } = generateWitnessKey(name);
  return { key: parseWitnessKey(verifier), signer: parseWitnessSigner(signer) };
}
