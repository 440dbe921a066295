/** What each section of the benchmark is handed. */
import { writeSync } from 'node:fs';
import type { Notebook } from './measure.ts';
import type { Sizes } from './sizes.ts';

export interface Bench {
  readonly sizes: Sizes;
  /** How often a figure is taken that wants so many runs. */
  readonly rounds: (wanted: number) => number;
  /** For whatever the section makes; removed when it ends. */
  readonly directory: string;
  readonly notebook: Notebook;
}

/** Measures, and notes what it finds. Throws if it could not. */
export type Section = (bench: Bench) => Promise<void>;

/** Tells whoever waits what is going on: standard error. */
export function say(line: string): void {
  writeSync(2, `${line}\n`);
}

/** Prints results: standard output. */
export function print(text: string): void {
  writeSync(1, `${text}\n`);
}
