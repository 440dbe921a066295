/** A witness in this process, over real HTTP, with a state directory of its own; its clock is set by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HttpServer } from '../../src/host/http-server.ts';
import type { LogKey } from '../../src/tlog/checkpoint.ts';
import { cosignaturesOf } from '../../src/tlog/cosignature.ts';
import type { WitnessKey } from '../../src/tlog/cosignature.ts';
import { Records } from '../../src/witness/record.ts';
import { startWitness } from '../../src/witness/server.ts';
import { openState } from '../../src/witness/state.ts';
import type { WitnessState } from '../../src/witness/state.ts';
import { Witness } from '../../src/witness/witness.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import { originHash } from './log.ts';

export const NAME = 'witness.example/w1';

export class WitnessHost {
  readonly directory: string;
  /** What it told its operator. */
  readonly said: string[] = [];
  /** Seconds since 1970. */
  time = 1_800_000_000;
  #running: { readonly state: WitnessState; readonly server: HttpServer } | null = null;

  /** With the state directory of another, or one of its own. */
  constructor(directory = join(mkdtempSync(join(tmpdir(), 'cs-witness-')), 'state')) {
    this.directory = directory;
  }

  /** Starts it, on what it remembers; without a name only if there is something. */
  async start(logs: readonly LogKey[], name: string | null = NAME): Promise<void> {
    const state = await openState(this.directory, { name, credential: null });
    try {
      const { signer } = state;
      const records = await Records.open(
        this.directory,
        signer.verifier,
        logs.map((log) => log.origin),
      );
      const log = (text: string): void => void this.said.push(text);
      const witness = new Witness({ signer, logs, records, now: () => new Date(this.time * 1000), log });
      const server = await startWitness({ witness, listen: { host: '127.0.0.1', port: 0 }, log });
      this.#running = { state, server };
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#running?.server.close();
    await this.#running?.state.close();
    this.#running = null;
  }

  /** Ends it for good; its directory goes. */
  async close(): Promise<void> {
    await this.stop();
    rmSync(join(this.directory, '..'), { recursive: true, force: true });
  }

  get url(): string {
    return this.#running?.server.url ?? '';
  }

  get key(): WitnessKey {
    if (this.#running === null) throw new Error('it does not run');
    return this.#running.state.signer.verifier;
  }

  add(body: string | Buffer): Promise<HttpAnswer> {
    return add(this.url, body);
  }

  /** What it shows of a log; null if nothing. */
  latest(origin: string): Promise<string | null> {
    return latest(this.url, origin);
  }
}

export const add = (url: string, body: string | Buffer): Promise<HttpAnswer> =>
  rawRequest(url, { method: 'POST', path: '/add-checkpoint', body });

export async function latest(url: string, origin: string): Promise<string | null> {
  const answer = await rawRequest(url, { path: `/${originHash(origin)}/checkpoint` });
  if (answer.status === 404) return null;
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  return answer.body.toString();
}

/** When the witness cosigned the checkpoint, by its answer; throws if it did not. */
export function cosignedAt(text: string, answer: HttpAnswer, key: WitnessKey): number {
  const body = answer.body.toString();
  if (answer.status !== 200) throw new Error(`status ${answer.status}: ${body}`);
  const [cosignature, ...others] = cosignaturesOf(`${text}\n${body}`, [key]);
  if (cosignature === undefined || others.length > 0) throw new Error(`not one cosignature: ${body}`);
  return cosignature.time;
}
