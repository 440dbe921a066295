/**
 * Long polling (decision 8): which builds have changed, told at once to whoever waits for it. Nothing in it is secret, and
 * nobody need believe it. It knows what this process does: what another one writes into the directory is found by looking.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { unable } from '../failure.ts';
import type { BuildId } from '../records/names.ts';
import type { Heard } from '../tree/happening.ts';
import { CHANGES_MAX, CHANGES_WAIT_MS, JSON_TYPE } from '../tree/wire.ts';
import { sendBytes } from './answer.ts';

/** Each that waits holds a connection. Whoever has the signer token is kept out by no stranger. */
const STRANGERS_MAX = 512;
const SIGNERS_MAX = 64;

export interface ChangesOptions {
  /** How long nothing is waited for; shorter than a connection may be idle. */
  readonly waitMs?: number;
  readonly strangersMax?: number;
  /** Somebody may not wait. */
  readonly limited?: (limit: 'changes') => void;
}

/** A request for changes, as an `Exchange` has it. */
interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Whether it is the signer's. */
  readonly known: boolean;
}

/** Somebody who waits. All who do have seen all that there is. */
interface Waiting {
  readonly known: boolean;
  /** Answers, with these builds, and forgets it. */
  readonly tell: (builds: readonly BuildId[]) => void;
}

export class Changes {
  readonly #waitMs: number;
  readonly #strangersMax: number;
  readonly #limited: (limit: 'changes') => void;
  /** Counts are of this process: one that it has not given out says nothing. */
  readonly #boot = randomBytes(8).toString('hex');
  #count = 0;
  /** Each build with the count of its last change, ascending by that. */
  readonly #changed = new Map<BuildId, number>();
  /** The last count that was forgotten. */
  #forgotten = 0;
  readonly #waiting = new Set<Waiting>();
  #closed = false;

  constructor({ waitMs = CHANGES_WAIT_MS, strangersMax = STRANGERS_MAX, limited }: ChangesOptions = {}) {
    this.#waitMs = waitMs;
    this.#strangersMax = strangersMax;
    this.#limited = limited ?? (() => {});
  }

  /** For `GatedDepotOptions.heard`. */
  readonly heard: Heard = (happening) => {
    if (happening.kind !== 'changed') return;
    const { build } = happening;
    this.#count += 1;
    this.#changed.delete(build);
    this.#changed.set(build, this.#count);
    const [oldest] = this.#changed;
    if (oldest && this.#changed.size > CHANGES_MAX) {
      this.#changed.delete(oldest[0]);
      [, this.#forgotten] = oldest;
    }
    for (const { tell } of this.#waiting) tell([build]);
  };

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** `GET /changes/`, and with `?after=<cursor>` as soon as something has changed since. Throws unable(`busy`). */
  async answer({ request, response, known }: Asked): Promise<void> {
    const after = /\?after=(.*)$/.exec(request.url ?? '')?.[1];
    const builds = after === undefined ? [] : this.#since(after);
    const atOnce = after === undefined || builds === null || builds.length > 0;
    if (atOnce || this.#closed || request.method === 'HEAD') this.#send(response, builds);
    else await this.#wait(response, known);
  }

  /** Answers all that wait; nobody waits any more. */
  close(): void {
    this.#closed = true;
    for (const { tell } of this.#waiting) tell([]);
  }

  /** Until it is answered, or gone. */
  async #wait(response: ServerResponse, known: boolean): Promise<void> {
    const max = known ? SIGNERS_MAX : this.#strangersMax;
    if ([...this.#waiting].filter((each) => each.known === known).length >= max) {
      this.#limited('changes');
      throw unable('busy', 'too many wait for changes', 'look at GET /builds/ every now and then');
    }
    await new Promise<void>((resolve) => {
      const forget = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        resolve();
      };
      const tell = (builds: readonly BuildId[]): void => {
        forget();
        this.#send(response, builds);
      };
      const waiting: Waiting = { known, tell };
      const timer = setTimeout(() => tell([]), this.#waitMs);
      this.#waiting.add(waiting);
      response.once('close', forget);
    });
  }

  /** The builds that have changed since; null for a cursor that is not of now. */
  #since(cursor: string): BuildId[] | null {
    const [, boot, count] = /^([0-9a-f]{16})\.(0|[1-9][0-9]{0,14})$/.exec(cursor) ?? [];
    const after = Number(count);
    if (boot !== this.#boot || after > this.#count || after < this.#forgotten) return null;
    return [...this.#changed].filter(([, at]) => at > after).map(([build]) => build);
  }

  #send(response: ServerResponse, builds: readonly BuildId[] | null): void {
    const cursor = `${this.#boot}.${this.#count}`;
    const headers = { 'content-type': JSON_TYPE, 'cache-control': 'no-store' };
    sendBytes(response, 200, `${JSON.stringify({ cursor, builds })}\n`, headers);
  }
}
