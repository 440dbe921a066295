/** The client against answers of servers that lie, stall and flood. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { HttpClient, bytesBody } from '../../src/host/http.ts';
import { collect } from '../../src/host/http-body.ts';
import { GET, cleanUp, client, get, ok, raw } from './raw-server.ts';

describe('an answer as it should be', () => {
  test('is read, and its status is data', async () => {
    expect(await client((await raw(ok('hello'))).url).read(GET, 5)).toEqual({
      status: 200,
      size: 5,
      bytes: Buffer.from('hello'),
      uploadOffset: null,
    });
    const missing = await raw('HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone');
    expect(await client(missing.url).read(GET, 100)).toMatchObject({ status: 404 });
  });

  test.each(['Transfer-Encoding: chunked\r\n\r\n4\r\nnone\r\n0\r\n\r\n', '\r\nnone'])(
    'that something is not there needs no length: %j',
    async (rest) => {
      const missing = await raw(`HTTP/1.1 404 Not Found\r\n${rest}`);
      const read = await client(missing.url).read(GET, 100);
      expect(read).toEqual({ status: 404, size: 0, bytes: Buffer.alloc(0), uploadOffset: null });
    },
  );

  test('is asked for as plain bytes, under the path of the base', async () => {
    const server = await raw(ok(''));
    await client(`${server.url}/depot`).read(
      { ...GET, path: 'builds/?after=0', accept: 'application/json' },
      10,
    );
    expect(server.requests[0]).toMatch(/^GET \/depot\/builds\/\?after=0 HTTP\/1.1\r\n/);
    expect(server.requests[0]).toMatch(/accept-encoding: identity\r\n/i);
    expect(server.requests[0]).not.toMatch(/authorization/i);
  });

  test('to HEAD has a size and no body', async () => {
    const server = await raw('HTTP/1.1 200 OK\r\nContent-Length: 123\r\n\r\n');
    expect(await client(server.url).read({ ...GET, method: 'HEAD' }, 0)).toMatchObject({
      status: 200,
      size: 123,
    });
  });

  test('can be streamed, and dropped half-way, without an end of the connection that others would notice', async () => {
    const server = await raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
      const more = (): void => {
        if (socket.writable && socket.write(Buffer.alloc(65_536))) setImmediate(more);
      };
      socket.on('drain', more);
      more();
    });
    const { size, stream } = await client(server.url).open(GET);
    expect(size).toBe(1_000_000_000);
    let seen = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      seen += chunk.length;
      if (seen > 300_000) break;
    }
    expect(stream.destroyed).toBe(true);
  });

  test('serves several requests on one connection', async () => {
    const server = await raw((socket) => {
      socket.write(ok('first'));
      socket.once('data', () => socket.write(ok('second')));
    });
    const http = client(server.url);
    expect((await http.read(GET, 10)).bytes.toString()).toBe('first');
    expect((await http.read(GET, 10)).bytes.toString()).toBe('second');
    expect(server.requests).toHaveLength(1);
  });
});

describe('a body that is collected', () => {
  const size = 5;
  async function* bytewise(of: string): AsyncGenerator<Buffer> {
    const one = Buffer.alloc(1);
    for (const byte of Buffer.from(of)) {
      one[0] = byte;
      yield await Promise.resolve(one);
    }
  }

  test('takes the room that it said, and keeps nothing of what brought it, byte by byte', async () => {
    expect((await collect(bytewise('hello'), size, size, 'x')).toString()).toBe('hello');
  });

  test('is not more than it said', async () => {
    await expect(collect(bytewise('hello!'), size, 10, 'x')).rejects.toMatchObject({ code: 'bad-answer' });
    await expect(collect(bytewise('hello'), size, 4, 'x')).rejects.toMatchObject({ code: 'too-large' });
  });
});

describe('what no depot answers ends at once', () => {
  const redirect = (status: number): string =>
    `HTTP/1.1 ${status} Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n`;
  test.each([
    ['a redirect 301', redirect(301)],
    ['a redirect 302', redirect(302)],
    ['a redirect 307', redirect(307)],
    ['not modified', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n'],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
    ['gzip', ok('hello', 'Content-Encoding: gzip\r\n')],
    ['even an encoding that is none', ok('hello', 'content-encoding: identity\r\n')],
    ['no length', 'HTTP/1.1 200 OK\r\n\r\nhello'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['chunks and a length', ok('hello', 'Transfer-Encoding: chunked\r\n')],
    ['a length twice', ok('hello', 'Content-Length: 5\r\n')],
    ['two lengths', ok('hello', 'Content-Length: 6\r\n')],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello'],
    ['a length with a sign', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello'],
    ['a length in hex', 'HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello'],
    ['a length beyond numbers', 'HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello'],
    ['more than the length', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello'],
    [
      'more than the length, and an end',
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhello',
    ],
    ['headers without end', `HTTP/1.1 200 OK\r\n${'X-Filler: 0123456789\r\n'.repeat(2000)}`],
    ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ])('%s', async (_what, answer) => {
    const server = await raw(answer);
    await expect(get(server)).rejects.toMatchObject({ kind: 'unable', code: 'bad-answer' });
    expect(server.requests).toHaveLength(1);
  });

  test('a body over the bound, before it is read', async () => {
    const server = await raw('HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n');
    await expect(get(server)).rejects.toMatchObject({ kind: 'unable', code: 'too-large' });
  });
});

describe('whoever is slow is left', () => {
  const drip = (socket: Socket, text: string, every: number): void => {
    let at = 0;
    const timer = setInterval(() => {
      if (!socket.writable || at === text.length) clearInterval(timer);
      else socket.write(text.charAt(at++));
    }, every);
  };
  const slow: [string, (socket: Socket) => void][] = [
    ['no answer', () => {}],
    ['the head of an answer byte by byte', (socket) => drip(socket, ok('hello'), 20)],
    [
      'interim answers without end',
      (socket) => drip(socket, 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100), 1),
    ],
    ['a body that stops', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')],
    [
      'a body byte by byte',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
        drip(socket, 'x'.repeat(1000), 20);
      },
    ],
  ];
  test.each(slow)('%s', async (_what, answer) => {
    const began = performance.now();
    await expect(get(await raw(answer))).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test('but a reader of ours may take its time', async () => {
    const server = await raw(ok('x'.repeat(500_000)));
    const { stream } = await client(server.url).open(GET);
    let seen = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      seen += chunk.length;
      await sleep(100);
    }
    expect(seen).toBe(500_000);
  });

  test('a server that does not take our body', async () => {
    const server = await raw((socket) => socket.pause());
    const body = bytesBody('application/octet-stream', Buffer.alloc(20_000_000));
    const sending = client(server.url).read({ method: 'PUT', path: 'x', body }, 100);
    await expect(sending).rejects.toMatchObject({ kind: 'unable', code: 'network' });
  });
});

describe('a broken connection is tried again', () => {
  const broken = (socket: Socket): void => void socket.destroy();
  const half = (socket: Socket): void =>
    void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
  const busy = 'HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy';

  test('and then heals', async () => {
    const server = await raw(broken, half, busy, ok('hello'));
    expect(await get(server)).toBe('hello');
    expect(server.requests).toHaveLength(4);
  });

  test('or is said, after a few attempts', async () => {
    for (const answer of [broken, half]) {
      const server = await raw(answer);
      await expect(get(server)).rejects.toMatchObject({ kind: 'unable', code: 'network' });
      expect(server.requests).toHaveLength(4);
    }
    const nobody = await raw();
    for (const end of cleanUp.splice(0)) end();
    await expect(get(nobody)).rejects.toMatchObject({
      ...{ kind: 'unable', code: 'network' },
      message: expect.stringContaining(`the connection to ${new URL(nobody.url).host} failed`),
    });
  });

  test('what a busy server says last is the answer', async () => {
    const server = await raw(busy);
    expect(await client(server.url).read(GET, 10)).toMatchObject({ status: 503, bytes: Buffer.from('busy') });
  });

  test('no sooner than the server wants, and no later than in half a minute', async () => {
    const after = (seconds: string): string =>
      `HTTP/1.1 429 Busy\r\nRetry-After: ${seconds}\r\nContent-Length: 0\r\n\r\n`;
    const server = await raw(after('1'), after('Mon, 23 Nov 2026 18:00:00 GMT'), after('86400'));
    const pauses: number[] = [];
    const asking = new HttpClient(server.url, {
      insecureHttp: false,
      timing: { backOffMs: [1, 1, 1] },
      broken: (failure, pauseMs) => {
        expect(failure?.message).toContain('is not ready: status 429 too many requests');
        pauses.push(pauseMs);
        if (pauses.length === 3) asking.close();
      },
    });
    const start = performance.now();
    await expect(asking.read(GET, 10)).rejects.toMatchObject({ code: 'network' });
    expect(performance.now() - start).toBeGreaterThanOrEqual(999);
    const [asked, nonsense, day] = pauses;
    expect(asked).toBeGreaterThanOrEqual(1000);
    expect(nonsense).toBeLessThan(2);
    expect(day).toBeGreaterThanOrEqual(30_000);
    expect(day).toBeLessThan(40_000);
  });

  test('a stream that breaks is an error, never an end', async () => {
    const { stream } = await client((await raw(half)).url).open(GET);
    await expect(stream.toArray()).rejects.toMatchObject({ kind: 'unable', code: 'network' });
  });

  test('but not by a client that was closed meanwhile', async () => {
    let end = (): void => {};
    const server = await raw(() => end());
    const closed = client(server.url);
    end = () => closed.close();
    await expect(closed.read(GET, 10)).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    expect(server.requests).toHaveLength(1);
  });

  test('an unknown host is not tried again', async () => {
    const unknown = client('http://unknown.invalid').read(GET, 10);
    await expect(unknown).rejects.toMatchObject({ kind: 'unable', code: 'network' });
  });
});
