/** docs/performance.md: which of its parts are made from results, and how they are put there. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Figures } from './measure.ts';
import { fill, goalsText, howText, sectionText } from './report.ts';
import { allFigures, writeResults } from './results.ts';
import type { Results } from './results.ts';
import { FULL } from './sizes.ts';
import type { Sizes } from './sizes.ts';
import { curvePlot, curveText } from './scaling.ts';

const AXES = ['size', 'count'] as const;
const AXES_IN_WORDS = { size: 'the size of one artifact', count: 'the number of artifacts' } as const;

/** What a section has to show: how it was measured, and its tables. */
export function textOf(section: string, results: Results, sizes: Sizes): string {
  const result = results[section];
  const { figures = {}, error = null } = result ?? {};
  const tables = section === 'curves' ? curveTexts(figures) : sectionText(section, figures, sizes);
  if (!result || tables === '') return `Not measured${error === null ? '' : `: ${error.split('\n', 1)[0]}`}.`;
  return `${howText(result)}\n\n${tables}`;
}

/** Of each axis that was measured its picture and its table. */
function curveTexts(figures: Figures): string {
  return AXES.filter((axis) => curveText(axis, figures) !== '')
    .map(
      (axis) =>
        `![time and memory against ${AXES_IN_WORDS[axis]}](performance-${axis}.svg)\n\n${curveText(axis, figures)}`,
    )
    .join('\n\n');
}

/** The document, with results at its marks. */
export function withResults(document: string, results: Results): string {
  return fill(document, (name) => {
    if (name === 'goals') return goalsText(allFigures(results));
    return name === 'machine' ? machineText(results) : textOf(name, results, FULL);
  });
}

/** What it was measured on, and how long all of it took. */
function machineText(results: Results): string {
  const sections = Object.values(results);
  if (sections.length === 0) return 'Nothing was measured.';
  const machines = new Set(sections.map(({ machine }) => `${machine}.`));
  const minutes = Math.ceil(sections.reduce((sum, { seconds }) => sum + seconds, 0) / 60);
  return `${[...machines].join('\n')} Sections ${Object.keys(results).join(', ')}: ${minutes} minutes.`;
}

/** Puts results into the document, and beside it: the figures themselves, and the curves. */
export function writeDocuments(results: Results): void {
  const document = join('docs', 'performance.md');
  writeFileSync(document, withResults(readFileSync(document, 'utf8'), results));
  writeResults(join('docs', 'performance.json'), results);
  for (const axis of AXES) {
    const [path, figures] = [join('docs', `performance-${axis}.svg`), allFigures(results)];
    if (curveText(axis, figures) === '') rmSync(path, { force: true });
    else writeFileSync(path, curvePlot(axis, figures));
  }
}
