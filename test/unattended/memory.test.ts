/** gpg-agent runs out of secure memory when many ask it for RSA signatures at once and `auto-expand-secmem` is not set. */
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Agent } from '../../src/openpgp/agent.ts';
import type { SignedDigest } from '../../src/openpgp/pass.ts';
import { ReleaseAgent } from '../../src/signer/release-agent.ts';
import { LockedKey } from './locked-key.ts';

const AT_ONCE = 128;

let release: LockedKey;
beforeAll(() => {
  release = new LockedKey('rsa4096');
  writeFileSync(join(release.home.directory, 'gpg-agent.conf'), 'allow-preset-passphrase\n');
  release.home.killAgent();
  release.unlock();
});
afterAll(() => release.home.close());

test('many at once lose signatures, with the cure; ours are tried again, one at a time', async () => {
  const { keygrip, home } = release;
  const digest = () => createHash('sha256').update(randomBytes(8)).digest() as SignedDigest;
  const crowd = await Promise.all(Array.from({ length: AT_ONCE }, () => Agent.connect(home.env)));
  const ends = await Promise.allSettled(
    crowd.map((agent) => agent.sign(keygrip, 'sha256', digest(), 'hello 1.0', 'error')),
  );
  crowd.forEach((agent) => agent.close());
  const lost = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  expect(lost.length, 'the agent had too little').toBeGreaterThan(0);
  // it says so outright, or cannot use the passphrase that it has
  for (const failure of lost)
    expect(failure).toMatchObject({
      kind: 'unable',
      code: expect.stringMatching(/^agent-(memory|wrong-passphrase)$/),
      hint: expect.stringContaining('auto-expand-secmem'),
    });

  // As if two of those had been ours.
  const ours = new ReleaseAgent(async () => {
    const agent = await Agent.connect(home.env);
    const misfortunes = lost.slice(0, 2);
    const sign: Agent['sign'] = async (...request) => {
      if (misfortunes.length > 0) throw misfortunes.pop();
      return agent.sign(...request);
    };
    return { sign, signAlong: async () => null, close: () => agent.close() };
  });
  expect(await ours.sign({ keygrip, hash: 'sha256', digest: digest(), what: 'hello 1.0' })).toHaveLength(1);
  ours.endRound();
});
