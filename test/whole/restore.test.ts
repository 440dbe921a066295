/** L is lost wholly: it comes back from a mirror, or from its public part alone; and H goes on. */
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { World, mustBe } from '../harness/world.ts';
import { contentsOf } from '../tree/copies.ts';

let world: World;
let builds: Record<'published' | 'second' | 'revoked' | 'refused' | 'sealed' | 'approved', string>;
let unsealed: string;
const data = (): string => world.path('L', 'data');
const full = (): string => world.path('full');
const open = (): string => world.path('open');

beforeAll(async () => {
  world = await World.make();
  const published = await world.release('1.0', { 'a.txt': 'one', 'docs/b.bin': Buffer.alloc(100_000, 3) });
  const pair = await world.approve('1.1', ['--builders', '2']);
  mustBe(0, pair);
  for (const slot of ['b1', 'b2'])
    mustBe(
      0,
      await world.attest(pair.ticket.replace('b1.ticket', `${slot}.ticket`), { 'c.txt': 'two agree' }),
    );
  mustBe(0, await world.sign());
  const revoked = await world.release('1.2', { 'bad.txt': 'with a hole' });
  mustBe(0, await world.runOn('operator', ['revoke', revoked, '--reason', 'a hole', '--yes', '--json']));
  const refused = await world.approve('1.3', ['--builders', '2']);
  for (const slot of ['b1', 'b2'])
    mustBe(0, await world.attest(refused.ticket.replace('b1.ticket', `${slot}.ticket`), { 'd.txt': slot }));
  mustBe(1, await world.sign());
  const approved = await world.approve('2.1');
  mustBe(0, await world.sign());
  // the mirrors of last night: whoever has a token makes a full one
  const token = world.path('H', 'signer', 'signer-token');
  const sealed = await world.approve('2.0');
  mustBe(0, await world.attest(sealed.ticket, { 'e.txt': 'waits' }));
  mustBe(0, await world.runOn('H', ['sync', world.url, full(), '--signer-token', token, '--json']));
  // and a web server's copy of what is public
  await mkdir(open());
  for (const part of ['releases', 'log'])
    await cp(join(data(), part), join(open(), part), { recursive: true });
  await world.stopServer('SIGKILL');
  builds = {
    ...{ published, second: pair.build, revoked, refused: refused.build },
    ...{ sealed: sealed.build, approved: approved.build },
  };
  unsealed = approved.ticket;
}, 120_000);
afterAll(() => world.close());

const check = (...args: string[]): Promise<Ran> =>
  world.runOn('L', ['check', '--data', data(), '--json', ...args]);

/** In place of what is lost. */
async function restore(from: string): Promise<void> {
  await rm(data(), { recursive: true, force: true });
  await cp(from, data(), { recursive: true });
}

/** Releases verify, the log is whole, and H signs another build there. */
async function goesOn(version: string): Promise<void> {
  await world.startServer();
  for (const each of ['1.0', '1.1']) {
    const copy = world.path('operator', `copy-${version}-${each}`);
    await cp(join(data(), 'releases', world.project, each), copy, { recursive: true });
    mustBe(0, await world.verify([copy], ['--release', `${world.url}/releases/${world.project}/${each}`]));
  }
  mustBe(0, await world.runOn('operator', ['log', 'verify', '--json']));
  const { build, ticket } = await world.approve(version);
  mustBe(0, await world.attest(ticket, { 'after.txt': `after the loss: ${version}` }));
  const signed = await world.sign();
  expect(signed.json).toContainEqual(expect.objectContaining({ build, state: 'published' }));
  for (const lost of signed.json.filter((each) => each['build'] !== build))
    expect(lost).toMatchObject({ code: 'approval-missing' });
  await world.stopServer();
}

describe('a lost depot comes back', () => {
  test('from a full mirror with all that it had; builds that wait go on', async () => {
    await restore(full());
    const checked = await check();
    mustBe(0, checked);
    expect(checked.json.at(-1)).toMatchObject({ whole: true, damaged: 0, missing: 0, foreign: 0 });
    // of the refused build sync brings the refusal, not what was refused
    for (const { path, code } of checked.json.slice(0, -1)) {
      expect(code).toBe('not-carried');
      expect(path).toContain(`builds/${builds.refused}/statements/`);
    }
    mustBe(0, await check('--gpgv'));
    await world.startServer();
    // sealed before, and signed now; not sealed before, and sealed now
    mustBe(0, await world.attest(unsealed, { 'f.txt': 'late' }));
    const signed = await world.sign();
    mustBe(0, signed);
    for (const build of [builds.sealed, builds.approved])
      expect(signed.json).toContainEqual(expect.objectContaining({ build, state: 'published' }));
    const served = await check('--repair');
    expect([served.code, served.error?.code]).toEqual([3, 'depot-served']);
    mustBe(0, await check());
    await world.stopServer();
    await goesOn('3.0');
    mustBe(0, await check());
  }, 120_000);

  test('from its public part: every release, and check names what is lost', async () => {
    await restore(open());
    const before = await contentsOf(data());
    const mended = await check('--repair');
    mustBe(1, mended);
    const remain = mended.json
      .filter((each) => each['repaired'] === false)
      .map((each) => String(each['path']));
    const { refused, revoked } = builds;
    for (const path of remain)
      expect(path).toMatch(
        new RegExp(`^builds/(${refused}/|${revoked}/revocations/|${builds.approved}/|${builds.sealed}/)`),
      );
    expect(remain.some((path) => path.startsWith(`builds/${refused}/`))).toBe(true);
    // what was public is as it was, and the builds of the releases are there again
    for (const part of ['releases', 'log'])
      expect(await contentsOf(data(), part)).toEqual(
        Object.fromEntries(Object.entries(before).filter(([path]) => path.startsWith(`${part}/`))),
      );
    expect(await readdir(join(data(), 'builds'))).toEqual(
      expect.arrayContaining([builds.published, builds.second, builds.revoked]),
    );
    // H has more of the log than the copy of last night, and sends the rest
    await goesOn('3.1');
    const status = await world.runOn('operator', ['status', builds.published, '--json', '--depot', data()]);
    expect(status.json).toMatchObject([{ build: builds.published, state: 'published' }]);
  }, 120_000);
});
