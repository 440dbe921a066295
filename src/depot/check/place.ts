/** Where a build's records lie, and how it is said what each of them should be. */
import type { Sha256 } from '../../records/names.ts';
import { VARIANTS } from '../../records/paths.ts';
import type { Variant } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import type { Expected, Problem } from './expected.ts';
import type { Facts } from './facts.ts';

/** One of the two places of a build's records: below `builds/`, or its release's `countersign/`. */
export interface Place {
  readonly facts: Facts;
  /** The path of a file of the build here. */
  readonly at: (file: string) => string;
  /** Names below the build that are there. */
  readonly there: ReadonlySet<string>;
  /** A release has one statement and one enrolment a slot, those that were believed. */
  readonly isRelease: boolean;
}

export const variantsOf = ({ isRelease }: Place): readonly Variant[] => (isRelease ? [1] : VARIANTS);

export const LOG = 'the log';

export function expected(
  place: Place,
  file: string,
  is: Expected['is'],
  needed: string | null,
  more: { readonly sources?: readonly string[]; readonly make?: Expected['make'] } = {},
): Expected {
  const sources = [...place.facts.places(file), ...(more.sources ?? [])];
  const path = place.at(file);
  return { path, is, needed, sources: sources.filter((other) => other !== path), make: more.make };
}

export const digest = (sha256: Sha256, by: string): Expected['is'] => ({ sha256, size: null, by });

export const apart = (one: string, other: string): Problem => ({
  code: 'signature',
  text: `it and ${other} do not go together: ${one === other ? 'it' : 'one of the two'} is damaged`,
});

/** Good if the log names it, else if it passes. */
export const namedOr =
  ({ digests }: Facts, passes: (bytes: Buffer) => Problem | null) =>
  (bytes: Buffer): Problem | null =>
    digests.has(sha256Hex(bytes)) ? null : passes(bytes);
