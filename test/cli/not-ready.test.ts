/** A depot that answers, and can do nothing now: every verb says why, in the depot's words, and exits 3. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { formatError } from '../../src/tree/wire.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

let world: World;
let waiting: { build: string; ticket: string };
let sealed: string;
let front: Server;
let url: string;
let answer: Answer;

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { 'app.tgz': 'one' });
  const built = await world.approve('1.1');
  mustBe(0, await world.attest(built.ticket, { 'app.tgz': 'two' }));
  sealed = built.build;
  waiting = await world.approve('1.2');
  await world.place({ 'app.tgz': 'three' });
  front = createServer((asked, response) => {
    asked.resume();
    response.writeHead(answer.status, { 'content-length': answer.body.length }).end(answer.body);
  });
  await once(front.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
}, 60_000);
afterAll(async () => {
  front?.close();
  await world?.close();
});

/** Each on its own: none waits for another. */
const verbs: [string, () => Promise<Ran>][] = [
  ['approve', () => world.approve('2.0', ['--depot', url])],
  ['endorse', () => world.runOn('operator', ['endorse', waiting.build, '--yes', '--json', '--depot', url])],
  [
    'revoke',
    () =>
      world.runOn('operator', ['revoke', waiting.build, '--reason', 'x', '--yes', '--json', '--depot', url]),
  ],
  ['status', () => world.runOn('operator', ['status', '--json', '--depot', url])],
  ['status BUILD', () => world.runOn('operator', ['status', sealed, '--json', '--depot', url])],
  [
    'attest',
    () => world.attest(waiting.ticket, { 'app.tgz': 'three' }, ['--patience', '1s', '--depot', url]),
  ],
  ['sign', () => world.sign(['--depot', url])],
  ['sync', () => world.runOn('operator', ['sync', url, world.path('operator', 'copy'), '--json'])],
  ['sync to', () => world.runOn('operator', ['sync', world.url, url, '--json'])],
  ['verify', () => world.verify([world.tree('releases', 'widget', '1.0', 'app.tgz')], ['--release', url])],
  ['log show', () => world.runOn('operator', ['log', 'show', '--json', '--log', url])],
  ['log verify', () => world.runOn('operator', ['log', 'verify', '--json', '--log', url])],
  ['log monitor', () => world.runOn('operator', ['log', 'monitor', '--json', '--log', url])],
];

const busy = unable('busy', 'too many small writes at a time', 'try again in a moment');
const full = unable('disk-reserve', 'its disk is nearly full', 'make room there');
const gone = unable('no-depot', 'its data directory is gone', 'mount it');

/** In its own words, where it has some. */
const STATES: [string, Answer, { code: string; message: RegExp; hint: RegExp }][] = [
  [
    'has too much to do',
    { status: 503, body: formatError(busy) },
    { code: 'busy', message: /too many small writes/, hint: /in a moment/ },
  ],
  [
    'has a full disk',
    { status: 507, body: formatError(full) },
    { code: 'disk-reserve', message: /its disk is nearly full/, hint: /make room there/ },
  ],
  [
    'has lost its disk',
    { status: 500, body: formatError(gone) },
    { code: 'no-depot', message: /^the depot at http:.* says: its data directory is gone/, hint: /mount it/ },
  ],
  [
    'is behind a web server that does not find it',
    { status: 502, body: Buffer.from('<html>bad gateway</html>') },
    { code: 'http-502', message: /^the depot answers \w+ \S+ with status 502$/, hint: /\/readyz there says/ },
  ],
];

test.each(STATES)('one that %s', { timeout: 120_000 }, async (_, given, { code, message, hint }) => {
  answer = given;
  await Promise.all(
    verbs.map(async ([verb, run]) => {
      const ran = await run();
      expect(ran.code, `${verb}: ${ran.stderr}`).toBe(3);
      // sync goes on with what it can, and says it of each build
      if (verb === 'sync to')
        expect(ran.json).toContainEqual(expect.objectContaining({ state: 'unfinished', code }));
      else {
        expect(ran.error?.code, `${verb}: ${ran.stderr}`).toBe(code);
        expect(ran.error?.message, verb).toMatch(message);
        expect(ran.error?.hint, verb).toMatch(hint);
      }
      expect(ran.stderr, verb).not.toMatch(/the depot (is back|does not answer)/);
    }),
  );
});
