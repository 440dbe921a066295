/** What it takes until a command has begun. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { alternate } from './measure.ts';
import type { Bench } from './section.ts';
import { say } from './section.ts';
import { PROGRAM, World } from './world.ts';

/** `start` */
export async function start({ rounds, directory, notebook }: Bench): Promise<void> {
  const [base, copy, empty] = [
    join(directory, 'files'),
    join(directory, 'copy'),
    join(directory, 'empty.mjs'),
  ];
  mkdirSync(base);
  writeFileSync(join(base, 'a.txt'), 'a small file\n');
  writeFileSync(empty, '');
  const world = await World.make(join(directory, 'world'));
  try {
    await world.attest(base);
    await world.sign();
    cpSync(join(world.data, 'releases', 'bench', '1.0'), copy, { recursive: true });
    const verify = [
      'verify',
      join(base, 'a.txt'),
      '--config',
      world.project,
      '--project',
      'bench',
      '--version',
      '1.0',
    ];
    const keyring = join(directory, 'release.pgp');
    writeFileSync(keyring, world.release.export('release@example.org'));
    const commands = {
      'gpg --version': ['gpg', '--version'],
      'bare node': [process.execPath, empty],
      gpgv: ['gpgv', '--keyring', keyring, join(copy, 'a.txt.asc'), join(base, 'a.txt')],
      // what V8 needs to read the program, which is not run
      '--check': [process.execPath, '--check', PROGRAM],
      '--help': [process.execPath, PROGRAM, '--help'],
      'verify, offline': [process.execPath, PROGRAM, ...verify, '--release', copy, '--offline'],
      'verify, from the depot': [process.execPath, PROGRAM, ...verify],
    };
    // nobody's settings, and no key but those that are asked for
    const env = { PATH: process.env['PATH'] ?? '', HOME: directory };
    const run = async (name: string, [command = '', ...args]: readonly string[]): Promise<void> => {
      const begun = performance.now();
      const { status, stderr } = spawnSync(command, args, { env });
      notebook.note(`start.${name}`, 'ms', performance.now() - begun);
      if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr.toString()}`);
    };
    say('start');
    await alternate(
      rounds(31),
      Object.entries(commands).map(
        ([name, command]) =>
          () =>
            run(name, command),
      ),
    );
  } finally {
    await world.close();
  }
}
