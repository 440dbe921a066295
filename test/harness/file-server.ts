/** A plain web server of a directory, as people publish a copy of a log: it knows nothing of what it serves. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

/** On a free port of loopback. 404 for what is not there. */
export async function serveFiles(directory: string): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    readFile(join(directory, decodeURIComponent(request.url ?? '/'))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, close };
}
