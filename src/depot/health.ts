/** Whether the depot answers, and whether it can do its work: for load balancers, people, and the service manager. */
import { constants } from 'node:fs';
import { access, lstat } from 'node:fs/promises';
import { Failure } from '../failure.ts';
import { requireOwn } from '../tree/own.ts';
import type { Reserve } from '../tree/reserve.ts';
import type { Room, Tree } from '../tree/tree.ts';

/** Why it should be sent no requests now. */
export interface Reason {
  /** One of our codes. */
  readonly code: string;
  /** For a person; names no path, as everybody may read it. */
  readonly text: string;
}

export interface HealthOptions {
  readonly tree: Tree;
  /** Where the tree lies. */
  readonly directory: string;
  readonly reserve: Pick<Reserve, 'room' | 'kept'>;
}

/** Whoever asks more often gets the same answer. */
const FRESH_MS = 1000;
/** A disk that takes longer is as good as none. */
const LOOK_MS = 5000;

export class Health {
  readonly #options: HealthOptions;
  #stopping = false;
  #looked: { readonly at: number; readonly reasons: Promise<readonly Reason[]> } | null = null;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** From now on it is not ready: nobody new should come. */
  stop(): void {
    this.#stopping = true;
  }

  /** Why it is not ready; empty if it is. */
  async reasons(): Promise<readonly Reason[]> {
    if (this.#stopping) return [{ code: 'stopping', text: 'the depot is about to end' }];
    const now = performance.now();
    if (this.#looked === null || now - this.#looked.at >= FRESH_MS)
      this.#looked = { at: now, reasons: within(LOOK_MS, this.#look(), SLOW) };
    return this.#looked.reasons;
  }

  /** Reads through the tree: returns when the disk answers, whatever it says. */
  async answers(): Promise<void> {
    await this.#options.tree.size('log/checkpoint').catch(() => null);
  }

  async #look(): Promise<readonly Reason[]> {
    const { directory, reserve } = this.#options;
    const status = await lstat(directory).catch(() => null);
    if (!status?.isDirectory()) return [{ code: 'no-depot', text: 'its data directory is gone' }];
    const reasons: Reason[] = [];
    try {
      await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
      await requireOwn(directory);
      const room = await reserve.room();
      const kept = room && reserve.kept(room);
      if (room && kept && (room.bytes < kept.bytes || (room.files !== null && room.files < kept.files)))
        reasons.push({ code: 'disk-reserve', text: fullText(room, kept) });
    } catch (error) {
      reasons.push(
        error instanceof Failure && error.code === 'depot-shared'
          ? { code: error.code, text: 'others may write its data directory' }
          : { code: 'disk', text: 'its data directory cannot be read or written' },
      );
    }
    return reasons;
  }
}

function fullText(room: Room, kept: { readonly bytes: number; readonly files: number }): string {
  const mib = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`;
  const [free, reserve] =
    room.bytes < kept.bytes
      ? [`${mib(room.bytes)} of ${mib(room.ofBytes)}`, mib(kept.bytes)]
      : [`${room.files} of ${room.ofFiles} files`, `${kept.files}`];
  return `its disk is nearly full: ${free} are free, ${reserve} are kept for what is sealed; it takes no uploads`;
}

const SLOW: readonly Reason[] = [{ code: 'disk', text: 'its disk does not answer' }];

/** What `work` comes to, or `otherwise` if that takes longer. */
async function within<T>(milliseconds: number, work: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), milliseconds);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
