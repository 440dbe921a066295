/** Logs made for tests: entries as a signer writes them, tiles and checkpoints as a depot keeps them, in a directory. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import type { BuildEntry, BuildEntryType, LogEntry } from '../../src/records/log-entry.ts';
import {
  newBuildId,
  timestamp,
  toFingerprint,
  toProjectName,
  toSha256,
  toVersion,
} from '../../src/records/names.ts';
import type { BuildId, Fingerprint, Sha256 } from '../../src/records/names.ts';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { cosign } from '../../src/tlog/cosignature.ts';
import type { CosignatureSigner } from '../../src/tlog/cosignature.ts';
import { RightEdge } from '../../src/tlog/edge.ts';
import { leafHash } from '../../src/tlog/merkle.ts';
import { generateNoteKey, parseSignerKey, signNote } from '../../src/tlog/note.ts';
import type { NoteSigner } from '../../src/tlog/note.ts';
import type { LogTrust } from '../../src/tlog/proof.ts';
import { TILE_WIDTH, bundlePath, encodeBundle, tilePath } from '../../src/tlog/tile.ts';

export const PROJECT = toProjectName('widget', 'test');
const START = Date.parse('2026-01-01T00:00:00Z');

/** A digest that nothing has: of that number. */
export const digest = (number: number): Sha256 => toSha256(number.toString(16).padStart(64, '0'), 'test');
/** A fingerprint, likewise. */
export const fingerprint = (number: number): Fingerprint =>
  toFingerprint(number.toString(16).toUpperCase().padStart(40, 'F'), 'test');
/** The id of the build of that number; they ascend. */
export const buildId = (number: number): BuildId =>
  newBuildId(new Date(START + number * 60_000), Buffer.alloc(10, number));
/** When the entry at that index is written: a minute after the one before. */
export const timeOf = (index: number) => timestamp(new Date(START + index * 60_000));

export const ADA = fingerprint(0xada);
/** The ephemeral key of a build's one builder. */
export const ephemeralKey = (build: number): Fingerprint => fingerprint(0x100000 + build);
export const versionOf = (build: number) => toVersion(`1.${build}`, 'test');

const RECORDS: Record<BuildEntryType, readonly string[]> = {
  approval: ['approval.json', `approval.json.${ADA}.sig`],
  statement: ['statements/b1.json', 'statements/b1.json.sig'],
  intent: [`approval.json.${ADA}.sig`, 'manifest.json'],
  release: ['manifest.json', 'release.json'],
  conflict: ['statements/b1.2.json'],
  refusal: ['refusal.json'],
  enrolment: ['enrolments/b1.json', 'enrolments/b1.json.mac', 'enrolments/b1.json.sig'],
  revocation: [`revocations/${ADA}.json`, `revocations/${ADA}.json.sig`],
};

/** The entry of that type of the build of that number, at that index of the log. */
export const entry = (type: BuildEntryType, build: number, index: number): BuildEntry => ({
  ...{ type, time: timeOf(index), build: buildId(build), project: PROJECT, version: versionOf(build) },
  records: Object.fromEntries(RECORDS[type].map((path, at) => [path, digest(index * 4 + at)])),
  keys: type === 'approval' ? [ephemeralKey(build)] : [],
});

const LIFE = ['approval', 'statement', 'intent', 'release'] as const;

/**
 * So many entries from `from` on, a multiple of four: builds one after the other, each released, but that every tenth is
 * refused in the end, and what is then missing of its four entries is a heartbeat.
 */
export function* entries(count: number, from = 0): Generator<LogEntry, void, undefined> {
  for (let index = from; index < from + count; index++) {
    const build = Math.floor(index / 4);
    const type = LIFE[index % 4] ?? 'approval';
    const refused = build % 10 === 9;
    if (refused && type === 'release') yield heartbeat(PROJECT, timeOf(index));
    else yield entry(refused && type === 'intent' ? 'refusal' : type, build, index);
  }
}

export function* leaves(of: Iterable<LogEntry>): Generator<Buffer, void, undefined> {
  for (const each of of) yield encodeLogEntry(each);
}

/** A log that grows in a directory. Old incomplete tiles stay there, as C2SP tlog-tiles allows. */
export class MadeLog {
  readonly directory: string;
  readonly signer: NoteSigner;
  #edge = RightEdge.empty();
  #bundle: Buffer[] = [];
  #cosigners: readonly CosignatureSigner[] = [];

  constructor(
    directory: string,
    signer = parseSignerKey(generateNoteKey('countersign/widget/00000000').signer),
  ) {
    this.directory = directory;
    this.signer = signer;
  }

  get size(): number {
    return this.#edge.size;
  }

  /** Whom a reader believes: no witnesses. */
  get trust(): LogTrust {
    return { origin: this.signer.name, key: this.signer.verifier, witnesses: [], quorum: 0 };
  }

  /** From now on these cosign. */
  witnessed(by: readonly CosignatureSigner[]): this {
    this.#cosigners = by;
    return this;
  }

  /** Adds entries, then signs. Returns the checkpoint. */
  add(all: Iterable<Buffer>): string {
    for (const leaf of all) {
      this.#bundle.push(leaf);
      for (const { level, index, hashes } of this.#edge.append(leafHash(leaf))) {
        this.write(tilePath(level, index), Buffer.concat(hashes));
        if (level > 0) continue;
        this.write(bundlePath(index), encodeBundle(this.#bundle));
        this.#bundle = [];
      }
    }
    for (const { level, index, hashes } of this.#edge.tiles())
      this.write(tilePath(level, index, hashes.length), Buffer.concat(hashes));
    if (this.#bundle.length > 0)
      this.write(
        bundlePath(Math.floor(this.size / TILE_WIDTH), this.#bundle.length),
        encodeBundle(this.#bundle),
      );
    const checkpoint = this.checkpoint();
    this.write('checkpoint', Buffer.from(checkpoint));
    return checkpoint;
  }

  /** The log as it is, signed. */
  checkpoint(time = 1_767_225_600): string {
    const text = formatCheckpoint({ origin: this.signer.name, size: this.size, root: this.#edge.root() });
    return signNote(text, this.signer) + this.#cosigners.map((each) => cosign(text, each, time)).join('');
  }

  /** A file of the log, over what is there. */
  write(path: string, bytes: Buffer): void {
    mkdirSync(dirname(join(this.directory, path)), { recursive: true });
    writeFileSync(join(this.directory, path), bytes);
  }
}
