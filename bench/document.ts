/** docs/performance.md: which of its parts are made from results, and how they are put there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fill, goalsText, sectionText } from './report.ts';
import { allFigures, writeResults } from './results.ts';
import type { Results } from './results.ts';
import { curvePlot, curveText } from './scaling.ts';

const AXES = ['size', 'count'] as const;

/** What a section has to show. */
export function textOf(section: string, results: Results): string {
  const figures = allFigures(results);
  const text =
    section === 'curves'
      ? AXES.map((axis) => curveText(axis, figures)).join('\n\n')
      : sectionText(section, figures);
  return text.trim() || 'Not measured.';
}

/** The document, with results at its marks. */
export function withResults(document: string, results: Results): string {
  const machines = new Set(Object.values(results).map(({ machine }) => `${machine}.`));
  return fill(document, (name) => {
    if (name === 'goals') return goalsText(allFigures(results));
    return name === 'machine' ? [...machines].join('\n') : textOf(name, results);
  });
}

/** Puts results into the document, and beside it: the figures themselves, and the curves. */
export function writeDocuments(results: Results): void {
  const document = join('docs', 'performance.md');
  writeFileSync(document, withResults(readFileSync(document, 'utf8'), results));
  writeResults(join('docs', 'performance.json'), results);
  for (const axis of AXES)
    writeFileSync(join('docs', `performance-${axis}.svg`), curvePlot(axis, allFigures(results)));
}
