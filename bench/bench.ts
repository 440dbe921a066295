/** `npm run bench`: the sections that were asked for, one after the other, then every goal. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { curves } from './curves.ts';
import { depot } from './depot.ts';
import { digest } from './digest.ts';
import { large } from './large.ts';
import { log } from './log.ts';
import { machine } from './machine.ts';
import { many } from './many.ts';
import { Notebook } from './measure.ts';
import { parallel } from './parallel.ts';
import { fill, goalsText, sectionText } from './report.ts';
import { allFigures, readResults, writeResults } from './results.ts';
import type { Results, SectionResult } from './results.ts';
import { curvePlot, curveText } from './scaling.ts';
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
    print(`${name === 'curves' ? curvesText(result.figures) : sectionText(name, result.figures)}\n`);
  }
  const results = readResults(path);
  print(`${goalsText(allFigures(results))}\n`);
  for (const [name, { error }] of Object.entries(results)) if (error !== null) say(`${name}: ${error}`);
  if (flags.quick) say('this was a quick run: no goal is met or missed by it');
  say(`results: ${path}`);
  if (flags.write) write(path, results);
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
    error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    say(`${name}: ${error}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const seconds = Math.round((performance.now() - begun) / 1000);
  say(`${name}: ${seconds} s`);
  return { at, seconds, machine: machine(), figures: notebook.figures, error };
}

function curvesText(figures: Results[string]['figures']): string {
  return `${curveText('size', figures)}\n\n${curveText('count', figures)}`;
}

/** Puts the results into the document, and beside it. */
function write(path: string, results: Results): void {
  const figures = allFigures(results);
  const texts = {
    goals: goalsText(figures),
    machine: [...new Set(Object.values(results).map((each) => each.machine))]
      .map((each) => `${each}.`)
      .join('\n'),
    size: curveText('size', figures),
    count: curveText('count', figures),
    ...Object.fromEntries([...SECTIONS.keys()].map((name) => [name, sectionText(name, figures)])),
  };
  const document = join('docs', 'performance.md');
  writeFileSync(document, fill(readFileSync(document, 'utf8'), texts));
  copyFileSync(path, join('docs', 'performance.json'));
  for (const axis of ['size', 'count'] as const)
    writeFileSync(join('docs', `performance-${axis}.svg`), curvePlot(axis, figures));
}
