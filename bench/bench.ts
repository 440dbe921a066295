/** `npm run bench`: the sections that were asked for, one after the other, then every goal. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { curves } from './curves.ts';
import { depot } from './depot.ts';
import { digest } from './digest.ts';
import { textOf, writeDocuments } from './document.ts';
import { large } from './large.ts';
import { log } from './log.ts';
import { machine } from './machine.ts';
import { many } from './many.ts';
import { Notebook } from './measure.ts';
import { parallel } from './parallel.ts';
import { goalsText } from './report.ts';
import { allFigures, readResults, writeResults } from './results.ts';
import type { SectionResult } from './results.ts';
import type { Section } from './section.ts';
import { print, say } from './section.ts';
import { start } from './start.ts';

const SECTIONS: ReadonlyMap<string, Section> = new Map(
  Object.entries({ log, start, large, parallel, many, digest, depot, curves }),
);
const USAGE = `usage: npm run bench [-- SECTION...] [--quick|--once] [--write]
sections: ${[...SECTIONS.keys()].join(' ')}; report: none, only shows what was measured before
--quick   small sizes, few runs: does everything work?
--once    one run of each
--write   puts the results into docs/performance.md
`;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    once: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});
const asked =
  positionals.length === 0 ? [...SECTIONS.keys()] : positionals.filter((name) => name !== 'report');
if (asked.every((name) => SECTIONS.has(name))) await main();
else {
  say(USAGE);
  process.exitCode = 2;
}

async function main(): Promise<void> {
  const path = join('bench', flags.quick ? 'results-quick.json' : 'results.json');
  for (const name of asked) {
    const result = await measure(name);
    writeResults(path, { ...readResults(path), [name]: result });
    if (result.error !== null) process.exitCode = 1;
    print(`${textOf(name, { [name]: result })}\n`);
  }
  // what was measured here, else what the document says
  const results = readResults(existsSync(path) ? path : join('docs', 'performance.json'));
  print(`${goalsText(allFigures(results))}\n`);
  for (const [name, { error }] of Object.entries(results)) if (error !== null) say(`${name}: ${error}`);
  if (flags.quick) say('this was a quick run: no goal is met or missed by it');
  if (flags.write) writeDocuments(results);
}

function rounds(wanted: number): number {
  if (flags.once) return 1;
  return flags.quick ? Math.min(2, wanted) : wanted;
}

/** Runs one section. What it throws is part of the result, so that the others still run. */
async function measure(name: string): Promise<SectionResult> {
  const directory = mkdtempSync(join(tmpdir(), `${name}-`));
  const notebook = new Notebook();
  const [at, begun] = [new Date().toISOString(), performance.now()];
  let error: string | null = null;
  try {
    await SECTIONS.get(name)?.({ quick: flags.quick, rounds, directory, notebook });
  } catch (cause) {
    error = cause instanceof Error ? cause.message : String(cause);
    say(`${name}: ${cause instanceof Error ? cause.stack : error}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const seconds = Math.round((performance.now() - begun) / 1000);
  say(`${name}: ${seconds} s`);
  return { at, seconds, machine: machine(), figures: notebook.figures, error };
}
