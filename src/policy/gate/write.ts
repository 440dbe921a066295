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
  for (const [name, bytes] of files) {
    if ((await compare(write.before, name, bytes)) === 'other')
      return deniedBy(conflict(buildPath(write.build, name)), 409);
  }
  return null;
}

/** Whether the file is there with these bytes. One of another size is not read: a byte may be held against 64 MiB. */
export async function compare(before: View, name: string, bytes: Buffer): Promise<'none' | 'same' | 'other'> {
  const size = await before.size(name);
  if (size === null) return 'none';
  return size === bytes.length && (await before.read(name))?.equals(bytes) === true ? 'same' : 'other';
}
