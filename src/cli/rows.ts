/** Rows of a summary that several commands show, for `alignColumns`. */
import type { Source } from '../records/approval.ts';
import { alignColumns, spaced, whole, yellow } from './text.ts';
import type { Part } from './text.ts';

/** A key: its fingerprint, and the user id below, which may be long. */
export const keyRows = (
  label: string,
  { fingerprint, userId }: { readonly fingerprint: string; readonly userId: string },
): Part[][] => [
  [label, spaced(fingerprint)],
  ['', userId],
];

/** The rows as lines, for somebody who is about to sign what they say. */
export const linesToSign = (rows: readonly (readonly Part[])[]): Part[][] =>
  alignColumns(rows.map((row) => row.map(whole)));

export const sourceRow = (source: Source | null): Part[] =>
  source === null
    ? ['', yellow('source not stated')]
    : ['source', `${source.uri} at ${source.digest.gitCommit}`];
