/** A play that ends with a published release: what must hold during it and at its end. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import type { Outcome, Play } from './row.ts';
import type { Act, Scene } from './theatre.ts';
import {
  expectLogBehind,
  expectWholeState,
  expectWholeTree,
  filesBelow,
  litter,
  loggedTypes,
  Seen,
} from './whole.ts';

export interface Plot {
  readonly act: Act;
  /** The command again, and what comes after it, up to the published release. Returns its build if it is another now. */
  readonly again: (outcome: Outcome) => Promise<string | void>;
  /** The release key has done its part before. */
  readonly signed?: boolean;
  /** What the log has of the build in the end, where that is not a release of one builder. */
  readonly entries?: string;
  /** H has lost its journal, and takes it back. */
  readonly recovers?: boolean;
  /** The release is taken back in the end. */
  readonly withdrawn?: boolean;
  /** Other directories that are depots too. */
  readonly depots?: readonly string[];
  /** Litter that a kill may leave, once. */
  readonly mayLeave?: RegExp;
}

/** The play of a plot that begins with the scene; `build` is the one that is to be released as `version`. */
export async function released(scene: Scene, build: string, version: string, plot: Plot): Promise<Play> {
  const { world } = scene;
  const before = readRelease(world, '0.9');
  const certificate = world.releaseHome.export(world.releaseKey);
  const steps = await scene.rehearse(plot.act);
  let seen = new Seen();
  let digests = world.agent.digests.length;

  const look = (): void => {
    for (const depot of [world.tree(), ...(plot.depots ?? [])]) {
      expectWholeTree(depot);
      seen.look(depot);
    }
    expectWholeState(world.path('H', 'signer'));
    // what anybody was shown as logged is logged: H never takes it back
    if (plot.recovers !== true) expectLogBehind(world);
    expect(readRelease(world, '0.9'), 'what was published stays').toEqual(before);
  };
  return {
    scene,
    build,
    steps,
    act: plot.act,
    async begin() {
      // a depot remembers what the log has decided, and each run here decides anew
      if (plot.depots !== undefined) await world.stopServer();
      scene.restore();
      if (plot.depots !== undefined) await world.startServer();
      seen = new Seen();
      digests = world.agent.digests.length;
    },
    seen: look,
    async finish(outcome, thorough) {
      const last = (await plot.again(outcome)) ?? build;
      look();
      expectLogBehind(world);
      expect(loggedTypes(world, last)).toBe(plot.entries ?? 'approval statement intent release');
      // whatever was asked of the agent, by all runs together, is one set: a signature a file that differs, and SHA256SUMS
      const files = readRelease(world, version);
      const signed = [...files.keys()].filter((name) => name.endsWith('.asc'));
      const contents = new Set(signed.map((name) => files.get(name.slice(0, -'.asc'.length))));
      expect(new Set(world.agent.digests.slice(digests)).size, 'signed once').toBe(
        plot.signed === true ? 0 : contents.size,
      );
      const left = litter(world).filter((file) => plot.mayLeave?.test(file) !== true);
      expect(left, 'left behind').toEqual([]);
      expect(readdirSync(world.path('H', 'signer')).toSorted()).toEqual(STATE);
      if (!thorough || files.size === 0) return;
      for (const name of signed) {
        const data = Buffer.from(files.get(name.slice(0, -'.asc'.length)) ?? '', 'base64');
        const signature = Buffer.from(files.get(name) ?? '', 'base64');
        expect(await gpgvAccepts(certificate, signature, data), name).toBe(true);
      }
      const where = join('releases', world.project, version);
      const asked = ['--project', world.project, '--version', version];
      mustBe(plot.withdrawn === true ? 1 : 0, await world.verify([world.tree(where)], asked));
    },
  };
}

const STATE = ['.gitignore', 'builds', 'checkpoint', 'journal', 'lock', 'log-key', 'signer-token', 'tmp'];

/** Every file of a release, base64 by name. */
function readRelease(world: World, version: string): Map<string, string> {
  const directory = world.tree('releases', world.project, version);
  return new Map(
    filesBelow(directory).map((file) => [file, readFileSync(join(directory, file)).toString('base64')]),
  );
}
