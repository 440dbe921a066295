/** What `npm run bench` makes of its figures. That it measures well is seen by running it: tests do not time. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GOALS, digits, judge } from '../../bench/goals.ts';
import type { Goal } from '../../bench/goals.ts';
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
    cause: (of) => `ours takes ${of('ours')} s`,
  };
  const figures = (theirs: number, ours: number) => ({
    theirs: { unit: 's', values: [theirs] } as const,
    ours: { unit: 's', values: [ours, 100, 0] } as const,
  });

  test('is met on its limit, and says no cause then', () => {
    expect(judge(goal, figures(4, 2))).toMatchObject({ value: '2 ×', verdict: 'met', cause: '' });
    expect(judge({ ...goal, wanted: { atMost: 2 } }, figures(4, 2)).verdict).toBe('met');
  });

  test('is missed beyond it, and says why', () => {
    const outcome = { wanted: 'at least 2 ×', value: '1.5 ×', verdict: 'missed', cause: 'ours takes 2 s' };
    expect(judge(goal, figures(3, 2))).toMatchObject(outcome);
    expect(judge({ ...goal, wanted: { atMost: 2 } }, figures(6, 2)).verdict).toBe('missed');
  });

  test('without its figures is neither', () => {
    expect(judge(goal, {})).toMatchObject({ value: '–', verdict: 'not measured', cause: '' });
    expect(goalsText({})).toMatch(/\n0 met, 0 missed, \d\d not measured\.$/);
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
