/** Whoever only watches L, its meters and its log, fails all the time: L serves on, and what is written is answered. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Counter } from '../../src/depot/registry.ts';
import { startServer } from '../../src/depot/server.ts';
import type { DepotServer } from '../../src/depot/server.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { packTar } from '../../src/tree/tar.ts';
import { overSocket, rawRequest } from '../harness/raw-http.ts';
import { approvalFiles, artifacts, build, now, project, statementFiles, tokens } from '../policy/scene.ts';

let directory: string;
let server: DepotServer;
const lines: string[] = [];
/** What would have ended the process. */
const uncaught: unknown[] = [];
const fatal = (error: unknown): unknown => uncaught.push(error);

beforeEach(async () => {
  process.on('uncaughtException', fatal);
  vi.useFakeTimers({ toFake: ['Date'], now });
  directory = await mkdtemp(join(tmpdir(), 'depot-'));
  const log = (_level: string, line: string): void => {
    lines.push(line);
    throw new Error('the log is closed');
  };
  server = await startServer({ project, data: directory, listen: { host: '127.0.0.1', port: 0 }, log });
  vi.spyOn(Counter.prototype, 'add').mockImplementation(() => {
    throw new Error('no meter');
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  await server.close();
  process.off('uncaughtException', fatal);
  await rm(directory, { recursive: true, force: true });
});

test('what is written is answered, and the process lives', async () => {
  const post = async (files: ReadonlyMap<string, Buffer>, token?: Buffer): Promise<number> => {
    const body = packTar([...files].map(([name, bytes]) => ({ name, bytes })));
    const path = `/builds/${build}`;
    return (await rawRequest(server.url, { method: 'POST', path, body, ...(token && { token }) })).status;
  };
  expect(await post(approvalFiles())).toBe(201);
  for (const bytes of Object.values(artifacts)) {
    const path = `/builds/${build}/blobs/${sha256Hex(bytes)}`;
    expect(
      (await rawRequest(server.url, { method: 'PUT', path, body: bytes, token: tokens.b1 })).status,
    ).toBe(201);
  }
  expect(await post(statementFiles(), tokens.b1)).toBe(201);

  // what is told outside of a request: no HTTP, and too many behind one another
  expect(await overSocket(server.url, 'GET / HTTP/1.1\r\nno header\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {});
  socket.resume().write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(40));
  await once(socket, 'close');
  expect((await rawRequest(server.url, { path: '/healthz' })).status).toBe(200);
  expect(uncaught).toEqual([]);
  expect(lines.join('\n'), 'a line of each').toContain('no meter');
});
