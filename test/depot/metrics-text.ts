/** Prometheus's text format, read strictly: what is not exactly as it should be is an error. */
import { expect } from 'vitest';

export interface Family {
  readonly kind: string;
  readonly help: string;
  /** Each sample: its name, its labels as they are written, its value. */
  readonly samples: readonly (readonly [name: string, labels: string, value: number])[];
}

const NAME = '[a-z][a-z0-9_]*';
const LABELS = String.raw`(?:\{${NAME}="(?:[^"\\\n]|\\["\\n])*"(?:,${NAME}="(?:[^"\\\n]|\\["\\n])*")*\})?`;
const SAMPLE = new RegExp(`^(${NAME})(${LABELS}) (-?[0-9.]+(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)$`);

/** All families of a scrape. Throws for what Prometheus would not take, or would take otherwise than it is meant. */
export function parseMetrics(text: string): Map<string, Family> {
  expect(text.endsWith('\n')).toBe(true);
  const families = new Map<string, Family>();
  const lines = text.slice(0, -1).split('\n');
  for (let at = 0; at < lines.length;) {
    const [, name = '', help = ''] = /^# HELP ([a-z0-9_]+) ([^\\]+)$/.exec(lines[at] ?? '') ?? [];
    const [, same, kind = ''] =
      /^# TYPE ([a-z0-9_]+) (counter|gauge|histogram)$/.exec(lines[at + 1] ?? '') ?? [];
    if (name === '' || same !== name || families.has(name))
      throw new Error(`no family begins at: ${lines[at]}`);
    const samples: [string, string, number][] = [];
    for (at += 2; at < lines.length && !lines[at]?.startsWith('#'); at += 1) {
      const [, sample = '', labels = '', value = ''] = SAMPLE.exec(lines[at] ?? '') ?? [];
      const suffix = sample.slice(name.length);
      const allowed = kind === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (!sample.startsWith(name) || !allowed.includes(suffix))
        throw new Error(`no sample of ${name}: ${lines[at]}`);
      samples.push([sample, labels, Number(value.replace('Inf', 'Infinity'))]);
    }
    const keys = samples.map(([sample, labels]) => sample + labels);
    expect(new Set(keys).size, name).toBe(keys.length);
    if (kind === 'counter') expect(name).toMatch(/_total$/);
    if (kind !== 'gauge') for (const [, , value] of samples) expect(value, name).toBeGreaterThanOrEqual(0);
    if (kind === 'histogram') expectHistogram(name, samples);
    families.set(name, { kind, help, samples });
  }
  return families;
}

/** Buckets grow, the last one has all, and each series has its sum. */
function expectHistogram(name: string, samples: Family['samples']): void {
  const counts = samples.filter(([sample]) => sample === `${name}_count`);
  expect(samples.filter(([sample]) => sample === `${name}_sum`).length).toBe(counts.length);
  for (const [, labels, count] of counts) {
    const own = labels === '' ? '{' : `${labels.slice(0, -1)},`;
    const buckets = samples.filter(
      ([sample, each]) => sample === `${name}_bucket` && each.startsWith(`${own}le=`),
    );
    const values = buckets.map(([, , value]) => value);
    expect(values, `${name}${labels}`).toEqual([...values].sort((a, b) => a - b));
    expect(buckets.at(-1)?.[1]).toBe(`${own}le="+Inf"}`);
    expect(values.at(-1)).toBe(count);
  }
}
