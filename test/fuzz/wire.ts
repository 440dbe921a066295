/** What comes over HTTP: answers as raw bytes, tars, lists, errors. */
import { createServer } from 'node:http';
import { createServer as createRawServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { HttpClient } from '../../src/host/http.ts';
import { toBuildId } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import { packTar, tarEntries } from '../../src/tree/tar.ts';
import type { TarEntry } from '../../src/tree/tar.ts';
import { formatNames, formatError, parseDigests, parseError } from '../../src/tree/wire.ts';
import type { Target } from './fuzz.ts';
import { holds, same, seed } from './oracle.ts';

const LIMITS = { files: 100, fileBytes: 10_000, bytes: 20_000 };
const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'fuzz');
const blob = Buffer.from('a blob');
const own = packTar([
  { name: 'approval.json', bytes: blob },
  { name: `signatures/${'n'.repeat(120)}.asc`, bytes: Buffer.alloc(600, 'x') },
]);

export async function unpack(tar: Buffer): Promise<TarEntry[]> {
  const files: TarEntry[] = [];
  for await (const file of tarEntries([tar], LIMITS)) files.push(file);
  return files;
}

/** The tar, the checksums of its headers right again: else nothing but the checksum would be read. */
export function mended(tar: Buffer): Buffer {
  const bytes = Buffer.from(tar);
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const header = bytes.subarray(at, at + 512);
    if (header.toString('latin1', 257, 262) !== 'ustar') continue;
    header.fill(' ', 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  }
  return bytes;
}

async function readTar(tar: Buffer): Promise<void> {
  const files = await unpack(tar);
  holds(files.reduce((sum, { bytes }) => sum + bytes.length, 0) <= LIMITS.bytes, 'over its limits');
  const again = await unpack(packTar(files));
  holds(
    again.every(({ name }, at) => name === files[at]?.name),
    'other names when packed again',
  );
  same(Buffer.concat(again.map(({ bytes }) => bytes)), Buffer.concat(files.map(({ bytes }) => bytes)));
}

/** Runs `use` against the server on a port of its own. */
async function withServer<T>(server: Server, use: (url: string) => Promise<T>): Promise<T> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A client that gets `input` as its whole answer; then the connection ends. */
const answered = (input: Buffer): Promise<unknown> =>
  withServer(
    createRawServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(input));
    }),
    async (url) => {
      const client = new HttpClient(url, { insecureHttp: false, timing: { backOffMs: [], answerMs: 5000 } });
      try {
        const { size, bytes } = await client.read({ method: 'GET', path: 'x' }, 10_000);
        holds(bytes.length === size, 'another size than was said');
      } finally {
        client.close();
      }
    },
  );

/** A depot that answers everything with this body. */
const fromDepot = (body: Buffer, ask: (depot: HttpDepot) => Promise<unknown>): Promise<unknown> =>
  withServer(
    createServer((_, response) => response.end(body)),
    async (url) => {
      const depot = new HttpDepot({ url, token: null, insecureHttp: false });
      try {
        return await ask(depot);
      } finally {
        depot.close();
      }
    },
  );

const JSON_WORDS = [
  '"',
  ',',
  '{}',
  '[]',
  'null',
  'true',
  '0',
  '\\u0000',
  '"__proto__":',
  '"code":',
  '"next":',
];

export const wireTargets: readonly Target[] = [
  {
    name: 'tar',
    seeds: [own, ...['ustar.tar', 'pax.tar', 'gnu.tar'].map(seed)],
    words: ['ustar\x0000', 'ustar  \0', '00000000017', '30 path=x\n', '12 path=a/b\n', '\0'.repeat(512)],
    read: async (input) => {
      await readTar(mended(input));
      await readTar(input);
    },
  },
  {
    name: 'digests',
    seeds: [formatNames([sha256Hex('a'), sha256Hex('b')])],
    words: JSON_WORDS,
    read: (input) => {
      const digests = parseDigests(input);
      holds(parseDigests(formatNames(digests)).join() === digests.join(), 'other digests');
    },
  },
  {
    name: 'error',
    seeds: [formatError({ code: 'too-large', message: 'a message', hint: 'a hint' })],
    words: JSON_WORDS,
    read: (input) => {
      const { code } = parseError(403, input, 'GET x');
      holds(/^[a-z][a-z0-9-]*$/.test(code), `a code like ${JSON.stringify(code)}`);
    },
  },
  {
    name: 'http-answer',
    seeds: [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
      'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n',
    ]
      .concat(['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'])
      .map((answer) => Buffer.from(answer)),
    words: [
      '\r\n',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.0 ',
      'Content-Length: 5\r\n',
      'Content-Encoding: gzip\r\n',
    ].concat(['Location: http://127.0.0.1/\r\n', ': ', '302', '101', '-5', '5, 5', '0x5', '999999999999999']),
    slow: true,
    read: answered,
  },
  {
    name: 'listing',
    seeds: [
      Buffer.from(`{"builds":["${build}"],"next":null}`),
      Buffer.from(`{"builds":[],"next":"${build}"}`),
    ],
    words: [...JSON_WORDS, `"${build}"`],
    slow: true,
    read: (input) => fromDepot(input, (depot) => depot.builds(null)),
  },
  {
    name: 'blobs',
    seeds: [packTar([{ name: sha256Hex(blob), bytes: blob }])],
    slow: true,
    read: (input) =>
      fromDepot(mended(input), async (depot) => {
        const wanted = [{ sha256: sha256Hex(blob), size: blob.length }];
        let files = 0;
        for await (const { bytes } of depot.fetchBlobs(build, wanted)) {
          files += 1;
          holds(bytes.length === blob.length, 'another size than was asked for');
        }
        holds(files === 1, `${files} blobs for one`);
      }),
  },
];
