/**
 * The answer to a compromised builder, with a real package: this program, built from its sources twice, by builders that
 * have nothing in common but the recipe. Once they agree; once one of them has a back door.
 */
import { execFile, execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseRefusal } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { textOf } from '../harness/json.ts';
import { World, mustBe } from '../harness/world.ts';
import type { Ran } from '../harness/program.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGE = `countersign-${textOf(readFileSync(join(root, 'package.json'), 'utf8'), 'version')}.tgz`;

/** Two machines: other paths, other permissions of new files, another time zone, language and time of the sources. */
const BUILDERS = {
  b1: { place: ['builder-one'], umask: '022', env: { TZ: 'UTC', LC_ALL: 'C' } },
  b2: { place: ['home', 'two', 'src'], umask: '077', env: { TZ: 'Pacific/Kiritimati', LC_ALL: 'C.UTF-8' } },
} as const;
type Slot = keyof typeof BUILDERS;

/** What both are told to do: the modes of files are theirs, and npm packs them. */
const RECIPE = 'chmod -R u=rwX,go=rX . && npm pack --silent';

let world: World;
beforeAll(async () => {
  world = await World.make({ project: 'countersign' });
  for (const slot of ['b1', 'b2'] as const) {
    const { place, umask } = BUILDERS[slot];
    const directory = world.path('M', ...place);
    mkdirSync(join(directory, 'node_modules'), { recursive: true });
    const copy = (from: string[], to: string): Buffer =>
      execFileSync('sh', ['-c', `umask ${umask} && cp -r "$@"`, 'sh', ...from, to], { cwd: root });
    copy(['package.json', 'LICENSE', 'README.md', 'src', 'scripts', 'systemd'], directory);
    // what the bundles are made with and of
    const needed = ['esbuild', '@esbuild', 'hono', '@hono', 'hash-wasm', 'smol-toml'];
    copy(
      needed.map((name) => join('node_modules', name)),
      join(directory, 'node_modules'),
    );
  }
});
afterAll(() => world.close());

const sourcesOf = (slot: Slot): string => world.path('M', ...BUILDERS[slot].place);

async function approve(version: string): Promise<{ build: string; tickets: string }> {
  const approved = await world.approve(version, ['--builders', '2', '--artifact', '*.tgz']);
  mustBe(0, approved);
  return { build: approved.build, tickets: dirname(approved.ticket) };
}

/** `attest --run` on that builder's machine, as far as there is one here. */
async function attest(slot: Slot, tickets: string): Promise<Ran> {
  const { umask, env } = BUILDERS[slot];
  const ran = await world.runOn(
    'M',
    ['attest', '--ticket', join(tickets, `${slot}.ticket`), '--run', RECIPE, PACKAGE, '--json'],
    {
      env: { ...env, npm_config_update_notifier: 'false' },
      under: ['sh', '-c', `umask ${umask} && cd "$0" && exec "$@"`, sourcesOf(slot)],
    },
  );
  mustBe(0, ran);
  return ran;
}

const madeBy = (slot: Slot): Buffer => readFileSync(join(sourcesOf(slot), PACKAGE));

describe('two builders that agree', () => {
  test('made the same bytes, each for itself; H signs once both have', async () => {
    const { build, tickets } = await approve('0.1.0');
    await attest('b1', tickets);
    const early = await world.sign();
    expect(early.json).toMatchObject([{ build, code: 'statement-waits' }]);
    expect(world.agent.signatures).toBe(0);
    const second = await attest('b2', tickets);
    expect(madeBy('b2').equals(madeBy('b1'))).toBe(true);
    // only what L lacked was sent
    expect(second.json).toMatchObject([{ artifacts: 1, uploaded: 0 }]);

    const signed = await world.sign();
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ build, state: 'published' }]);
    const file = world.path('operator', PACKAGE);
    writeFileSync(file, madeBy('b1'));
    const verified = await world.runOn('operator', [
      ...['verify', file, '--project', 'countersign', '--version', '0.1.0'],
    ]);
    expect(verified.stdout).toMatch(/^ +built by +2 of 2 builders agree/m);
    mustBe(0, verified);
  });
});

describe('two builders, of which one was broken into', () => {
  let build: string;
  test('differ: the build is frozen, nothing is signed, and the refusal says who made what', async () => {
    const approved = await approve('0.1.1');
    ({ build } = approved);
    await attest('b1', approved.tickets);
    // whoever has the builder adds a line to what it compiles
    appendFileSync(join(sourcesOf('b2'), 'src', 'main.ts'), "\nconsole.error('all your base');\n");
    await attest('b2', approved.tickets);
    const [ours, theirs] = [madeBy('b1'), madeBy('b2')].map(sha256Hex);
    expect(theirs).not.toBe(ours);

    const before = await snapshot(world);
    const signed = await world.sign();
    mustBe(1, signed);
    expect(signed.json).toMatchObject([{ build, state: 'frozen', code: 'conflict' }]);
    await expectUntouched(world, before, { answers: [signed], refused: build });
    const { reasons } = parseRefusal(readFileSync(world.tree('builds', build, 'refusal.json')));
    expect(reasons).toMatchObject([{ code: 'conflict', where: PACKAGE }]);
    expect(reasons[0]?.text).toMatch(new RegExp(`b1 has ${ours} .*b2 has ${theirs} `));

    const status = await world.runOn('operator', ['status', build]);
    expect(status.stdout).toContain('frozen');
    const table = status.stdout.slice(status.stdout.indexOf(PACKAGE));
    for (const digest of [ours, theirs]) expect(table.replaceAll(/\s/g, '')).toContain(digest);
    // and it stays so
    expect((await world.sign([build])).json).toMatchObject([{ build, state: 'frozen', code: 'conflict' }]);
  });

  test('an approver gets both versions, and diffoscope shows the back door', async () => {
    const versions = world.path('operator', 'versions');
    const fetched = await world.runOn('operator', ['status', build, '--fetch', versions]);
    mustBe(0, fetched);
    for (const slot of ['b1', 'b2'] as const)
      expect(readFileSync(join(versions, slot, PACKAGE)).equals(madeBy(slot))).toBe(true);
    expect(fetched.stderr).toContain('diffoscope ');
    const [one, two] = ['b1', 'b2'].map((slot) => join(versions, slot, PACKAGE));
    const difference = await new Promise<string>((resolve) => {
      execFile('diffoscope', ['--no-progress', one ?? '', two ?? ''], (_, stdout) => resolve(stdout));
    });
    expect(difference).toContain('package/dist/countersign.mjs');
    expect(difference).toContain('+console.error("all your base");');
  });

  test('others do not get them: they are in quarantine', async () => {
    const blob = `builds/${build}/blobs/${sha256Hex(madeBy('b2'))}`;
    expect((await fetch(`${world.url}/${blob}`)).status).toBeOneOf([401, 403]);
  });

  test('the version is free again: a new approval, and a clean builder', async () => {
    const main = join(sourcesOf('b2'), 'src', 'main.ts');
    writeFileSync(main, readFileSync(join(sourcesOf('b1'), 'src', 'main.ts')));
    const { tickets } = await approve('0.1.1');
    await attest('b1', tickets);
    await attest('b2', tickets);
    const signed = await world.sign();
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ state: 'published' }]);
  });
});
