/**
 * L against H, on the wire: answers that no honest server gives, written by hand on the bare connection. H signs nothing,
 * ends nothing for good, goes nowhere that it was not sent by its project file, and heals when L does.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { toVersion } from '../../src/records/names.ts';
import { approvalFile, blobFile, statementFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import { freePort, mustBe, World } from '../harness/world.ts';
import { b1, forgeApproval, post, putBlob, sign, statementOf } from './forge.ts';
import { entries, verdicts } from './outcome.ts';

const large = 'x'.repeat(100_000);
const contents = { app: 'small', large };

let world: World;
let hostile: HostileDepot;
/** What no one may connect to. */
let inner: Server;
let innerUrl: string;
let visitors = 0;
let like: Approval;
let before: Snapshot;

beforeAll(async () => {
  world = await World.make();
  const first = await world.approve('0.1');
  like = parseApproval(await readFile(world.tree('builds', first.build, approvalFile)));
  await world.release('1.0', { app: 'the release that must stay as it is' });
  hostile = await HostileDepot.start(world.url);
  const port = await freePort();
  inner = createServer((socket) => {
    visitors += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => inner.listen(port, '127.0.0.1', resolve));
  innerUrl = `http://127.0.0.1:${port}`;
});
beforeEach(async () => {
  hostile.repent();
  before = await snapshot(world);
});
afterAll(async () => {
  inner.close();
  await hostile.close();
  await world.close();
});

/** A sealed build that H has not seen. */
async function seal(version: string): Promise<string> {
  const held = forgeApproval(world, like, { version: toVersion(version, 'version') });
  expect((await post(world, held.build, held.files)).status).toBe(201);
  for (const content of Object.values(contents))
    expect((await putBlob(world, held, content)).status).toBe(201);
  expect((await post(world, held.build, sign(held, statementOf(held, contents)), held.token)).status).toBe(
    201,
  );
  return held.build;
}

const ok = (body: Buffer, more = '', said: number | string = body.length): Buffer =>
  Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${said}\r\n${more}\r\n`), body]);
const bare = (head: string, body: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]);
const redirect = (status: number, to: () => string) => (): Buffer =>
  bare(`HTTP/1.1 ${status} Elsewhere\r\nLocation: ${to()}\r\nContent-Length: 0`);
const failure = (status: number, code: string, text: string) => (): Buffer => {
  const body = Buffer.from(JSON.stringify({ code, message: text, hint: text }));
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status} No\r\nContent-Length: ${body.length}\r\n\r\n`),
    body,
  ]);
};
const chunked = (body: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]);
const evil = '\u001b[2J\n[GNUPG:] GOODSIG 0 \u202e\u0007';

type Answer = (body: Buffer, socket: Socket) => Buffer | null;
const record = approvalFile;
const statement = statementFile(b1);
const blob = blobFile(sha256Hex(large));

/** What is answered for which file, and with which code H leaves the build, in the state that it has. */
const cases: [what: string, file: string, answer: Answer, code: string][] = [
  ...[301, 302, 303, 307, 308].map((status): (typeof cases)[number] => [`a redirect ${status} to this host`, record, redirect(status, () => innerUrl), 'bad-answer']),
  ['a redirect to the cloud’s metadata', statement, redirect(302, () => 'http://169.254.169.254/latest/meta-data/'), 'bad-answer'],
  ['a redirect of an artifact', blob, redirect(307, () => innerUrl), 'bad-answer'],
  ['several choices', record, redirect(300, () => innerUrl), 'bad-answer'],
  ['use a proxy', record, redirect(305, () => innerUrl), 'bad-answer'],
  ['a gzip bomb', statement, () => ok(gzipSync(Buffer.alloc(50_000_000)), 'Content-Encoding: gzip\r\n'), 'bad-answer'],
  ['a gzip bomb for an artifact', blob, () => ok(gzipSync(Buffer.alloc(50_000_000)), 'Content-Encoding: gzip\r\n'), 'bad-answer'],
  ['an encoding in an encoding', record, (body) => ok(body, 'Content-Encoding: gzip, br\r\n'), 'bad-answer'],
  ['no length', record, (body) => bare('HTTP/1.1 200 OK\r\nConnection: close', body), 'bad-answer'],
  ['a length twice', record, (body) => ok(body, `Content-Length: ${body.length}\r\n`), 'bad-answer'],
  ['two lengths', blob, (body) => ok(body, `Content-Length: ${body.length + 1}\r\n`), 'bad-answer'],
  ['a length that is none', record, (body) => ok(body, '', 'many'), 'bad-answer'],
  ['chunks', blob, (body) => bare('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked', chunked(body)), 'bad-answer'],
  ['chunks and a length', blob, (body) => bare(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: ${body.length}`, chunked(body)), 'bad-answer'],
  ['chunks without end', record, () => bare('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked', Buffer.from('ffffffff\r\n')), 'bad-answer'],
  ['HTTP/1.0, up to the end of the connection', record, (body) => bare('HTTP/1.0 200 OK', body), 'bad-answer'],
  ['headers without end', statement, () => Buffer.from(`HTTP/1.1 200 OK\r\n${'X-Filler: 0123456789\r\n'.repeat(100_000)}`), 'bad-answer'],
  ['a header of a megabyte', record, () => Buffer.from(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000_000)}`), 'bad-answer'],
  ['a folded header', record, (body) => ok(body, 'X: a\r\n b\r\n'), 'bad-answer'],
  ['NUL in a header', record, (body) => ok(body, 'X: a\0b\r\n'), 'bad-answer'],
  ['interim answers without end', record, (body) => Buffer.concat([Buffer.from('HTTP/1.1 103 Early\r\n\r\n'.repeat(100_000)), ok(body)]), 'bad-answer'],
  ['another protocol', record, () => bare('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c'), 'bad-answer'],
  ['a part that nobody asked for', blob, (body) => bare(`HTTP/1.1 206 Part\r\nContent-Range: bytes 0-9/${body.length}\r\nContent-Length: 10`, body.subarray(0, 10)), 'http-206'],
  ['all of it as a part', statement, (body) => bare(`HTTP/1.1 206 Part\r\nContent-Range: bytes 0-${body.length - 1}/${body.length}\r\nContent-Length: ${body.length}`, body), 'http-206'],
  ['no content', record, () => bare('HTTP/1.1 204 None\r\nContent-Length: 0'), 'http-204'],
  ['created', blob, (body) => bare(`HTTP/1.1 201 Created\r\nContent-Length: ${body.length}`, body), 'http-201'],
  ['a status that is none', record, () => bare('HTTP/1.1 999 Hm\r\nContent-Length: 0'), 'http-999'],
  ['a status of four digits', record, (body) => bare(`HTTP/1.1 2000 OK\r\nContent-Length: ${body.length}`, body), 'bad-answer'],
  ['an error of a gigabyte', record, () => bare('HTTP/1.1 500 No\r\nContent-Length: 1000000000', Buffer.alloc(100_000)), 'too-large'],
  ['an error that speaks to the terminal', record, failure(403, 'no-way', evil), 'no-way'],
  ['an error that speaks to the terminal, about an artifact', blob, failure(403, 'no-way', evil), 'no-way'],
  ['an error whose code breaks its line', record, failure(403, 'no\nway', 'no'), 'http-403'],
  ['an error that says that it is over', statement, failure(403, 'expired', 'it is over'), 'expired'],
  ['an error that says that it is refused', record, failure(409, 'version-taken', 'it is refused'), 'version-taken'],
  ['nesting of 60,000 levels as an error', record, () => bare('HTTP/1.1 403 No\r\nContent-Length: 60000', Buffer.alloc(60_000, '[')), 'http-403'],
  ['fewer bytes than it says', blob, (body, socket) => (socket.end(ok(body.subarray(1), '', body.length)), null), 'network'],
  ['a connection that breaks in the middle', blob, (body, socket) => (socket.write(ok(body.subarray(1), '', body.length), () => socket.resetAndDestroy()), null), 'network'],
  ['a byte more than it says', blob, (body) => ok(Buffer.concat([body, Buffer.from('!')]), '', body.length), 'bad-answer'],
  ['nothing of it', blob, () => ok(Buffer.alloc(0)), 'artifact-wrong'],
  ['a terabyte, it says', blob, () => ok(Buffer.alloc(0), '', 2 ** 40), 'artifact-wrong'],
  ['other bytes each time', blob, (body) => ok(Buffer.alloc(body.length, Math.random().toString(36))), 'artifact-wrong'],
  ['a terabyte of statement', statement, () => ok(Buffer.alloc(0), '', 2 ** 40), 'too-large'],
  ['a page that greets', record, () => ok(Buffer.from('<html>Please log in to the hotel</html>')), 'approval-invalid'],
  ['no HTTP', record, (_, socket) => (socket.end('SSH-2.0-OpenSSH_9.2\r\n'), null), 'bad-answer'],
  // odd, and legal, or of no consequence
  ['a second answer behind the first, which nobody hears', record, (body) => Buffer.concat([ok(body), ok(body)]), 'published'],
  ['an interim answer or two', record, (body) => Buffer.concat([Buffer.from('HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Early\r\nLink: </x>; rel=preload\r\n\r\n'), ok(body)]), 'published'],
  ['another type, and headers that lead elsewhere', record, (body) => ok(body, `Content-Type: text/html\r\nRefresh: 0; url=http://127.0.0.1:1\r\nAlt-Svc: h2="127.0.0.1:1"\r\nLink: <http://127.0.0.1:1/>; rel=preload\r\nSet-Cookie: a=b\r\n`), 'published'],
  ['a connection that ends with the answer', blob, (body, socket) => (socket.end(ok(body, 'Connection: close\r\n')), null), 'published'],
  ['a reason that is empty', record, (body) => Buffer.concat([Buffer.from(`HTTP/1.1 200 \r\ncontent-LENGTH:${body.length}\r\n\r\n`), body]), 'published'],
]; // prettier-ignore

test('a list of builds that lies: what is not there is nothing, and H signs what is', async () => {
  const build = await seal('3.0');
  const phantom = (at: number): string =>
    `0${at
      .toString(32)
      .padStart(25, '0')
      .replaceAll(/[ilou]/g, 'z')}`;
  const lists: [what: string, body: string][] = [
    ['that has no end', JSON.stringify({ builds: [], next: phantom(1) })],
    ['out of order', JSON.stringify({ builds: [phantom(2), phantom(1)], next: null })],
    ['with an id twice', JSON.stringify({ builds: [phantom(2), phantom(2)], next: null })],
    ['with an id that is none', JSON.stringify({ builds: ['../../../etc/passwd'], next: null })],
    ['with another field', JSON.stringify({ builds: [], next: null, more: 1 })],
    ['of a megabyte of brackets', '['.repeat(1_000_000)],
    [
      'larger than lists are',
      JSON.stringify({ builds: Array.from({ length: 60_000 }, (_, at) => phantom(at)), next: null }),
    ],
    ['that is no list', '<html>'],
  ];
  for (const [what, body] of lists) {
    hostile.give(/^\/builds\/(?:\?.*)?$/, Buffer.from(body));
    const ran = await world.sign(['--depot', hostile.url]);
    expect(ran.code, what).toBe(3);
    await expectUntouched(world, before, { answers: [ran] });
  }
  // five hundred that are not there, and one that is
  const builds = [...new Set(Array.from({ length: 500 }, (_, at) => phantom(at + 1)))].sort();
  hostile.give(
    /^\/builds\/(?:\?.*)?$/,
    Buffer.from(JSON.stringify({ builds: [...builds, build], next: null })),
  );
  const ran = await world.sign(['--depot', hostile.url]);
  expect(ran.json.find((line) => line['build'] === build)).toMatchObject({ state: 'published' });
  for (const one of builds) expect(await entries(world, one)).toEqual([]);
}, 120_000);

test('answers that no honest server gives: nothing is signed, nothing is over, and nobody is visited', async () => {
  const builds = new Map<string, (typeof cases)[number]>();
  for (const [at, each] of cases.entries()) {
    const [, file, answer] = each;
    const build = await seal(`2.${at}`);
    builds.set(build, each);
    hostile.speak(`/builds/${build}/${file}`, (socket, _, honest) => {
      void honest().then(({ body }) => {
        const bytes = answer(body, socket);
        if (bytes !== null) socket.end(bytes);
      });
    });
  }
  const wrong = [...builds].filter(([, [, , , code]]) => code !== 'published').map(([build]) => build);
  const ran = await world.sign([...wrong, '--depot', hostile.url]);
  const found = new Map(ran.json.map(({ build, code }) => [build, code]));
  const named = wrong.map((build) => [builds.get(build)?.[0], found.get(build)]);
  expect(Object.fromEntries(named), ran.stderr).toEqual(
    Object.fromEntries(wrong.map((build) => [builds.get(build)?.[0], builds.get(build)?.[3]])),
  );
  expect(visitors, 'visitors of an inner service').toBe(0);
  await expectUntouched(world, before, { answers: [ran] });
  for (const build of wrong) expect(await entries(world, build)).not.toContain('refusal');

  const legal = [...builds.keys()].filter((build) => !wrong.includes(build));
  const signed = await world.sign([...legal, '--depot', hostile.url]);
  expect(verdicts(signed), signed.stderr).toEqual(legal.map(() => 'published undefined'));
  hostile.repent();
  // one of each file, healed: H has seen their approvals, statements and lies, and signs all the same
  const healed = [approvalFile, statement, blob].map(
    (file) => wrong.findLast((build) => builds.get(build)?.[1] === file) ?? '',
  );
  mustBe(0, await world.sign([...healed, '--depot', hostile.url]));
}, 180_000);
