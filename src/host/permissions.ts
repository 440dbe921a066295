/** Who may change what lies at a path. An edge to the system. */
import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';

const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * The file, or the directory on the way to it, links followed one by one, that everybody on this host may write; null
 * for none. In a directory like /tmp nobody replaces what is another's. Throws what the system says.
 */
export function openToAll(path: string): string | null {
  return findOnTheWay(path, (status) => {
    if (status.isSymbolicLink() || (status.mode & OTHERS_WRITE) === 0) return false;
    return !status.isDirectory() || (status.mode & STICKY) === 0;
  });
}

/** As `openToAll`, for what belongs to another user. */
export function foreign(path: string): string | null {
  return findOnTheWay(path, (status) => !isOurs(status));
}

/** Whether it belongs to this process's user, or to root, who may do anything. */
export function isOurs({ uid }: Stats): boolean {
  // in a user namespace root may have another number: that of whoever has /
  return uid === process.geteuid?.() || uid === 0 || uid === statSync('/').uid;
}

function findOnTheWay(path: string, wrong: (status: Stats) => boolean): string | null {
  const place = resolve(path);
  const parent = dirname(place);
  const above = parent === place ? null : findOnTheWay(parent, wrong);
  if (above !== null) return above;
  const status = lstatSync(place);
  if (wrong(status)) return place;
  if (!status.isSymbolicLink()) return null;
  return findOnTheWay(resolve(realpathSync(parent), readlinkSync(place)), wrong);
}
