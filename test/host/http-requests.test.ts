/** What the client sends, to whom, and what it never shows to anybody. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import tls from 'node:tls';
import type { SecureContextOptions, SecureVersion } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { Failure } from '../../src/failure.ts';
import { HttpClient } from '../../src/host/http.ts';
import type { HttpRequest } from '../../src/host/http.ts';
import { GET, cleanUp, client, get, ok, raw } from './raw-server.ts';

describe('bodies of ours', () => {
  const put = (body: HttpRequest['body'] & object): HttpRequest => ({ method: 'PUT', path: 'x', body });

  test('are sent with their length, once for each attempt', async () => {
    const server = await raw((socket) => socket.destroy(), ok(''));
    let made = 0;
    const source = (): Readable => {
      made += 1;
      return Readable.from([Buffer.from('hel'), Buffer.from('lo')]);
    };
    await client(server.url).read(put({ type: 'application/octet-stream', size: 5, source }), 10);
    expect(made).toBe(2);
    expect(server.requests[1]).toMatch(/content-length: 5\r\n[^]*\r\n\r\nhello$/i);
    expect(server.requests[1]).not.toMatch(/transfer-encoding/i);
  });

  test.each([
    ['short', 'hell'],
    ['long', 'hello!'],
  ])('that are too %s are not sent as if they were whole', async (_what, text) => {
    const server = await raw(() => {});
    const body = { type: 'text/plain', size: 5, source: () => [Buffer.from(text)] };
    await expect(client(server.url).read(put(body), 10)).rejects.toMatchObject({
      kind: 'unable',
      code: 'changed',
    });
  });

  test('whose source fails end with its error', async () => {
    const server = await raw(() => {});
    const source = (): Readable =>
      new Readable({
        read: (): never => {
          throw new Error('disk on fire');
        },
      });
    const sending = client(server.url).read(put({ type: 'text/plain', size: 5, source }), 10);
    await expect(sending).rejects.toThrow('disk on fire');
  });

  test('of many requests at once may all have to be sent again', async () => {
    const server = await raw((socket) => socket.destroy());
    const warned = vi.fn();
    process.on('warning', warned);
    cleanUp.push(() => process.off('warning', warned));
    const one = new HttpClient(server.url, { insecureHttp: false, timing: { backOffMs: [300] } });
    const sent = Array.from({ length: 20 }, () => one.read(GET, 10).catch(() => {}));
    await Promise.all(sent);
    one.close();
    expect(warned).not.toHaveBeenCalled();
  });

  test('are given back when the connection is gone before they go on', async () => {
    const server = await raw((socket) => socket.destroy(), ok(''));
    const [again, goOn] = [new AbortController(), vi.fn()];
    const ended = new Promise((resolve) => goOn.mockImplementation(resolve));
    let made = 0;
    async function* source(): AsyncGenerator<Buffer> {
      const isFirst = (made += 1) === 1;
      if (!isFirst) again.abort();
      try {
        yield Buffer.from('hel');
        // the first connection is long gone when the second attempt begins
        if (isFirst) await once(again.signal, 'abort');
        yield Buffer.from('lo');
      } finally {
        if (isFirst) goOn();
      }
    }
    await client(server.url).read(put({ type: 'application/octet-stream', size: 5, source }), 10);
    await ended;
  });

  test('are not sent to their end when the answer is there before', async () => {
    const server = await raw('HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nother');
    let sent = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (; sent < 1e9; sent += 65_536) {
        yield Buffer.alloc(65_536);
        await sleep(1);
      }
    }
    const body = { type: 'application/octet-stream', size: 1e9, source: endless };
    expect(await client(server.url).read(put(body), 10)).toMatchObject({ status: 409 });
    expect(sent).toBeLessThan(1e8);
  });
});

describe('tokens', () => {
  const token = Buffer.alloc(32, 0xfb);
  const asked = { ...GET, authorization: `Bearer ${token.toString('base64url')}` };

  test('go to this machine over plain HTTP', async () => {
    const server = await raw(ok(''));
    await client(server.url).read(asked, 10);
    await client(server.url.replace('127.0.0.1', 'localhost')).read(asked, 10);
    expect(server.requests[0]).toContain(`Bearer ${token.toString('base64url')}\r\n`);
  });

  test.each([
    'http://depot.example',
    'http://10.0.0.1',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://[::2]',
    'http://[::ffff:10.0.0.1]',
    'http://0.0.0.0',
    'http://128.0.0.1',
  ])('never to %s', async (url) => {
    await expect(client(url).read(asked, 10)).rejects.toMatchObject({ kind: 'usage', code: 'insecure-http' });
    const scan = client(url).scan(asked, 0, () => {});
    await expect(scan).rejects.toMatchObject({ kind: 'usage', code: 'insecure-http' });
  });

  test('unless the project says so', async () => {
    const lax = client('http://unknown.invalid', true).read(asked, 10);
    await expect(lax).rejects.toMatchObject({ code: 'network' });
  });
});

test.each([
  'ftp://x',
  'file:///x',
  'x',
  '',
  'https://user@x',
  'https://u:p@x',
  'https://x/?q',
  'https://x/#f',
])('%j is no depot', (url) => {
  expect(() => new HttpClient(url, { insecureHttp: false })).toThrow(/not an http or https URL/);
});

test('no proxy is taken from the environment', async () => {
  const proxy = await raw(ok('proxy'));
  for (const name of ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'NODE_USE_ENV_PROXY'])
    vi.stubEnv(name, proxy.url);
  expect(await get(await raw(ok('depot')))).toBe('depot');
  expect(proxy.requests).toEqual([]);
});

describe('https', () => {
  /** A server that nobody vouches for. */
  async function tlsServer(options: SecureContextOptions): Promise<string> {
    const directory = mkdtempSync(join(tmpdir(), 'tls-'));
    cleanUp.push(() => rmSync(directory, { recursive: true }));
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-x509', '-out', cert, '-days', '2'];
    execFileSync('openssl', ['req', ...made, '-subj', '/CN=localhost'], { stdio: 'pipe' });
    const pair = { key: readFileSync(key), cert: readFileSync(cert) };
    const server = createTlsServer({ ...pair, ...options }, (_request, response) => {
      response.writeHead(200, { 'content-length': 0 }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => server.close());
    const address = server.address();
    return `https://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  }

  /** The hints of an ordinary request and of a scan, which both fail. */
  async function hintsOf(url: string): Promise<unknown[]> {
    const depot = client(url);
    const request = { ...GET, authorization: 'Bearer x' };
    const both = [depot.read(request, 10), depot.scan(request, 0, () => {})];
    return Promise.all(
      both.map(async (asked) => {
        const failure: unknown = await asked.catch((error: unknown) => error);
        expect(failure).toMatchObject({ kind: 'unable', code: 'network' });
        return failure instanceof Failure ? failure.hint : null;
      }),
    );
  }
  const unknownIssuer: unknown = expect.stringContaining('NODE_EXTRA_CA_CERTS');

  test('to whom nobody vouches for is no connection, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    expect(await hintsOf(await tlsServer({}))).toEqual([unknownIssuer, unknownIssuer]);
  });

  test('an older TLS than 1.2 is none, whatever the environment allows', async () => {
    // what --tls-min-v1.0 and --tls-cipher-list in NODE_OPTIONS set
    const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS } = tls;
    cleanUp.push(() => Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS }));
    const ciphers = 'DEFAULT@SECLEVEL=0';
    Object.assign(tls, { DEFAULT_MIN_VERSION: 'TLSv1', DEFAULT_CIPHERS: ciphers });
    const speaks = (maxVersion: SecureVersion): Promise<string> =>
      tlsServer({ minVersion: 'TLSv1', maxVersion, ciphers });
    expect(await hintsOf(await speaks('TLSv1.2'))).toEqual([unknownIssuer, unknownIssuer]);
    const notSpoken = 'check its address and its certificate';
    expect(await hintsOf(await speaks('TLSv1.1'))).toEqual([notSpoken, notSpoken]);
  });

  test('a server that never ends its handshake is left', async () => {
    const server = await raw(() => {});
    const depot = client(server.url.replace('http:', 'https:'));
    for (const asked of [depot.read(GET, 10), depot.scan(GET, 0, () => {})])
      await expect(asked).rejects.toMatchObject({ kind: 'unable', code: 'network' });
  });
});
