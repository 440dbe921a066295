/**
 * Room on the depot's disk that uploads leave free: what was sealed can then be signed, published and taken back on a disk
 * that is full for everybody else. Uploads under way count as what they are to become.
 */
import { unable } from '../failure.ts';
import { parseBuildFile } from '../records/paths.ts';
import type { Room, Tree } from './tree.ts';

/** As much as that, or a twentieth of the file system if that is less. */
const DEFAULT = { bytes: 1024 ** 3, files: 10_000, part: 20 } as const;
/** How long what the system said of its room is gone by. */
const FRESH_MS = 1000;
/** Small files take a block each, and their names take room, too. */
const BLOCK = 4096;

const takes = (size: number): number => (Math.ceil(size / BLOCK) + 1) * BLOCK;

/** Room that is promised to somebody who writes. */
export interface Promised {
  /** So many more of the bytes have come. */
  readonly arrived: (bytes: number) => void;
  /** All that was to be written is there, or is not going to be. */
  readonly end: () => void;
}

export class Reserve {
  readonly #tree: Pick<Tree, 'room'>;
  readonly #bytes: number | null;
  readonly #refused: () => void;
  readonly #clock: () => number;
  readonly #promises = new Set<{ bytes: number; files: number }>();
  /** What ended since the system was asked: the system did not know of all of it. */
  #spent = { bytes: 0, files: 0 };
  #seen: { readonly room: Promise<Room | null>; readonly at: number } | null = null;
  #last: Room | null = null;

  /** `bytes`: how much stays free; null for a default. `refused` is told of each upload that is turned away. */
  constructor(
    tree: Pick<Tree, 'room'>,
    bytes: number | null,
    refused: () => void = () => {},
    clock = (): number => performance.now(),
  ) {
    this.#tree = tree;
    this.#bytes = bytes;
    this.#refused = refused;
    this.#clock = clock;
  }

  /** For files of these sizes. Throws unable('disk-reserve' | 'disk'). */
  async promise(sizes: readonly number[]): Promise<Promised> {
    const room = await this.room();
    const wanted = { bytes: sizes.reduce((sum, size) => sum + takes(size), 0), files: sizes.length };
    if (room !== null && !this.#fits(room, wanted)) {
      this.#refused();
      throw unable(
        'disk-reserve',
        "the depot's disk is nearly full: it takes no more uploads, and finishes what is sealed",
        "try again later, or ask the depot's keeper, who makes room or lowers --reserve",
      );
    }
    this.#promises.add(wanted);
    return {
      arrived: (bytes) => {
        const written = Math.min(bytes, wanted.bytes);
        wanted.bytes -= written;
        this.#spent.bytes += written;
      },
      end: () => {
        if (!this.#promises.delete(wanted)) return;
        this.#spent.bytes += wanted.bytes;
        this.#spent.files += wanted.files;
      },
    };
  }

  /** For these records, if builders write them: what others do finishes what is there, or takes it back. Throws as `promise`. */
  async promiseRecords(files: ReadonlyMap<string, Buffer>): Promise<Promised | null> {
    const kinds = [...files.keys()].map((name) => parseBuildFile(name)?.kind);
    if (!kinds.some((kind) => kind === 'statement' || kind === 'enrolment')) return null;
    return this.promise([...files.values()].map(({ length }) => length));
  }

  /** What the system said of its room within the last second; null where it counts none. Throws unable('disk'). */
  room(): Promise<Room | null> {
    if (this.#seen && this.#clock() - this.#seen.at < FRESH_MS) return this.#seen.room;
    const seen = { room: this.#ask(), at: this.#clock() };
    this.#seen = seen;
    // what failed is asked again
    seen.room.catch(() => {
      if (this.#seen === seen) this.#seen = null;
    });
    return seen.room;
  }

  /** As it was last seen, for a gauge; null before, and where there are no bounds. */
  get last(): Room | null {
    return this.#last;
  }

  /** How many bytes, and files, stay free of such a file system. */
  kept({ ofBytes, ofFiles }: Pick<Room, 'ofBytes' | 'ofFiles'>): { bytes: number; files: number } {
    return {
      bytes: this.#bytes ?? Math.min(DEFAULT.bytes, Math.floor(ofBytes / DEFAULT.part)),
      files: Math.min(DEFAULT.files, Math.floor((ofFiles ?? 0) / DEFAULT.part)),
    };
  }

  async #ask(): Promise<Room | null> {
    const before = { ...this.#spent };
    this.#last = await this.#tree.room();
    // what ended before it was asked, it knows
    this.#spent = {
      bytes: this.#spent.bytes - before.bytes,
      files: this.#spent.files - before.files,
    };
    return this.#last;
  }

  #fits(room: Room, wanted: { readonly bytes: number; readonly files: number }): boolean {
    let { bytes, files } = this.#spent;
    for (const promised of this.#promises) {
      bytes += promised.bytes;
      files += promised.files;
    }
    const kept = this.kept(room);
    return (
      room.bytes - bytes - wanted.bytes >= kept.bytes &&
      (room.files === null || room.files - files - wanted.files >= kept.files)
    );
  }
}
