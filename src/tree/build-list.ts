/**
 * The names in `builds/`, sorted and kept in memory: a page of a hundred thousand costs as little as one of a hundred.
 *
 * Others may write there too (sync, rsync, a second process), and each that comes or goes changes the directory's time:
 * so that is looked at for every page. Times are coarse, two changes may leave the same one. So a list is trusted only
 * when it was read a while after the time was first seen, and until then read again.
 */
import { lstat, readdir } from 'node:fs/promises';
import { orNull } from '../host/files.ts';
import { isBuildId } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import type { Inside } from './inside.ts';

/** FAT counts in steps of two seconds. */
const SETTLED_MS = 3000;

interface Listed {
  /** Of the directory: which it is and when it was last changed. */
  readonly state: string;
  /** When that state was first seen, and when the names were read; by a clock that is never set. */
  readonly seen: number;
  readonly read: number;
  readonly names: readonly BuildId[];
}

export class BuildList {
  readonly #inside: Inside;
  readonly #clock: () => number;
  #listed: Listed | null = null;

  /** `clock` counts milliseconds. */
  constructor(inside: Inside, clock: () => number = () => performance.now()) {
    this.#inside = inside;
    this.#clock = clock;
  }

  /** All of them after `after`, ascending, begun or not. Throws unable: `no-depot`, `disk`. */
  async after(after: BuildId | null): Promise<readonly BuildId[]> {
    const names = await this.#names();
    return after === null ? names : names.slice(firstAfter(names, after));
  }

  async #names(): Promise<readonly BuildId[]> {
    const place = await this.#inside.directory('builds');
    if (place === null) return [];
    const status = await orNull(lstat(place, { bigint: true }), `look at ${place}`);
    if (status === null) return [];
    const state = `${status.dev} ${status.ino} ${status.mtimeNs} ${status.ctimeNs}`;
    const read = this.#clock();
    const known = this.#listed?.state === state ? this.#listed : null;
    if (known && known.read - known.seen >= SETTLED_MS) return known.names;
    const entries = await orNull(readdir(place, { withFileTypes: true }), `list ${place}`);
    const names: BuildId[] = [];
    for (const entry of entries ?? [])
      if (isBuildId(entry.name) && (entry.isFile() || entry.isDirectory())) names.push(entry.name);
    this.#listed = { state, seen: known?.seen ?? read, read, names: names.sort() };
    return this.#listed.names;
  }
}

/** Where the first name above `after` is, in a sorted list. */
function firstAfter(names: readonly BuildId[], after: BuildId): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((names[middle] ?? '') > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
