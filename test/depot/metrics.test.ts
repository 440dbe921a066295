/** What the depot counts, as Prometheus reads it and as docs/how-to/depot.md lists it; and whether it is well. */
import { chmod, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../harness/until.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { World, freePort } from '../harness/world.ts';
import { parseMetrics } from './metrics-text.ts';

const PREFIX = 'countersign_depot_';
let world: World;
/** Where metrics are, and nothing else. */
let watched: string;

beforeAll(async () => {
  world = await World.make();
  await world.stopServer();
  watched = `http://127.0.0.1:${await freePort()}`;
  await world.startServer(['--metrics', new URL(watched).host, '--reserve', '1M']);
});
afterAll(() => world.close());

const scrape = async (): Promise<ReturnType<typeof parseMetrics>> =>
  parseMetrics((await rawRequest(watched, { path: '/metrics' })).body.toString());
/** The value of a sample. */
const value = async (name: string, labels = ''): Promise<number | undefined> =>
  [...(await scrape()).values()]
    .flatMap(({ samples }) => samples)
    .find(([sample, own]) => sample === PREFIX + name && own === labels)?.[2];

test('a release is counted, each step of it', async () => {
  await world.release('1.0', { 'widget-1.0.tar': 'a release' });
  await rawRequest(world.url, { path: '/releases/none/1/' });
  await rawRequest(world.url, { path: '/%2e%2e' });
  await rawRequest(world.url, { method: 'BREW', path: '/' }).catch(() => null);
  expect(await value('publishes_total', '{outcome="ok"}')).toBe(1);
  expect(await value('publishes_total', '{outcome="failed"}')).toBe(0);
  expect(await value('blobs_received_total')).toBe(1);
  expect(await value('blobs_received_bytes_total')).toBe('a release'.length);
  expect(await value('refused_total', '{code="path-malformed"}')).toBe(1);
  expect(
    await value('requests_total', '{method="GET",route="/releases/:project/:version/",status="404"}'),
  ).toBe(1);
  expect(await value('builds')).toBe(1);
  expect(await value('received_bytes_total')).toBeGreaterThan(1000);
  expect(await value('disk_free_bytes')).toBeGreaterThan(0);
  expect(await value('disk_reserve_bytes')).toBe(1024 * 1024);
  const published = await rawRequest(world.url, { path: '/log/checkpoint' });
  expect(await value('log_entries')).toBe(Number(published.body.toString().split('\n')[1]));
  expect(await value('checkpoint_age_seconds')).toBeLessThan(600);
});

test('all metrics of a scrape are in the manual, and all of the manual in a scrape', async () => {
  const manual = await readFile(new URL('../../docs/how-to/depot.md', import.meta.url), 'utf8');
  const listed = [...manual.matchAll(/^\| `([a-z_]+)(?:\{([a-z, ]+)\})?` \| (counter|gauge|histogram) \|/gm)];
  const scraped = await scrape();
  expect(listed.map(([, name]) => PREFIX + name).sort()).toEqual([...scraped.keys()].sort());
  for (const [, name = '', labels = '', kind] of listed) {
    const { kind: actual, samples } = scraped.get(PREFIX + name) ?? { kind: '', samples: [] };
    expect(actual, name).toBe(kind);
    for (const [, own] of samples) {
      const names = [...own.matchAll(/([a-z]+)="/g)]
        .map((match) => match[1])
        .filter((label) => label !== 'le');
      expect(names, name).toEqual(labels === '' ? [] : labels.split(', '));
    }
  }
});

test('no label says which build, path or client it was', async () => {
  const [build = ''] = (
    JSON.parse((await rawRequest(world.url, { path: '/builds/' })).body.toString()) as { builds: string[] }
  ).builds;
  const text = (await rawRequest(watched, { path: '/metrics' })).body.toString();
  expect(build).toMatch(/^[0-9a-z]{26}$/);
  for (const foreign of [build, 'widget', '127.0.0.1', 'BREW', 'none/1']) expect(text).not.toContain(foreign);
});

test('metrics are for this machine, not for whoever comes through a web server on it', async () => {
  expect((await rawRequest(world.url, { path: '/metrics' })).status).toBe(200);
  for (const header of ['X-Forwarded-For', 'Forwarded']) {
    const answer = await rawRequest(world.url, { path: '/metrics', headers: { [header]: '127.0.0.1' } });
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'metrics-local' });
  }
});

test('the listener for metrics has nothing else', async () => {
  expect((await rawRequest(watched, { path: '/healthz' })).status).toBe(200);
  expect((await rawRequest(watched, { path: '/readyz' })).status).toBe(200);
  for (const path of ['/', '/builds/', '/log/checkpoint', '/metrics?x', '/%2e']) {
    expect((await rawRequest(watched, { path })).status, path).toBe(404);
    expect((await rawRequest(watched, { method: 'POST', path: '/metrics', body: 'x' })).status).toBe(404);
  }
});

test.each(['/healthz', '/readyz'])('%s answers GET and HEAD, and nobody keeps the answer', async (path) => {
  const got = await rawRequest(world.url, { path });
  expect(got.body.toString()).toBe(path === '/healthz' ? '{"ok":true}\n' : '{"ready":true}\n');
  for (const method of ['GET', 'HEAD']) {
    const answer = await rawRequest(world.url, { method, path });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-length': String(got.body.length),
    });
  }
});

test('it is not ready while others may write its data, and ready again when they may not', async () => {
  await chmod(world.tree(), 0o777);
  try {
    await until('not ready', async () => (await rawRequest(world.url, { path: '/readyz' })).status === 503);
    const { body } = await rawRequest(world.url, { path: '/readyz' });
    expect(JSON.parse(body.toString())).toEqual({
      ready: false,
      reasons: [{ code: 'depot-shared', text: 'others may write its data directory' }],
    });
    expect((await rawRequest(world.url, { path: '/healthz' })).status).toBe(200);
  } finally {
    await chmod(world.tree(), 0o755);
  }
  await until('ready again', async () => (await rawRequest(world.url, { path: '/readyz' })).status === 200);
});

test('below the reserve it is not ready, and serves what it has', async () => {
  await world.stopServer();
  await world.startServer(['--reserve', '8000T']);
  const { status, body } = await rawRequest(world.url, { path: '/readyz' });
  expect([status, JSON.parse(body.toString())]).toMatchObject([503, { reasons: [{ code: 'disk-reserve' }] }]);
  expect((await rawRequest(world.url, { path: '/log/checkpoint' })).status).toBe(200);
});
