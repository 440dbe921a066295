/** What lies in a depot's `.tmp` beside its locks: nothing, when all has come to its end. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

const LOCKS = ['lock', 'pieces', 'repair', 'replacing'];

/** The names there, without those that are there to be locked. */
export async function litterOf(depot: string): Promise<string[]> {
  return (await readdir(join(depot, '.tmp'))).filter((name) => !LOCKS.includes(name));
}
