/**
 * H's own log, spoilt where it lies: truncated, edited, rolled back, or taken from elsewhere. H does nothing then, says so
 * in a line, and adds nothing to it; what a crash can leave it goes on from.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { heartbeat } from '../../src/records/log-entry.ts';
import { timestamp, toProjectName } from '../../src/records/names.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { entries as madeEntries, leaves } from '../harness/made-log.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { HeldLog } from './held-log.ts';
import { expectSigned, verdicts } from './outcome.ts';

let world: World;
const state = (...path: string[]): string => world.path('H', 'signer', ...path);

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'one' });
  await cp(state(), world.path('cwd', 'yesterday'), { recursive: true });
  await world.release('1.1', { app: 'two' });
  // a build that waits, so that H would have something to do
  const { ticket } = await world.approve('1.2');
  mustBe(0, await world.attest(ticket, { app: 'three' }));
  await cp(state(), world.path('cwd', 'today'), { recursive: true });
});
afterEach(() => restore('today'));
afterAll(() => world.close());

async function restore(day: 'today' | 'yesterday'): Promise<void> {
  await rm(state(), { recursive: true });
  await cp(world.path('cwd', day), state(), { recursive: true });
}

/** `sign`, with the state as it is now: it is refused, and nothing is done. Returns what was said. */
async function expectNothingDone(verdict: `${number} ${string}`, args: readonly string[] = []): Promise<Ran> {
  const journal = await readFile(world.journal).catch(() => null);
  const before = await snapshot(world);
  const ran = await world.sign(args);
  expect(`${ran.code} ${ran.error?.code}`, ran.stderr).toBe(verdict);
  expectRefusal(ran);
  const after = await readFile(world.journal).catch(() => null);
  expect(after?.toString() ?? '', 'the journal is left as it is').toBe(journal?.toString() ?? '');
  await restore('today');
  await expectUntouched(world, { ...before, journal: await readFile(world.journal) }, { answers: [ran] });
  return ran;
}

/** The lines of the journal, changed. */
async function edit(change: (lines: string[]) => readonly string[] | string): Promise<void> {
  const lines = (await readFile(world.journal, 'utf8')).split('\n').slice(0, -1);
  const changed = change(lines);
  await writeFile(
    world.journal,
    typeof changed === 'string' ? changed : changed.map((line) => `${line}\n`).join(''),
  );
}
const swap = (lines: string[], one: number, other: number): string[] =>
  lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '');

describe('the journal', () => {
  test.each<[string, (lines: string[]) => readonly string[] | string]>([
    ['without its last entry', (lines) => lines.slice(0, -1)],
    ['with its last line torn', (lines) => lines.join('\n').slice(0, -9)],
    ['of yesterday', (lines) => lines.slice(0, 4)],
    ['emptied', () => []],
  ])('%s is behind what was signed', async (_, change) => {
    await edit(change);
    const { stderr } = await expectNothingDone('1 log-behind');
    expect(stderr).toMatch(/^countersign: .*\d entries.*\n.*sign --recover\n$/);
  });

  test.each<[string, (lines: string[]) => readonly string[] | string]>([
    [
      'a digest is another',
      (lines) => lines.with(2, (lines[2] ?? '').replace(/[0-9a-f]{64}/, '0'.repeat(64))),
    ],
    ['a time is another', (lines) => lines.with(0, (lines[0] ?? '').replace(/"time":"2/, '"time":"1'))],
    ['two entries changed places', (lines) => swap(lines, 0, 4)],
    ['a release comes before its intent', (lines) => swap(lines, 2, 3)],
    ['an entry is there twice', (lines) => [...lines.slice(0, 3), lines[2] ?? '', ...lines.slice(3)]],
    ['an entry is missing in the middle', (lines) => lines.toSpliced(5, 1)],
    ['an entry has a space more', (lines) => lines.with(1, ` ${lines[1]}`)],
    ['an entry has carriage returns', (lines) => lines.map((line) => `${line}\r`)],
    ['an entry is over 64 KiB', (lines) => [...lines, `{"a":"${'x'.repeat(70_000)}"}`]],
    ['there is an empty line', (lines) => [...lines, '']],
    ['there is binary junk', (lines) => [...lines, '\u0000\u001b[2J\u202e']],
    ['all of it is other', () => [...leaves(madeEntries(8))].map(String)],
  ])('where %s is not what was signed', async (_, change) => {
    await edit(change);
    const { stderr } = await expectNothingDone('3 journal-damaged');
    expect(stderr).toMatch(/^countersign: \S+journal, line \d+: .*\n.*sign --recover\n$/);
  });

  test('that is gone, with all else but the keys', async () => {
    for (const name of ['journal', 'checkpoint', 'builds']) await rm(state(name), { recursive: true });
    await expectNothingDone('1 log-behind');
  });

  test('of other entries, without the checkpoint that would tell: the depot does', async () => {
    await rm(state('checkpoint'));
    await edit(() => [...leaves(madeEntries(8))].map(String));
    await expectNothingDone('1 log-fork');
    await rm(state('checkpoint'));
    await edit(() => [...leaves(madeEntries(12))].map(String));
    await expectNothingDone('1 log-fork');
  });

  test('with another end than the depot’s is a fork, which --recover does not mend', async () => {
    const fork = async (size: number): Promise<void> => {
      await rm(state('checkpoint'));
      await edit((lines) => [...lines.slice(0, size), String([...leaves([beat()])][0])]);
    };
    await fork(7);
    await expectNothingDone('1 log-fork');
    // shorter, so that there would be something to adopt
    await fork(5);
    await expectNothingDone('1 log-fork', ['--recover']);
  });
});

const beat = () => heartbeat(toProjectName('widget', 'attack'), timestamp(new Date()));

describe('the checkpoint beside it', () => {
  test.each<[string, (log: HeldLog, note: string) => string]>([
    [
      'is by another key',
      (log) => log.note(8, { key: parseSignerKey(generateNoteKey(log.key.name).signer) }),
    ],
    ['is of another log', (log) => log.note(8, { origin: 'countersign/widget/other' })],
    ['has extension lines', (log) => log.note(8, { extensions: ['more'] })],
    ['is cut off', (_, note) => note.slice(0, -20)],
    ['is empty', () => ''],
    ['is larger than any', (_, note) => note.repeat(1000)],
  ])('%s: it is not believed', async (what, forge) => {
    const note = await readFile(state('checkpoint'), 'utf8');
    await writeFile(state('checkpoint'), forge(await HeldLog.of(world), note));
    const large = what === 'is larger than any';
    const { stderr } = await expectNothingDone(large ? '3 too-large' : '3 state-damaged');
    if (!large) expect(stderr).toMatch(/hint: .*mv \S+checkpoint\{,\.damaged\}, then .*--recover\n$/);
  });

  test('is of other entries of that number, or of more than there are', async () => {
    const log = await HeldLog.of(world);
    await writeFile(state('checkpoint'), log.note(8, { root: Buffer.alloc(32, 1) }));
    await expectNothingDone('3 journal-damaged');
    await writeFile(state('checkpoint'), log.note(9, { root: Buffer.alloc(32, 1) }));
    await expectNothingDone('1 log-behind');
  });
});

describe("yesterday's state directory", () => {
  test('is refused under --json and without; --recover goes on, and signs nothing twice', async () => {
    await restore('yesterday');
    const ran = await expectNothingDone('1 log-behind');
    expect(ran.json).toEqual([{ code: 'log-behind', message: expect.any(String), hint: expect.any(String) }]);
    expect(ran.stderr.trimEnd().split('\n')).toHaveLength(2);
    // nor where the state has no memory of a checkpoint
    await restore('yesterday');
    await rm(state('checkpoint'));
    await expectNothingDone('1 log-behind');

    await restore('yesterday');
    const made = world.agent.signatures;
    const recovered = await world.sign(['--recover']);
    mustBe(0, recovered);
    expect(recovered.json[0]).toEqual({ recovered: 4, closed: 0 });
    // the one that waited; what was released since yesterday is there already
    expect(verdicts({ json: recovered.json.slice(1) })).toEqual(['published undefined']);
    expect(world.agent.signatures - made, 'those of the build that waited').toBe(2);
    expect((await HeldLog.of(world)).size).toBe(12);
    mustBe(0, await world.verify([world.tree('releases/widget/1.1')]));
    mustBe(0, await world.verify([world.tree('releases/widget/1.2')]));
    // today's is yesterday's now
    await restore('today');
    const old = await world.sign();
    expect(`${old.code} ${old.error?.code}`).toBe('1 log-behind');
    mustBe(0, await world.sign(['--recover']));
    await keep();
  });
});

describe('what a crash can leave is gone on from', () => {
  const legal: [string, () => Promise<void>][] = [
    [
      'an entry that nobody has seen yet',
      () => edit((lines) => [...lines, String([...leaves([beat()])][0])]),
    ],
    ['half a line at the end', () => edit((lines) => `${lines.map((line) => `${line}\n`).join('')}{"build`)],
    ['no checkpoint', () => rm(state('checkpoint'))],
    ['an older checkpoint', () => cp(world.path('cwd', 'yesterday', 'checkpoint'), state('checkpoint'))],
    ['litter', () => writeFile(state('tmp', 'x.tmp'), 'half')],
  ];
  test('each of them, and then the next build', async () => {
    for (const [what, leave] of legal) {
      await leave();
      const ran = await world.sign();
      expect(ran.code, `${what}\n${ran.stderr}`).toBe(0);
      expect(verdicts(ran).filter((verdict) => verdict !== 'published undefined')).toEqual([]);
      await keep();
    }
    const { build, ticket } = await world.approve('2.0');
    mustBe(0, await world.attest(ticket, { app: 'next' }));
    await expectSigned(world, build, '2.0', { app: 'next' });
  });
});

/** Today's state is what it is now. */
async function keep(): Promise<void> {
  await rm(world.path('cwd', 'today'), { recursive: true });
  await cp(state(), world.path('cwd', 'today'), { recursive: true });
}
