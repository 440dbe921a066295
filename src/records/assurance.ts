/** How many builders had to agree (protocol §2, quorum): the answer to a compromised builder, in two words. */
import { MAX_BUILDERS } from './approval.ts';
import type { Approval } from './approval.ts';
import { malformed, text } from './fields.ts';

/** `single-builder`, or `k-of-n` with its numbers. */
export type Assurance = 'single-builder' | `${number}-of-${number}`;

/** What a build of this approval is called: a quorum of one is a single builder, however many there are. */
export const assuranceOf = ({ quorum, builders }: Pick<Approval, 'quorum' | 'builders'>): Assurance =>
  quorum === 1 ? 'single-builder' : `${quorum}-of-${Object.keys(builders).length}`;

/** Reads one. Throws refused(`record-malformed`). */
export function toAssurance(value: unknown, where: string): Assurance {
  const word = text(value, where, 16);
  if (word === 'single-builder') return word;
  const [, quorum = '', builders = ''] = /^([1-9]\d?)-of-([1-9]\d?)$/.exec(word) ?? [];
  const [k, n] = [Number(quorum), Number(builders)];
  if (k < 2 || n < k || n > MAX_BUILDERS) throw malformed(where, 'neither single-builder nor k-of-n');
  return `${k}-of-${n}`;
}
