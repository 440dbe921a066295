/** A depot that is a directory: every role writes into it and reads from it as it does over HTTP. */
import { cp, mkdir, readFile, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { World, mustBe } from '../harness/world.ts';
import type { Ran } from '../harness/program.ts';

let world: World;
let depot: string;
beforeAll(async () => {
  world = await World.make();
  // nobody serves anything in this file
  await world.stopServer();
  depot = world.path('depot');
});
afterAll(() => world.close());

const at = (): string[] => ['--depot', depot];
const inDepot = (...path: string[]): string => join(depot, ...path);
const published = (version: string, name: string): Promise<Buffer> =>
  readFile(inDepot('releases', world.project, version, name));

async function release(
  version: string,
  files: Record<string, string>,
): Promise<{ build: string; signed: Ran }> {
  const approved = await world.approve(version, at());
  mustBe(0, approved);
  mustBe(0, await world.attest(approved.ticket, files));
  const signed = await world.sign(at());
  mustBe(0, signed);
  return { build: approved.build, signed };
}

describe('the whole loop', () => {
  test('without a server: approve makes the directory, the ticket tells M where it is, H publishes there', async () => {
    const { build, signed } = await release('1.0', { 'a.txt': 'a', 'docs/b.txt': 'b' });
    expect(signed.json).toMatchObject([{ build, state: 'published', artifacts: 2 }]);
    expect((await published('1.0', 'docs/b.txt')).toString()).toBe('b');
    expect(await readdir(inDepot('.tmp'))).toEqual(['replacing']);

    const status = await world.runOn('operator', ['status', build, '--json', ...at()]);
    expect(status.json).toMatchObject([{ build, state: 'published' }]);
    const file = world.path('operator', 'a.txt');
    await writeFile(file, 'a');
    const args = ['--project', world.project, '--version', '1.0'];
    expect((await world.verify([file], [...args, ...at()])).json).toMatchObject([{ outcome: 'valid' }]);
    // the release is a directory like any other: beside its files nothing need be said
    mustBe(0, await world.verify([inDepot('releases', world.project, '1.0')]));
  });

  test('the same directory, served: what was released is there over HTTP, and the other way round', async () => {
    await rm(world.path('L', 'data'), { recursive: true, force: true });
    await cp(depot, world.path('L', 'data'), { recursive: true });
    await world.startServer();
    const over = await fetch(`${world.url}/releases/${world.project}/1.0/a.txt`);
    expect(await over.text()).toBe('a');
    const build = await world.release('1.1', { 'c.txt': 'c' });
    await world.stopServer();
    const status = await world.runOn('operator', [
      'status',
      build,
      '--json',
      '--depot',
      world.path('L', 'data'),
    ]);
    expect(status.json).toMatchObject([{ build, state: 'published' }]);
  });

  test('a project whose depot is a directory needs no --depot', async () => {
    const other = world.path('by-config');
    await cp(world.path('operator'), other, { recursive: true });
    const config = join(other, 'countersign.toml');
    const toml = await readFile(config, 'utf8');
    await writeFile(config, toml.replace(/^depot = .*$/m, `depot = ${JSON.stringify(depot)}`));
    const status = await world.runOn('operator', ['status', '--json', '-c', config]);
    mustBe(0, status);
    expect(status.json.length).toBeGreaterThan(0);
  });
});

describe('what is not there', () => {
  const missing = (): string => world.path('unplugged', 'depot');

  test('is not made by those who would read it: is it mounted?', async () => {
    const ticket = (await world.approve('2.0', at())).ticket;
    const files = { 'a.txt': 'a' };
    const runs = [
      await world.sign(['--depot', missing()]),
      await world.runOn('operator', ['status', '--json', '--depot', missing()]),
      await world.attest(ticket, files, ['--depot', missing()]),
    ];
    for (const ran of runs) {
      expect(ran.code).toBe(3);
      expect(ran.json.at(-1)).toMatchObject({ code: 'no-depot', hint: 'is it mounted? is the path right?' });
    }
    // the ticket is as good as before
    mustBe(0, await world.attest(ticket, files));
  });

  test('is made where its parent is, by approve, which says so; else it is a stick that is not there', async () => {
    const made = await world.approve('2.1', ['--depot', world.path('made')]);
    mustBe(0, made);
    expect(made.stderr).toContain(`made ${world.path('made')}: it was not there`);
    const before = await readdir(world.directory);
    for (const ran of [
      await world.approve('2.2', ['--depot', missing()]),
      await world.runOn('operator', ['sync', depot, missing(), '--json']),
    ]) {
      mustBe(3, ran);
      expect(ran.error).toMatchObject({ code: 'no-depot', hint: 'is it mounted? is the path right?' });
      expect(ran.error?.message).toContain(world.path('unplugged'));
    }
    expect(await readdir(world.directory)).toEqual(before);
  });

  test.each([
    'htps://depot.example.org',
    'ftp://x/y',
    's3://bucket',
    'https:/depot.example.org',
    'host:/srv/depot',
  ])('and is not meant by %s, which is said everywhere', async (url) => {
    const runs = [
      await world.sign(['--depot', url]),
      await world.approve('2.3', ['--depot', url]),
      await world.runOn('operator', ['sync', depot, url, '--json']),
      await world.runOn('operator', ['sync', url, depot, '--json']),
    ];
    for (const ran of runs) {
      mustBe(2, ran);
      expect(ran.error?.code).toBe('depot-url');
    }
    expect(await readdir(world.path('cwd'))).toEqual([]);
  });

  test('a URL whose scheme was forgotten is no directory', async () => {
    const ran = await world.runOn('H', [
      ...['init', '--dir', world.path('other'), '--project', 'other', '--release-key', world.releaseKey],
      ...['--approver', world.path('H', 'keys', `approver-${world.approvers[0] ?? ''}.pgp`)],
      ...['--depot', 'depot.example.org', '--json'],
    ]);
    expect(ran.code).toBe(2);
    expect(ran.json).toMatchObject([{ code: 'depot-url' }]);
    expect(ran.error?.hint).toContain('./depot.example.org if it is to be a directory');
  });
});

describe('what a copy past the gate left behind', () => {
  test('a blob that was cut short: H says so, and signs once it is whole', async () => {
    const approved = await world.approve('3.0', at());
    const { base } = await world.attest(approved.ticket, { 'big.bin': 'x'.repeat(5000) });
    const blobs = inDepot('builds', approved.build, 'blobs');
    const [name = ''] = await readdir(blobs);
    await truncate(join(blobs, name), 4000);
    const first = await world.sign([approved.build, ...at()]);
    expect(first.code).toBe(1);
    expect(first.json).toMatchObject([{ build: approved.build, state: 'built' }]);
    expect(first.stderr).toContain('if the depot is a copy, copy it again');
    expect(await readdir(inDepot('releases', world.project))).not.toContain('3.0');

    await cp(join(base, 'big.bin'), join(blobs, name));
    const second = await world.sign([approved.build, ...at()]);
    expect(second.json).toMatchObject([{ build: approved.build, state: 'published' }]);
  });

  test('a release without its proof does not exist', async () => {
    const { build } = await release('4.0', { 'four.txt': 'four' });
    const whole = inDepot('releases', world.project, '4.0');
    await rename(join(whole, 'countersign', 'release.proof'), world.path('proof'));
    const args = ['--project', world.project, '--version', '4.0', ...at()];
    const file = world.path('operator', 'four.txt');
    await writeFile(file, 'four');
    const ran = await world.verify([file], args);
    expect(ran.code).toBe(3);
    const status = await world.runOn('operator', ['status', build, '--json', ...at()]);
    expect(status.json).toMatchObject([{ state: 'signed' }]);
    await rename(world.path('proof'), join(whole, 'countersign', 'release.proof'));
    mustBe(0, await world.verify([file], args));
  });

  test('a symbolic link where a file should be is nothing', async () => {
    const approved = await world.approve('5.0', at());
    const secret = world.path('H', 'signer', 'log-key');
    await mkdir(inDepot('builds', approved.build, 'statements'), { recursive: true });
    await symlink(secret, inDepot('builds', approved.build, 'statements', 'b1.json'));
    const ran = await world.sign([approved.build, ...at()]);
    expect(ran.json).toMatchObject([{ state: 'approved' }]);
    expect(ran.stdout + ran.stderr).not.toContain((await readFile(secret, 'utf8')).trim());
  });
});
