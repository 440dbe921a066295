/**
 * A row of the matrix in docs/faults.md: a step of a command, and what happens when each kind of fault meets it. One
 * test a row. It goes by the calls that the program really makes: a cell for a call that it doesn't make fails the test, and
 * so does a call without a cell.
 *
 * `npm test` tries one call a cell; `npm run test:faults` tries every one.
 */
import { dirname } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { TEMPORARY } from './strace.ts';
import type { Call, Fault, Step } from './strace.ts';
import type { Act, Scene } from './theatre.ts';

export const COLUMNS = {
  SIGKILL: {
    calls: ['name', 'cut', 'sync', 'write', 'open', 'make', 'remove', 'send', 'connect', 'read'],
    as: 'SIGKILL',
  },
  'read fails': { calls: ['read'], as: 'EIO' },
  'write fails': { calls: ['write', 'cut'], as: 'EIO' },
  'fsync fails': { calls: ['sync'], as: 'EIO' },
  ENOSPC: { calls: ['open', 'make', 'write'], as: 'ENOSPC' },
  EDQUOT: { calls: ['write', 'open', 'make'], as: 'EDQUOT' },
  'name fails': { calls: ['name', 'remove'], as: 'EIO' },
  'connection breaks': { calls: ['send'], as: 'EPIPE' },
  'connect fails': { calls: ['connect'], as: 'ECONNREFUSED' },
} as const satisfies Record<string, { readonly calls: readonly Call[]; readonly as: Fault['as'] }>;
export type Column = keyof typeof COLUMNS;

/**
 * How the run with the fault ends, and what the same command does when it is given again: it `goes on` by itself (exit 0);
 * it says what failed (exit 3), and given again it finishes; killed, and given again it finishes; or `refuses`, saying
 * what to do.
 */
export type Outcome = 'goes on' | 'exit 3' | 'again' | 'refuses';

export interface Row {
  readonly role: string;
  readonly step: string;
  /** Its calls, as `shownAs` says them. */
  readonly at: RegExp;
  /** Of these, reads that come before such a call and before any other that is no read: what they are for. */
  readonly before?: RegExp;
  readonly cells: Partial<Record<Column, Outcome>>;
  /** Columns that only the whole sweep tries. */
  readonly swept?: readonly Column[];
}

/** Met by the same calls as a full disk, and told the same way. */
const AS_ENOSPC: readonly Column[] = ['EDQUOT', 'write fails'];

/** Left to the whole sweep. */
export const isSwept = ({ cells, swept = [] }: Row, column: Column): boolean =>
  swept.includes(column) || (AS_ENOSPC.includes(column) && cells[column] === cells.ENOSPC);

export interface Play {
  readonly scene: Scene;
  /** Puts the scene back. */
  readonly begin: () => void | Promise<void>;
  readonly act: Act;
  /** What the program does without a fault. */
  readonly steps: readonly Step[];
  /** The build, so that its path can be told. */
  readonly build: string;
  /** What must hold right after the fault, whatever it was. */
  readonly seen: () => void;
  /**
   * Gives the command again, as a person would, and finishes the release. Everything of it must be right then; `thorough`:
   * gpgv and `verify` say so too.
   */
  readonly finish: (outcome: Outcome, thorough: boolean) => Promise<void>;
}

/** Every call of a cell is tried, not the first alone: a cell then stands for several, of which some end otherwise. */
export const everyCall = process.env['FAULTS'] === 'all';
/** How many faults this file has tried. */
let tried = 0;

/** gpg's home while `init` reads a key from a file: its name is random, and nothing in it lasts. */
const ELSEWHERE = / tmp\/countersign-\w{6}/;

/** One test a row; `play` is called in the test, when the theatre is open. */
export function testRows(rows: readonly Row[], play: (row: Row) => Promise<Play> | Play): void {
  if (everyCall) afterAll(() => console.log(`${tried} faults`));
  for (const row of rows) {
    test(`${row.role}: ${row.step}`, { timeout: everyCall ? 1_800_000 : 120_000 }, async () => {
      await perform(row, await play(row));
    });
  }
}

/** One test that no call of the play is outside of all rows. */
export function testAllCalls(name: string, rows: readonly Row[], play: () => Play): void {
  test(`${name}: every call is in a row`, () => {
    const played = play();
    const shown = played.steps.map((_, at) => shownAs(at, played));
    const isOutside = (call: string, at: number): boolean =>
      !ELSEWHERE.test(call) && !rows.some((row) => isOf(row, at, shown, played.steps));
    expect(shown.filter(isOutside)).toEqual([]);
  });
}

async function perform(row: Row, play: Play): Promise<void> {
  const shown = play.steps.map((_, at) => shownAs(at, play));
  for (const [column, { calls, as }] of Object.entries(COLUMNS) as [Column, (typeof COLUMNS)[Column]][]) {
    const met = calls.flatMap((call) =>
      play.steps.filter((step, at) => step.call === call && isOf(row, at, shown, play.steps)),
    );
    const outcome = row.cells[column];
    expect(outcome !== undefined, `${row.step}: ${column}, met by ${met.length} calls`).toBe(met.length > 0);
    if (outcome === undefined || (!everyCall && isSwept(row, column))) continue;
    for (const { syscall, path, nth } of triedOf(column, met, play.steps)) {
      const fault: Fault = { syscall, path, nth, as };
      await once(
        play,
        fault,
        outcome,
        `${row.role}: ${row.step}: ${column}: ${syscall} ${path ?? ''} ${nth}`,
        everyCall || (as === 'SIGKILL' && row.swept === undefined),
      );
    }
  }
}

/** Whether a call is one of the row. */
function isOf(
  { at: calls, before }: Row,
  at: number,
  shown: readonly string[],
  steps: readonly Step[],
): boolean {
  if (!calls.test(shown[at] ?? '')) return false;
  if (before === undefined) return true;
  const next = steps.findIndex(({ call }, other) => other > at && call !== 'read');
  return steps[at]?.early === false && before.test(shown[next] ?? '');
}

/** Calls that only read leave nothing to be found after a kill; a call without room fails for one of three reasons. */
const ROOM: readonly Column[] = ['write fails', 'ENOSPC', 'EDQUOT'];

/** The first call of a cell; in the whole sweep every one: killed before it, and failed once. */
function triedOf(column: Column, met: readonly Step[], all: readonly Step[]): readonly Step[] {
  const [first, ...more] = met;
  if (first === undefined || !everyCall) return met.slice(0, 1);
  if (column === 'SIGKILL') return [first, ...more.filter(({ call }) => call !== 'read')];
  if (!ROOM.includes(column)) return met;
  const isTurn = (step: Step): boolean => {
    const reasons = step.call === 'write' ? ROOM : ROOM.slice(1);
    return reasons[all.indexOf(step) % reasons.length] === column;
  };
  return [first, ...more.filter((step) => step.call === 'cut' || isTurn(step))];
}

/** One fault: what is seen then, how the run ends, and the next one. */
async function once(
  play: Play,
  fault: Fault,
  outcome: Outcome,
  name: string,
  thorough: boolean,
): Promise<void> {
  tried += 1;
  try {
    await play.begin();
    const ran = await play.scene.perform(play.act, fault);
    play.seen();
    const ended = endOf(ran);
    // a cell stands for several calls then, of which some matter less or more than the first
    if (everyCall && ended !== 'again') expect(fault.as).not.toBe('SIGKILL');
    else expect(ended, `${ran.stdout}\n${ran.stderr}`).toBe(outcome === 'refuses' ? 'again' : outcome);
    await play.finish(outcome, thorough);
  } catch (error) {
    throw new Error(name, { cause: error });
  }
}

/** Exit 0, or 3 with a line that a person can read, or killed. */
export function endOf({ code, stderr, stdout }: Ran): Outcome {
  if (code === null) return 'again';
  if (code === 0) return 'goes on';
  expect(code, `${stdout}\n${stderr}`).toBe(3);
  // a person can read it, and knows what to do next
  expect(stderr, 'a readable line').not.toMatch(/unexpected:|^ +at .+:\d+|[^\P{C}\n]/mu);
  expect(`${stderr}${stdout}`).toMatch(/^countersign: .+|"code":"[a-z-]+"/m);
  return 'exit 3';
}

/**
 * What a call is about, and its number: `write H/signer/journal 2`, by the name that the file gets in the end; sockets by
 * their kind. What a server does by itself when it starts is `… 1 at start`.
 */
function shownAs(at: number, play: Pick<Play, 'scene' | 'steps' | 'build'>): string {
  const { syscall, path, nth, to, early } = play.steps[at] ?? never();
  if (path === null) return `${syscall} ${to ?? ''} ${nth}`;
  const shown = fileOf(at, play.steps)
    .slice(play.scene.world.directory.length + 1)
    .replaceAll(play.build, 'B')
    .replaceAll(/[0-9a-f]{64}/g, 'SHA256')
    .replaceAll(/[0-9A-F]{40}/g, 'FPR');
  return `${syscall} ${shown} ${nth}${early ? ' at start' : ''}`;
}

/** For who writes the rows: `FAULTS=steps npx vitest run test/faults/sign.test.ts`. */
export function showSteps(play: Play): void {
  if (process.env['FAULTS'] === 'steps') console.log(play.steps.map((_, at) => shownAs(at, play)).join('\n'));
}

/** A directory is made for the file that comes next, and synced for the one that was put into it. */
function fileOf(at: number, steps: readonly Step[]): string {
  const step = steps[at] ?? never();
  const own = resultOf(step, steps);
  const before = steps[at - 1];
  if (step.call === 'make') {
    const isBelow = (file: string): boolean => dirname(file) === own || dirname(dirname(file)) === own;
    const files = steps.slice(at + 1).filter(({ call }) => call === 'open' || call === 'name');
    return files.map((next) => resultOf(next, steps)).find(isBelow) ?? own;
  }
  if (step.call !== 'sync' || before === undefined) return own;
  const file =
    before.call === 'make' && dirname(before.path ?? '') === step.path
      ? fileOf(at - 1, steps)
      : resultOf(before, steps);
  return file.startsWith(`${own}/`) && (before.call === 'make' || dirname(file) === own) ? file : own;
}

/** What a call makes, by its final name; a link of a file that has one already makes another. */
function resultOf({ path, to }: Step, steps: readonly Step[]): string {
  return finalName(path !== null && to !== null && !TEMPORARY.test(path) ? to : (path ?? ''), steps);
}

function finalName(path: string, steps: readonly Step[]): string {
  let name = path;
  for (const { call, path: from, to } of steps) {
    if (call !== 'name' || from === null || to === null || !TEMPORARY.test(from)) continue;
    if (name === from || name.startsWith(`${from}/`)) name = to + name.slice(from.length);
  }
  return name;
}

function never(): never {
  throw new RangeError('no such step');
}
