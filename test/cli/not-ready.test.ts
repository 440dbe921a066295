/** A depot that answers, and can do nothing now: every verb says why, in the depot's words, and exits 3. */
import { once } from 'node:events';
import { cp, mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
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
let released: string;
let sealed: string;
/** A stick with the build that waits, and no log. */
let stick: string;
const fronts: Server[] = [];
let signing: Promise<unknown> = Promise.resolve();

beforeAll(async () => {
  world = await World.make();
  released = await world.release('1.0', { 'app.tgz': 'one' });
  const built = await world.approve('1.1');
  mustBe(0, await world.attest(built.ticket, { 'app.tgz': 'two' }));
  sealed = built.build;
  waiting = await world.approve('1.2');
  stick = world.path('operator', 'stick');
  await cp(world.tree('builds', waiting.build), join(stick, 'builds', waiting.build), { recursive: true });
}, 60_000);
afterAll(async () => {
  for (const front of fronts) front.close();
  await world?.close();
});

/** What stands where a depot was, and has one answer to everything. Returns its address. */
async function frontOf({ status, body }: Answer): Promise<string> {
  const front = createServer((asked, response) => {
    asked.resume();
    response.writeHead(status, { 'content-length': body.length }).end(body);
  });
  fronts.push(front);
  await once(front.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
}

/** Each on its own: none waits for another. */
const VERBS = {
  approve: (url) => world.approve('2.0', ['--depot', url]),
  endorse: (url) => operator('endorse', waiting.build, '--yes', '--depot', url),
  revoke: (url) => operator('revoke', waiting.build, '--reason', 'x', '--yes', '--depot', url),
  status: (url) => operator('status', '--depot', url),
  'status BUILD': (url) => operator('status', sealed, '--depot', url),
  attest: async (url) => {
    // what waits to be sent lies beside it
    const ticket = join(await mkdtemp(world.path('M', 'ticket-')), 'b1.ticket');
    await cp(waiting.ticket, ticket);
    return world.attest(ticket, { 'app.tgz': 'three' }, ['--patience', '1s', '--depot', url]);
  },
  // H has one lock
  sign: (url) => {
    const signed = signing.then(() => world.sign(['--depot', url]));
    signing = signed;
    return signed;
  },
  'sync from': (url) => operator('sync', url, world.path('operator', 'copy')),
  verify: (url) => world.verify([world.tree('releases', 'widget', '1.0', 'app.tgz')], ['--release', url]),
  'log show': (url) => operator('log', 'show', '--log', url),
  'log verify': (url) => operator('log', 'verify', '--log', url),
  'log monitor': (url) => operator('log', 'monitor', '--log', url),
} satisfies Record<string, (url: string) => Promise<Ran>>;
type Verb = keyof typeof VERBS;

const operator = (...args: readonly string[]): Promise<Ran> => world.runOn('operator', [...args, '--json']);

const busy = unable('busy', 'too many small writes at a time', 'try again in a moment');
const full = unable('disk-reserve', 'its disk is nearly full', 'make room there');
const gone = unable('no-depot', 'its data directory is gone', 'mount it');

interface State {
  readonly answer: Answer;
  /** It is asked again for some seconds. */
  readonly mayPass: boolean;
  readonly code: 'busy' | 'disk-reserve' | 'no-depot' | 'http-502';
  readonly message: RegExp;
  readonly hint: RegExp;
  /** Beside `sync` into it. Each verb is in one; in those where it is asked again, such as ask it once. */
  readonly verbs: readonly Verb[];
}

/** In its own words, where it has some. */
const STATES: [string, State][] = [
  [
    'has too much to do',
    {
      ...{ answer: { status: 503, body: formatError(busy) }, mayPass: true },
      ...{ code: 'busy', message: /too many small writes/, hint: /in a moment/ },
      verbs: ['revoke', 'status', 'attest', 'sign', 'log show'],
    },
  ],
  [
    'has a full disk',
    {
      ...{ answer: { status: 507, body: formatError(full) }, mayPass: false },
      ...{ code: 'disk-reserve', message: /its disk is nearly full/, hint: /make room there/ },
      verbs: ['approve', 'endorse', 'attest'],
    },
  ],
  [
    'has lost its disk',
    {
      ...{ answer: { status: 500, body: formatError(gone) }, mayPass: false, code: 'no-depot' },
      ...{ message: /^the depot at http:.* says: its data directory is gone/, hint: /mount it/ },
      verbs: ['approve', 'status BUILD', 'sign', 'sync from', 'log verify'],
    },
  ],
  [
    'is behind a web server that does not find it',
    {
      ...{ answer: { status: 502, body: Buffer.from('<html>bad gateway</html>') }, mayPass: true },
      ...{
        code: 'http-502',
        message: /^the depot answers \w+ \S+ with status 502$/,
        hint: /\/readyz there says/,
      },
      verbs: ['endorse', 'attest', 'verify', 'log monitor'],
    },
  ],
];

const NOT_SO = /the depot (is back|does not answer)/;

test('every verb meets one of them', () => {
  expect(new Set(STATES.flatMap(([, { verbs }]) => verbs))).toEqual(new Set(Object.keys(VERBS)));
});

test.concurrent.each(STATES)('one that %s', { timeout: 60_000 }, async (_, state) => {
  const { code, message, hint } = state;
  const url = await frontOf(state.answer);
  const asked = state.verbs.map(async (verb) => {
    const ran = await VERBS[verb](url);
    expect(ran.code, `${verb}: ${ran.stderr}`).toBe(3);
    expect(ran.error?.code, `${verb}: ${ran.stderr}`).toBe(code);
    expect(ran.error?.message, verb).toMatch(message);
    expect(ran.error?.hint, verb).toMatch(hint);
    expect(ran.stderr, verb).not.toMatch(NOT_SO);
  });
  await Promise.all([...asked, carriedTo(url, state)]);
});

/** `sync` goes on with what it can, and says of each what was in the way; of one build, where it is asked again. */
async function carriedTo(url: string, { mayPass, code }: State): Promise<void> {
  const ran = await operator('sync', mayPass ? stick : world.tree(), url);
  expect(ran.code, ran.stderr).toBe(3);
  expect(ran.stderr).not.toMatch(NOT_SO);
  const nothing = { state: 'unfinished', code };
  const builds = {
    busy: [waiting.build],
    'http-502': [waiting.build],
    'disk-reserve': [released, sealed, waiting.build],
    // no other would fare better
    'no-depot': [released],
  }[code];
  expect(ran.json).toEqual([
    ...(mayPass ? [] : [{ log: { ...nothing, size: 0, entries: 0 } }]),
    ...builds.map((build) => ({ build, ...nothing, files: 0, bytes: 0 })),
  ]);
}
