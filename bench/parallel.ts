/** Several large artifacts from a depot in a directory: all cores against one. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { MIB, makeLarge } from './files.ts';
import { alternate, settle } from './measure.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { World } from './world.ts';

const ARTIFACTS = 4;

/** `parallel` */
export async function parallel({ quick, rounds, directory, notebook }: Bench): Promise<void> {
  const base = join(directory, 'files');
  for (let each = 0; each < ARTIFACTS; each++) makeLarge(base, `${each}.bin`, (quick ? 32 : 512) * MIB);
  const world = await World.make(join(directory, 'world'), { depot: 'directory' });
  const sign = async (name: string, under: readonly string[]): Promise<void> => {
    await world.restore();
    await settle();
    const { signSeconds, publishSeconds, peakMiB } = await world.sign({ under });
    notebook.note(`parallel.${name}.sign`, 's', signSeconds);
    notebook.note(`parallel.${name}.publish`, 's', publishSeconds);
    notebook.note(`parallel.${name}.memory`, 'MiB', peakMiB);
  };
  try {
    notebook.note('parallel.cores', '', availableParallelism());
    say('parallel: attest');
    await world.attest(base);
    await world.keep();
    say('parallel: rounds');
    await alternate(rounds(5), [
      () => sign('one core', ['taskset', '--cpu-list', '0']),
      () => sign('all cores', []),
    ]);
  } finally {
    await world.close();
  }
}
