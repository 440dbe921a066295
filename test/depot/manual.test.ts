/** docs/how-to/depot.md, typed by whoever runs a depot. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collected } from '../harness/collected.ts';
import { shellBlocks } from '../harness/document.ts';
import { PROGRAM } from '../harness/program.ts';
import { World, freePort } from '../harness/world.ts';

const DOCUMENT = 'docs/how-to/depot.md';
let world: World;
beforeAll(async () => {
  world = await World.make();
  await world.stopServer();
});
afterAll(() => world.close());

test('it is started, asked how it is, scraped, and its log is read', async () => {
  const block = async (heading: string): Promise<string> => (await shellBlocks(DOCUMENT, heading))[0] ?? '';
  const script = `
    countersign() { exec '${process.execPath}' '${PROGRAM}' "$@"; }
    >said
    { ${(await block('Start')).trim()}; } >said 2>depot.log &
    until grep -q '^listening on http://' said; do sleep 0.1; kill -0 $!; done
    ${await block('Is it well?')}
    ${await block('Metrics')}
    kill $! && wait $!
    ${await block('Logs')}
    jq -r .msg depot.log | tail -1`;
  const env = { ...world.env('L'), LISTEN: `127.0.0.1:${await freePort()}` };
  const child = spawn('bash', ['-euc', script], {
    cwd: world.path('cwd'),
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ran = await collected(child);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  const [health, ready, ...rest] = ran.stdout.trimEnd().split('\n');
  expect([health, ready, rest.at(-1)]).toEqual(['{"ok":true}', '{"ready":true}', 'stopped']);
  expect(rest[0]).toBe('countersign_depot_requests_total{method="GET",route="/healthz",status="200"} 1');
});
