/** The counting proxy counts what gpg and we have signed, and passes it all on. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Agent } from '../../src/openpgp/agent.ts';
import { detachSign, secretKeysHere } from '../../src/openpgp/gpg.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { AgentProxy } from './agent-proxy.ts';
import { GnupgHome } from './gnupg.ts';

let home: GnupgHome;
let key: Fingerprint;
let proxy: AgentProxy;

beforeAll(async () => {
  home = new GnupgHome();
  key = home.generate({ userId: 'proxied' });
  proxy = await AgentProxy.start(home);
});

afterAll(async () => {
  await proxy.close();
  home.close();
});

test('gpg finds the keys through it, and what it signs is counted', async () => {
  expect(await secretKeysHere([key], proxy.env)).toEqual([key]);
  const before = proxy.signatures;
  const signature = await detachSign({ localUser: key, data: Buffer.from('hello') }, proxy.env);
  expect(signature.length).toBeGreaterThan(100);
  expect(proxy.signatures - before).toBe(1);
});

test('what we sign is counted, with the digests', async () => {
  const before = proxy.signatures;
  const agent = await Agent.connect(proxy.env);
  const digests = [Buffer.alloc(32, 5), Buffer.alloc(32, 6)];
  for (const digest of digests) await agent.sign(home.keygrip(key), 'sha256', digest, 'hello 1.0');
  agent.close();
  expect(proxy.signatures - before).toBe(2);
  expect(proxy.digests.slice(-2)).toEqual(digests.map((digest) => digest.toString('hex')));
});

test('a signature that fails counts too: it was asked for', async () => {
  const before = proxy.signatures;
  const agent = await Agent.connect(proxy.env);
  await expect(agent.sign('0'.repeat(40), 'sha256', Buffer.alloc(32), 'hello 1.0')).rejects.toMatchObject({
    code: 'agent-no-key',
  });
  agent.close();
  expect(proxy.signatures - before).toBe(1);
});
