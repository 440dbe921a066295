/**
 * The matrix in docs/faults.md is what the tests try: the same rows, a cell for each fault, none empty. The tables are
 * made from the rows; on a difference the right ones are shown.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { COLUMNS, isSwept } from './row.ts';
import type { Column, Outcome, Row } from './row.ts';
import {
  APPROVE,
  ATTEST,
  DIRECTORY,
  DISKS,
  INIT,
  RECOVER,
  REFUSE,
  REPAIR,
  SERVE,
  SIGN,
  STATUS,
  VERIFY,
} from './rows.ts';
import { ENROL, QUORUM, REVOKE, TRUST_DISKS } from './trust-rows.ts';

/** Every row, with the file of its test, in the order of the document. */
const ROWS: readonly (readonly [file: string, rows: readonly Row[]])[] = [
  ['init', INIT],
  ['approve', APPROVE],
  ['attest', ATTEST],
  ['serve', SERVE],
  ['repair', REPAIR],
  ['sign', SIGN],
  ['refuse', REFUSE],
  ['recover', RECOVER],
  ['directory', DIRECTORY],
  ['read', [...VERIFY, ...STATUS]],
  ['enrol', ENROL],
  ['revoke', REVOKE],
  ['quorum', QUORUM],
];
const ALL_DISKS = [...DISKS, ...TRUST_DISKS];

const file = new URL('../../docs/faults.md', import.meta.url);
const text = readFileSync(file, 'utf8');
const columns = Object.keys(COLUMNS) as Column[];

const WORDS: Readonly<Record<Outcome, string>> = {
  'goes on': 'goes on',
  'exit 3': '3, again',
  again: 'again',
  refuses: 'refuses',
};

/** A row of the document: the step, a cell a column, the full disk and the full table of inodes. */
function rendered(row: Row): string[] {
  const cells = columns.map((column) => {
    const outcome = row.cells[column];
    if (outcome === undefined) return '–';
    return isSwept(row, column) ? `${WORDS[outcome]} *` : WORDS[outcome];
  });
  // whatever takes room meets a disk without any
  const full = row.cells.ENOSPC === undefined ? '–' : WORDS['exit 3'];
  const disks = ALL_DISKS.filter(({ role }) => role === row.role);
  const marked = (swept: boolean): string => (full !== '–' && swept ? `${full} *` : full);
  const allSwept = disks.every(({ swept }) => swept === true);
  const inodesSwept = disks.every((disk) => disk.swept === true || disk.sweptInodes === true);
  return [row.step, ...cells, marked(allSwept), marked(inodesSwept)];
}

/** The cells of every table line under a heading. */
function tableBelow(heading: string): string[][] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
}

const roles = [...new Set(ROWS.flatMap(([, rows]) => rows.map(({ role }) => role)))];

describe.each(roles)('%s', (role) => {
  const rows = ROWS.flatMap(([, all]) => all.filter((row) => row.role === role));
  const [head = [], rule = [], ...body] = tableBelow(`\`${role}\``);

  test('the document has each row as the tests try it, and no other', () => {
    expect([head, rule.length]).toEqual([
      ['step', ...columns, 'disk full', 'inodes full'],
      columns.length + 3,
    ]);
    const wanted = rows.map((row) => `| ${rendered(row).join(' | ')} |`).join('\n');
    expect(body.map((cells) => `| ${cells.join(' | ')} |`).join('\n')).toBe(wanted);
  });

  test('no cell is empty', () => {
    for (const cells of body) {
      expect(cells).toHaveLength(columns.length + 3);
      expect(cells.filter((cell) => cell === '')).toEqual([]);
    }
  });

  test('whoever writes to a disk meets a full one', () => {
    const writes = rows.some(({ cells }) => cells.ENOSPC !== undefined);
    expect(ALL_DISKS.some((disk) => disk.role === role)).toBe(writes);
  });

  test('the tests that it names are there', () => {
    for (const [name, all] of ROWS) {
      if (!all.some((row) => row.role === role)) continue;
      expect(text).toContain(`\`${name}.test.ts\``);
      expect(readFileSync(new URL(`${name}.test.ts`, import.meta.url), 'utf8')).toMatch(/^testRows\(/m);
    }
    expect(new Set(rows.map(({ step }) => step)).size, 'a test a row').toBe(rows.length);
  });
});

/** For who changes the rows: `FAULTS=table npx vitest run test/faults/matrix.test.ts` prints the tables. */
test.runIf(process.env['FAULTS'] === 'table')('the tables', () => {
  for (const role of roles) {
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    const heads = ['step', ...columns, 'disk full', 'inodes full'];
    const rows = ROWS.flatMap(([, all]) => all.filter((row) => row.role === role));
    console.log(
      [
        `## \`${role}\``,
        line(heads),
        line(heads.map(() => '---')),
        ...rows.map((row) => line(rendered(row))),
      ].join('\n'),
    );
  }
});
