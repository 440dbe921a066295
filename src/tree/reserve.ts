/**
 * Room on the depot's disk that uploads leave free: what was sealed can then be signed, published and taken back on a disk
 * that is full for everybody else. An upload under way counts as what it is about to become: room is promised to it a
 * window ahead of what has come, for as long as something comes. So nobody holds room with words alone.
 */
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { parseBuildFile } from '../records/paths.ts';
import type { Room, Tree } from './tree.ts';

/** As much as that, or a twentieth of the file system if that is less. */
const DEFAULT = { bytes: 1024 ** 3, files: 10_000, part: 20 } as const;
/** How long what the system said of its room is gone by. */
const FRESH_MS = 1000;
/** Small files take a block each, and their names take room, too. */
const BLOCK = 4096;
/** So much is promised ahead of what has come. */
const WINDOW = 64 * 1024 * 1024;
/** A promise to whom nothing has come for so long holds nothing any more. */
const STALLED_MS = 30_000;

const takes = (size: number): number => (Math.ceil(size / BLOCK) + 1) * BLOCK;

/** Room that is promised to somebody who writes. */
export interface Promised {
  /** So many more of the bytes have come, and are to be written now. Throws as `promise`, where there is no more room. */
  readonly arrived: (bytes: number) => Promise<void>;
  /** All that was to be written is there, or is not going to be. */
  readonly end: () => void;
}

interface Amount {
  readonly bytes: number;
  readonly files: number;
}

/** What somebody who writes was promised. */
interface Claim {
  /** Promised, and not here yet. */
  bytes: number;
  readonly files: number;
  /** To come after that: promised to nobody. */
  left: number;
  /** When something came last. */
  at: number;
}

export class Reserve {
  readonly #tree: Pick<Tree, 'room'>;
  readonly #bytes: number | null;
  readonly #refused: () => void;
  readonly #clock: () => number;
  readonly #claims = new Set<Claim>();
  /** What ended since the system was asked: the system did not know of all of it. */
  #spent = { bytes: 0, files: 0 };
  #seen: { readonly room: Promise<Room | null>; readonly at: number } | null = null;
  #last: Room | null = null;

  /** `bytes`: how much stays free, 0 for no reserve at all; null for a default. `refused` is told of each upload that is turned away. */
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
    const whole = sizes.reduce((sum, size) => sum + takes(size), 0);
    const bytes = Math.min(whole, WINDOW);
    const files = sizes.length;
    if (!this.#fits(room, { bytes, files })) throw this.#full();
    const claim: Claim = { bytes, files, left: whole - bytes, at: this.#clock() };
    this.#claims.add(claim);
    return {
      arrived: (come) => this.#arrived(claim, come),
      end: () => {
        if (!this.#claims.delete(claim)) return;
        this.#spent.bytes += claim.bytes;
        this.#spent.files += claim.files;
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
      files: this.#bytes === 0 ? 0 : Math.min(DEFAULT.files, Math.floor((ofFiles ?? 0) / DEFAULT.part)),
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

  async #arrived(claim: Claim, come: number): Promise<void> {
    if (this.#isStalled(claim)) {
      // others may have got its room meanwhile
      if (!this.#fits(await this.room(), claim)) throw this.#full();
    }
    claim.at = this.#clock();
    if (claim.left > 0 && claim.bytes - come < WINDOW / 2) {
      const room = await this.room();
      const bytes = Math.min(claim.left, WINDOW + come - claim.bytes);
      if (this.#fits(room, { bytes, files: 0 })) {
        claim.bytes += bytes;
        claim.left -= bytes;
      } else if (claim.bytes < come) throw this.#full();
    }
    const written = Math.min(come, claim.bytes);
    claim.bytes -= written;
    this.#spent.bytes += written;
  }

  #isStalled({ at }: Claim): boolean {
    return this.#clock() - at > STALLED_MS;
  }

  #full(): Failure {
    this.#refused();
    return unable(
      'disk-reserve',
      "the depot's disk is nearly full: it takes no more uploads, and finishes what is sealed",
      "try again later, or ask the depot's keeper, who makes room or lowers --reserve",
    );
  }

  #fits(room: Room | null, wanted: Amount): boolean {
    if (room === null) return true;
    let { bytes, files } = this.#spent;
    for (const claim of this.#claims) {
      if (this.#isStalled(claim)) continue;
      bytes += claim.bytes;
      files += claim.files;
    }
    const kept = this.kept(room);
    return (
      room.bytes - bytes - wanted.bytes >= kept.bytes &&
      (room.files === null || room.files - files - wanted.files >= kept.files)
    );
  }
}
