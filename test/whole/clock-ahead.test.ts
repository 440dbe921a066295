/** A depot whose clock is a year ahead takes away nothing of value: the signer's log does not say that it is so late. */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { until } from '../harness/until.ts';
import { World, mustBe } from '../harness/world.ts';
import { contentsOf } from '../tree/copies.ts';

let world: World;
beforeAll(async () => {
  world = await World.make({ threshold: 2, approvers: 2 });
});
afterAll(() => world.close());

const YEAR_AHEAD = {
  LD_PRELOAD: execFileSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD']).toString().trim(),
  FAKETIME: '+365d',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
};
const endorse = async (build: string): Promise<void> =>
  mustBe(0, await world.runOn('operator', ['endorse', build, '--yes', '--json'], { approver: 1 }));

test('what is sealed by some, approved by some, refused, or published', async () => {
  const once = await world.approve('1.0');
  mustBe(0, once);
  mustBe(0, await world.attest(once.ticket, { 'a.txt': 'approved by one' }));
  const pair = await world.approve('1.1', ['--builders', '2']);
  mustBe(0, pair);
  await endorse(pair.build);
  mustBe(0, await world.attest(pair.ticket, { 'b.txt': 'sealed by one' }));
  const refused = await world.approve('1.2', ['--builders', '2']);
  mustBe(0, refused);
  await endorse(refused.build);
  for (const slot of ['b1', 'b2'])
    mustBe(0, await world.attest(refused.ticket.replace('b1.ticket', `${slot}.ticket`), { 'c.txt': slot }));
  const published = await world.approve('1.3');
  mustBe(0, published);
  await endorse(published.build);
  mustBe(0, await world.attest(published.ticket, { 'd.txt': 'published' }));
  mustBe(1, await world.sign());
  await world.stopServer();

  const before = await contentsOf(world.tree());
  const bytes = Buffer.from('of a run that failed');
  const left = world.tree('builds', published.build, 'blobs', sha256Hex(bytes));
  writeFileSync(left, bytes);
  await world.startServer([], YEAR_AHEAD);
  // of the newest build, and the last that goes
  await until('what is due by the log as well is gone', () => !existsSync(left));
  await until('it is logged', () => world.serverLog.some((line) => line.includes('"dropped"')));
  const lines = world.serverLog.filter((line) => line.includes('"dropped"'));
  await world.stopServer();
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
    { build: published.build, what: 'unnamed', files: 1, bytes: bytes.length },
  ]);
  expect(await contentsOf(world.tree())).toEqual(before);
});
