/** L: bytes in and out against nginx and rsync, memory under parallel uploads, and the list of builds. */
import { copyFileSync, linkSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newBuildId } from '../src/records/names.ts';
import { makeLarge, sha256 } from './files.ts';
import { alternate, settle, timed } from './measure.ts';
import { Nginx, Ssh } from './peers.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { World } from './world.ts';

/** Builds on the page that is asked for. */
const LISTED = 100;

/** `depot` */
export async function depot(bench: Bench): Promise<void> {
  await transfer(bench);
  await uploads(bench);
  await lists(bench);
}

/** One large file in, then out. */
async function transfer({ sizes, rounds, directory, notebook }: Bench): Promise<void> {
  const file = makeLarge(join(directory, 'files'), 'artifact.bin', sizes.large);
  const digest = sha256(file);
  const www = join(directory, 'www');
  const world = await World.make(join(directory, 'world'));
  const nginx = await Nginx.start(join(directory, 'nginx'), www);
  const ours = await Nginx.start(join(directory, 'nginx-ours'), world.data);
  const ssh = await Ssh.start(join(directory, 'ssh'));
  const taken = async (name: string, command: readonly string[]): Promise<void> => {
    await settle();
    notebook.note(`depot.${name}`, 's', (await timed(command)).seconds);
  };
  // ours has synced what it acknowledges: what that costs the others
  const synced = async (name: string): Promise<void> => {
    const start = performance.now();
    await settle();
    notebook.note(`depot.${name}, sync`, 's', (performance.now() - start) / 1000);
  };
  const put = ['curl', '-sSf', '-o', '/dev/null', '-T', file];
  try {
    say('depot: upload');
    await alternate(rounds(5), [
      async () => {
        const { build, token } = await world.approve();
        const before = world.serverUsage.cpu;
        world.peakFromNow();
        const url = `${world.depot}/builds/${build}/blobs/${digest}`;
        await taken('upload', [...put, '-H', `Authorization: Bearer ${token}`, url]);
        notebook.note('depot.upload cpu', 's', world.serverUsage.cpu - before);
        notebook.note('depot.upload memory', 'MiB', world.serverUsage.peakMiB);
        await timed(['rm', join(world.data, 'builds', build, 'blobs', digest)]);
      },
      async () => {
        await taken('upload to nginx', [...put, `${nginx.url}/put.bin`]);
        await synced('upload to nginx');
        await timed(['rm', join(www, 'put.bin')]);
      },
      async () => {
        const copy = join(directory, 'rsync.bin');
        await taken('upload by rsync', [
          'rsync',
          '--whole-file',
          '--rsh',
          ssh.command.join(' '),
          file,
          `127.0.0.1:${copy}`,
        ]);
        await synced('upload by rsync');
        await timed(['rm', copy]);
      },
    ]);
    say('depot: download');
    await world.attest(join(directory, 'files'));
    await world.sign();
    const released = `releases/bench/1.${rounds(5)}/artifact.bin`;
    copyFileSync(file, join(www, 'artifact.bin'));
    const get = ['curl', '-sSf', '-o', '/dev/null'];
    await alternate(rounds(5), [
      async () => {
        const before = world.serverUsage.cpu;
        await taken('download', [...get, `${world.depot}/${released}`]);
        notebook.note('depot.download cpu', 's', world.serverUsage.cpu - before);
      },
      () => taken('download from nginx', [...get, `${nginx.url}/artifact.bin`]),
      () => taken('download of our directory from nginx', [...get, `${ours.url}/${released}`]),
    ]);
    await timed(['rm', file]);
  } finally {
    for (const peer of [nginx, ours, ssh]) await peer.close();
    await world.close();
  }
}

/** The same bytes as one upload, and as many at the same time. */
async function uploads({ sizes, directory, notebook }: Bench): Promise<void> {
  const world = await World.make(join(directory, 'world-uploads'));
  try {
    for (const count of [1, 8, 64]) {
      say(`depot: ${count} at the same time`);
      const base = join(directory, `uploads-${count}`);
      const files = Array.from({ length: count }, (_, each) =>
        makeLarge(base, `${each}.bin`, sizes.uploads / count),
      );
      const { build, token } = await world.approve();
      await world.stop();
      await world.start();
      await settle();
      const start = performance.now();
      await Promise.all(
        files.map((file) => {
          const url = `${world.depot}/builds/${build}/blobs/${sha256(file)}`;
          return timed([
            'curl',
            '-sSf',
            '-o',
            '/dev/null',
            '-T',
            file,
            '-H',
            `Authorization: Bearer ${token}`,
            url,
          ]);
        }),
      );
      notebook.note(`depot.uploads.${count}`, 's', (performance.now() - start) / 1000);
      notebook.note(`depot.uploads.${count} memory`, 'MiB', world.serverUsage.peakMiB);
      await world.forget();
      await timed(['rm', '-r', base]);
    }
  } finally {
    await world.close();
  }
}

/** The last page of the list of builds, a hundred of them, when there are no others and when there are very many. */
async function lists({ sizes, rounds, directory, notebook }: Bench): Promise<void> {
  const lists = { few: LISTED, many: sizes.listed };
  const worlds: World[] = [];
  try {
    const asks: { readonly figure: string; readonly ask: () => Promise<number> }[] = [];
    for (const [name, size] of Object.entries(lists)) {
      say(`depot: a list of ${size}`);
      const world = await World.make(join(directory, `world-${name}`));
      worlds.push(world);
      const after = await manyBuilds(world, size);
      await world.stop();
      await world.start();
      const url = `${world.depot}/builds/?after=${after}`;
      for (const [kind, accept] of Object.entries({ json: 'application/json', html: 'text/html' }))
        asks.push({ figure: `depot.list.${kind}.${name}`, ask: () => listed(url, accept) });
    }
    for (const { figure, ask } of asks) notebook.note(`${figure}.first`, 'ms', await ask());
    // L keeps the list once its directory has been left alone for some seconds
    await sleep(5_000);
    for (const { ask } of asks) await ask();
    await alternate(
      rounds(31),
      asks.map(
        ({ figure, ask }) =>
          async () =>
            notebook.note(figure, 'ms', await ask()),
      ),
    );
  } finally {
    for (const world of worlds) await world.close();
  }
}

/** Asks for a page of the list, which must be full. Returns milliseconds. */
async function listed(url: string, accept: string): Promise<number> {
  const start = performance.now();
  const answer = await fetch(url, { headers: { accept } });
  const body = await answer.text();
  const took = performance.now() - start;
  const builds = new Set(body.match(/\b[0-9a-z]{26}\b/g));
  if (!answer.ok || builds.size < LISTED) throw new Error(`not ${LISTED} builds: ${body}`);
  return took;
}

/** One build is real; the others have its approval, and names of their own. Returns the last but `LISTED`. */
async function manyBuilds(world: World, count: number): Promise<string> {
  const { build } = await world.approve();
  const builds = join(world.data, 'builds');
  let real = join(builds, build, 'approval.json');
  const ids = Array.from({ length: count }, (_, each) =>
    newBuildId(new Date(Date.UTC(2026, 0, 1) + each * 1000), Buffer.alloc(10)),
  );
  for (const [each, id] of ids.entries()) {
    const path = join(builds, id, 'approval.json');
    mkdirSync(join(builds, id));
    // file systems limit the names of a file: ext4 to 65,000
    if (each % 50_000 === 0) {
      copyFileSync(real, path);
      real = path;
    } else linkSync(real, path);
  }
  // the real one is younger
  return ids.at(-LISTED) ?? '';
}
