/** Several large artifacts from a depot in a directory: all cores against one. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { makeLarge } from './files.ts';
import { alternate, settle, timed } from './measure.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { World } from './world.ts';

const ARTIFACTS = 4;

/** `parallel` */
export async function parallel({ sizes, rounds, directory, notebook }: Bench): Promise<void> {
  const base = join(directory, 'files');
  for (let each = 0; each < ARTIFACTS; each++) makeLarge(base, `${each}.bin`, sizes.several);
  const world = await World.make(join(directory, 'world'), { depot: 'directory' });
  // what the machine itself has to give: the same bytes, hashed by openssl, one file after the other and as many as cores
  const openssl = async (name: string, atOnce: number): Promise<void> => {
    const hash = `printf '%s\\n' *.bin | xargs -n 1 -P ${atOnce} openssl dgst -sha256`;
    const { seconds } = await timed(['sh', '-c', hash], { cwd: base });
    notebook.note(`parallel.${name}.openssl`, 's', seconds);
  };
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
      () => openssl('one core', 1),
      () => openssl('all cores', availableParallelism()),
    ]);
  } finally {
    await world.close();
  }
}
