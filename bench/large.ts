/** One large artifact on H: our `sign` against the floor, one pass of a hash, and against what users script today. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { MIB, makeLarge } from './files.ts';
import { alternate, settle, timed } from './measure.ts';
import { Minisign, Nginx, Scripter } from './peers.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { World } from './world.ts';

const NAME = 'artifact.bin';

/** `large`: with SHA-256, and less often with SHA-512. */
export async function large(bench: Bench): Promise<void> {
  const www = join(bench.directory, 'www');
  const file = makeLarge(www, NAME, bench.sizes.large);
  const nginx = await Nginx.start(join(bench.directory, 'nginx'), www);
  const scripter = new Scripter(join(bench.directory, 'scripter'));
  try {
    await withHash(bench, { file, nginx, scripter, hash: 'sha256', rounds: bench.rounds(5) });
    await others(bench, { file, scripter, rounds: bench.rounds(5) });
    await withHash(bench, { file, nginx, scripter, hash: 'sha512', rounds: bench.rounds(3) });
  } finally {
    scripter.close();
    await nginx.close();
  }
}

interface Parts {
  readonly file: string;
  readonly scripter: Scripter;
  readonly rounds: number;
}

async function withHash(
  { notebook, directory }: Bench,
  { file, nginx, scripter, hash, rounds }: Parts & { nginx: Nginx; hash: 'sha256' | 'sha512' },
): Promise<void> {
  const named = (what: string): string => `large.${hash}.${what}`;
  const world = await World.make(join(directory, hash), { hash });
  try {
    say(`large: ${hash}: attest`);
    await world.attest(join(directory, 'www'));
    await world.keep();
    await scripter.sign(file, join(directory, 'artifact.sig'), hash.toUpperCase());

    const floor = async (): Promise<void> => {
      const { seconds, peakMiB } = await timed(['openssl', 'dgst', `-${hash}`, file]);
      notebook.note(named('openssl'), 's', seconds);
      notebook.note(named('openssl memory'), 'MiB', peakMiB);
    };
    const fetched = async (): Promise<void> => {
      const { seconds } = await timed(['sh', '-c', `curl -s ${nginx.url}/${NAME} | openssl dgst -${hash}`]);
      notebook.note(named('curl into openssl'), 's', seconds);
    };
    const script = async (): Promise<void> => {
      const [got, signature] = [join(directory, 'got.bin'), join(directory, 'artifact.sig')];
      const steps = {
        curl: await timed(['curl', '-s', '-o', got, `${nginx.url}/${NAME}`]),
        gpgv: await scripter.verify(signature, got),
        gpg: await scripter.sign(got, `${got}.sig`, hash.toUpperCase()),
        sha256sum: await timed(['sha256sum', got]),
      };
      let whole = 0;
      for (const [step, { seconds, peakMiB }] of Object.entries(steps)) {
        notebook.note(named(step), 's', seconds);
        notebook.note(named(`${step} memory`), 'MiB', peakMiB);
        whole += seconds;
      }
      notebook.note(named('script'), 's', whole);
      await timed(['rm', got, `${got}.sig`]);
    };
    const ours = async (): Promise<void> => {
      await world.restore();
      await settle();
      const signed = await world.sign();
      const server = world.serverUsage;
      notebook.note(named('sign'), 's', signed.signSeconds);
      notebook.note(named('publish'), 's', signed.publishSeconds);
      notebook.note(named('sign and publish'), 's', signed.signSeconds + signed.publishSeconds);
      notebook.note(named('command'), 's', signed.seconds);
      notebook.note(named('sign cpu'), 's', signed.cpu);
      notebook.note(named('sign memory'), 'MiB', signed.peakMiB);
      notebook.note(named('depot cpu'), 's', server.cpu);
      notebook.note(named('depot memory'), 'MiB', server.peakMiB);
    };
    say(`large: ${hash}: ${rounds} rounds of ${statSync(file).size / MIB} MiB`);
    await alternate(rounds, [floor, script, ours, fetched]);
  } finally {
    await world.close();
  }
}

/** Others that sign or verify a file by themselves, as far as they do the same job. */
async function others({ notebook, directory }: Bench, { file, scripter, rounds }: Parts): Promise<void> {
  const minisign = await Minisign.make(join(directory, 'minisign'));
  const signature = join(directory, 'artifact.sqv.sig');
  await scripter.sign(file, signature);
  await alternate(rounds, [
    async () => {
      const { seconds, peakMiB } = await minisign.sign(directory, [file]);
      notebook.note('large.minisign', 's', seconds);
      notebook.note('large.minisign memory', 'MiB', peakMiB);
    },
    async () => {
      const { seconds, peakMiB } = await timed(['sqv', '--keyring', scripter.keyring, signature, file]);
      notebook.note('large.sqv', 's', seconds);
      notebook.note('large.sqv memory', 'MiB', peakMiB);
    },
  ]);
}
