/**
 * A world that can be put back to where it was, so that one command can meet one fault after another at the same step:
 * with a release that is out already (nothing of it may ever change), and the next one as far as the command.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mustBe, World } from '../harness/world.ts';
import type { Files, WorldOptions } from '../harness/world.ts';
import type { Ran } from '../harness/program.ts';
import { hit, stepsOf, traced } from './strace.ts';
import type { Fault, Step, Traced } from './strace.ts';

const HOSTS = ['H', 'M', 'L', 'operator', 'tmp', 'stick'];

/** Small and large, equal ones, one below a directory, an empty one. */
export const FILES: Files = {
  'app-1.0.tar.gz': Buffer.alloc(150_000, 'app'),
  'docs/README': 'read me\n',
  'docs/README.txt': 'read me\n',
  empty: '',
};

export class Theatre {
  readonly world: World;
  #scenes = 0;

  private constructor(world: World) {
    this.world = world;
  }

  static async open(options: WorldOptions = {}): Promise<Theatre> {
    const world = await World.make(options);
    try {
      const { build, ticket } = await world.approve('0.9');
      for (let approver = 1; approver < (options.threshold ?? 1); approver++)
        mustBe(0, await world.runOn('operator', ['endorse', build, '--yes'], { approver }));
      mustBe(0, await world.attest(ticket, { 'old.txt': 'old' }));
      mustBe(0, await world.sign());
      mkdirSync(world.path('scratch'));
      return new Theatre(world);
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.world.close();
  }

  /** Keeps everything as it is now, to be put back as often as needed. */
  save(): Scene {
    const directory = this.world.path(`saved-${++this.#scenes}`);
    mkdirSync(directory);
    const here = readdirSync(this.world.directory);
    for (const host of HOSTS) if (here.includes(host)) copy(this.world.path(host), directory);
    return new Scene(this.world, directory);
  }
}

/** A moment of a world. */
export class Scene {
  readonly world: World;
  readonly #saved: string;

  constructor(world: World, saved: string) {
    this.world = world;
    this.#saved = saved;
  }

  restore(): void {
    for (const host of HOSTS) rmSync(this.world.path(host), { recursive: true, force: true });
    for (const host of readdirSync(this.#saved)) copy(join(this.#saved, host), this.world.directory);
  }

  /** Runs the command once without a fault, and says what it did. */
  async rehearse(act: Act): Promise<Step[]> {
    this.restore();
    const watched = traced(this.world.path('scratch'), null);
    mustBe(0, await act(watched));
    return stepsOf(watched.trace(), this.world.directory);
  }

  /** Runs the command with the fault; throws unless it happened. */
  async perform(act: Act, fault: Fault): Promise<Ran> {
    const watched = traced(this.world.path('scratch'), fault);
    const ran = await act(watched);
    const trace = watched.trace();
    if (!hit(trace, fault))
      throw new Error(`${JSON.stringify(fault)} did not happen:\n${trace}\n${ran.stdout}\n${ran.stderr}`);
    return ran;
  }
}

/** The command that meets the fault. */
export type Act = (traced: Traced) => Promise<Ran>;

/** With hard links, times and modes. */
function copy(from: string, into: string): void {
  execFileSync('cp', ['-a', '--', from, into]);
}
