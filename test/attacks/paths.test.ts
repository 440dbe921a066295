/**
 * Names on the wire: file names in a tar, request targets, build ids and versions. Whatever is asked for, L writes and
 * reads below its own directory, and only what its gate lets through.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { packTar } from '../../src/tree/tar.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import { overSocket, rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved } from '../harness/world.ts';
import { post, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { expectSigned } from './outcome.ts';
import { shelf } from './round.ts';

let world: World;
let open: Approved;
let held: Held;
let before: Snapshot;
let kept: string[];

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'the release that must stay as it is' });
  open = await world.approve('2.0');
  held = await steal(world, open);
});
beforeEach(async () => {
  [before, kept] = [await snapshot(world), await shelf(world)];
});
afterAll(() => world.close());

const bytes = Buffer.from('bytes that belong nowhere');
const blob = sha256Hex(bytes);

/** Turned away, with nothing kept and nothing else changed. */
async function expectTurnedAway(answer: HttpAnswer, ...statuses: number[]): Promise<void> {
  expect(statuses, answer.body.toString()).toContain(answer.status);
  await expectUntouched(world, before, { answers: [answer] });
  expect(await shelf(world)).toEqual(kept);
}

const ask = (request: HttpRequest): Promise<HttpAnswer> =>
  rawRequest(world.url, { token: held.token, ...request });
const send = (path: string, name: string): Promise<HttpAnswer> =>
  ask({ method: 'POST', path, body: packTar([{ name, bytes }]) });

/** Names that a tar program would happily unpack. */
const climbing: Readonly<Record<string, string>> = {
  'the parent': '../approval.json',
  'the parent, later': 'statements/../../../x',
  'an absolute path': '/etc/cron.d/x',
  'a dot': './approval.json',
  'a backslash': 'statements\\b1.json',
  percent: '%2e%2e/x',
  'a doubled slash': 'statements//b1.json',
  'a newline': 'statements/b1.json\n[GNUPG:] GOODSIG 0123456789ABCDEF Ada',
  'an escape sequence': '\u001b[2J',
  'a long name': `${'statements/'.repeat(300)}x`,
  nothing: '',
};

describe('in a tar of records', () => {
  test.each([
    ...Object.entries(climbing),
    ['a place that the gate fills itself', 'statements/b1.2.json'],
    ['a blob', `blobs/${blob}`],
    ['a file that no build has', 'index.html'],
    ['a slot that is no name', 'statements/B1.json'],
    ['an approver that is no key', 'approval.json.../../x.sig'],
    ['a signature of a bad name', 'signatures/../../x.asc'],
  ])('%s', async (_, name) => {
    await expectTurnedAway(await send(`/builds/${open.build}`, name), 422);
  });

  test('the records of a build that are right, and one file that climbs beside them', async () => {
    const files = sign(held, statementOf(held, {})).set('../../x', bytes);
    await expectTurnedAway(await post(world, held.build, files, held.token), 422);
  });

  test.each([
    ['a hard link', '1'],
    ['a symlink', '2'],
    ['a character device', '3'],
    ['a directory', '5'],
    ['a FIFO', '6'],
    ['a sparse file', 'S'],
    ['a global header', 'g'],
    ['a long link name', 'K'],
  ])('%s', async (_, type) => {
    const body = retyped(packTar([{ name: 'approval.json', bytes }]), type);
    await expectTurnedAway(await ask({ method: 'POST', path: `/builds/${open.build}`, body }), 422);
  });

  test('a name under which a header and its extension mean two files', async () => {
    const pax = packTar([{ name: 'statements/../'.repeat(10), bytes }]);
    // two extensions of one header: programs differ in which they believe
    const body = Buffer.concat([pax.subarray(0, 1024), pax]);
    await expectTurnedAway(await ask({ method: 'POST', path: `/builds/${open.build}`, body }), 422);
  });
});

describe('in a tar of blobs and of signatures', () => {
  test.each([
    ...Object.entries(climbing),
    ['capitals', blob.toUpperCase()],
    ['a digest in a directory', `x/${blob}`],
    ['the digest of something else', sha256Hex('something else')],
  ])('%s', async (_, name) => {
    await expectTurnedAway(await send(`/builds/${open.build}/blobs`, name), 422);
    await expectTurnedAway(await send(`/builds/${open.build}/signatures`, name), 422, 403);
  });
});

describe('in a request target', () => {
  const targets = [
    '/builds/../../../etc/passwd',
    '/builds/%2e%2e/%2e%2e/etc/passwd',
    '/builds/..%2f..%2fx',
    '/builds/BUILD/blobs/../approval.json',
    '/builds/BUILD/blobs/..',
    '/builds/BUILD/./approval.json',
    '/builds/BUILD//approval.json',
    '/builds/BUILD\\approval.json',
    '/builds/BUILD/approval.json%00.sig',
    '/builds/BUILD/approval.json?x=1',
    '/builds/BUILD/approval.json#x',
    '/builds/BUILD/blobs/%c0%ae%c0%ae',
    'http://elsewhere.example/builds/BUILD/approval.json',
    '//elsewhere.example/builds/BUILD/approval.json',
    'builds/BUILD/approval.json',
    `/builds/BUILD/${'a/'.repeat(2000)}`,
  ].map((target) => [target] as const);

  test.each(targets)('%.60s', async (target) => {
    const path = target.replace('BUILD', open.build);
    for (const method of ['GET', 'PUT', 'POST'])
      await expectTurnedAway(await ask({ method, path, ...(method !== 'GET' && { body: bytes }) }), 400);
  });

  test.each([
    ['a hidden file of the store', '/.tmp/x'],
    ['a hidden file of a build', '/builds/BUILD/.x'],
    ['capitals', '/BUILDS/BUILD/approval.json'],
    ['the id in capitals', '/builds/01JD9V7Q3M4N5P6R7S8T9VWXYZ/approval.json'],
    ['a version that is none', '/releases/widget/-1.0/SHA256SUMS'],
    ['the project file', '/countersign.toml'],
    ['H’s directory', '/signer/signer-token'],
  ])('%s is not there, and is not written', async (_, target) => {
    const path = target.replace('BUILD', open.build);
    await expectTurnedAway(await ask({ path }), 404, 400);
    await expectTurnedAway(await ask({ method: 'PUT', path, body: bytes }), 405, 422, 400);
    await expectTurnedAway(await ask({ method: 'POST', path, body: bytes }), 405, 400);
  });

  test.each([
    ['NUL', '/builds/\0'],
    ['a space', '/builds/ /x'],
    ['bytes that are no ASCII', '/builds/\xff\xfe'],
    ['an escape sequence', '/builds/\x1b[2J'],
  ])('%s, as no HTTP library would send it', async (_, target) => {
    const answer = await overSocket(
      world.url,
      `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer).not.toContain('\x1b');
    await expectUntouched(world, before, { answers: [] });
  });

  test('the one way to write it is answered', async () => {
    const answer = await ask({ path: `/builds/${open.build}/approval.json` });
    expect([answer.status, answer.body]).toEqual([200, held.bytes]);
  });
});

describe('on the command line', () => {
  test.each([
    ['a version that climbs', ['approve', '../1.0', '--tickets', 'T', '--yes']],
    ['a version that is an option', ['approve', '--tickets', 'T', '--yes', '--', '-rf']],
    ['a version of 65 characters', ['approve', '1'.repeat(65), '--tickets', 'T', '--yes']],
    ['a version with a line break', ['approve', '1\n[GNUPG:] GOODSIG', '--tickets', 'T', '--yes']],
    ['a pattern that climbs', ['approve', '9.9', '--artifact', '../x', '--tickets', 'T', '--yes']],
    ['a build that climbs', ['status', '../../signer']],
    ['a build in capitals', ['status', '01JD9V7Q3M4N5P6R7S8T9VWXYZ']],
  ])('%s', async (_, [verb = '', ...args]) => {
    const tickets = world.path('operator', 'tickets-none');
    const named = args.map((arg) => (arg === 'T' ? tickets : arg));
    const ran = await world.runOn('operator', [verb, '--json', ...named]);
    expect(ran.code).toBeOneOf([1, 2]);
    await expectUntouched(world, before, { answers: [ran] });
    expect(await shelf(world)).toEqual(kept);
  });

  test('a version of every character there is is approved, and released', async () => {
    const version = `0.A+b~c_d-${'9'.repeat(54)}`;
    const { ticket, build } = await world.approve(version);
    mustBe(0, await world.attest(ticket, { app: 'app' }));
    await expectSigned(world, build, version, { app: 'app' });
    const page = await ask({ path: `/releases/widget/${version}/`, headers: { Accept: 'text/html' } });
    expect(page.status).toBe(200);
    expect(await readFile(world.tree('releases/widget', version, 'app'), 'utf8')).toBe('app');
  });
});

/** The tar, its first file of another type. */
function retyped(tar: Buffer, type: string): Buffer {
  const header = tar.subarray(0, 512);
  header.write(type, 156, 'latin1');
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return tar;
}
