/** Thousands of small artifacts: ours from sealed to published, the script over HTTP, gpg in a loop, the agent by itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSmall } from './files.ts';
import { alternate, settle } from './measure.ts';
import { Minisign, Nginx, Scripter } from './peers.ts';
import { pksignRate } from './pksign.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { World } from './world.ts';

/** Each file: fetched with its builder's signature, verified, signed, summed; the signature is sent back. */
const SCRIPT = `
while read -r name; do
  curl -sf -o got "$URL/files/$name" -o got.sig "$URL/files/$name.sig"
  gpgv --quiet --keyring "$KEYRING" got.sig got
  gpg --batch --quiet --yes --detach-sign --output ours.sig got
  sha256sum got
  curl -sf -T ours.sig "$URL/signed/$name.sig"
done < names`;
const GPG_LOOP =
  'while read -r name; do gpg --batch --quiet --yes --detach-sign --output "files/$name.sig" "files/$name"; done < names';
const GPGV_LOOP =
  'while read -r name; do gpgv --quiet --keyring "$KEYRING" "files/$name.sig" "files/$name"; done < names';

/** `many` */
export async function many(bench: Bench): Promise<void> {
  const { many: count, scripted, keys, traced } = bench.sizes;
  await ed25519(bench, { count, scripted, rounds: bench.rounds(5) });
  for (const [algorithm, files] of Object.entries(keys))
    await withKey(bench, { algorithm, count: files, rounds: bench.rounds(3) });
  await processes(bench, [1, traced]);
}

async function ed25519(
  { notebook, directory }: Bench,
  { count, scripted, rounds }: { count: number; scripted: number; rounds: number },
): Promise<void> {
  const [base, www] = [join(directory, 'ours'), join(directory, 'www')];
  makeSmall(base, count);
  const apart = join(directory, 'apart');
  const names = makeSmall(apart, count);
  const few = makeSmall(join(www, 'files'), scripted);
  writeFileSync(join(www, 'names'), `${few.join('\n')}\n`);
  const nginx = await Nginx.start(join(directory, 'nginx'), www);
  const scripter = new Scripter(join(directory, 'scripter'));
  const minisign = await Minisign.make(join(directory, 'minisign'));
  const world = await World.make(join(directory, 'world'));
  const rate = (name: string, files: number, seconds: number): void =>
    notebook.note(`many.${name}`, '/s', files / seconds);
  try {
    await scripter.shell(GPG_LOOP, www);
    say(`many: ${rounds} rounds`);
    await alternate(rounds, [
      async () => {
        // a build of its own each time: where tens of thousands of files were removed, new ones cost more for a while
        notebook.note('many.attest', 's', (await world.attest(base)).seconds);
        await world.stop();
        await world.start();
        await settle();
        const signed = await world.sign();
        notebook.note('many.sign', 's', signed.signSeconds);
        notebook.note('many.publish', 's', signed.publishSeconds);
        rate('sealed to published', count, signed.signSeconds + signed.publishSeconds);
        rate('signed', count, signed.signSeconds);
        notebook.note('many.command', 's', signed.seconds);
        notebook.note('many.sign cpu', 's', signed.cpu);
        notebook.note('many.sign memory', 'MiB', signed.peakMiB);
        notebook.note('many.depot cpu', 's', world.serverUsage.cpu);
        notebook.note('many.depot memory', 'MiB', world.serverUsage.peakMiB);
      },
      async () => notebook.note('many.pksign', '/s', await pksignRate(world.release, world.keygrip, count)),
      async () =>
        rate('script', scripted, (await scripter.shell(`URL=${nginx.url}\n${SCRIPT}`, www)).seconds),
      async () => rate('gpg loop', scripted, (await scripter.shell(GPG_LOOP, www)).seconds),
      async () => rate('gpgv loop', scripted, (await scripter.shell(GPGV_LOOP, www)).seconds),
      async () => rate('minisign', count, (await minisign.sign(apart, names)).seconds),
    ]);
  } finally {
    await world.close();
    scripter.close();
    await nginx.close();
  }
}

async function withKey(
  { notebook, directory }: Bench,
  { algorithm, count, rounds }: { algorithm: string; count: number; rounds: number },
): Promise<void> {
  say(`many: ${algorithm}`);
  const base = join(directory, algorithm);
  makeSmall(base, count);
  const world = await World.make(join(directory, `world-${algorithm}`), { algorithm });
  try {
    await world.attest(base);
    await world.keep();
    await alternate(rounds, [
      async () => {
        await world.restore();
        notebook.note(`many.${algorithm}.signed`, '/s', count / (await world.sign()).signSeconds);
      },
      async () =>
        notebook.note(
          `many.${algorithm}.pksign`,
          '/s',
          await pksignRate(world.release, world.keygrip, count),
        ),
    ]);
  } finally {
    await world.close();
  }
}

/** How many programs are started by `sign`, for few and for many artifacts. */
async function processes({ notebook, directory }: Bench, counts: readonly number[]): Promise<void> {
  const world = await World.make(join(directory, 'world-processes'));
  try {
    for (const count of counts) {
      const base = join(directory, `processes-${count}`);
      makeSmall(base, count);
      await world.attest(base);
      const trace = join(directory, `trace-${count}`);
      await world.sign({ under: ['strace', '-f', '-qq', '-e', 'trace=execve', '-o', trace] });
      const started = readFileSync(trace, 'utf8').match(/execve\(.* = 0$/gm) ?? [];
      notebook.note(`many.processes.${count === 1 ? 'one' : 'many'}`, '', started.length);
    }
  } finally {
    await world.close();
  }
}
