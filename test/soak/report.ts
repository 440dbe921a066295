/** docs/soak.md: what a run has shown, between marks. */
import { cpus, release } from 'node:os';
import { ALL_WAYS } from './plan.ts';
import { median, percentile, quartersOf } from './samples.ts';
import type { Ended } from './outcomes.ts';
import type { Soaked } from './soak.ts';

const line = (...cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [
    line(...head),
    line(...head.map((_, at) => (at === 0 ? '---' : '--:'))),
    ...rows.map((row) => line(...row)),
  ].join('\n');

const mib = (kib: number): string => (kib / 1024).toFixed(1);
const seconds = (value: number): string => value.toFixed(1);

/** The document with this run at its marks. */
export function withReport(document: string, soaked: Soaked, date: Date): string {
  const marks = /(<!-- soak -->\n)[^]*?(<!-- \/soak -->)/;
  return document.replace(
    marks,
    (_, open: string, close: string) => `${open}\n${reportText(soaked, date)}\n\n${close}`,
  );
}

/** Everything of a run, as Markdown. */
export function reportText(soaked: Soaked, date: Date): string {
  return [
    runText(soaked, date),
    verdictText(soaked),
    '### How builds ended',
    endsText(soaked.ended),
    reasonsText(soaked.ended),
    '### Kills',
    killsText(soaked),
    '### How long a release took',
    waitsText(soaked),
    '### Memory, descriptors, threads',
    ...memoryTexts(soaked),
    '### What was looked at in the end',
    checksText(soaked),
  ].join('\n\n');
}

function runText({ options, begun, seconds: took, strays, ...run }: Soaked, date: Date): string {
  const [cpu] = cpus();
  const machine = `${cpus().length} cores (${cpu?.model.trim() ?? 'unknown'}), Linux ${release()}, Node ${process.versions.node}`;
  return `${date.toISOString().slice(0, 10)}, seed ${options.seed}, on ${machine}. ${begun} builds in ${Math.round(took / 60)} minutes, up to ${options.atOnce} at work at a time. Their builders were ${run.processes} processes of \`attest\`, and ${run.inProcess} runs of the library that it calls; ${run.programs} times \`approve\`, \`endorse\` or \`revoke\` ran as a process, else the library did. The log has ${run.entries} entries. ${strays} approvals reached L though their answer did not reach the operator, who approved again; nobody endorsed them.`;
}

/** The sentence that a reader wants first. */
export function verdictText({ checks }: Soaked): string {
  const problems = checks.flatMap((check) => check.problems);
  if (problems.length === 0) return '**All of it held.**';
  return `**${problems.length} things did not hold**: see the end.`;
}

function endsText(ended: readonly Ended[]): string {
  const outcomes = [...new Set(ended.map(({ outcome }) => outcome))].sort();
  const of = (way: string): Ended[] => ended.filter(({ begun }) => begun.plan.way === way);
  const rows = ALL_WAYS.filter((way) => of(way).length > 0).map((way) => [
    way,
    of(way).length,
    ...outcomes.map((outcome) => of(way).filter((each) => each.outcome === outcome).length || ''),
  ]);
  const sums = outcomes.map((outcome) => ended.filter((each) => each.outcome === outcome).length);
  return table(['way', 'builds', ...outcomes], [...rows, ['**all**', ended.length, ...sums]]);
}

/** By scheme, quorum and mode; what the log says of those that are no release. */
function reasonsText(ended: readonly Ended[]): string {
  const count = (keyOf: (each: Ended) => string): string => {
    const counts = new Map<string, number>();
    for (const each of ended) counts.set(keyOf(each), (counts.get(keyOf(each)) ?? 0) + 1);
    return [...counts]
      .sort(([, a], [, b]) => b - a)
      .map(([key, n]) => `${key} ${n}`)
      .join(', ');
  };
  return [
    `By scheme: ${count(({ begun }) => begun.plan.scheme)}. Builders that had to agree: ${count(({ begun: { plan } }) => `${plan.quorum} of ${plan.builders}`)}. By mode: ${count(({ begun }) => begun.plan.mode)}.`,
    'What `one approver` is: sealed, and never allowed by a second person; its reason is `approval-waits`, and H writes nothing of it into the log.',
  ].join(' ');
}

function killsText({ kills, starts, cuts }: Soaked): string {
  const rows = (['L', 'H', 'M'] as const).map((name) => {
    const { SIGKILL, SIGTERM } = kills[name];
    return [name, SIGKILL, SIGTERM, name === 'M' ? 'the same ticket again' : `${starts[name]} starts`];
  });
  return `${table(['process', 'SIGKILL', 'SIGTERM', 'then'], rows)}\n\nBesides, ${cuts} uploads were cut on the line.`;
}

function waitsText({ waits }: Soaked): string {
  const rows = (['chaos', 'calm'] as const).map((part) => {
    const all = waits[part];
    const name = part === 'chaos' ? 'while L and H were killed' : 'while they lived';
    if (all.length === 0) return [name, 0, '', '', ''];
    return [name, all.length, seconds(median(all)), seconds(percentile(all, 95)), seconds(Math.max(...all))];
  });
  const head = ['sealed and allowed, to published; seconds', 'builds', 'median', '95 of 100', 'longest'];
  return table(head, rows);
}

const PLOT = { width: 60, height: 8 } as const;

function memoryTexts({ samples, idleFds }: Soaked): string[] {
  return (['L', 'H'] as const).flatMap((name) => {
    const all = samples[name];
    const rows = quartersOf(all).map((quarter, at) => [
      `${at + 1}`,
      ...[mib(quarter.rssKiB), mib(quarter.peakKiB), quarter.fds, quarter.threads, quarter.cpu.toFixed(2)],
    ]);
    const head = [`${name}, quarter`, 'memory, MiB', 'most so far', 'descriptors', 'threads', 'cores'];
    const [before, after] = idleFds[name];
    return [
      table(head, rows),
      `Medians of ${all.length} samples, without a kill. Descriptors at rest: ${before} after the start, ${after} at the end.`,
      `\`\`\`\n${plot(
        all.map(({ rssKiB }) => rssKiB / 1024),
        'MiB',
      )}\n\`\`\``,
    ];
  });
}

/** Values over time, in characters. */
export function plot(values: readonly number[], unit: string): string {
  const { width, height } = PLOT;
  const most = Math.max(...values, 1);
  const columns = Array.from({ length: Math.min(width, values.length) }, (_, at) => {
    const size = values.length / Math.min(width, values.length);
    return median(
      values.slice(Math.floor(at * size), Math.max(Math.floor((at + 1) * size), Math.floor(at * size) + 1)),
    );
  });
  return Array.from({ length: height }, (_, row) => {
    const floor = (most * (height - row - 1)) / height;
    const label = `${((most * (height - row)) / height).toFixed(0)} ${unit}`.padStart(9);
    return `${label} ${columns
      .map((value) => (value > floor ? '█' : ' '))
      .join('')
      .trimEnd()}`;
  }).join('\n');
}

const PROBLEMS_SHOWN = 20;

function checksText({ checks }: Soaked): string {
  return checks
    .map(({ what, problems }) => {
      const shown = problems
        .slice(0, PROBLEMS_SHOWN)
        .map((each) => `  - ${each.replace(/\s+/g, ' ').slice(0, 400)}`);
      const more = problems.length - shown.length;
      return [
        `- ${problems.length === 0 ? '' : '**Not so:** '}${what}`,
        ...shown,
        ...(more > 0 ? [`  - and ${more} more`] : []),
      ].join('\n');
    })
    .join('\n');
}
