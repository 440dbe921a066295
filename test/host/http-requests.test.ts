/** What the client sends, to whom, and what it never shows to anybody. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
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
  test('to whom nobody vouches for is no connection, whatever the environment says', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tls-'));
    cleanUp.push(() => rmSync(directory, { recursive: true }));
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-x509', '-out', cert, '-days', '2'];
    execFileSync('openssl', ['req', ...made, '-subj', '/CN=localhost'], { stdio: 'pipe' });
    const server = createTlsServer(
      { key: readFileSync(key), cert: readFileSync(cert) },
      (_request, response) => {
        response.writeHead(200, { 'content-length': 0 }).end();
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => server.close());
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const depot = client(`https://127.0.0.1:${port}`);
    const request = { ...GET, authorization: 'Bearer x' };
    for (const asked of [depot.read(request, 10), depot.scan(request, 0, () => {})])
      await expect(asked).rejects.toMatchObject({
        kind: 'unable',
        code: 'network',
        hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
      });
  });

  test('a server that never ends its handshake is left', async () => {
    const server = await raw(() => {});
    const depot = client(server.url.replace('http:', 'https:'));
    for (const asked of [depot.read(GET, 10), depot.scan(GET, 0, () => {})])
      await expect(asked).rejects.toMatchObject({ kind: 'unable', code: 'network' });
  });
});
