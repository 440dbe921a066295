/** A project's own log, read behind its real depot by others: by the code of Go's checksum database, and by hand. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { World } from '../harness/world.ts';
import { started } from '../witness/program.ts';
import type { Started } from '../witness/program.ts';
import { ask, Sumdb } from './stranger.ts';
import type { Said } from './stranger.ts';

let world: World;
let witness: Started;
let sumdb: Sumdb;
/** The log's verifier key, as the project file has it. */
let key: string;
beforeAll(async () => {
  [world, sumdb] = await Promise.all([World.make(), Sumdb.build()]);
  const file = world.path('H', 'countersign.toml');
  const toml = await readFile(file, 'utf8');
  key = /^key = "(countersign\/widget\/[^"]+)"$/m.exec(toml)?.[1] ?? '';
  witness = await started(['--state', world.path('witness'), '--name', 'w1.example', '--log', key]);
  const table = `\n[[witnesses]]\nkey = "${witness.key.text}"\nurl = "${witness.url}"\n`;
  await writeFile(file, `witness-quorum = 1\n${toml}${table}`);
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
  await world.release('1.0', { 'hello.txt': 'hello' });
  await cp(world.tree('log', 'checkpoint'), sumdb.path('old'));
  await world.release('1.1', { 'hello.txt': 'hello again', 'more/of.it': 'more' });
}, 120_000);
afterAll(async () => {
  await witness?.stop();
  await world?.close();
  await sumdb?.close();
});

/** Where a reader works: nothing is there but a copy of the release, the checkpoint that he kept, and the program. */
let place: string;
beforeEach(async () => {
  place = sumdb.path('place');
  await rm(place, { recursive: true, force: true });
  await cp(world.tree('releases', 'widget', '1.1'), place, { recursive: true });
  await cp(sumdb.path('old'), `${place}/old`);
  await cp(sumdb.path('sumdb-program'), `${place}/sumdb`);
});

/** What the document says to type under the headings, typed. */
async function typed(...headings: readonly string[]): Promise<Said> {
  const blocks: string[] = [];
  for (const heading of headings) blocks.push(...(await shellBlocks('docs/how-to/log-by-hand.md', heading)));
  // what is installed and compiled is
  const script = blocks.filter((block) => !block.startsWith('apt-get ')).join('\n');
  const env = {
    ...{ PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: place, LANG: 'C.UTF-8', TZ: 'UTC' },
    ...{ DEPOT: world.url, LOG: key, WITNESS: witness.key.text },
  };
  return ask('bash', ['--norc', '-euo', 'pipefail', '-c', script], { cwd: place, env });
}

/** A byte of a file of the log on L is another one while this runs. */
async function tampered(path: string, where: string, during: () => Promise<void>): Promise<void> {
  const file = world.tree('log', path);
  const bytes = await readFile(file);
  const other = Buffer.from(bytes);
  const at = other.indexOf(where);
  expect(at).toBeGreaterThan(-1);
  other.writeUInt8(other.readUInt8(at) ^ 1, at);
  try {
    await writeFile(file, other);
    await during();
  } finally {
    await writeFile(file, bytes);
  }
}

const GO = "With the code of Go's checksum database";

describe('with the code of Go’s checksum database', () => {
  test('the log is read, continues what was there, has the release, and is cosigned', async () => {
    const said = await typed('The checkpoint', GO);
    expect(said).toMatchObject({ code: 0, stderr: '' });
    const origin = key.replace(/\+.*/, '');
    const [text, ...lines] = said.stdout.split('\n');
    expect(text).toBe('Signature Verified Successfully');
    expect(lines[0]).toMatch(new RegExp(`^${origin} 8 [A-Za-z0-9+/]{43}=$`));
    expect(lines[1]).toBe(`${origin} 8 7`);
    expect(lines[2]).toBe('old 4');
    expect(lines.at(-2)).toMatch(/^w1\.example 1[0-9]{9}$/);
  });

  test('from the directory as from the depot', async () => {
    expect(await sumdb.says('read', key, world.tree('log'))).toBe(
      await sumdb.says('read', key, `${world.url}/log`),
    );
  });

  test('a byte in the depot is another one', async () => {
    await tampered('tile/entries/000.p/8', '"release"', async () => {
      const said = await sumdb.run('read', key, `${world.url}/log`);
      expect(said).toMatchObject({ code: 1, stderr: 'entry 3 is not what was signed\n' });
    });
    await tampered('checkpoint', '\n8\n', async () => {
      expect(await sumdb.run('read', key, `${world.url}/log`)).toMatchObject({ code: 1, stdout: '' });
    });
    expect((await sumdb.run('read', key, `${world.url}/log`)).code).toBe(0);
  });
});

describe('by hand', () => {
  const ALL = ['The checkpoint', 'A witness', 'Every entry, and the root over them'];

  test('the checkpoint, a witness, every entry, the root', async () => {
    const { code, stdout, stderr } = await typed(...ALL);
    expect(code, stderr).toBe(0);
    expect(stdout.match(/Signature Verified Successfully/g)).toHaveLength(2);
    expect(stdout).toContain('the root is right\n');
    const entries = stdout
      .trim()
      .split('\n')
      .slice(-8)
      .map((line) => line.split('\t').slice(1, 4).join(' '));
    const life = (version: string): string[] =>
      ['approval', 'statement', 'intent', 'release'].map((type) => `${type} widget ${version}`);
    expect(entries).toEqual([...life('1.0'), ...life('1.1')]);
  });

  test('a release is in the log', async () => {
    const said = await typed('That a release is in it');
    expect(said).toEqual({ code: 0, stdout: 'it is in the log\n', stderr: '' });
    const entry = await readFile(`${place}/countersign/log-entry.json`, 'utf8');
    await writeFile(`${place}/countersign/log-entry.json`, entry.replace('1.1', '1.2'));
    expect(await typed('That a release is in it')).toMatchObject({ code: 1, stdout: '' });
  });

  test('a byte in the depot is another one', async () => {
    await tampered('tile/entries/000.p/8', '"release"', async () => {
      const said = await typed(...ALL);
      expect(said).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('hashes tile differ') as string,
      });
    });
    await tampered('checkpoint', '\n8\n', async () => {
      expect(await typed(...ALL)).toMatchObject({ code: 1, stdout: 'Signature Verification Failure\n' });
    });
  });
});
