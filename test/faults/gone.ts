/** A depot that takes away, when it starts, what need not be kept: blobs of a build that was revoked, and one that no statement names. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { Ran } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { mustBe } from '../harness/world.ts';
import type { Play } from './row.ts';
import { served } from './server.ts';
import { FILES } from './theatre.ts';
import type { Theatre } from './theatre.ts';
import { expectWholeState, expectWholeTree, filesBelow } from './whole.ts';

const UNNAMED = Buffer.from('of a run that failed');
const KEEP = ['--keep-refused', '1s'];

/** The play of the depot that does so while somebody asks it for its health. Begins with one release, and nothing else. */
export async function sweeps(theatre: Theatre): Promise<Play> {
  const { world } = theatre;
  const [released = ''] = readdirSync(world.tree('builds'));
  const { build, ticket } = await world.approve('0.8');
  mustBe(0, await world.attest(ticket, FILES));
  mustBe(0, await world.runOn('operator', ['revoke', build, '--reason', 'of no use', '--yes']));
  mustBe(0, await world.sign());
  const revoked = performance.now();
  await until('it was revoked a while ago', () => performance.now() - revoked > 2_000);
  // by the log as well
  mustBe(0, await world.approve('0.7'));
  mustBe(0, await world.sign());
  await world.stopServer();
  writeFileSync(world.tree('builds', released, 'blobs', sha256Hex(UNNAMED)), UNNAMED);
  const scene = theatre.save();

  const isGoing = (file: string): boolean =>
    file.startsWith(`builds/${build}/blobs/`) || file.endsWith(`/${sha256Hex(UNNAMED)}`);
  const before = filesBelow(world.tree());
  const read = (file: string): string => readFileSync(world.tree(file), 'base64');
  const staying = new Map(before.filter((file) => !isGoing(file)).map((file) => [file, read(file)]));
  const going = before.filter(isGoing);
  expect(going.length).toBeGreaterThan(1);

  const act: Play['act'] = (traced) => served(world, traced, () => healthOf(world.url), KEEP);
  const steps = await scene.rehearse(act);
  const seen = (): void => {
    expectWholeTree(world.tree());
    expectWholeState(world.path('H', 'signer'));
    for (const [file, bytes] of staying) expect(read(file), file).toBe(bytes);
  };
  return {
    ...{ scene, build, steps, act, seen },
    async begin() {
      await world.stopServer();
      scene.restore();
    },
    async finish() {
      await until('what goes is gone', () => !going.some((file) => existsSync(join(world.tree(), file))));
      await world.stopServer();
      seen();
      expect(filesBelow(world.tree()).toSorted()).toEqual([...staying.keys()].toSorted());
      await world.startServer(KEEP);
    },
  };
}

async function healthOf(url: string): Promise<Ran> {
  const ran = { stdout: '', stderr: '', json: [], error: null, peakKiB: 0 };
  const { ok } = await fetch(new URL('/healthz', url));
  return { ...ran, code: ok ? 0 : 1 };
}
