/** Builders: the real `attest`, killed and run again with its ticket until it ends, or the library that it calls. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { attest } from '../../src/builder/attest.ts';
import type { AttestOptions } from '../../src/builder/attest.ts';
import { Failure } from '../../src/failure.ts';
import type { BuildId } from '../../src/records/names.ts';
import { buildPath, statementFile } from '../../src/records/paths.ts';
import { toSlot } from '../../src/records/names.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { collected } from '../harness/collected.ts';
import { PROGRAM } from '../harness/program.ts';
import type { Files } from '../harness/world.ts';
import type { Kill, SlotPlan } from './plan.ts';
import type { Site } from './site.ts';

const PATIENCE_MS = 180_000;
const AGAIN_MS = 300;

/** How a builder ended: null, or the code of what it was refused with. */
export type Ended = string | null;

export interface Work {
  readonly build: BuildId;
  /** From 0. */
  readonly slot: number;
  readonly ticket: string;
  readonly files: Files;
  readonly plan: SlotPlan;
  /** How long it waits for H, in seconds, if it enrols. */
  readonly timeout: number;
}

interface Attempt {
  /** Null: it was killed. */
  readonly code: number | null;
  readonly error: string;
  readonly said: string;
}

export class Builders {
  readonly #site: Site;
  /** Attests that ran as processes, their kills, and those in this process. */
  processes = 0;
  readonly kills = { SIGKILL: 0, SIGTERM: 0 };
  inProcess = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  /** Until the depot has its statement, or says no for good. Throws where that takes too long. */
  async work({ build, slot, ticket, files, plan, timeout }: Work): Promise<Ended> {
    const base = await this.#site.world.place(files);
    const url = plan.cuts.length > 0 ? this.#site.proxy.url : this.#site.world.url;
    this.#site.proxy.budgets.push(...plan.cuts);
    let killed = false;
    for (const [end, kills] = [performance.now() + PATIENCE_MS + timeout * 1000, [...plan.kills]]; ;) {
      const kill = kills.shift() ?? null;
      const { code, error, said } =
        plan.by === 'process'
          ? await this.#process({ ticket, base, url, timeout }, kill)
          : await this.#here({ ticket, base, url, timeout });
      killed ||= code === null;
      const done = code === 0 || (killed && error === 'ticket-missing' && this.#isSealed(build, slot));
      // it was waited for until nothing could come any more
      if (done || code === 1 || code === 2 || error === 'receipt-missing') {
        await rm(base, { recursive: true, force: true });
        return done ? null : error;
      }
      if (performance.now() > end)
        throw new Error(`builder ${slot} of ${build} does not end: ${error} ${said}`);
      await sleep(AGAIN_MS);
    }
  }

  /** One run that dies, and is not heard of again. */
  async die({ ticket, files, plan, timeout }: Work): Promise<void> {
    const base = await this.#site.world.place(files);
    const kill = plan.kills[0] ?? { afterMs: 150, signal: 'SIGKILL' };
    await this.#process({ ticket, base, url: this.#site.world.url, timeout }, kill);
  }

  /** A copy of a ticket, as a thief makes it. */
  async steal(ticket: string): Promise<string> {
    await copyFile(ticket, `${ticket}.copy`);
    return `${ticket}.copy`;
  }

  #isSealed(build: BuildId, slot: number): boolean {
    return existsSync(this.#site.world.tree(buildPath(build, statementFile(toSlot(`b${slot + 1}`, 'slot')))));
  }

  async #process(
    how: { ticket: string; base: string; url: string; timeout: number },
    kill: Kill | null,
  ): Promise<Attempt> {
    this.processes += 1;
    const { world } = this.#site;
    const args = ['--ticket', how.ticket, '--base', how.base, how.base, '--json', '--depot', how.url];
    const child = spawn(process.execPath, [PROGRAM, 'attest', ...args, '--timeout', `${how.timeout}s`], {
      ...{ cwd: world.path('cwd'), env: world.env('M'), stdio: ['ignore', 'pipe', 'pipe'] },
    });
    const striking =
      kill && setTimeout(() => child.kill(kill.signal) && (this.kills[kill.signal] += 1), kill.afterMs);
    const { code, stdout, stderr } = await collected(child);
    clearTimeout(striking ?? undefined);
    const last = code === 0 || code === null ? '' : (stdout.trimEnd().split('\n').at(-1) ?? '');
    if (code !== null && code > 3) throw new Error(`attest ended with ${code}: ${stderr}`);
    return { code, error: codeIn(last), said: stderr.slice(-500) };
  }

  async #here(how: { ticket: string; base: string; url: string; timeout: number }): Promise<Attempt> {
    this.inProcess += 1;
    const options: AttestOptions = {
      ...{ ticket: how.ticket, paths: [how.base], base: how.base, exclude: [], run: null, runAs: null },
      timeout: how.timeout * 1000,
      environment: this.#site.world.env('M'),
      stdin: Readable.from([]),
      now: () => new Date(),
      connect: ({ token, insecureHttp }) => new HttpDepot({ url: how.url, token, insecureHttp }),
    };
    try {
      await attest(options, () => {});
      return { code: 0, error: '', said: '' };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const code = { refused: 1, usage: 2, unable: 3 }[error.kind];
      return { code, error: error.code, said: error.message };
    }
  }
}

function codeIn(line: string): string {
  try {
    return String((JSON.parse(line) as Record<string, unknown>)['code']);
  } catch {
    return `no code: ${line}`;
  }
}
