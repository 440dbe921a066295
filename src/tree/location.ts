/** Where a depot is: behind a URL, or in a directory of this host. */
import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { usage } from '../failure.ts';

export type Location =
  { readonly kind: 'url'; readonly url: string } | { readonly kind: 'directory'; readonly directory: string };

/** `http://…` or `https://…`, without slashes at its end; `file:///…`, or anything else as a path. Throws usage(`depot-url`). */
export function parseLocation(text: string): Location {
  if (/^https?:\/\//i.test(text)) return { kind: 'url', url: text.replace(/\/+$/, '') };
  if (/^(?!file:)[a-z][a-z0-9+.-]*:\//i.test(text))
    throw usage(
      'depot-url',
      `${text} is no URL of a depot`,
      'https://…, http://…, or a directory; one whose name looks like a URL begins with ./',
    );
  const directory = /^file:/i.test(text) ? filePath(text) : resolve(text);
  return { kind: 'directory', directory };
}

/** One URL for it, as tickets and statements name a depot. */
export const locationUrl = (location: Location): string =>
  location.kind === 'url' ? location.url : pathToFileURL(location.directory).href;

function filePath(url: string): string {
  try {
    const path = fileURLToPath(url);
    if (isAbsolute(path)) return resolve(path);
  } catch {
    // said below
  }
  throw usage('depot-url', `${url} is no directory of this host`, 'give its path');
}
