/** A write as every rule of the gate is asked about it. */
import { conflict } from '../../failure.ts';
import type { BuildId } from '../../records/names.ts';
import { buildPath } from '../../records/paths.ts';
import type { View } from '../view.ts';
import { readDecided } from './decided.ts';
import type { Decided } from './decided.ts';
import type { GateRules } from './rules.ts';
import type { Bearer } from './token.ts';
import { deniedBy } from './verdict.ts';
import type { Denied } from './verdict.ts';

export interface Write {
  readonly rules: GateRules;
  readonly build: BuildId;
  /** The files of the write that the rule is asked about, by path below `builds/<build>/`. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly bearer: Bearer;
  /** The build's directory as it is. */
  readonly before: View;
  /** The build's directory as it would be with the whole write in it. */
  readonly after: Pick<View, 'read'>;
  /** What the log has decided as far as `before` shows, where whoever asks has read it already. */
  readonly decided: Decided | null;
  readonly now: Date;
}

/** What is known to be decided on the build of a write, else what the write itself brings. */
export const decidedFor = async ({ rules, build, after, decided }: Write): Promise<Decided | null> =>
  decided ?? readDecided(rules, build, after);

/** 409 when one of the files is there with other bytes; null when none is. */
export async function otherBytes(
  write: Write,
  files: Iterable<readonly [string, Buffer]>,
): Promise<Denied | null> {
  const other = await findFile(
    files,
    async ([name, bytes]) => (await compare(write.before, name, bytes)) === 'other',
  );
  return other === null ? null : deniedBy(conflict(buildPath(write.build, other[0])), 409);
}

/** Whether all of them are there with their bytes. */
export async function isThere(before: View, files: ReadonlyMap<string, Buffer>): Promise<boolean> {
  const lacking = async ([name, bytes]: readonly [string, Buffer]): Promise<boolean> =>
    (await compare(before, name, bytes)) !== 'same';
  return (await findFile(files, lacking)) === null;
}

/** How many files are looked at together. */
const LOOKS = 128;

/** The first for which it is true. */
async function findFile<File>(
  files: Iterable<File>,
  is: (file: File) => Promise<boolean>,
): Promise<File | null> {
  const all = [...files];
  // most often the first says it
  for (let at = 0, count = 1; at < all.length; at += count, count = LOOKS) {
    const some = all.slice(at, at + count);
    const found = (await Promise.all(some.map(is))).indexOf(true);
    if (found >= 0) return some[found] ?? null;
  }
  return null;
}

/** Whether the file is there with these bytes. One of another size is not read: a byte may be held against 64 MiB. */
export async function compare(before: View, name: string, bytes: Buffer): Promise<'none' | 'same' | 'other'> {
  const size = await before.size(name);
  if (size === null) return 'none';
  return size === bytes.length && (await before.read(name))?.equals(bytes) === true ? 'same' : 'other';
}
