/** Digest mode: what H needs of an artifact that it never fetches, and what M pays for it. */
import { connect, createServer } from 'node:net';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { work as makeState } from '../src/builder/state.ts';
import { toArtifactName } from '../src/records/artifact-name.ts';
import { toSha256 } from '../src/records/names.ts';
import { freePort } from '../test/harness/world.ts';
import { makeLarge, makeSmall, sha256 } from './files.ts';
import { alternate, settle, timed } from './measure.ts';
import { pksignRate } from './pksign.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { World } from './world.ts';

/** `digest` */
export async function digest(bench: Bench): Promise<void> {
  const base = join(bench.directory, 'large');
  const file = makeLarge(base, 'artifact.bin', bench.sizes.large);
  await cold(bench, base);
  await warm(bench);
  await states(bench, file);
}

/** One large artifact, from nothing to its signature. */
async function cold({ rounds, directory, notebook }: Bench, base: string): Promise<void> {
  const world = await World.make(join(directory, 'world-cold'), { mode: 'digest' });
  const empty = join(directory, 'empty.mjs');
  writeFileSync(empty, '');
  try {
    say('digest: one artifact');
    await world.attest(base);
    await world.keep();
    await alternate(rounds(5), [
      async () => notebook.note('digest.bare node', 's', (await timed([process.execPath, empty])).seconds),
      async () => {
        await world.restore();
        await settle();
        const signed = await world.sign();
        notebook.note('digest.cold sign', 's', signed.seconds - signed.publishSeconds);
        notebook.note('digest.cold signSeconds', 's', signed.signSeconds);
        notebook.note('digest.cold publish', 's', signed.publishSeconds);
        notebook.note('digest.cold memory', 'MiB', signed.peakMiB);
      },
    ]);
    await world.restore();
    const bytes = await bytesToSign(world);
    notebook.note('digest.bytes one', 'B', bytes.before);
    notebook.note('digest.bytes one back', 'B', bytes.back);
  } finally {
    await world.close();
  }
}

/** Many artifacts: the rate, and what each of them costs in bytes. */
async function warm({ sizes, rounds, directory, notebook }: Bench): Promise<void> {
  const count = sizes.digests;
  const [one, many] = [join(directory, 'one'), join(directory, 'many')];
  // a state carries what follows the last whole block: 63 bytes is the most
  makeSmall(one, 1, 4095);
  makeSmall(many, 1 + count, 4095);
  const world = await World.make(join(directory, 'world-warm'), { mode: 'digest' });
  try {
    say(`digest: ${count} artifacts`);
    await world.attest(one);
    const few = await bytesToSign(world);
    await world.attest(many);
    await world.keep();
    const more = await bytesToSign(world);
    notebook.note('digest.bytes an artifact', 'B', (more.before - few.before) / count);
    notebook.note('digest.bytes an artifact back', 'B', (more.back - few.back) / count);
    await alternate(rounds(5), [
      async () => {
        await world.restore();
        await settle();
        notebook.note('digest.signed', '/s', count / (await world.sign()).signSeconds);
      },
      async () => notebook.note('digest.pksign', '/s', await pksignRate(world.release, world.keygrip, count)),
    ]);
  } finally {
    await world.close();
  }
}

/** What `attest` takes with states and without, and the state by itself. */
async function states({ rounds, directory, notebook }: Bench, path: string): Promise<void> {
  const base = join(path, '..');
  const subject = {
    name: toArtifactName('artifact.bin', 'bench'),
    sha256: toSha256(sha256(path), 'openssl'),
    size: statSync(path).size,
  };
  const worlds = {
    attest: await World.make(join(directory, 'world-states'), { mode: 'digest' }),
    'attest without state': await World.make(join(directory, 'world-stateless')),
  };
  try {
    say('digest: attest');
    await alternate(rounds(3), [
      ...Object.entries(worlds).map(([name, world]) => async () => {
        await settle();
        const before = world.serverUsage.cpu;
        const { seconds, cpu } = await world.attest(base);
        notebook.note(`digest.${name}`, 's', seconds);
        notebook.note(`digest.${name} cpu`, 's', cpu);
        notebook.note(`digest.${name} depot cpu`, 's', world.serverUsage.cpu - before);
        await world.forget();
      }),
      async () => {
        const start = performance.now();
        const signal = new AbortController().signal;
        await makeState({ path, subject }, { signal, progress: () => {} });
        notebook.note('digest.state', 's', (performance.now() - start) / 1000);
      },
    ]);
  } finally {
    for (const world of Object.values(worlds)) await world.close();
  }
}

interface Bytes {
  /** Until L is asked to publish: what H signed from. */
  readonly before: number;
  /** After that: the release, read back. */
  readonly back: number;
}

/** Signs the build that waits, through somebody who counts the bytes from L to H. */
async function bytesToSign(world: World): Promise<Bytes> {
  const { hostname, port } = new URL(world.depot);
  const bytes = { before: 0, back: 0 };
  let counting: keyof Bytes = 'before';
  const server = createServer((client) => {
    const depot = connect(Number(port), hostname);
    client.on('data', (chunk) => {
      if (/^POST \/builds\/\w+\/publish /.test(chunk.toString('latin1'))) counting = 'back';
    });
    depot.on('data', (chunk) => (bytes[counting] += chunk.length));
    client.pipe(depot).pipe(client);
    for (const [from, to] of [
      [client, depot],
      [depot, client],
    ] as const)
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
  });
  const own = await freePort();
  await new Promise<void>((resolve) => server.listen(own, hostname, resolve));
  try {
    await world.sign({ depot: `http://${hostname}:${own}` });
  } finally {
    server.close();
  }
  return bytes;
}
