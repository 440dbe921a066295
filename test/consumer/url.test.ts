import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer } from '../../src/depot/server.ts';
import { releaseKey, artifacts, project, without } from '../policy/scene.ts';
import { madeRelease, put, verify } from './made-release.ts';

let directory = '';
let server: Awaited<ReturnType<typeof startServer>>;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-url-'));
  const publishAs = (version: string, files = madeRelease()): void => {
    for (const [name, bytes] of files) put(directory, `releases/hello/${version}/${name}`, bytes);
  };
  publishAs('1.0');
  publishAs('0.9', without(madeRelease(), 'countersign/manifest.json'));
  const listen = { host: '127.0.0.1', port: 0 };
  server = await startServer({ project, data: directory, listen, log: () => {} });
});
afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

const file = (): string => put(join(directory, 'download'), 'hello.tar.gz', artifacts['hello.tar.gz']);

describe('the release behind a URL', () => {
  test.each([
    ['named', () => ({ release: `${server.url}/releases/hello/1.0/` })],
    ['found by depot and version', () => ({ depot: server.url, version: '1.0' })],
  ])('%s', async (_, more) => {
    const online = { offline: false, depot: server.url };
    expect(await verify([file()], { ...online, ...more() })).toMatchObject({ outcome: 'valid' });
  });

  test('of which a part is missing: no verdict', async () => {
    expect(
      await verify([file()], { offline: false, release: `${server.url}/releases/hello/0.9` }),
    ).toMatchObject({
      outcome: 'incomplete',
      findings: [{ text: expect.stringContaining('manifest.json') }],
    });
  });

  test('of another version, served under the name of the one that was asked for', async () => {
    for (const [name, bytes] of madeRelease()) put(directory, `releases/hello/2.0/${name}`, bytes);
    expect(await verify([file()], { offline: false, depot: server.url, version: '2.0' })).toMatchObject({
      outcome: 'not-valid',
      findings: [{ code: 'other-version' }],
    });
  });

  test('for its signature alone', async () => {
    const trust = { kind: 'key', certificate: releaseKey.certificate } as const;
    const release = `${server.url}/releases/hello/1.0`;
    expect(await verify([file()], { offline: false, release, trust })).toMatchObject({
      outcome: 'signature-only',
    });
  });

  test('where nobody answers: a fault, not a verdict', async () => {
    const release = 'http://127.0.0.1:1/releases/hello/1.0';
    await expect(verify([file()], { offline: false, release })).rejects.toMatchObject({
      kind: 'unable',
      code: 'network',
    });
  });
});
