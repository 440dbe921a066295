/** `sign --watch`, as a service: builds are signed as they are sealed, and it ends when it is told to. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRAM_H } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

test('watch signs what comes and ends with status 0 on SIGTERM; one signer at a time', async () => {
  const child = spawn(process.execPath, [PROGRAM_H, 'sign', '--watch', '--yes', '--json'], {
    cwd: world.path('cwd'),
    env: world.env('H'),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (build: string, state: string): Promise<void> => {
    for (;;) {
      const { value, done } = (await lines.next()) as { value?: string; done?: boolean };
      if (done === true || value === undefined) throw new Error('watch ended');
      const line = JSON.parse(value) as Record<string, unknown>;
      if (line['build'] === build && line['state'] === state) return;
    }
  };

  for (const version of ['1.0.0', '1.0.1']) {
    const approved = await world.approve(version);
    mustBe(0, approved);
    mustBe(0, await world.attest(approved.ticket, { 'app.tgz': version }));
    await next(approved.build, 'published');
  }
  const second = await world.sign();
  expect(second).toMatchObject({ code: 3, error: { code: 'locked' } });
  expect(second.error?.message).toContain(`process (${child.pid})`);

  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});

test('a build whose artifacts the network keeps away: a person is told of the depot, a program of the build', async () => {
  const { build, ticket } = await world.approve('1.0.2');
  mustBe(0, await world.attest(ticket, { 'app.tgz': 'out of reach' }));
  // a link that breaks as soon as somebody asks for the artifacts
  let isCut = true;
  const link = createServer((asked, answer) => {
    const { url = '', method = '', headers } = asked;
    if (isCut && /\/(blobs|fetch)\b/.test(url)) return void asked.socket.destroy();
    const passed = request(new URL(url, world.url), { method, headers }, (answered) => {
      answer.writeHead(answered.statusCode ?? 500, answered.headers);
      answered.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    asked.pipe(passed);
  });
  await once(link.listen(0, '127.0.0.1'), 'listening');
  const { port } = link.address() as AddressInfo;
  const args = ['sign', '--watch', '--yes', '--json', '--depot', `http://127.0.0.1:${port}`];
  const child = spawn(process.execPath, [PROGRAM_H, ...args], {
    cwd: world.path('cwd'),
    env: world.env('H'),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const records: Record<string, unknown>[] = [];
  const said: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) =>
    records.push(JSON.parse(line) as Record<string, unknown>),
  );
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
  const ended = once(child, 'exit');
  const away = (): string[] => said.filter((line) => line.includes('the depot is away'));
  try {
    await until('it is away', () => away().length > 0);
    await until('the record', () => records.length > 0);
    expect(records).toEqual([
      {
        ...{ build, state: 'built', code: 'network', artifacts: 1, bytes: 12 },
        ...{ signSeconds: 0, publishSeconds: 0 },
      },
    ]);
    isCut = false;
    await until('it is published', () => records.some(({ state }) => state === 'published'));
    expect(records.map(({ state, code }) => [state, code])).toEqual([
      ['built', 'network'],
      ['published', undefined],
    ]);
    expect(away()).toHaveLength(1);
  } finally {
    child.kill('SIGTERM');
    await ended;
    link.closeAllConnections();
    link.close();
  }
});
