/** `sync` as people and scripts call it: mirrors, interruptions, tokens, exit statuses. */
import { chmod, copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { World, freePort, mustBe } from '../harness/world.ts';
import { contentsOf, copyFiles, filesOf, replace, timesOf } from '../tree/copies.ts';

let world: World;
let released: string;
let waiting: string;
const mirror = (): string => world.path('mirror');
beforeAll(async () => {
  world = await World.make();
  released = await world.release('1.0', { 'a.txt': 'hello', 'docs/large.bin': Buffer.alloc(300_000, 7) });
  const { build, ticket } = await world.approve('1.1');
  mustBe(0, await world.attest(ticket, { 'a.txt': 'not yet' }));
  waiting = build;
});
afterAll(() => world.close());

/** By somebody who has the project file and nothing else. */
const sync = (from: string, to: string, args: readonly string[] = []): Promise<Ran> =>
  world.runOn('operator', ['sync', from, to, '--json', ...args]);
/** What became of each build; of the log it says first, if there is one. */
const builds = ({ json }: Ran): Ran['json'] => json.filter((record) => 'build' in record);
const withToken = (from: string, to: string): Promise<Ran> =>
  sync(from, to, ['--signer-token', world.path('H', 'signer', 'signer-token')]);

/** approval, statement, intent, release */
const LOGGED = 4;

describe('a mirror that anybody makes', () => {
  test('has the published releases, and of the others what is public', async () => {
    const ran = await sync(world.url, mirror());
    mustBe(0, ran);
    expect(ran.json[0]).toEqual({ log: { state: 'carried', size: LOGGED, entries: LOGGED } });
    expect(builds(ran)).toEqual([
      { build: released, state: 'carried', files: 15, bytes: expect.any(Number) as number },
      { build: waiting, state: 'left', code: 'quarantined', files: 2, bytes: expect.any(Number) as number },
    ]);
    expect(ran.stderr).toContain('no signer token: ');
    for (const part of ['releases', 'log'])
      expect(await contentsOf(mirror(), part)).toEqual(await contentsOf(world.tree(), part));
    mustBe(0, await world.verify([world.path('mirror', 'releases', 'widget', '1.0')]));
  });

  test('is as it was after a second time', async () => {
    // what is there to be locked was locked again
    const timesNow = async (): Promise<object> => ({ ...(await timesOf(mirror())), '.tmp/replacing': null });
    const times = await timesNow();
    const ran = await sync(world.url, mirror());
    mustBe(0, ran);
    expect(builds(ran).map(({ state, files }) => [state, files])).toEqual([['same', 0], ['left', 0]]); // prettier-ignore
    expect(await timesNow()).toEqual(times);
  });

  test('gives a depot back what it lost: records without a token, artifacts with that of the signer', async () => {
    const before = await contentsOf(world.tree());
    await rm(world.tree('releases'), { recursive: true });
    const visible = await sync(mirror(), world.url);
    expect(builds(visible)).toMatchObject([{ state: 'carried', files: 0 }, { state: 'same' }]);
    expect(await contentsOf(world.tree())).toEqual(before);

    for (const directory of ['releases', `builds/${released}`])
      await rm(world.tree(directory), { recursive: true });
    const stranger = await sync(mirror(), world.url);
    mustBe(0, stranger);
    expect(builds(stranger)).toMatchObject([{ build: released, state: 'left', code: 'signer-sends' }, {}]);
    expect(await readdir(world.tree())).not.toContain('releases');
    const signer = await withToken(mirror(), world.url);
    mustBe(0, signer);
    expect(builds(signer)).toMatchObject([
      { build: released, state: 'carried' },
      { build: waiting, state: 'same' },
    ]);
    expect(await contentsOf(world.tree())).toEqual(before);
  });
});

test('what waits can be sent to a depot behind a URL by its builder alone', async () => {
  const full = world.path('full');
  mustBe(0, await withToken(world.url, full));
  await rm(world.tree(`builds/${waiting}/statements`), { recursive: true });
  const ran = await sync(full, world.url);
  mustBe(0, ran);
  expect(builds(ran)[1]).toMatchObject({ build: waiting, state: 'left', code: 'builder-sends' });
  // to whoever keeps it, it is a directory like any other
  mustBe(0, await sync(full, world.tree()));
  expect(await contentsOf(world.tree())).toEqual(await contentsOf(full));
});

test('the wrong way round: nothing to carry, and what there is at the other end', async () => {
  const [from, to] = [world.path('early'), world.path('late')];
  mustBe(0, await withToken(world.url, to));
  for (const path of await filesOf(to, `builds/${released}`))
    if (/\/(approval|statements|blobs)/.test(path)) await copyFiles(to, from, [path]);
  const ran = await sync(from, to);
  mustBe(0, ran);
  expect(builds(ran).map(({ state }) => state)).toEqual(['same']);
  expect(ran.stderr).toContain(
    `${to} has the end of 1 build that ${from} lacks: countersign sync ${to} ${from} brings it there`,
  );
  mustBe(0, await sync(to, from));
  expect((await sync(from, to)).stderr).not.toContain('lacks');
});

describe('a copy that is broken', () => {
  test('ends with status 1 and a line for each build, whatever else went on', async () => {
    const [from, to] = [world.path('broken'), world.path('from-broken')];
    mustBe(0, await withToken(world.url, from));
    await replace(from, `builds/${released}/release.proof`, 'junk');
    const ran = await sync(from, to);
    mustBe(1, ran);
    expect(builds(ran).slice(0, 2)).toMatchObject([
      { build: released, state: 'refused', code: 'proof-malformed' },
      { build: waiting, state: 'carried' },
    ]);
    expect(await filesOf(to, 'releases')).toEqual([]);
    const people = await world.runOn('operator', ['sync', from, to]);
    expect(people.stdout.split('\n').filter(Boolean)).toHaveLength(1);
    expect(people.stdout).toContain(`${released}  refused  `);
    expect(people.stderr).toContain('1 refused');
  });
});

describe('a depot that is not ours', () => {
  const seen: IncomingHttpHeaders[] = [];
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(request.headers);
      const list = request.url?.startsWith('/builds/?') === true || request.url === '/builds/';
      const body = list
        ? { builds: [released], next: null }
        : { code: 'no', message: '\u001b[2Jgone\u0007', hint: '\u001b]0;x\u0007' };
      const bytes = Buffer.from(JSON.stringify(body));
      response.writeHead(list ? 200 : 403, { 'content-length': bytes.length }).end(bytes);
    });
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${port}`;
  });
  afterAll(() => server.close());

  test('sees no token unless told so, and what it says does nothing to a terminal', async () => {
    const onH = (args: readonly string[]): Promise<Ran> =>
      world.runOn('H', ['sync', url, world.path('x'), ...args]);
    const ran = await onH([]);
    mustBe(1, ran);
    // oxlint-disable-next-line no-control-regex -- that is the question
    expect(ran.stdout + ran.stderr).not.toMatch(/[\u0007\u001b]/);
    expect(ran.stdout).toContain('gone');
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    seen.length = 0;
    mustBe(1, await onH(['--signer-token', world.path('H', 'signer', 'signer-token')]));
    expect(seen.filter(({ authorization }) => authorization !== undefined)).not.toEqual([]);
  });

  test('on H the token beside the project file is for the project’s depot, and nothing else there is touched', async () => {
    const times = await timesOf(world.path('H', 'signer'));
    const to = world.path('on-h');
    mustBe(0, await world.runOn('H', ['sync', world.url, to]));
    expect(await filesOf(to, `builds/${waiting}/blobs`)).toHaveLength(1);
    expect(await timesOf(world.path('H', 'signer'))).toEqual(times);
  });
});

describe('an interruption', () => {
  const total = 8;
  test('by a kill or by the network costs no more than what was under way', async () => {
    const { build, ticket } = await world.approve('2.0');
    const files = Array.from(
      { length: total },
      (_, i) => [`${i}.bin`, Buffer.alloc(8 << 20, i + 1)] as const,
    );
    mustBe(0, await world.attest(ticket, Object.fromEntries(files)));
    const to = world.path('interrupted');
    const blobs = (): Promise<string[]> => readdir(`${to}/builds/${build}/blobs`).catch(() => []);
    const count = async (least: number): Promise<void> => {
      while ((await blobs()).length < least) await sleep(2);
    };

    const kill = new AbortController();
    const token = ['--signer-token', world.path('H', 'signer', 'signer-token')];
    const killed = world.runOn('operator', ['sync', world.url, to, ...token], { kill: kill.signal });
    await count(1);
    kill.abort();
    expect((await killed).code).toBeNull();
    const then = (await blobs()).length;
    expect(then).toBeLessThan(total);
    expect(await filesOf(to, `builds/${build}/statements`)).toEqual([]);

    const cut = withToken(world.url, to);
    await count(then + 1);
    await world.stopServer('SIGKILL');
    mustBe(3, await cut);
    expect(builds(await cut).at(-1)).toMatchObject({ build, state: 'unfinished', code: 'network' });
    const now = (await blobs()).length;
    expect(now).toBeLessThan(total);

    await world.startServer();
    const rest = await withToken(world.url, to);
    mustBe(0, rest);
    // the statement with its two authenticators, and those artifacts that were not there
    expect(builds(rest).at(-1)).toMatchObject({ build, state: 'carried', files: total - now + 3 });
    expect(await contentsOf(to, `builds/${build}`)).toEqual(
      await contentsOf(world.tree(), `builds/${build}`),
    );
  });
});

describe('wrong use', () => {
  test.each([
    ['one depot', ['.'], 2, 'wrong-usage'],
    ['the same twice', ['./x', 'x'], 2, 'wrong-usage'],
    ['--depot', ['a', 'b', '--depot', 'c'], 2, 'wrong-usage'],
    ['a FROM that is not there', ['not-there', 'x'], 3, 'no-depot'],
    ['no such token', ['.', 'x', '--signer-token', 'nothing'], 2, 'config-missing'],
  ])('%s', async (_what, args, status, code) => {
    const ran = await world.runOn('operator', ['sync', ...args, '--json']);
    mustBe(status, ran);
    expect(ran.error?.code).toBe(code);
    expect(await filesOf(world.path('cwd'))).toEqual([]);
  });

  test('a token of another project, or open to everybody', async () => {
    const file = world.path('token');
    const withFile = (): Promise<Ran> => sync('.', world.path('y'), ['--signer-token', file]);
    await writeFile(file, `${'A'.repeat(43)}\n`, { mode: 0o600 });
    expect((await withFile()).error?.code).toBe('token-foreign');
    await copyFile(world.path('H', 'signer', 'signer-token'), file);
    await chmod(file, 0o644);
    const ran = await withFile();
    expect([ran.code, ran.error?.code]).toEqual([2, 'token-permissions']);
    expect(ran.stdout + ran.stderr).not.toContain((await readFile(file, 'utf8')).trim());
  });

  test('nothing to do is no error, and said', async () => {
    await mkdir(world.path('empty'));
    const ran = await sync(world.path('empty'), world.path('z'));
    mustBe(0, ran);
    expect(ran.stderr).toContain('has no builds');
  });
});
