/** Bytes pushed from one buffer, from servers that lie, stall and flood: as strict as the ordinary client, and faster. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { cleanUp, client, ok, raw } from './raw-server.ts';
import type { Raw } from './raw-server.ts';

const GET = { method: 'GET', path: 'x' } as const;

/** What a scan for `size` bytes gives, and what it pushed. */
async function scanned(
  { url }: Pick<Raw, 'url'>,
  size: number,
): Promise<{ status: number; size: number | null; pushed: string }> {
  const chunks: Buffer[] = [];
  const head = await client(url).scan(GET, size, (chunk) => chunks.push(Buffer.from(chunk)));
  return { ...head, pushed: Buffer.concat(chunks).toString('latin1') };
}

const bytewise = (text: string) => (socket: Socket) => {
  let at = 0;
  const next = (): void => {
    if (socket.writable && at < text.length) socket.write(text.charAt(at++), () => setImmediate(next));
  };
  next();
};

describe('an answer as it should be', () => {
  test.each([
    ['in one piece', ok('hello')],
    ['byte by byte', bytewise(ok('hello'))],
    ['from an older server', 'HTTP/1.0 200 OK\r\ncontent-length:5\r\n\r\nhello'],
    [
      'without a reason, with odd headers',
      'HTTP/1.1 200\r\nX-Empty:\r\nX-High: \xe9\r\nContent-Length: \t5 \r\n\r\nhello',
    ],
    ['behind interim ones', `${'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'.repeat(16)}${ok('hello')}`],
    ['with an end of the connection', (socket: Socket) => void socket.end(ok('hello'))],
  ])('%s', async (_what, answer) => {
    expect(await scanned(await raw(answer), 5)).toEqual({ status: 200, size: 5, pushed: 'hello' });
  });

  test('of no bytes', async () => {
    expect(await scanned(await raw(ok('')), 0)).toEqual({ status: 200, size: 0, pushed: '' });
  });

  test('larger than any buffer comes whole, in order', async () => {
    const body = Buffer.alloc(5_000_001, 'countersign');
    const server = await raw((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.write(body);
    });
    const hash = createHash('sha256');
    expect(await client(server.url).scan(GET, body.length, (chunk) => hash.update(chunk))).toMatchObject({
      status: 200,
    });
    expect(hash.digest('hex')).toBe(createHash('sha256').update(body).digest('hex'));
  });

  test('is asked for on a connection of its own, as plain bytes, below the base', async () => {
    const server = await raw(ok('hello'));
    const scan = client(`${server.url}/depot`).scan(
      { ...GET, accept: '*/*', authorization: 'Bearer x' },
      5,
      () => {},
    );
    await scan;
    const { host } = new URL(server.url);
    expect(server.requests).toEqual([
      `GET /depot/x HTTP/1.1\r\nhost: ${host}\r\naccept: */*\r\naccept-encoding: identity\r\n` +
        'user-agent: countersign\r\nauthorization: Bearer x\r\nconnection: close\r\n\r\n',
    ]);
  });

  test.each([
    ['another size', ok('hello!'), { status: 200, size: 6 }],
    ['not there', 'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', { status: 404 }],
    [
      'moved',
      'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 5\r\n\r\nhello',
      { status: 302 },
    ],
    [
      'a part, unasked',
      'HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n\r\nhello',
      { status: 206 },
    ],
    ['busy', 'HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nhello', { status: 503 }],
  ])('of %s pushes nothing, and is said', async (_what, answer, head) => {
    const server = await raw(answer);
    expect(await scanned(server, 5)).toMatchObject({ ...head, pushed: '' });
    expect(server.requests).toHaveLength(1);
  });
});

const head = (...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\nhello`;

describe('what no depot answers ends at once', () => {
  test.each([
    ['no length', head()],
    ['chunks', head('Transfer-Encoding: chunked')],
    ['chunks and a length', head('Content-Length: 5', 'transfer-encoding: identity')],
    ['gzip', head('Content-Length: 5', 'Content-Encoding: gzip')],
    ['even an encoding that is none', head('Content-Length: 5', 'CONTENT-ENCODING: identity')],
    ['a length twice', head('Content-Length: 5', 'content-length: 5')],
    ['a list of lengths', head('Content-Length: 5, 5')],
    ['an empty length', head('Content-Length:')],
    ['a length with a sign', head('Content-Length: +5')],
    ['a negative length', head('Content-Length: -5')],
    ['a length in hex', head('Content-Length: 0x5')],
    ['a length with a point', head('Content-Length: 5.0')],
    ['a length beyond numbers', head('Content-Length: 99999999999999999999')],
    ['a folded header', head('X-Folded: a', ' b', 'Content-Length: 5')],
    ['a folded length', head('Content-Length:', ' 5')],
    ['a space before the colon', head('Content-Length : 5')],
    ['a space before the name', head(' Content-Length: 5')],
    ['a line that is no header', head('Content-Length 5')],
    ['a header without a name', head(': 5', 'Content-Length: 5')],
    ['a NUL', head('X-Nul: a\0b', 'Content-Length: 5')],
    ['a carriage return in a line', head('X-Cr: a\rContent-Length: 5')],
    ['a bare line feed', 'HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\nhello'],
    ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello'],
    ['an empty line first', `\r\n${ok('hello')}`],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['no HTTP, and no line', 'x'],
    ['another HTTP', 'HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['a status that is none', 'HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['a status below all', 'HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
    ['interim answers without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(17)],
    ['headers without end', `HTTP/1.1 200 OK\r\n${'X-Filler: 0123456789\r\n'.repeat(2000)}`],
    ['a line without end', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(20_000)}`],
    ['more than the length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!'],
  ])('%s', async (_what, answer) => {
    const server = await raw(answer);
    await expect(scanned(server, 5)).rejects.toMatchObject({ kind: 'unable', code: 'bad-answer' });
    expect(server.requests).toHaveLength(1);
  });
});

describe('whoever is slow is left', () => {
  const drip = (text: string) => (socket: Socket) => {
    let at = 0;
    const timer = setInterval(() => {
      if (!socket.writable || at === text.length) clearInterval(timer);
      else socket.write(text.charAt(at++));
    }, 20);
  };
  const stated = 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n';
  test.each([
    ['no answer', () => {}],
    ['the head of an answer byte by byte', drip(ok('x'.repeat(1000)))],
    ['a body that stops', (socket: Socket) => void socket.write(`${stated}hello`)],
    ['a body that never begins', (socket: Socket) => void socket.write(stated)],
    [
      'a body byte by byte',
      (socket: Socket) => {
        socket.write(stated);
        drip('x'.repeat(1000))(socket);
      },
    ],
  ])('%s', async (_what, answer) => {
    const server = await raw(answer);
    await expect(scanned(server, 1000)).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    // slow is not broken
    expect(server.requests).toHaveLength(1);
  });
});

describe('a connection that breaks', () => {
  const half = (socket: Socket): void => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel');
  const inHead = (socket: Socket): void => void socket.end('HTTP/1.1 200 OK\r\nContent-Le');
  const reset = (socket: Socket): void => void socket.resetAndDestroy();

  test('before the first byte is tried again', async () => {
    const server = await raw(inHead, reset, (socket) => socket.destroy(), ok('hello'));
    expect(await scanned(server, 5)).toMatchObject({ pushed: 'hello' });
    expect(server.requests).toHaveLength(4);
    const never = await raw(inHead);
    await expect(scanned(never, 5)).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    expect(never.requests).toHaveLength(4);
  });

  test('after it is an error, never an end, and what was pushed is not pushed again', async () => {
    const server = await raw(half, ok('hello'));
    await expect(scanned(server, 5)).rejects.toMatchObject({
      ...{ kind: 'unable', code: 'network', message: '3 of 5 bytes came' },
    });
    expect(server.requests).toHaveLength(1);
  });

  test('whoever hashes may give up', async () => {
    const server = await raw(ok('hello'));
    const scan = client(server.url).scan(GET, 5, () => {
      throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
    });
    await expect(scan).rejects.toMatchObject({ message: 'no room', code: 'ENOSPC' });
  });

  test('nobody listens', async () => {
    const nobody = await raw();
    for (const end of cleanUp.splice(0)) end();
    await expect(scanned(nobody, 5)).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    await expect(scanned({ url: 'http://unknown.invalid' }, 5)).rejects.toMatchObject({ code: 'network' });
  });
});
