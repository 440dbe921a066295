/** `npm run bench`: the sections that were asked for, one after the other, then every goal. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { curves } from './curves.ts';
import { depot } from './depot.ts';
import { digest } from './digest.ts';
import { textOf, writeDocuments } from './document.ts';
import { large } from './large.ts';
import { log } from './log.ts';
import { busyCores, machine } from './machine.ts';
import { many } from './many.ts';
import { Notebook } from './measure.ts';
import { parallel } from './parallel.ts';
import { goalsText } from './report.ts';
import { allFigures, readResults, writeResults } from './results.ts';
import type { SectionResult } from './results.ts';
import type { Section } from './section.ts';
import { print, say } from './section.ts';
import { FULL, QUICK } from './sizes.ts';
import { start } from './start.ts';

const SECTIONS: ReadonlyMap<string, Section> = new Map(
  Object.entries({ log, start, large, parallel, many, digest, depot, curves }),
);
/** As scripts/bench.mjs has read it. */
const asked = JSON.parse(process.argv[2] ?? '') as {
  readonly sections: readonly string[];
  readonly quick: boolean;
  readonly once: boolean;
  readonly write: boolean;
};
const sizes = asked.quick ? QUICK : FULL;
await main();

async function main(): Promise<void> {
  const path = join('bench', asked.quick ? 'results-quick.json' : 'results.json');
  // what is not measured here stays as the document has it
  if (!asked.quick && !existsSync(path)) copyFileSync(join('docs', 'performance.json'), path);
  for (const name of asked.sections) {
    const result = await measure(name);
    writeResults(path, { ...readResults(path), [name]: result });
    if (result.error !== null) process.exitCode = 1;
    print(`${textOf(name, { [name]: result }, sizes)}\n`);
  }
  const results = readResults(path);
  if (asked.sections.length === 0)
    for (const name of Object.keys(results)) print(`${textOf(name, results, sizes)}\n`);
  for (const [name, { error }] of Object.entries(results)) if (error !== null) say(`${name}: ${error}`);
  print(
    asked.quick
      ? 'A quick run: it shows that everything works. No goal is judged by it.'
      : goalsText(allFigures(results)),
  );
  if (asked.write) writeDocuments(results);
}

function rounds(wanted: number): number {
  if (asked.once) return 1;
  return asked.quick ? Math.min(2, wanted) : wanted;
}

/** Runs one section. What it throws is part of the result, so that the others still run. */
async function measure(name: string): Promise<SectionResult> {
  const directory = mkdtempSync(join(tmpdir(), `${name}-`));
  const notebook = new Notebook();
  const before = await busyCores();
  const [at, begun] = [new Date().toISOString(), performance.now()];
  let error: string | null = null;
  try {
    const section = SECTIONS.get(name);
    if (!section) throw new Error('no such section');
    await section({ sizes, rounds, directory, notebook });
  } catch (cause) {
    error = cause instanceof Error ? cause.message : String(cause);
    say(`${name}: ${cause instanceof Error ? cause.stack : error}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const seconds = Math.round((performance.now() - begun) / 1000);
  say(`${name}: ${seconds} s`);
  const busy = [before, await busyCores()] as const;
  return { at, seconds, machine: machine(), busy, figures: notebook.figures, error };
}
