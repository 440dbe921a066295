/** The results of all sections, in one JSON file: a section that is measured again replaces what was there of it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Figures } from './measure.ts';

export interface SectionResult {
  /** When it was begun. */
  readonly at: string;
  readonly seconds: number;
  readonly machine: string;
  /** How many cores others kept busy just before and just after. */
  readonly busy: readonly [number, number];
  readonly figures: Figures;
  /** Why it ended before its end; null if it did not. */
  readonly error: string | null;
}

export type Results = Readonly<Record<string, SectionResult>>;

/** What was measured so far; nothing if there is no such file. */
export function readResults(path: string): Results {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Results) : {};
}

/** Writes results, sections in order of their names. */
export function writeResults(path: string, results: Results): void {
  const sorted = Object.fromEntries(Object.entries(results).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  // a figure on one line: whoever compares two runs reads it
  const text = JSON.stringify(sorted, null, 1).replace(/\[[^[\]{}]*\]/g, (list) => list.replace(/\s+/g, ' '));
  writeFileSync(path, `${text}\n`);
}

/** The figures of all sections. */
export function allFigures(results: Results): Figures {
  return Object.assign({}, ...Object.values(results).map(({ figures }) => figures)) as Figures;
}
