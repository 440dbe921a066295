/** Servers that lie, stall and flood: raw sockets, each answer written by hand; and the client to meet them. */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { afterEach } from 'vitest';
import { HttpClient } from '../../src/host/http.ts';
import type { HttpRequest, HttpTiming } from '../../src/host/http.ts';

const TIMING: Partial<HttpTiming> = {
  connectMs: 300,
  answerMs: 300,
  idleMs: 300,
  graceMs: 200,
  bytesPerSecond: 1000,
  backOffMs: [1, 1, 1],
};
export const GET: HttpRequest = { method: 'GET', path: 'x' };

/** What ends after each test. */
export const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const end of cleanUp.splice(0)) end();
});

export interface Raw {
  readonly url: string;
  /** What came in, a text for each connection. */
  readonly requests: string[];
}

/** Answers the head of each request with `answer`; the n-th connection gets the n-th answer, the last one again. */
export async function raw(...answers: (string | ((socket: Socket) => void))[]): Promise<Raw> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const index = requests.push('') - 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const before = requests[index] ?? '';
      requests[index] = before + chunk.toString('latin1');
      if (before.includes('\r\n\r\n') || !requests[index].includes('\r\n\r\n')) return;
      const answer = answers[Math.min(index, answers.length - 1)] ?? '';
      if (typeof answer === 'string') socket.write(answer);
      else answer(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, requests };
}

export function client(url: string, insecureHttp = false): HttpClient {
  const made = new HttpClient(url, { insecureHttp, timing: TIMING });
  cleanUp.push(() => made.close());
  return made;
}

/** An answer that is as it should be, with more headers or without. */
export const ok = (body: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
export const get = async (server: Raw, maxBytes = 1000): Promise<string> =>
  (await client(server.url).read(GET, maxBytes)).bytes.toString();
