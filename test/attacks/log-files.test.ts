/**
 * L's log, spoilt where it lies, file by file, or lied about: H takes nothing of it back, adds nothing to it, and lets no
 * release leave on top of it; when it is whole again, all goes on.
 */
import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { HeldLog } from './held-log.ts';
import { verdicts } from './outcome.ts';

let world: World;
let hostile: HostileDepot;
beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
  await world.release('1.0', { app: 'one' });
  await save('yesterday');
  await world.release('1.1', { app: 'two' });
  await save('today');
});
afterEach(async () => {
  hostile.repent();
  await restore('today', 'state');
  await restore('today', 'log');
});
afterAll(async () => {
  await hostile.close();
  await world.close();
});

const places = { state: (): string => world.path('H', 'signer'), log: (): string => world.tree('log') };
const saved = (day: string, what: keyof typeof places): string => world.path('cwd', `${what}-of-${day}`);
async function save(day: string): Promise<void> {
  for (const what of ['state', 'log'] as const) {
    await rm(saved(day, what), { recursive: true, force: true });
    await cp(places[what](), saved(day, what), { recursive: true });
  }
}
async function restore(day: string, what: keyof typeof places): Promise<void> {
  await rm(places[what](), { recursive: true, force: true });
  await cp(saved(day, what), places[what](), { recursive: true });
}

type Spoil = (bytes: Buffer) => Buffer | null;
async function spoil(path: string, change: Spoil): Promise<void> {
  const file = world.tree('log', path);
  const changed = change(await readFile(file));
  await rm(file);
  if (changed !== null) await writeFile(file, changed);
}

/** With yesterday's state, `sign --recover` finds a log that it can't believe, and adopts nothing of it. */
async function expectNothingAdopted(verdict: RegExp, args: readonly string[] = []): Promise<Ran> {
  await restore('yesterday', 'state');
  const [before, journal] = [await snapshot(world), await readFile(world.journal)];
  const ran = await world.sign(['--recover', ...args]);
  expect(`${ran.code} ${ran.error?.code}`, ran.stderr).toMatch(verdict);
  expectRefusal(ran);
  expect(await readFile(world.journal)).toEqual(journal);
  await restore('today', 'state');
  await expectUntouched(world, { ...before, journal: await readFile(world.journal) }, { answers: [ran] });
  return ran;
}

describe.each(['tile/0/000.p/8', 'tile/entries/000.p/8'])('%s', (path) => {
  test.each<[string, Spoil]>([
    [
      'with another bit',
      (bytes) => Buffer.concat([bytes.subarray(0, 40), Buffer.of((bytes[40] ?? 0) ^ 1), bytes.subarray(41)]),
    ],
    ['cut off', (bytes) => bytes.subarray(0, -1)],
    ['gone', () => null],
    ['empty', () => Buffer.alloc(0)],
    ['twice as long', (bytes) => Buffer.concat([bytes, bytes])],
  ])('%s is not taken back from', async (_, change) => {
    await spoil(path, change);
    await expectNothingAdopted(/^(1 log-damaged|3 log-incomplete|3 log-damaged|3 too-large)$/);
  });
});

describe('the checkpoint', () => {
  const odd: [string, RegExp, (log: HeldLog) => string][] = [
    [
      'by another key',
      /^[13] /,
      (log) => log.note(8, { key: parseSignerKey(generateNoteKey(log.key.name).signer) }),
    ],
    ['of another log', /^[13] /, (log) => log.note(8, { origin: 'countersign/other/00000000' })],
    ['with extension lines', /^[13] /, (log) => log.note(8, { extensions: ['x'] })],
    ['of another root', /^1 log-damaged$/, (log) => log.note(8, { root: Buffer.alloc(32, 3) })],
    [
      'of more than there is',
      /^(1 log-damaged|3 log-incomplete)$/,
      (log) => log.note(9, { root: Buffer.alloc(32, 3) }),
    ],
    ['empty', /^[13] /, () => ''],
    ['huge', /^3 too-large$/, (log) => log.note().repeat(5000)],
  ];
  test.each(odd)('%s is not taken back from, nor gone on with', async (_, verdict, make) => {
    hostile.give('/log/checkpoint', Buffer.from(make(await HeldLog.of(world))));
    await expectNothingAdopted(verdict, ['--depot', hostile.url]);
  });

  test('of yesterday, whatever is sent to it: the release waits until L shows what it took', async () => {
    const { build, ticket } = await world.approve('1.2');
    mustBe(0, await world.attest(ticket, { app: 'three' }));
    const [made, before] = [world.agent.signatures, await snapshot(world)];
    hostile.give('/log/checkpoint', await readFile(world.path('cwd', 'log-of-yesterday/checkpoint')));
    const ran = await world.sign([build, '--depot', hostile.url]);
    expect(ran.code, ran.stderr).toBe(3);
    expect(verdicts(ran)[0]).toBe('signed log-not-shown');
    expect((await snapshot(world)).published).toEqual(before.published);
    expect(await readdir(world.tree('builds', build))).not.toContain('release.proof');
    hostile.repent();
    expect(verdicts(await world.sign([build, '--depot', hostile.url]))).toEqual(['published undefined']);
    expect(world.agent.signatures - made, 'signed once').toBe(2);
    await save('today');
  });
});

test('a log that is not whole takes no more, and no release leaves; when it is whole again it does', async () => {
  const { build, ticket } = await world.approve('1.3');
  mustBe(0, await world.attest(ticket, { app: 'four' }));
  const [made, before] = [world.agent.signatures, await snapshot(world)];
  for (const [path, again] of [
    ['tile/0/000.p/12', 'signed'],
    ['tile/entries/000.p/12', 'signed'],
  ] as const) {
    await spoil(path, () => Buffer.from('spoilt'));
    const ran = await world.sign([build]);
    expect(ran.code, ran.stderr).toBe(3);
    expectRefusal(ran);
    expect(verdicts(ran)[0]).toMatch(new RegExp(`^${again} `));
    expect((await snapshot(world)).published).toEqual(before.published);
    await restore('today', 'log');
  }
  expect(verdicts(await world.sign([build]))).toEqual(['published undefined']);
  expect(world.agent.signatures - made, 'signed once').toBe(2);
  await save('today');
});

test('what is odd and legal: tiles of other sizes lie around, incomplete ones of old; L has lost all of it', async () => {
  await cp(world.path('cwd', 'log-of-yesterday/tile'), world.tree('log/tile'), { recursive: true });
  await writeFile(world.tree('log/tile/0/007'), 'not of this tree');
  await restore('yesterday', 'state');
  const ran = await world.sign(['--recover']);
  mustBe(0, ran);
  expect(ran.json[0]).toMatchObject({ recovered: 12 });
  await rm(world.tree('log'), { recursive: true });
  mustBe(0, await world.sign());
  expect((await readFile(world.tree('log/checkpoint'), 'utf8')).split('\n')[1]).toBe('16');
  await save('today');
});
