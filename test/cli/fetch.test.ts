/** `status --fetch`: two builders do not agree, and an approver gets both versions to compare, out of quarantine and nowhere else. */
import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blobFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
let build: string;
const made = [
  { app: 'app of b1', 'docs/same.txt': 'same', 'docs/twin.txt': 'same' },
  { app: 'app of b2', 'docs/same.txt': 'same' },
] as const;

beforeAll(async () => {
  world = await World.make({ approvers: 2 });
  const asked = await world.approve('1.0', ['--builders', '2']);
  mustBe(0, asked);
  build = asked.build;
  for (const [at, files] of made.entries())
    mustBe(0, await world.attest(`${dirname(asked.ticket)}/b${at + 1}.ticket`, files));
});
afterAll(() => world.close());

let fetches = 0;
const status = (args: readonly string[], approver = 0): Promise<Ran> =>
  world.runOn('operator', ['status', build, ...args], { approver });

test('the build is frozen: who made what stands in a table that fits a terminal', async () => {
  await world.sign([build]);
  const ran = await status([]);
  mustBe(0, ran);
  expect(ran.stdout).toMatch(/^widget 1\.0 {2}frozen$/m);
  const [ours, theirs] = made.map(({ app }) => sha256Hex(Buffer.from(app)));
  expect(ran.stdout).toMatch(new RegExp(`^ +app\n +b1 +${ours}\n +b2 +${theirs}$`, 'm'));
  expect(ran.stdout).toMatch(/^ +docs\/twin\.txt\n +b1 +[0-9a-f]{64}\n +b2 +made no such artifact$/m);
  expect(ran.stdout).toMatch(/2 of 2 must agree: 2-of-2/);
  const table = ran.stdout.slice(ran.stdout.indexOf('  app\n')).split('\n');
  expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(80);
  const list = await world.runOn('operator', ['status']);
  expect(list.stdout).toMatch(/2-of-2\n +builders do not agree about app and 1 other$/m);
  const { json } = await status(['--json']);
  expect(json[0]).toMatchObject({
    state: 'frozen',
    assurance: '2-of-2',
    conflicts: [
      { artifact: 'app', claims: [{ builder: 'b1', made: { sha256: ours, size: 9 } }, { builder: 'b2' }] },
      { artifact: 'docs/twin.txt', claims: [{ builder: 'b1' }, { builder: 'b2', made: null }] },
    ],
  });
});

test('an approver, any of them, gets both, and the line to compare them with', async () => {
  const directory = world.path('operator', `versions-${++fetches}`);
  const ran = await status(['--fetch', directory], 1);
  mustBe(0, ran);
  for (const [at, files] of made.entries())
    for (const [name, content] of Object.entries(files))
      expect(await readFile(`${directory}/b${at + 1}/${name}`, 'utf8')).toBe(content);
  expect(ran.stderr.match(/^hint: .*$/gm)).toEqual([`hint: diffoscope ${directory}/b1 ${directory}/b2`]);
  expect(ran.stdout).toMatch(/b1 +signed by its builder +3 files/);
});

test('a third builder comes when two have frozen it: it stands in the table, and is fetched', async () => {
  const asked = await world.approve('2.0', ['--builders', '3', '--quorum', '2']);
  const attest = async (slot: string, files: Record<string, string>): Promise<void> =>
    mustBe(0, await world.attest(`${dirname(asked.ticket)}/${slot}.ticket`, files));
  await attest('b1', { app: 'same' });
  await attest('b2', { app: 'other' });
  await world.sign([asked.build]);
  await attest('b3', { app: 'same' });
  const directory = world.path('operator', `versions-${++fetches}`);
  const ran = await world.runOn('operator', ['status', asked.build, '--fetch', directory]);
  mustBe(0, ran);
  const [same, other] = ['same', 'other'].map((text) => sha256Hex(Buffer.from(text)));
  expect(ran.stdout).toMatch(
    new RegExp(
      `^ +app\n +b1 +${same}\n +4 bytes\n +b2 +${other}\n +5 bytes\n +b3 +${same}\n +4 bytes\n +came after the freeze$`,
      'm',
    ),
  );
  expect(ran.stderr).toContain(`hint: diffoscope ${directory}/b1 ${directory}/b2\n`);

  // in time it stands in the refusal itself; where all three differ, all are to be compared
  const three = await world.approve('2.1', ['--builders', '3', '--quorum', '2']);
  for (const [at, app] of ['one', 'two', 'six'].entries())
    mustBe(
      0,
      await world.attest(`${dirname(three.ticket)}/b${at + 1}.ticket`, { app, more: at < 2 ? 'a' : 'b' }),
    );
  await world.sign([three.build]);
  const status = await world.runOn('operator', ['status', three.build, '--json']);
  expect(status.json[0]).toMatchObject({
    conflicts: [
      { artifact: 'app', claims: [{ builder: 'b1', late: false }, { builder: 'b2' }, { builder: 'b3' }] },
      { artifact: 'more', claims: [{ builder: 'b1' }, { builder: 'b2' }, { builder: 'b3', late: false }] },
    ],
  });
  const fetched = world.path('operator', `versions-${++fetches}`);
  const all = await world.runOn('operator', ['status', three.build, '--fetch', fetched]);
  expect(all.stderr).toContain(
    `diffoscope ${fetched}/b1 ${fetched}/b2; diffoscope ${fetched}/b1 ${fetched}/b3`,
  );
});

test('nobody else does, and not for another build, or over what is there', async () => {
  const directory = world.path('operator', `versions-${++fetches}`);
  const stranger = await world.runOn('operator', ['status', build, '--fetch', directory, '--json'], {
    env: { GNUPGHOME: world.releaseHome.directory },
  });
  expect(stranger.code).toBe(2);
  expect(stranger.error?.code).toBe('approver-missing');
  await mkdir(directory);
  await writeFile(`${directory}/mine`, 'mine');
  const full = await status(['--fetch', directory, '--json']);
  expect([full.code, full.error?.code]).toEqual([2, 'directory-not-empty']);
  expect(await readdir(directory)).toEqual(['mine']);
  const link = world.path('operator', `versions-${++fetches}`);
  await symlink(directory, link);
  expect((await status(['--fetch', link, '--json'])).error?.code).toBe('directory-not-empty');
});

describe('the depot', () => {
  test.each([
    ['sends other bytes', 'app of M!', 'blob-mismatch'],
    ['sends too few', 'app', 'blob-mismatch'],
    ['sends too many', 'app of b1 and more', 'blob-mismatch'],
  ])('%s: said, and not left there', async (_, bytes, code) => {
    const blob = world.tree('builds', build, blobFile(sha256Hex(Buffer.from(made[0].app))));
    const directory = world.path('operator', `versions-${++fetches}`);
    await rm(blob);
    await writeFile(blob, bytes);
    const ran = await status(['--fetch', directory, '--json']);
    await rm(blob);
    await writeFile(blob, made[0].app);
    expect([ran.code, ran.error?.code], ran.stderr).toEqual([1, code]);
    expect(await readdir(directory)).toEqual([]);
  });

  test('has lost some: the rest is there, and what is missing is said', async () => {
    const blob = world.tree('builds', build, blobFile(sha256Hex(Buffer.from(made[1].app))));
    const directory = world.path('operator', `versions-${++fetches}`);
    await rm(blob);
    const ran = await status(['--fetch', directory, '--json']);
    await writeFile(blob, made[1].app);
    expect(ran.code, ran.stderr).toBe(3);
    expect(ran.json[1]).toMatchObject({
      fetched: [
        { name: 'b1', missing: [], checked: true, files: 3 },
        { name: 'b2', missing: ['app'] },
      ],
    });
  });
});

test('what is more than is allowed is left out, said, and no success; the rest is there', async () => {
  const file = world.path('H', 'countersign.toml');
  const toml = await readFile(file, 'utf8');
  await writeFile(file, toml.replace(/^max-count = .*$/m, 'max-count = 2'));
  await world.shareProject();
  try {
    const directory = world.path('operator', `versions-${++fetches}`);
    const ran = await status(['--fetch', directory]);
    expect(ran.code, ran.stderr).toBe(1);
    expect(ran.stderr).toContain('statements/b1.json: 3 artifacts, 2 are allowed: left out');
    expect(await readdir(directory)).toEqual(['b2']);
  } finally {
    await writeFile(file, toml);
    await world.shareProject();
  }
});

test('scheme mac: what only the signer can check is fetched too, and said', async () => {
  const home = new GnupgHome();
  const key = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
  home.addSubkey(key, 'ed25519', 'sign');
  home.addSubkey(key, 'cv25519', 'encr');
  const other = await World.make({ release: { home, key }, init: ['--signer-key', key] });
  try {
    const asked = await other.approve('1.0', ['--builders', '2', '--scheme', 'mac']);
    mustBe(0, asked);
    for (const slot of ['b1', 'b2'])
      mustBe(0, await other.attest(`${dirname(asked.ticket)}/${slot}.ticket`, { app: `app of ${slot}` }));
    const directory = other.path('operator', 'versions');
    const ran = await other.runOn('operator', ['status', asked.build, '--fetch', directory]);
    mustBe(0, ran);
    expect(ran.stdout).toMatch(/b1: mac, sealed\n +b2: mac, sealed/);
    expect(ran.stdout).toMatch(/b2 +not checked: only the signer can check its MAC/);
    expect(await readFile(`${directory}/b2/app`, 'utf8')).toBe('app of b2');
  } finally {
    await other.close();
  }
});
