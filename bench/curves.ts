/** Time and memory of the whole loop, against the size of one artifact and against the number of small ones. One run each. */
import { join } from 'node:path';
import { MIB, makeLarge, makeSmall } from './files.ts';
import { settle, timed } from './measure.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { World } from './world.ts';

/** A point that would take longer, going by the one before, is left out; one that took less says nothing of the next. */
const [PATIENCE_S, TELLING_S] = [400, 10];

/** `curves` */
export async function curves(bench: Bench): Promise<void> {
  const { size, count } = bench.sizes.curves;
  await curve(bench, 'size', size, (base, mib) => makeLarge(base, 'artifact.bin', mib * MIB));
  await curve(bench, 'count', count, makeSmall);
}

async function curve(
  { directory, notebook }: Bench,
  name: string,
  points: readonly number[],
  make: (base: string, point: number) => unknown,
): Promise<void> {
  const world = await World.make(join(directory, `world-${name}`));
  let [last, took] = [Infinity, 0];
  try {
    for (const [round, point] of points.entries()) {
      const expected = took < TELLING_S ? 0 : (took * point) / last;
      say(`curves: ${name} ${point}${expected > PATIENCE_S ? `: left out, ${Math.round(expected)} s` : ''}`);
      if (expected > PATIENCE_S) return;
      const start = performance.now();
      const note = (what: string, unit: 's' | 'MiB', value: number): void =>
        notebook.note(`curves.${name}.${point}.${what}`, unit, value);
      const base = join(directory, `${name}-${point}`);
      make(base, point);
      await world.stop();
      await world.start();
      await settle();
      const attested = await world.attest(base);
      await timed(['rm', '-r', base]);
      await settle();
      const signed = await world.sign();
      const depot = world.serverUsage;
      const copy = join(world.data, 'releases', 'bench', `1.${round}`);
      const verify = ['verify', copy, '--release', copy, '--project', 'bench', '--version', `1.${round}`];
      const verified = await world.run([...verify, '--offline']);
      note('attest', 's', attested.seconds);
      note('sign', 's', signed.signSeconds);
      note('publish', 's', signed.publishSeconds);
      note('verify', 's', verified.seconds);
      note('attest memory', 'MiB', attested.peakMiB);
      note('sign memory', 'MiB', signed.peakMiB);
      note('depot memory', 'MiB', depot.peakMiB);
      note('verify memory', 'MiB', verified.peakMiB);
      await world.forget();
      [last, took] = [point, (performance.now() - start) / 1000];
    }
  } finally {
    await world.close();
  }
}
