/**
 * The signatures of a build, kept as they are made: a line each, the digest of the artifact and the signature
 * packet in base64. What is there is used: nothing is signed twice (§1 rule 6).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { unable } from '../failure.ts';
import type { LineFile } from '../host/line-file.ts';
import { encodeArmor } from '../openpgp/armor.ts';
import { decodeBase64, isSha256 } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../records/signatures-list.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { Subject } from '../records/statement.ts';
import type { SignerState } from './state.ts';

const FILE = 'signatures';
/** How long one waits for others to be written with: each write costs as much as checking a quarter of a signature. */
const GATHER_MS = 2;

/** What a release has a signature of, by name, with its digest: every artifact, and SHA256SUMS. */
export const signedDigests = (subjects: readonly Subject[]): (readonly [string, Sha256])[] => [
  ...subjects.map(({ name, sha256 }) => [name, sha256] as const),
  [CHECKSUMS_FILE, sha256Hex(formatChecksums(subjects))],
];

export class Signatures {
  readonly #file: LineFile;
  readonly #packets: Map<Sha256, Buffer>;
  /** What is written together, next. */
  #lines: Buffer[] = [];
  #written: Promise<void> = Promise.resolve();

  private constructor(file: LineFile, packets: Map<Sha256, Buffer>) {
    this.#file = file;
    this.#packets = packets;
  }

  /** Opens those of a build. Throws unable(`disk`). */
  static async open(state: SignerState, build: BuildId): Promise<Signatures> {
    const { file, lines } = await state.lines(build, FILE);
    return new Signatures(file, new Map(lines.flatMap(parseLine)));
  }

  /** Forgets those of a build: they rest on an intent that the log never had, or has lost, so none has left. Throws unable(`disk`). */
  static discard(state: SignerState, build: BuildId): Promise<void> {
    return state.remove(build, FILE);
  }

  /** The signature packet over the bytes with this digest; null if there is none yet. */
  get(sha256: Sha256): Buffer | null {
    return this.#packets.get(sha256) ?? null;
  }

  /** Keeps one, also while others are being kept; `sync` makes it last. Throws unable(`disk`). */
  async add(sha256: Sha256, packet: Buffer): Promise<void> {
    this.#lines.push(Buffer.from(`${sha256} ${packet.toString('base64')}`));
    this.#written = this.#written.then(() => this.#write());
    await this.#written;
    this.#packets.set(sha256, packet);
  }

  async #write(): Promise<void> {
    if (this.#lines.length === 0) return;
    await sleep(GATHER_MS);
    const lines = this.#lines;
    this.#lines = [];
    await this.#file.write(...lines);
  }

  /** Returns when the disk has all of them. Throws unable(`disk`). */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  /**
   * The files that leave: `<name>.asc` of every artifact, and of SHA256SUMS. Throws unable(`signatures-lost`)
   * if one is not here: a release is logged only once all of them are, and is never signed again.
   */
  files(subjects: readonly Subject[]): Map<string, Buffer> {
    return new Map(
      signedDigests(subjects).map(([name, sha256]) => {
        const packet = this.get(sha256);
        if (packet === null) throw unable('signatures-lost', `the signature of ${name} is lost`);
        return [`${name}.asc`, Buffer.from(encodeArmor('PGP SIGNATURE', packet))];
      }),
    );
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** None of a line that a power cut before `sync` left in pieces: nothing rests on it, it is made again. */
function parseLine(line: Buffer): [Sha256, Buffer][] {
  const [sha256 = '', base64 = ''] = line.toString('latin1').split(' ');
  const packet = decodeBase64(base64);
  return isSha256(sha256) && packet !== null ? [[sha256, packet]] : [];
}
