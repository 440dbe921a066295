/** What has come of builds so far, as the disks of H and L show it; and whether what was published stays what it was. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, open, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BuildEntryType } from '../../src/records/log-entry.ts';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import type { BuildId } from '../../src/records/names.ts';
import { parseRelease } from '../../src/records/release.ts';

const LOOK_MS = 200;

/** A release as it was when it was first seen. */
export interface Seen {
  readonly build: BuildId;
  readonly version: string;
  /** `performance.now()`. */
  readonly at: number;
  /** Path below the release's directory, and digest. */
  readonly files: ReadonlyMap<string, string>;
}

export class Watcher {
  readonly releases = new Map<BuildId, Seen>();
  readonly #journal: string;
  readonly #released: string;
  readonly #logged = new Map<BuildId, Set<BuildEntryType>>();
  /** Logged as released, and not seen yet. */
  readonly #due = new Map<BuildId, string>();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #offset = 0;
  entries = 0;

  /** `journal`: H's; `released`: `releases/<project>` on L. */
  constructor(journal: string, released: string) {
    this.#journal = journal;
    this.#released = released;
  }

  /** Looks again and again until `close`. */
  watch(): void {
    this.#running = (async () => {
      for (; !this.#stop.signal.aborted; await sleep(LOOK_MS)) await this.look();
    })();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Whether H has logged that of the build. */
  has(build: BuildId, type: BuildEntryType): boolean {
    return this.#logged.get(build)?.has(type) ?? false;
  }

  /** Reads what is new. */
  async look(): Promise<void> {
    await this.#readJournal();
    for (const [build, version] of this.#due) {
      const seen = await this.#seen(build, version);
      if (seen === null) continue;
      this.releases.set(build, seen);
      this.#due.delete(build);
    }
  }

  /** What a killed H was writing ends without a newline, and is not read. */
  async #readJournal(): Promise<void> {
    // it is made when H first opens its state
    const file = await open(this.#journal).catch(() => null);
    if (file === null) return;
    try {
      const { size } = await file.stat();
      const bytes = Buffer.alloc(Math.max(0, size - this.#offset));
      const { bytesRead } = await file.read(bytes, 0, bytes.length, this.#offset);
      const whole = bytes.subarray(0, bytes.subarray(0, bytesRead).lastIndexOf(0x0a) + 1);
      this.#offset += whole.length;
      for (const line of whole.toString('latin1').split('\n').slice(0, -1))
        this.#read(Buffer.from(line, 'latin1'));
    } finally {
      await file.close();
    }
  }

  #read(line: Buffer): void {
    const entry = parseLogEntry(line);
    this.entries += 1;
    if (entry.type === 'heartbeat') return;
    const types = this.#logged.get(entry.build) ?? new Set();
    this.#logged.set(entry.build, types.add(entry.type));
    if (entry.type === 'release') this.#due.set(entry.build, entry.version);
  }

  async #seen(build: BuildId, version: string): Promise<Seen | null> {
    const directory = join(this.#released, version);
    // it is there when its proof is
    const proof = join(directory, 'countersign', 'release.proof');
    if (
      !(await access(proof).then(
        () => true,
        () => false,
      ))
    )
      return null;
    const release = parseRelease(await readFile(join(directory, 'countersign', 'release.json')));
    if (release.build !== build) return null;
    const at = performance.now();
    return { build, version, at, files: await digestsBelow(directory) };
  }
}

/** Path and SHA-256 of every file below a directory. */
export async function digestsBelow(directory: string): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    digests.set(relative(directory, path), await digestOf(path));
  }
  return digests;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
