/** What targets say of what they have read. */
import { readFileSync } from 'node:fs';

/** One of the real inputs in `seeds/`; SOURCE.md there says how they were made. */
export const seed = (name: string): Buffer => readFileSync(new URL(`seeds/${name}`, import.meta.url));

/** Throws unless both are the same bytes. */
export function same(
  written: Buffer | string,
  read: Buffer | string,
  what = 'comes back as other bytes',
): void {
  if (!Buffer.from(written).equals(Buffer.from(read))) throw new Error(what);
}

/** Throws if this is not so. */
export function holds(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
