/** What `npm run bench` makes of its figures. That it measures well is seen by running it: tests do not time. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GOALS } from '../../bench/goals.ts';
import { digits, judge } from '../../bench/judge.ts';
import type { Goal } from '../../bench/judge.ts';
import { Notebook, alternate, median, spread, timed } from '../../bench/measure.ts';
import { withResults } from '../../bench/document.ts';
import { plot } from '../../bench/plot.ts';
import { fill, goalsText, tableText } from '../../bench/report.ts';
import type { Results } from '../../bench/results.ts';
import { curvePlot } from '../../bench/scaling.ts';
import { tables } from '../../bench/tables.ts';
import { allFigures } from '../../bench/results.ts';
import { FULL } from '../../bench/sizes.ts';

const PAGE = readFileSync(new URL('../../docs/performance.md', import.meta.url), 'utf8');
const RESULTS = JSON.parse(
  readFileSync(new URL('../../docs/performance.json', import.meta.url), 'utf8'),
) as Results;

describe('a figure', () => {
  test('is the value in the middle, whatever the order', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
    expect(spread([3, 1, 2])).toEqual([1, 3]);
  });

  test('keeps every value that was noted, in its order', () => {
    const notebook = new Notebook();
    notebook.note('a', 's', 2);
    notebook.note('b', 'MiB', 1);
    notebook.note('a', 's', 1.000049);
    expect(notebook.figures).toEqual({ a: { unit: 's', values: [2, 1] }, b: { unit: 'MiB', values: [1] } });
  });

  test('is shown with three digits', () => {
    expect([0, 0.01234, 1.234, 12.34, 123.4, 1234.5].map(digits)).toEqual([
      ...['0', '0.012', '1.23', '12.3', '123', '1,235'],
    ]);
  });
});

test('contestants take turns, and each round starts with another one', async () => {
  const ran: string[] = [];
  await alternate(
    3,
    ['a', 'b', 'c'].map((name) => async () => void ran.push(name)),
  );
  expect(ran.join('')).toBe('abcbcacab');
});

test('a command that fails is an error with what it said, not a fast one', async () => {
  const { seconds, peakMiB, stdout } = await timed(['sh', '-c', 'echo done']);
  expect(stdout).toBe('done\n');
  expect(seconds).toBeGreaterThan(0);
  expect(peakMiB).toBeGreaterThan(0);
  await expect(timed(['sh', '-c', 'echo why >&2; exit 3'])).rejects.toThrow(/ended with 3:\n\nwhy/);
});

describe('a goal', () => {
  const goal: Goal = {
    section: 'x',
    text: 'twice as fast',
    value: (of) => of('theirs') / of('ours'),
    wanted: { atLeast: 2 },
    unit: '×',
    bound: (of) => ({
      value: of('theirs') / of('nothing at all'),
      text: `nothing takes ${of('nothing at all')} s`,
    }),
    gap: (of) => of('ours') - of('theirs') / 2,
    causes: (of) => [
      { text: `reading takes ${digits(of('reading'))} s`, explains: of('reading') },
      { text: `waiting takes ${digits(of('waiting'))} s`, explains: of('waiting') },
    ],
  };
  const figures = (theirs: number, ours: number, more: Readonly<Record<string, number>> = {}) => ({
    theirs: { unit: 's', values: [theirs] } as const,
    ours: { unit: 's', values: [ours, 100, 0] } as const,
    ...Object.fromEntries(
      Object.entries(more).map(([name, value]) => [name, { unit: 's', values: [value] } as const]),
    ),
  });
  const cause = (more: Readonly<Record<string, number>>): string => judge(goal, figures(8, 14, more)).cause;

  test('is met on its limit, and says no cause then', () => {
    expect(judge(goal, figures(4, 2))).toMatchObject({ value: '2 ×', verdict: 'met', cause: '' });
    expect(judge({ ...goal, wanted: { atMost: 2 } }, figures(4, 2)).verdict).toBe('met');
  });

  test('is missed beyond it', () => {
    expect(judge(goal, figures(3, 2))).toMatchObject({
      wanted: 'at least 2 ×',
      value: '1.5 ×',
      verdict: 'missed',
    });
    expect(judge({ ...goal, wanted: { atMost: 2 } }, figures(6, 2)).verdict).toBe('missed');
  });

  test('is explained by what makes up half of the gap or more, else it is not, and what was measured is said', () => {
    expect(cause({ reading: 3, waiting: 4 })).toBe('reading takes 3 s; waiting takes 4 s: 70 % of the gap');
    expect(cause({ reading: 60 })).toBe('reading takes 60 s: 100 % of the gap');
    expect(cause({ reading: 3, waiting: 1 })).toBe(
      'not explained: reading takes 3 s; waiting takes 1 s (40 % of the gap)',
    );
    expect(cause({ waiting: 0 })).toBe('not explained: waiting takes 0 s');
    expect(cause({})).toBe('not explained: nothing else was measured');
  });

  test('is out of reach where nobody could reach it, and nothing else is blamed then', () => {
    expect(cause({ 'nothing at all': 5, reading: 10 })).toBe(
      'out of reach on this machine: nothing takes 5 s',
    );
    expect(cause({ 'nothing at all': 4, reading: 10 })).toBe('reading takes 10 s: 100 % of the gap');
  });

  test('without its figures is neither', () => {
    expect(judge(goal, {})).toMatchObject({ value: '–', verdict: 'not measured', cause: '' });
    expect(goalsText({})).toMatch(/\n0 met, 0 missed, \d\d not measured\.$/);
  });

  test('of ours says no cause that its figures do not hold: whatever is missing, no NaN is printed', () => {
    for (const each of GOALS) {
      const names = new Set<string>();
      const value = each.value((name) => (names.add(name), 1));
      const missed = 'atLeast' in each.wanted ? { atLeast: value + 1e9 } : { atMost: value - 1e9 };
      const only = Object.fromEntries([...names].map((name) => [name, { unit: 's', values: [1] } as const]));
      const outcome = judge({ ...each, wanted: missed }, only);
      expect(outcome.verdict).toBe('missed');
      expect(outcome.cause).toMatch(/^(not explained|out of reach)/);
      expect(outcome.cause).not.toContain('NaN');
    }
  });
});

describe('npm run bench', () => {
  const bench = (...args: string[]) =>
    spawnSync(process.execPath, ['scripts/bench.mjs', ...args], { encoding: 'utf8' });

  test('says how it is used, and does nothing else', () => {
    const { status, stdout, stderr } = bench('--help');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^usage: npm run bench /);
  });

  test.each([['--nonsense'], ['larg'], ['--quick', '--write']])('takes no %s', (...args) => {
    const { status, stdout, stderr } = bench(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^usage: npm run bench /);
  });
});

describe('the report', () => {
  test('a table leaves out what was not measured, and divides like by like only', () => {
    const table = {
      section: 'x',
      title: 'T',
      base: 'floor',
      rows: ['floor', 'ours', 'memory', 'absent'].map((figure) => ({ label: figure, figure })),
    };
    const figures = {
      floor: { unit: 's', values: [2, 2, 2] },
      ours: { unit: 's', values: [3, 5, 4] },
      memory: { unit: 'MiB', values: [50] },
    } as const;
    expect(tableText(table, figures)?.split('\n').slice(2)).toEqual([
      '| floor | 2 s | 2 – 2 | 3 | 1 |',
      '| ours | 4 s | 3 – 5 | 3 | 2 |',
      '| memory | 50 MiB |  | 1 |  |',
    ]);
    expect(tableText(table, {})).toBeNull();
  });

  test('texts go between their marks, and nowhere else', () => {
    const page = 'a\n<!-- bench:one -->\nold\n<!-- /bench -->\nb\n<!-- bench:two -->\n<!-- /bench -->\n';
    const filled = fill(page, (name) => `new ${name}`);
    expect(filled).toBe(
      'a\n<!-- bench:one -->\n\nnew one\n\n<!-- /bench -->\nb\n<!-- bench:two -->\n\nnew two\n\n<!-- /bench -->\n',
    );
    expect(fill(filled, (name) => `new ${name}`)).toBe(filled);
  });

  test('a curve lies in its panel, and names at its end do not lie on each other', () => {
    const points = [1, 10, 100].map((x): [number, number] => [x, x / 50]);
    const svg = plot([
      { title: 's', x: 'n', series: ['a', 'b'].map((name) => ({ name, points })) },
      { title: 'empty', x: 'n', series: [{ name: 'c', points: [] }] },
    ]);
    const [, width = '', height = ''] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? [];
    const line = /<path d="M([\d. L]+)" fill/.exec(svg)?.[1]?.split('L') ?? [];
    const places = line.map((place) => place.split(' ').map(Number));
    expect(places).toHaveLength(3);
    for (const [x = 0, y = 0] of places) {
      expect(x).toBeLessThan(Number(width));
      expect(y).toBeLessThan(Number(height));
    }
    // equal factors are equal distances, and more is higher
    const [[x0 = 0, y0 = 0] = [], [x1 = 0, y1 = 0] = [], [x2 = 0, y2 = 0] = []] = places;
    expect(x2 - x1).toBeCloseTo(x1 - x0, 0);
    expect(y2 - y1).toBeCloseTo(y1 - y0, 0);
    expect(y1).toBeLessThan(y0);
    const names = [...svg.matchAll(/y="([\d.]+)" fill="#\w+">[ab]</g)].map(([, y]) => Number(y));
    expect(Math.abs((names[0] ?? 0) - (names[1] ?? 0))).toBeGreaterThan(12);
  });
});

describe('docs/performance.md', () => {
  test('says what docs/performance.json holds: `npm run bench -- report --write` makes it so', () => {
    expect(withResults(PAGE, RESULTS)).toBe(PAGE);
    for (const [, axis] of PAGE.matchAll(/\(performance-(size|count)\.svg\)/g)) {
      const svg = readFileSync(new URL(`../../docs/performance-${axis}.svg`, import.meta.url), 'utf8');
      expect(curvePlot(axis === 'size' ? 'size' : 'count', allFigures(RESULTS))).toBe(svg);
    }
  });

  test('every goal and every row of a section that was measured has its figures', () => {
    const figures = allFigures(RESULTS);
    const measured = ({ section }: { section: string }): boolean => section in RESULTS;
    const unmeasured = GOALS.filter(measured).filter((goal) =>
      Number.isNaN(goal.value((name) => median(figures[name]?.values ?? []))),
    );
    expect(unmeasured.map(({ text }) => text)).toEqual([]);
    const rows = tables(FULL)
      .filter(measured)
      .flatMap((table) => table.rows.map(({ figure }) => figure));
    expect(rows.filter((figure) => !figures[figure])).toEqual([]);
    for (const { error } of Object.values(RESULTS)) expect(error).toBeNull();
  });
});
