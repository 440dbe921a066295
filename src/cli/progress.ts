/** Progress of whatever lasts over a second: how much, how fast, how long still. */
import { formatSize } from './text.ts';
import type { Terminal } from './terminal.ts';

const BETWEEN_UPDATES_MS = 100;

export class Progress {
  readonly #terminal: Terminal;
  readonly #label: string;
  readonly #started = performance.now();
  #shown = performance.now();

  /** `label` says what is done, lower case: `hashing`. */
  constructor(terminal: Terminal, label: string) {
    this.#terminal = terminal;
    this.#label = label;
  }

  /** `done` of `total` bytes; `detail` is the file at hand; `had` of what is done took no time. Call as often as you like. */
  update(done: number, total: number, detail = '', had = 0): void {
    this.#show((elapsedMs) => progressText(this.#label, done, total, elapsedMs, formatSize, detail, had));
  }

  /** As `update`, of things that are counted. */
  count(done: number, total: number, detail = ''): void {
    this.#show((elapsedMs) => progressText(this.#label, done, total, elapsedMs, String, detail));
  }

  finish(): void {
    this.#terminal.status('');
  }

  #show(text: (elapsedMs: number) => string): void {
    const now = performance.now();
    if (now - this.#started < 1_000 || now - this.#shown < BETWEEN_UPDATES_MS) return;
    this.#shown = now;
    this.#terminal.status(text(now - this.#started));
  }
}

/** `hashing 1.2 GiB of 4 GiB, 30%, 512 MiB/s, 6 s left  disk.iso` */
export function progressText(
  label: string,
  done: number,
  total: number,
  elapsedMs: number,
  show: (amount: number) => string,
  detail = '',
  had = 0,
): string {
  const rate = ((done - had) / elapsedMs) * 1_000;
  const percent = total > 0 ? Math.floor((done / total) * 100) : 100;
  const parts = [`${label} ${show(done)} of ${show(total)}`, `${percent}%`, `${show(Math.round(rate))}/s`];
  if (rate > 0 && done < total) parts.push(`${formatSeconds((total - done) / rate)} left`);
  return `${parts.join(', ')}${detail === '' ? '' : `  ${detail}`}`;
}

/** `6 s`, `3 min`, `2 h`: rounded up, a person waits for it. */
function formatSeconds(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5_400) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.ceil(seconds / 3_600)} h`;
}
