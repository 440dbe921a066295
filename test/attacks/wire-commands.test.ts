/**
 * L against everybody else who asks it: `verify`, `status`, `approve`, `attest`; and against H where it is slow, shows the
 * certificate of another, or sends more than H's disk holds.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { blobFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import type { Speech } from '../harness/hostile-depot.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { describeAsRoot } from '../harness/root.ts';
import { mustBe, World } from '../harness/world.ts';
import { plant, post, putBlob, sign, statementOf, steal } from './forge.ts';
import { expectSigned, expectUnsigned, verdicts } from './outcome.ts';

const contents = { app: 'the next one', large: 'x'.repeat(100_000) };

let world: World;
let hostile: HostileDepot;
/** A copy of the published artifact, away from its release. */
let artifact: string;
/** Sealed, for H. */
let sealed: string;
/** Of a build that waits for M, and what M has for it. */
let ticket: string;
let base: string;
let before: Snapshot;

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'the release that must stay as it is' });
  artifact = `${await world.place({ app: 'the release that must stay as it is' })}/app`;
  const next = await world.approve('2.0');
  mustBe(0, await world.attest(next.ticket, contents));
  sealed = next.build;
  hostile = await HostileDepot.start(world.url);
  ({ ticket } = await world.approve('4.0', ['--depot', hostile.url]));
  base = await world.place(contents);
});
beforeEach(async () => {
  hostile.repent();
  before = await snapshot(world);
});
afterAll(async () => {
  await hostile.close();
  await world.close();
});

let versions = 0;
/** Each command, asking the hostile depot. */
const commands: Readonly<Record<string, () => Promise<Ran>>> = {
  verify: () => world.verify([artifact], ['--depot', hostile.url, '--project', 'widget', '--version', '1.0']),
  status: () => world.runOn('operator', ['status', sealed, '--json', '--depot', hostile.url]),
  approve: () => world.approve(`3.${++versions}`, ['--depot', hostile.url]),
  sign: () => world.sign([sealed, '--depot', hostile.url]),
  // the depot's address is in the ticket
  attest: () =>
    world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json', '--patience', '2s']),
};

const raw =
  (bytes: string | Buffer): Speech =>
  (socket) =>
    void socket.end(bytes);
const answers: [what: string, speech: Speech][] = [
  ['sends elsewhere', raw('HTTP/1.1 307 Elsewhere\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n')],
  ['sends a bomb', (socket) => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`), bomb]));
  }],
  ['says no length', raw('HTTP/1.1 200 OK\r\n\r\nhello')],
  ['says a terabyte', raw('HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n')],
  ['fails with a gigabyte', raw('HTTP/1.1 500 No\r\nContent-Length: 1000000000\r\n\r\n')],
  ['speaks to the terminal', raw(`HTTP/1.1 403 No\r\nContent-Length: 84\r\n\r\n${JSON.stringify({ code: 'no-way', message: '\u001b[2J\n[GNUPG:] GOODSIG', hint: '\u0007' }).padEnd(84)}`)],
  ['greets', raw('HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>')],
]; // prettier-ignore

describe.each(answers)('a depot that %s', (_, speech) => {
  test('is believed by nobody', async () => {
    hostile.speak(/./, speech);
    const ran = await Promise.all(Object.values(commands).map((command) => command()));
    for (const [at, each] of ran.entries()) {
      // status is there to say that what a depot shows makes no sense
      if (each.json[0]?.['state'] === 'unreadable') continue;
      expect(each.code, `${Object.keys(commands)[at]}: ${each.stdout}${each.stderr}`).not.toBe(0);
      expectRefusal(each);
    }
    await expectUntouched(world, before, { answers: [] });
  });
});

test('a depot that sends a byte a second is left by all of them', async () => {
  const beats: NodeJS.Timeout[] = [];
  hostile.speak(/./, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
    beats.push(setInterval(() => socket.writable && socket.write('{'), 1000));
  });
  try {
    const ran = await Promise.all(Object.values(commands).map((command) => command()));
    for (const each of ran) {
      expect(each.code, each.stdout + each.stderr).toBe(3);
      expectRefusal(each);
    }
  } finally {
    for (const beat of beats) clearInterval(beat);
  }
  await expectUntouched(world, before, { answers: [] });
}, 120_000);

describe('a depot that lists without end', () => {
  const id = (at: number): string => `7${at.toString(8).padStart(25, '0')}`;
  /** Twenty thousand that are not there, and then more of them; each time it is asked. */
  const endless = (size: number): void => {
    hostile.lie(/^\/builds\/(?:\?.*)?$/, (_, { path }) => {
      const after = /after=7([0-7]{25})$/.exec(path)?.[1];
      const first = after === undefined ? 1 : Number.parseInt(after, 8) + 1;
      const builds = Array.from({ length: size }, (__, at) => id(first + at));
      const body = Buffer.from(JSON.stringify({ builds, next: size === 0 ? id(first) : builds.at(-1) }));
      return { status: 200, headers: { 'content-type': 'application/json' }, body };
    });
  };

  test.each([20_000, 2_000, 0])('%i at a time: status says so', async (size) => {
    endless(size);
    const asked = hostile.asked.length;
    const ran = await world.runOn('operator', ['status', '--json', '--depot', hostile.url]);
    expect([ran.code, ran.error?.code]).toEqual([3, 'depot-listing']);
    expect(hostile.asked.length - asked).toBeLessThan(100);
    await expectUntouched(world, before, { answers: [ran] });
  });

  test('approve says that it has not seen all, and goes on', async () => {
    endless(900);
    const asked = hostile.asked.length;
    const ran = await world.approve('5.0', ['--depot', hostile.url]);
    mustBe(0, ran);
    expect(ran.stderr).toContain('whether another build has 5.0 was not seen');
    expect(hostile.asked.length - asked).toBeLessThan(1500);
  });
});

describe('a depot with the certificate', () => {
  /** A key and a certificate that whoever asks is told to trust. */
  async function asking(names: readonly string[], daysAgo = 0): Promise<Ran> {
    const [cert, key] = [world.path('tmp', 'cert.pem'), world.path('tmp', 'key.pem')];
    const made = `req -x509 -newkey ed25519 -nodes -subj /CN=depot -days 1 -keyout ${key} -out ${cert}`;
    execFileSync(
      'faketime',
      ['-f', `${daysAgo > 0 ? '-' : '+'}${Math.abs(daysAgo)}d`, 'openssl', ...made.split(' '), ...names],
      {
        stdio: 'ignore',
      },
    );
    await world.stopServer();
    await world.startServer(['--tls-cert', cert, '--tls-key', key]);
    try {
      const url = world.url.replace('http:', 'https:');
      return await world.runOn('operator', ['status', sealed, '--json', '--depot', url], {
        env: { NODE_EXTRA_CA_CERTS: cert },
      });
    } finally {
      await world.stopServer();
      await world.startServer();
      for (const file of [cert, key]) await rm(file);
    }
  }
  const here = ['-addext', 'subjectAltName=IP:127.0.0.1'];

  test.each([
    ['of another host', ['-addext', 'subjectAltName=DNS:elsewhere.example,IP:10.0.0.1'], 0],
    ['of no host', [], 0],
    ['that has expired', here, 3],
    ['of tomorrow', here, -1],
  ])('%s is not talked to', async (_, names, daysAgo) => {
    const ran = await asking(names, daysAgo);
    expect([ran.code, ran.error?.code]).toEqual([3, 'network']);
    await expectUntouched(world, before, { answers: [ran] });
  });

  test('of its own, which we are told to trust, is', async () => {
    mustBe(0, await asking(here));
  });
});

describeAsRoot('a depot that sends more than H’s disk holds', ['unshare', '--mount', 'true'], () => {
  /** Runs a command on an H whose state lies on a disk of its own, which is nearly full; what is there then is H's state from now on. */
  const onSmallDisk = (args: readonly string[]): Promise<Ran> => {
    const script = `set -e; cp -a "$STATE/." "$KEPT"; mount -t tmpfs -o mode=700,size=256k tmpfs "$STATE"; cp -a "$KEPT/." "$STATE"
      "$@" || code=$?; rm -r "$KEPT"; cp -a "$STATE" "$KEPT"; umount "$STATE"; cp -a "$KEPT/." "$STATE"; exit $code`;
    const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
    const env = { STATE: world.path('H', 'signer'), KEPT: world.path('tmp', 'kept') };
    return world.runOn('H', args, { under: ['unshare', ...user, '--mount', 'sh', '-c', script, 'sh'], env });
  };

  test('H says so, its journal is whole, and it goes on when there is room', async () => {
    const held = await steal(world, await world.approve('6.0'));
    const names = Array.from({ length: 1000 }, (_, at) => [
      `${'a'.repeat(245)}/${String(at).padStart(4, '0')}`,
      'a',
    ]);
    expect((await putBlob(world, held, 'a')).status).toBe(201);
    const files = sign(held, statementOf(held, Object.fromEntries(names)));
    expect((await post(world, held.build, files, held.token)).status).toBe(201);
    await mkdir(world.path('tmp', 'kept'));
    try {
      const ran = await onSmallDisk(['sign', held.build, '--once', '--yes', '--json']);
      expect([ran.code, verdicts(ran)]).toEqual([3, [expect.stringMatching(/ disk$/)]]);
      expect(ran.stderr).toContain('make room');
      const journal = (await readFile(world.path('tmp', 'kept', 'journal'))).toString();
      const earlier = before.journal.toString();
      expect([journal.startsWith(earlier), journal.endsWith('\n')]).toEqual([true, true]);
      expect(journal.slice(earlier.length)).not.toMatch(/"(?:intent|refusal|statement)"/);
    } finally {
      await rm(world.path('tmp', 'kept'), { recursive: true });
    }
    await plant(world, held.build, new Map([[blobFile(sha256Hex('a')), null]]));
    await expectUnsigned(world, before, held.build, 'built artifact-missing');
  });
});

test('and when L is honest again, all that was waiting is signed', async () => {
  mustBe(0, await world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json']));
  await expectSigned(world, sealed, '2.0', contents);
});
