/**
 * Clients against L, as HTTP and tar libraries do not speak: requests that two readers would read differently, methods
 * and upgrades that a depot does not do, archives that unpack to something else than they list.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { packTar } from '../../src/tree/tar.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import { overSocket, rawRequest } from '../harness/raw-http.ts';
import { World } from '../harness/world.ts';
import { blobs, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { expectSigned } from './outcome.ts';
import { shelf } from './round.ts';

const contents = { app: 'an artifact', 'dir/more': 'another' };
const blob = sha256Hex('an artifact');

let world: World;
let open: Held;
let authorization: string;
let before: Snapshot;
let kept: string[];

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'the release that must stay as it is' });
  open = await steal(world, await world.approve('2.0'));
  authorization = `Authorization: Bearer ${open.token.toString('base64url')}`;
});
beforeEach(async () => {
  [before, kept] = [await snapshot(world), await shelf(world)];
});
afterAll(() => world.close());

/** Nothing is kept, nothing else changed, and L goes on serving. */
async function expectNothingKept(): Promise<void> {
  await expectUntouched(world, before, { answers: [] });
  expect(await shelf(world)).toEqual(kept);
  const shown = await rawRequest(world.url, { path: '/releases/widget/1.0/app' });
  expect(shown.body.toString()).toBe('the release that must stay as it is');
}

const statuses = (answer: string): string[] =>
  [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status = '']) => status);

describe('requests that two readers read differently', () => {
  const put = `PUT /builds/BUILD/blobs/${blob} HTTP/1.1\r\nHost: x\r\nAUTH\r\n`;
  const get = 'GET /releases/widget/1.0/app HTTP/1.1\r\nHost: x\r\n';
  const body = 'an artifact';
  const end = `${get}Connection: close\r\n\r\n`;

  test.each([
    ['a length and chunks', `${put}Content-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${end}`],
    [
      'chunks and a length',
      `${put}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nb\r\n${body}\r\n0\r\n\r\n`,
    ],
    [
      'an encoding that is nearly chunked',
      `${put}Transfer-Encoding: xchunked\r\nContent-Length: 11\r\n\r\n${body}`,
    ],
    ['chunked twice', `${put}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
    ['chunked behind a tab', `${put}Transfer-Encoding:\tchunked\r\nContent-Length: 11\r\n\r\n${body}`],
    ['two lengths', `${put}Content-Length: 11\r\nContent-Length: 12\r\n\r\n${body}!`],
    ['the same length twice', `${put}Content-Length: 11\r\nContent-Length: 11\r\n\r\n${body}`],
    ['a list of lengths', `${put}Content-Length: 11, 11\r\n\r\n${body}`],
    ['a length with a sign', `${put}Content-Length: +11\r\n\r\n${body}`],
    ['a length in hex', `${put}Content-Length: 0xb\r\n\r\n${body}`],
    ['a negative length', `${put}Content-Length: -1\r\n\r\n${body}`],
    ['a length with a space before its colon', `${put}Content-Length : 11\r\n\r\n${body}`],
    ['a folded header', `${put}Content-Length: 11\r\nX-A: b\r\n c: d\r\n\r\n${body}`],
    ['bare line feeds', `${put.replaceAll('\r', '')}Content-Length: 11\n\n${body}`],
    ['a bare carriage return', `${put}Content-Length: 11\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n${body}`],
    ['NUL in a header', `${put}Content-Length: 11\r\nX: a\0b\r\n\r\n${body}`],
    ['a header without a name', `${put}: x\r\nContent-Length: 11\r\n\r\n${body}`],
    ['no Host', `${put.replace('Host: x\r\n', '')}Content-Length: 11\r\n\r\n${body}`],
    ['HTTP/1.2', `${put.replace('1.1', '1.2')}Content-Length: 11\r\n\r\n${body}`],
    ['HTTP/0.9', `GET /releases/widget/1.0/app\r\n\r\n`],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a header of 20 kB', `${get}X: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['ten thousand headers', `${get}${'X: x\r\n'.repeat(10_000)}\r\n`],
    ['a request line of a megabyte', `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['TLS', Buffer.from('16030100a5010000a10303', 'hex').toString('latin1') + 'x'.repeat(200)],
    ['a method of a megabyte', 'A'.repeat(1_000_000)],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
  ])('%s', async (_, text) => {
    const answer = await overSocket(
      world.url,
      text.replace('BUILD', open.build).replace('AUTH', authorization),
    );
    // one answer at most, a refusal, and the connection is over: nothing behind it is a request
    expect(statuses(answer).length, answer).toBeLessThanOrEqual(1);
    for (const status of statuses(answer)) expect(status).toMatch(/^4(?:00|11|13|31)$/);
    await expectNothingKept();
  });

  test.each([
    ['two of them', `${get}\r\n${end}`, ['200', '200']],
    ['a Host twice', `${get}Host: y\r\nConnection: close\r\n\r\n`, ['400', '200']],
    ['an answer half-way', `${get}Expect: 100-continue\r\nConnection: close\r\n\r\n`, ['100', '200']],
    ['a condition that nobody knows', `${get}Expect: 200-maybe\r\nConnection: close\r\n\r\n`, ['417', '200']],
    [
      'a body where none belongs',
      `${get}Content-Length: 12\r\nConnection: close\r\n\r\nGET / HTTP/1`,
      ['200'],
    ],
    ['empty lines before it', `\r\n\r\n${end}`, ['200']],
    [
      'a token with spaces around it',
      end.replace('Host: x', 'Host: x\r\nAuthorization:   Bearer x  '),
      ['200'],
    ],
  ])('%s: read in one way, and answered', async (_, text, expected) => {
    for (const status of statuses(await overSocket(world.url, text))) expect(expected).toContain(status);
    await expectNothingKept();
  });

  test('seventeen that wait for their answers are too many; ten are answered in order', async () => {
    const ten = await overSocket(world.url, `${`${get}\r\n`.repeat(9)}${end}`);
    expect(statuses(ten)).toEqual(Array(10).fill('200'));
    const many = await overSocket(world.url, `${get}\r\n`.repeat(5000)).catch(() => '');
    expect(statuses(many).length).toBeLessThan(5000);
    await expectNothingKept();
  });
});

describe('what a depot does not do', () => {
  const path = '/releases/widget/1.0/app';
  test.each([
    ...[
      'DELETE',
      'PATCH',
      'OPTIONS',
      'PROPFIND',
      'MKCOL',
      'MOVE',
      'COPY',
      'LOCK',
      'PURGE',
      'SEARCH',
      'LINK',
    ].map((method): [string, string] => [method, `${method} ${path} HTTP/1.1`]),
    ['TRACE', `TRACE ${path} HTTP/1.1\r\nX-Secret: echo`],
    ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1'],
    ['a proxy', 'GET http://127.0.0.1:22/ HTTP/1.1'],
    ['OPTIONS *', 'OPTIONS * HTTP/1.1'],
    ['a made-up method', `HAX ${path} HTTP/1.1`],
    [
      'DELETE by another name',
      `POST ${path} HTTP/1.1\r\nX-HTTP-Method-Override: DELETE\r\nContent-Length: 0`,
    ],
    ['PUT by another name', `POST ${path} HTTP/1.1\r\nX-Method-Override: PUT\r\nContent-Length: 0`],
  ])('%s', async (_, head) => {
    const answer = await overSocket(world.url, `${head}\r\nHost: x\r\nConnection: close\r\n\r\n`);
    for (const status of statuses(answer)) expect(status).toMatch(/^4\d\d$/);
    expect(answer).not.toMatch(/X-Secret|access-control-allow/i);
    await expectNothingKept();
  });

  test.each(['websocket', 'h2c', 'TLS/1.0', 'HTTP/2.0'])('an upgrade to %s is not made', async (protocol) => {
    const answer = await overSocket(
      world.url,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAAA\r\n\r\n`,
    );
    expect(statuses(answer)).not.toContain('101');
    await expectNothingKept();
  });

  test.each([
    ['a Host of somebody else', { Host: 'evil.example' }],
    ['hosts forwarded', { 'X-Forwarded-Host': 'evil.example', Forwarded: 'host=evil.example' }],
    ['a place that is no host', { Host: '"><script>alert(1)</script>' }],
  ])('%s is never repeated', async (_, headers) => {
    for (const shown of ['/', '/releases/', '/builds/', '/releases/widget/1.0/', path, '/nothing']) {
      const answer = await rawRequest(world.url, {
        path: shown,
        headers: { ...headers, Accept: 'text/html' },
      });
      expect(JSON.stringify(answer.headers) + answer.body.toString('latin1')).not.toMatch(/evil|script>/);
    }
    await expectNothingKept();
  });
});

describe('archives', () => {
  const file = (name: string, content = 'an artifact') => ({ name, bytes: Buffer.from(content) });
  const good = packTar([file(blob)]);
  const pax = (record: string): Buffer => {
    // its first header says that it is an extension, its content is the record
    const tar = packTar([file('x'.repeat(101), '')]);
    const bytes = Buffer.from(tar);
    bytes.fill(0, 512, 1024);
    bytes.write(record, 512, 'latin1');
    return summed(sized(bytes, Buffer.byteLength(record)));
  };

  const bad: [string, Buffer][] = [
    ...['1', '2', '3', '4', '5', '6', '7', 'S', 'D', 'V', 'g', 'K', 'N'].map((type): [string, Buffer] => [
      `an entry of type ${type}`,
      summed(typed(good, type)),
    ]),
    ['a size that is larger than what comes', summed(sized(good, 100_000))],
    ['a size beyond all disks', summed(sized(good, 0o77777777777))],
    ['a size in binary', summed(Buffer.concat([good.subarray(0, 124), Buffer.from([0x80, ...Array<number>(10).fill(0), 11]), good.subarray(136)]))], // prettier-ignore
    [
      'a size of minus one',
      summed(Buffer.concat([good.subarray(0, 124), Buffer.alloc(12, 0xff), good.subarray(136)])),
    ],
    ['a checksum of something else', sized(good, 10)],
    ['bytes behind its end', Buffer.concat([good, Buffer.from('more')])],
    ['another archive behind its end', Buffer.concat([good, good])],
    ['no end', good.subarray(0, -1024)],
    ['half an end', good.subarray(0, -512)],
    ['half a header', good.subarray(0, 300)],
    [
      'padding that says something',
      Buffer.concat([good.subarray(0, 600), Buffer.from('x'), good.subarray(601)]),
    ],
    ['a name in an extension that is longer than names are', pax(`400 path=${'a'.repeat(390)}\n`)],
    ['an extension that changes the size', pax('12 size=999\n')],
    ['an extension of a file that is sparse', pax('22 GNU.sparse.major=1\n')],
    ['an extension whose length is a lie', pax('9999 path=x\n')],
    ['an extension that links', pax('23 linkpath=/etc/shadow\n'.slice(0, 23))],
    [
      'a thousand extensions',
      Buffer.concat(Array<Buffer>(1000).fill(pax('12 path=abcd\n').subarray(0, 1024))),
    ],
    ['gzip', Buffer.from('1f8b0800000000000003', 'hex')],
  ];

  test.each(bad)('with %s', async (_, tar) => {
    for (const path of [`/builds/${open.build}/blobs`, `/builds/${open.build}`]) {
      const answer = await rawRequest(world.url, { method: 'POST', path, body: tar, token: open.token });
      expect(answer.status, answer.body.toString()).toBeOneOf([413, 422]);
      await expectUntouched(world, before, { answers: [answer] });
    }
    // the first of two equal blobs is what it says
    const left = (await shelf(world)).filter(
      (name) => !kept.includes(name) && !name.endsWith(blob) && !name.endsWith('/blobs'),
    );
    expect(left).toEqual([]);
  });

  test.each([
    ['one name twice', packTar([file('approval.json'), file('approval.json')])],
    ['nothing but zeros, a megabyte of them', Buffer.alloc(1_000_000)],
  ])('of records with %s', async (_, body) => {
    const answer = await rawRequest(world.url, { method: 'POST', path: `/builds/${open.build}`, body });
    expect(answer.status).toBe(422);
    await expectUntouched(world, before, { answers: [answer] });
  });

  test('as tar programs make them are taken, and signed', async () => {
    const files = sign(open, statementOf(open, contents));
    const named = [...blobs(contents)].map(([name, bytes]) => ({ name: name.replace('blobs/', ''), bytes }));
    const path = `/builds/${open.build}`;
    const sent = await rawRequest(world.url, {
      method: 'POST',
      path: `${path}/blobs`,
      body: packTar(named),
      token: open.token,
    });
    expect(sent.status).toBe(201);
    const record = packTar([...files].map(([name, bytes]) => ({ name, bytes })));
    // blocked by twenty, as tar does
    const blocked = Buffer.concat([record, Buffer.alloc(10_240 - (record.length % 10_240))]);
    expect(
      (await rawRequest(world.url, { method: 'POST', path, body: blocked, token: open.token })).status,
    ).toBe(201);
    await expectSigned(world, open.build, '2.0', contents);
  });
});

/** The archive, its first header of another type, or saying another size, or with the checksum that it should have. */
function typed(tar: Buffer, type: string): Buffer {
  const copy = Buffer.from(tar);
  copy.write(type, 156, 'latin1');
  return copy;
}

function sized(tar: Buffer, size: number): Buffer {
  const copy = Buffer.from(tar);
  copy.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  return copy;
}

function summed(tar: Buffer): Buffer {
  const copy = Buffer.from(tar);
  const header = copy.subarray(0, 512);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}
