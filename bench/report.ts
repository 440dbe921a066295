/** Figures and goals as text: Markdown, for the terminal and for docs/performance.md. */
import { GOALS } from './goals.ts';
import { digits, judge } from './judge.ts';
import type { Outcome } from './judge.ts';
import { median, spread } from './measure.ts';
import type { Figure, Figures } from './measure.ts';
import type { SectionResult } from './results.ts';
import type { Sizes } from './sizes.ts';
import { tables } from './tables.ts';
import type { Table } from './tables.ts';

const line = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const withUnit = (value: string, { unit }: Figure): string =>
  unit === '' ? value : `${value} ${unit}`.replace(' /s', ' a second');

function row(label: string, figure: Figure, base: Figure | undefined): string {
  const [low, high] = spread(figure.values);
  const range = figure.values.length > 1 ? `${digits(low)} – ${digits(high)}` : '';
  const ratio = base?.unit === figure.unit ? digits(median(figure.values) / median(base.values)) : '';
  return line(
    label,
    withUnit(digits(median(figure.values)), figure),
    range,
    String(figure.values.length),
    ratio,
  );
}

/** A table with the rows that were measured; null if there are none. */
export function tableText(table: Table, figures: Figures): string | null {
  const rows = table.rows.flatMap(({ label, figure }) => {
    const measured = figures[figure];
    return measured ? [row(label, measured, figures[table.base])] : [];
  });
  if (rows.length === 0) return null;
  const against = table.rows.find(({ figure }) => figure === table.base)?.label.replaceAll('**', '') ?? '';
  return [
    line(table.title, 'median', 'from – to', 'runs', `ratio to: ${against}`),
    line('---', '--:', '--:', '--:', '--:'),
    ...rows,
  ].join('\n');
}

/** How often a section ran each figure, when, and what else the machine did. */
export function howText({ at, seconds, busy, figures }: SectionResult): string {
  const [fewest, most] = spread(Object.values(figures).map(({ values }) => values.length));
  const runs = fewest === most ? (most === 1 ? 'One run' : `${most} runs`) : `${fewest} to ${most} runs`;
  return `${runs} of each, on ${at.slice(0, 10)}, ${at.slice(11, 16)} UTC, in ${seconds.toLocaleString('en')} s. Other programs kept ${busy[0]} cores busy just before, and ${busy[1]} just after.`;
}

/** All tables of a section, with an empty line between them. */
export function sectionText(section: string, figures: Figures, sizes: Sizes): string {
  return tables(sizes)
    .filter((table) => table.section === section)
    .flatMap((table) => tableText(table, figures) ?? [])
    .join('\n\n');
}

/** Every goal: what was wanted, what there is, and why not. */
export function goalsText(figures: Figures): string {
  const outcomes = GOALS.map((goal) => judge(goal, figures));
  return [
    line('goal', 'wanted', 'measured', '', 'cause of a miss'),
    line('---', '--:', '--:', '---', '---'),
    ...outcomes.map(({ text, wanted, value, verdict, cause }) =>
      line(text, wanted, value, verdict === 'met' ? 'met' : `**${verdict}**`, cause),
    ),
    '',
    countText(outcomes),
  ].join('\n');
}

function countText(outcomes: readonly Outcome[]): string {
  const count = (verdict: Outcome['verdict']): number =>
    outcomes.filter((each) => each.verdict === verdict).length;
  const left = count('not measured');
  return `${count('met')} met, ${count('missed')} missed${left > 0 ? `, ${left} not measured` : ''}.`;
}

/** Puts texts between the marks of a document: `<!-- bench:NAME -->` and `<!-- /bench -->`. */
export function fill(document: string, textOf: (name: string) => string): string {
  return document.replace(
    /(<!-- bench:(\w+) -->\n)[^]*?(<!-- \/bench -->)/g,
    (_, open: string, name: string, close: string) => `${open}\n${textOf(name)}\n\n${close}`,
  );
}
