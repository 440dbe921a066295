/** Several large artifacts on H: hashed in threads of the real program, over a network that cuts and a depot that lies. */
import { open, readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import type { Speech } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { PROGRAM_H } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { World, mustBe } from '../harness/world.ts';

/** More than is worth threads, both together. */
const SIZE = 66 * 1024 * 1024;
const one = Buffer.alloc(SIZE);
const other = Buffer.alloc(SIZE);
one.write('one', SIZE - 3);
other.write('other', SIZE - 5);
const files = { 'a.img': one, 'b/b.img': other, 'small.txt': 'small' };

let world: World;
let hostile: HostileDepot;
let build: string;
beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
  const approved = await world.approve('1.0');
  mustBe(0, approved);
  mustBe(0, await world.attest(approved.ticket, files));
  ({ build } = approved);
});
afterAll(async () => {
  await hostile.close();
  await world.close();
});

/** Runs what follows so that no file of it grows larger. */
const FILES_OF_A_MIB = ['sh', '-c', 'ulimit -f 2048 && exec "$@"', 'sh'];

const blobOf = (content: Buffer): string => world.tree('builds', build, 'blobs', sha256Hex(content));

/** Overwrites the end of the depot's copy. */
async function tamper(content: Buffer, end: string): Promise<void> {
  const file = await open(blobOf(content), 'r+');
  await file.write(end, SIZE - end.length);
  await file.close();
}

/** The head of an answer, and the first half of its body. */
const half: Speech = (socket: Socket, asked) => {
  const content = asked.path.endsWith(sha256Hex(one)) ? one : other;
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
  socket.write(content.subarray(0, SIZE / 2));
};

test('one of them is wrong: it is said which, nothing is signed, and nothing was written', async () => {
  await tamper(other, 'oTher');
  const before = await snapshot(world);
  const ran = await world.sign([], { under: FILES_OF_A_MIB, env: { NODE_DEBUG: 'worker' } });
  mustBe(1, ran);
  expect(ran.json).toMatchObject([{ build, state: 'built', code: 'artifact-wrong', signSeconds: 0 }]);
  expect(ran.stderr).toContain('b/b.img: these are not');
  expect(ran.stderr, 'in threads').toContain('create new worker');
  await expectUntouched(world, before, { answers: [ran] });
  await tamper(other, 'other');

  const keeping = await world.sign(['--keep', world.path('M', 'keep')], { under: FILES_OF_A_MIB });
  mustBe(3, keeping);
  expect(keeping.json).toMatchObject([{ build, state: 'built', code: 'disk' }]);
  await expectUntouched(world, before, { answers: [keeping] });
});

test('Ctrl-C in the middle: nothing is signed, and nobody waits', async () => {
  const before = await snapshot(world);
  const pid = world.path('M', 'pid');
  let asked = 0;
  hostile.speak(/\/blobs\//, (...all) => {
    asked += 1;
    half(...all);
  });
  const under = ['sh', '-c', 'echo $$ >"$0" && exec "$@"', pid];
  const running = world.sign(['--depot', hostile.url], { under });
  await until('both are being read', () => asked === 2);
  process.kill(Number(await readFile(pid, 'utf8')), 'SIGINT');
  expect(await running).toMatchObject({ code: null, stdout: '' });
  await expectUntouched(world, before, { answers: [] });
});

test('connections that are cut in the middle: a second time is asked for, by countersign-h too', async () => {
  const before = await snapshot(world);
  const cut: Speech = (socket, asked, honest) => {
    half(socket, asked, honest);
    socket.end();
  };
  hostile.repent();
  hostile.speak(/\/blobs\//, cut);
  const args = ['--depot', hostile.url];
  const cutTwice = await world.sign(args);
  mustBe(3, cutTwice);
  expect(cutTwice.json).toMatchObject([{ state: 'built', code: 'network' }]);
  await expectUntouched(world, before, { answers: [cutTwice] });

  const asked: string[] = [];
  hostile.speak(/\/blobs\//, (socket, request, honest) => {
    asked.push(request.path);
    if (asked.indexOf(request.path) === asked.length - 1) return cut(socket, request, honest);
    void honest().then(({ body }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.end(body);
    });
  });
  const how = { program: PROGRAM_H, under: FILES_OF_A_MIB, env: { NODE_DEBUG: 'worker' } };
  const ran = await world.sign(args, how);
  mustBe(0, ran);
  expect(ran.json).toMatchObject([{ build, state: 'published', artifacts: 3 }]);
  expect(ran.stderr, 'in threads').toContain('create new worker');
  expect(asked.length).toBe(4);
  mustBe(0, await world.verify([world.tree('releases/widget/1.0')]));
});
