/** The scaling curves: from the figures of section `curves` to a table and a plot. */
import { digits } from './judge.ts';
import { median } from './measure.ts';
import type { Figures } from './measure.ts';
import { plot } from './plot.ts';
import type { Series } from './plot.ts';

export type Axis = 'size' | 'count';

const STEPS = ['attest', 'sign', 'publish', 'verify'] as const;
const MEMORY = {
  attest: 'attest memory',
  sign: 'sign memory',
  serve: 'depot memory',
  verify: 'verify memory',
} as const;
const LABEL = { size: 'MiB', count: 'artifacts of 4 KiB' } as const;

/** The points of an axis that were measured, ascending. */
function pointsOf(axis: Axis, figures: Figures): number[] {
  const found = Object.keys(figures).flatMap(
    (name) => new RegExp(`^curves\\.${axis}\\.(\\d+)\\.sign$`).exec(name)?.[1] ?? [],
  );
  return found.map(Number).toSorted((a, b) => a - b);
}

const at = (figures: Figures, axis: Axis, point: number, what: string): number =>
  median(figures[`curves.${axis}.${point}.${what}`]?.values ?? []);

/** Seconds and MiB of each step at each point, as a Markdown table; empty if nothing was measured. */
export function curveText(axis: Axis, figures: Figures): string {
  const points = pointsOf(axis, figures);
  if (points.length === 0) return '';
  const memory = Object.entries(MEMORY);
  const line = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(LABEL[axis], ...STEPS.map((step) => `${step}, s`), ...memory.map(([name]) => `${name}, MiB`)),
    line(...Array.from({ length: 1 + STEPS.length + memory.length }, () => '--:')),
    ...points.map((point) =>
      line(
        point.toLocaleString('en'),
        ...[...STEPS, ...memory.map(([, what]) => what)].map((what) =>
          digits(at(figures, axis, point, what)),
        ),
      ),
    ),
  ].join('\n');
}

/** Time and memory side by side, as SVG. */
export function curvePlot(axis: Axis, figures: Figures): string {
  const points = pointsOf(axis, figures);
  const series = (name: string, what: string): Series => ({
    name,
    points: points.flatMap((point): [number, number][] => {
      const value = at(figures, axis, point, what);
      return value > 0 ? [[point, value]] : [];
    }),
  });
  return plot([
    { title: 'seconds', x: LABEL[axis], series: STEPS.map((step) => series(step, step)) },
    {
      title: 'memory, MiB',
      x: LABEL[axis],
      series: Object.entries(MEMORY).map(([name, what]) => series(name, what)),
    },
  ]);
}
