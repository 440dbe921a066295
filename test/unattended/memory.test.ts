/** gpg-agent runs out of secure memory when many ask it for RSA signatures at once and `auto-expand-secmem` is not set. */
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Agent } from '../../src/openpgp/agent.ts';
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

test('others lose signatures; ours are tried again, one at a time', async () => {
  const { keygrip, home } = release;
  const digest = (): Buffer => createHash('sha256').update(randomBytes(8)).digest();
  const others = await Promise.all(Array.from({ length: AT_ONCE }, () => Agent.connect(home.env)));
  const crowd = Promise.allSettled(
    others.map((agent) => agent.sign(keygrip, 'sha256', digest(), 'x', 'error')),
  );
  const ours = new ReleaseAgent(() => Agent.connect(home.env));
  for (let i = 0; i < 3; i++)
    expect(await ours.sign({ keygrip, hash: 'sha256', digest: digest(), what: 'hello 1.0' })).toHaveLength(1);
  ours.endRound();
  const lost = (await crowd).flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  others.forEach((agent) => agent.close());
  expect(lost.length, 'the agent had too little').toBeGreaterThan(0);
  // it cannot use the passphrase that it has, or says so outright
  for (const failure of lost)
    expect(failure).toMatchObject({
      kind: 'unable',
      code: expect.stringMatching(/^agent-(memory|wrong-passphrase)$/),
      hint: expect.stringContaining('auto-expand-secmem'),
    });
});
