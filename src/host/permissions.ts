/** Who may change what lies at a path. An edge to the system. */
import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * The file, or the directory on the way to it, links followed one by one, that everybody on this host may write; null
 * for none. In a directory like /tmp nobody replaces what is another's. Throws what the system says.
 */
export function openToAll(path: string): string | null {
  const place = resolve(path);
  const parent = dirname(place);
  const above = parent === place ? null : openToAll(parent);
  if (above !== null) return above;
  const status = lstatSync(place);
  if (status.isSymbolicLink()) return openToAll(resolve(realpathSync(parent), readlinkSync(place)));
  if ((status.mode & OTHERS_WRITE) === 0) return null;
  return status.isDirectory() && (status.mode & STICKY) !== 0 ? null : place;
}
