/** Counters, gauges and histograms, and how Prometheus reads them (its text format, version 0.0.4). */

export type Labels = Readonly<Record<string, string>>;
/** A value, or one for each set of labels. */
export type Values = number | Iterable<readonly [Labels, number]>;

type Kind = 'counter' | 'gauge' | 'histogram';

interface Family {
  readonly kind: Kind;
  readonly help: string;
  readonly samples: () => Iterable<readonly [suffix: string, labels: Labels, value: number]>;
}

/** What a scrape is served as. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export class Registry {
  readonly #families = new Map<string, Family>();

  /** A counter that is added to; without labels it begins at 0, with them each set is there once it was counted. */
  counter(name: string, help: string, start: readonly Labels[] = [{}]): Counter {
    const counter = new Counter(start);
    this.#add(name, { kind: 'counter', help, samples: () => plain(counter.values()) });
    return counter;
  }

  /** A counter or gauge that is asked for its value at each scrape. */
  read(kind: 'counter' | 'gauge', name: string, help: string, read: () => Values): void {
    const values = (): Iterable<readonly [Labels, number]> => {
      const found = read();
      return typeof found === 'number' ? [[{}, found]] : found;
    };
    this.#add(name, { kind, help, samples: () => plain(values()) });
  }

  /** Counts observations by the smallest of `bounds` that they do not exceed. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const histogram = new Histogram(bounds);
    this.#add(name, { kind: 'histogram', help, samples: () => histogram.samples() });
    return histogram;
  }

  /** All of it, as a scrape gets it. */
  text(): string {
    const lines: string[] = [];
    for (const [name, { kind, help, samples }] of this.#families) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
      for (const [suffix, labels, value] of samples())
        lines.push(`${name}${suffix}${shown(labels)} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }

  #add(name: string, family: Family): void {
    if (this.#families.has(name)) throw new Error(`two metrics are called ${name}`);
    this.#families.set(name, family);
  }
}

export class Counter {
  readonly #values = new Map<string, [Labels, number]>();

  constructor(start: readonly Labels[]) {
    for (const labels of start) this.add(0, labels);
  }

  add(amount: number, labels: Labels = {}): void {
    const key = shown(labels);
    const known = this.#values.get(key);
    if (known) known[1] += amount;
    else this.#values.set(key, [labels, amount]);
  }

  values(): Iterable<readonly [Labels, number]> {
    return this.#values.values();
  }
}

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, { labels: Labels; counts: number[]; sum: number }>();

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  observe(value: number, labels: Labels = {}): void {
    const key = shown(labels);
    const series = this.#series.get(key) ?? { labels, counts: this.#bounds.map(() => 0).concat(0), sum: 0 };
    this.#series.set(key, series);
    const at = this.#bounds.findIndex((bound) => value <= bound);
    const slot = at === -1 ? this.#bounds.length : at;
    series.counts[slot] = (series.counts[slot] ?? 0) + 1;
    series.sum += value;
  }

  *samples(): Iterable<readonly [string, Labels, number]> {
    for (const { labels, counts, sum } of this.#series.values()) {
      let count = 0;
      for (const [at, more] of counts.entries()) {
        count += more;
        yield ['_bucket', { ...labels, le: String(this.#bounds[at] ?? '+Inf') }, count];
      }
      yield ['_sum', labels, sum];
      yield ['_count', labels, count];
    }
  }
}

function* plain(values: Iterable<readonly [Labels, number]>): Iterable<readonly ['', Labels, number]> {
  for (const [labels, value] of values) yield ['', labels, value];
}

/** `{a="1",b="2"}`; nothing for no labels. */
const shown = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
};
