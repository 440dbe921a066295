/** A file of a depot, from another thread than the depot's. */
import { HttpClient } from '../host/http.ts';
import { DirectoryTree } from './directory.ts';
import type { Place, Update } from './tree.ts';

/**
 * As `Depot.scan`, of the file at a place that a depot gave. Null, too, where a depot answers anything but the file: why is
 * for the depot's own thread to ask.
 */
export async function scanPlace(place: Place, size: number, update: Update): Promise<number | null> {
  if ('directory' in place) return (await DirectoryTree.open(place.directory)).scan(place.path, size, update);
  const { url, insecureHttp, timing, request } = place;
  const head = await new HttpClient(url, { insecureHttp, timing }).scan(request, size, update);
  return head.status === 200 ? head.size : null;
}
