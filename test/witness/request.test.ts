/** Requests that say nothing a witness could judge. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rawRequest } from '../harness/raw-http.ts';
import { WitnessHost } from './host.ts';
import { Log, originHash } from './log.ts';

const log = new Log('log.example/one');

let host: WitnessHost;
const open = async (): Promise<void> => {
  host = new WitnessHost();
  await host.start([log]);
};
const close = (): Promise<void> => host.close();

describe('lines that are none', () => {
  beforeAll(open);
  afterAll(async () => {
    expect((await host.add(body)).status).toBe(200);
    await close();
  });
  const body = log.body({ old: 0, size: 1 });
  test.each([
    ['nothing', ''],
    ['a line', 'old 0\n'],
    ['no checkpoint', 'old 0\n\n'],
    ['no empty line', body.replace('\n\n', '\n')],
    ['an empty line more', body.replace('\n\n', '\n\n\n')],
    ['no newline at the end', body.slice(0, -1)],
    ['a newline more at the end', `${body}\n`],
    ['carriage returns', body.replaceAll('\n', '\r\n')],
    ['a NUL in the origin', body.replace('log.example', 'log.\0example')],
    ['invalid UTF-8', Buffer.concat([Buffer.from(body), Buffer.of(0xff, 0x0a)])],
    ['a byte order mark', `\ufeff${body}`],
    ['an old size of another kind', body.replace('old 0', 'Old 0')],
    ['two spaces', body.replace('old 0', 'old  0')],
    ['a space behind it', body.replace('old 0', 'old 0 ')],
    ...[
      '',
      '00',
      '01',
      '-0',
      '-1',
      '+1',
      '0x1',
      '1e1',
      '1.0',
      '٣',
      '9007199254740992',
      '18446744073709551616',
    ].map((old) => [`an old size of ${JSON.stringify(old)}`, body.replace('old 0', `old ${old}`)] as const),
    ...['', '01', '-1', '9007199254740992', '18446744073709551616', '1'.repeat(5000)].map(
      (size) => [`a size of ${size.slice(0, 30)}`, body.replace('\n1\n', `\n${size}\n`)] as const,
    ),
    ['a root that is too short', body.replace(log.tree.root(1).toString('base64'), 'AAAA')],
    ['an origin of nothing', body.replace(log.origin, '')],
    ['an empty extension line', body.replace('\n\n—', '\n\nextra\n\n—')],
    ['a hash that is too short', body.replace('old 0\n', 'old 0\nAAAA\n')],
    ['a hash with other alphabets', body.replace('old 0\n', `old 0\n${'_'.repeat(43)}=\n`)],
    ['a hash whose last bits say something', body.replace('old 0\n', `old 0\n${'A'.repeat(42)}B=\n`)],
    ['64 hashes', log.body({ old: 0, size: 1, proof: Array.from({ length: 64 }, () => Buffer.alloc(32)) })],
  ] as [string, string | Buffer][])('400: %s', async (_, bad) => {
    const answer = await host.add(bad);
    expect([answer.status, answer.headers['content-length']]).toEqual([400, String(answer.body.length)]);
    expect(answer.body.toString()).toMatch(/^add-checkpoint: .*\n$/);
    expect(await host.latest(log.origin)).toBeNull();
  });
});

describe('other requests', () => {
  beforeAll(open);
  afterAll(close);
  test.each([
    ['GET', '/add-checkpoint', 405],
    ['PUT', '/add-checkpoint', 405],
    ['POST', `/${originHash(log.origin)}/checkpoint`, 405],
    ['POST', '/add-checkpoint?x', 404],
    ['POST', '/add-checkpoint/', 404],
    ['POST', '//add-checkpoint', 404],
    ['POST', 'http://other.example/add-checkpoint', 404],
    ['POST', '/sign-subtree', 404],
    ['GET', '/', 404],
    ['GET', `/${originHash(log.origin).toUpperCase()}/checkpoint`, 404],
    ['GET', `/${originHash(log.origin)}/checkpoint?x`, 404],
    ['GET', `/${originHash('log.example/three')}/checkpoint`, 404],
    ['GET', '/../checkpoints/checkpoint', 404],
    ['DELETE', '/', 404],
  ])('%s %s: %i', async (method, path, expected) => {
    const answer = await rawRequest(host.url, { method, path, ...(method === 'POST' && { body: 'x' }) });
    expect([answer.status, answer.headers['content-length']]).toEqual([expected, String(answer.body.length)]);
  });

  test('HEAD says what GET would', async () => {
    await host.add(log.body({ old: 0, size: 2 }));
    const path = `/${originHash(log.origin)}/checkpoint`;
    const [get, head] = [
      await rawRequest(host.url, { path }),
      await rawRequest(host.url, { method: 'HEAD', path }),
    ];
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([
      200,
      String(get.body.length),
      0,
    ]);
  });
});
