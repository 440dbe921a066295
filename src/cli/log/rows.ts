/** A table of any length: aligned, and never all of it in memory. */
import type { Terminal } from '../terminal.ts';
import { escapeText } from '../text.ts';
import type { Part } from '../text.ts';

const AT_ONCE = 1_000;

export class Rows {
  readonly #terminal: Terminal;
  readonly #widths: number[] = [];
  #rows: (readonly Part[])[] = [];

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** A row; each has as many cells as the others, but for empty ones at its end. */
  add(cells: readonly Part[]): void {
    this.#rows.push(cells.slice(0, cells.findLastIndex((cell) => cell !== '') + 1));
    if (this.#rows.length === AT_ONCE) this.end();
  }

  /** Shows what has not been shown yet. Columns keep their width. */
  end(): void {
    for (const row of this.#rows)
      row.forEach((cell, i) => (this.#widths[i] = Math.max(this.#widths[i] ?? 0, widthOf(cell))));
    for (const row of this.#rows)
      this.#terminal.result(
        ...row.flatMap((cell, i) =>
          i === row.length - 1 ? [cell] : [cell, ' '.repeat((this.#widths[i] ?? 0) - widthOf(cell) + 2)],
        ),
      );
    this.#rows = [];
  }
}

const widthOf = (cell: Part): number => escapeText(typeof cell === 'string' ? cell : cell.text).length;
