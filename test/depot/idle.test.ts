/** Connections on which nothing moves. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requestListener } from '../../src/depot/routes.ts';
import { overSocket } from '../harness/raw-http.ts';
import { approvalFiles, build, now, project, subjects, tokens } from '../policy/scene.ts';
import { makeDepot } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

let here: DepotOnDisk;
let server: Server;
beforeEach(async () => {
  here = await makeDepot();
  const { tree, depot } = here;
  await depot.submit(build, approvalFiles());
  server = createServer(requestListener({ project, tree, depot, now: () => now, log: () => {} }));
  // what the depot sets to two minutes
  server.setTimeout(200);
  server.keepAliveTimeout = 200;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await here.remove();
});

const publish = `POST /builds/${build}/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`;
const blob = [
  `PUT /builds/${build}/blobs/${subjects[0]?.sha256} HTTP/1.1`,
  'Host: x',
  `Content-Length: ${subjects[0]?.size}`,
  `Authorization: Bearer ${tokens.b1.toString('base64url')}`,
  '\r\n',
].join('\r\n');

test.each([
  ['a blob that never comes', blob, 0],
  ['the same behind publish, which may take its time', publish + blob, 1],
  ['and behind many', publish.repeat(5) + blob, 5],
])('%s: the connection ends', async (_, requests, answers) => {
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const text = await overSocket(`http://127.0.0.1:${port}`, requests);
  expect(text.match(/^HTTP\/1\.1 \d+/gm) ?? []).toHaveLength(answers);
});

test.each([
  ['at once', 0],
  ['when it was answered', 1],
])('a blob that is refused, and comes %s: the connection ends', async (_, behind) => {
  const stranger = blob.replace(/Authorization.*\r\n/, '');
  const body = Buffer.alloc(subjects[0]?.size ?? 0);
  const address = server.address();
  const socket = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1');
  const ended = once(socket, 'end');
  socket.write(stranger);
  if (behind === 1) await once(socket, 'data');
  else socket.resume();
  socket.write(body);
  socket.resume();
  await ended;
  socket.destroy();
});
