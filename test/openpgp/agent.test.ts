/** Signing through a real gpg-agent, by its own protocol; what comes back is checked by gpgv. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Agent } from '../../src/openpgp/agent.ts';
import { ALGORITHM_ID } from '../../src/openpgp/public-key.ts';
import { encodeSignature, hashedPart, trailerOf } from '../../src/openpgp/signature.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { rawGpgv } from '../harness/gpgv.ts';
import { FakePinentry } from '../harness/pinentry.ts';

const DATA = Buffer.from('an artifact\n');
const NO_DIGEST = Buffer.alloc(32, 7);

let home: GnupgHome;

beforeAll(() => {
  home = new GnupgHome();
});

afterAll(() => home.close());

/** A signature over DATA as the signer makes them: our packet, the agent's numbers. */
async function signature(
  agent: Agent,
  keys: GnupgHome,
  issuer: Fingerprint,
  algorithmId: number,
  hash: 'sha256' | 'sha512',
) {
  const part = hashedPart({ algorithmId, hash, created: Math.floor(Date.now() / 1000), issuer });
  const digest = createHash(hash).update(DATA).update(part).update(trailerOf(part)).digest();
  return encodeSignature(part, digest, await agent.sign(keys.keygrip(issuer), hash, digest, 'hello 1.0'));
}

describe.each([
  { algorithm: 'ed25519', id: ALGORITHM_ID.eddsa },
  { algorithm: 'rsa3072', id: ALGORITHM_ID.rsa },
  { algorithm: 'nistp256', id: ALGORITHM_ID.ecdsa },
])('$algorithm', ({ algorithm, id }) => {
  let key: Fingerprint;

  beforeAll(() => {
    key = home.generate({ userId: algorithm, algorithm });
  });

  test.each(['sha256', 'sha512'] as const)(
    'gpgv accepts what the agent signed over a %s digest',
    async (hash) => {
      const agent = await Agent.connect(home.env);
      const said = await rawGpgv({
        signature: await signature(agent, home, key, id, hash),
        data: [DATA],
        keyring: home.export(key),
      });
      agent.close();
      expect(said).toMatchObject({ code: 0, keywords: 'GOODSIG VALIDSIG' });
      expect(said.status).toContain(`VALIDSIG ${key}`);
    },
  );
});

test('one connection signs many times, with several keys, also when asked for all at once', async () => {
  const keys = ['one', 'two'].map((userId) => home.generate({ userId }));
  const agent = await Agent.connect(home.env);
  const many = [...keys, ...keys, ...keys, ...keys];
  const made = await Promise.all(
    many.map((key) => signature(agent, home, key, ALGORITHM_ID.eddsa, 'sha256')),
  );
  agent.close();
  for (const [at, key] of many.entries()) {
    const said = await rawGpgv({ signature: made[at] ?? DATA, data: [DATA], keyring: home.export(key) });
    expect(said.code).toBe(0);
  }
});

describe('many at once, behind a first signature', () => {
  const pass = (issuer: Fingerprint, ago: number) => {
    const created = Math.floor(Date.now() / 1000) - ago;
    const part = hashedPart({ algorithmId: ALGORITHM_ID.eddsa, hash: 'sha256', created, issuer });
    const digest = createHash('sha256').update(DATA).update(part).update(trailerOf(part)).digest();
    return { part, digest };
  };

  test('nothing goes along before it, or with another key; each signature is over its own digest', async () => {
    const at = '20260101T000000';
    const one = home.generate({ userId: 'along one', at });
    const two = home.generate({ userId: 'along two', at });
    const [gripOne, gripTwo] = [home.keygrip(one), home.keygrip(two)];
    const agent = await Agent.connect(home.env);
    const along = (grip: string) => agent.signAlong(grip, 'sha256', NO_DIGEST);
    expect(await along(gripOne)).toBeNull();
    await agent.sign(gripOne, 'sha256', NO_DIGEST, 'hello 1.0', 'ask');
    expect(await along(gripOne), 'somebody may be asked').toBeNull();
    await agent.sign(gripOne, 'sha256', NO_DIGEST, 'hello 1.0', 'error');
    expect(await along(gripTwo)).toBeNull();

    const passes = Array.from({ length: 20 }, (_, seconds) => pass(one, seconds));
    const made = passes.map(({ digest }) => agent.signAlong(gripOne, 'sha256', digest));
    // another key is asked for while those are under way; what comes behind it does not go along any more
    const other = agent.sign(gripTwo, 'sha256', NO_DIGEST, 'hello 1.0', 'error');
    await Promise.resolve();
    expect(await along(gripOne)).toBeNull();
    expect(await other).toHaveLength(2);
    const keyring = home.export(one);
    for (const [at, mpis] of (await Promise.all(made)).entries()) {
      const { part = Buffer.alloc(0), digest = NO_DIGEST } = passes[at] ?? {};
      if (at % 5 !== 0) continue;
      const said = await rawGpgv({
        signature: encodeSignature(part, digest, mpis ?? []),
        data: [DATA],
        keyring,
      });
      expect(said).toMatchObject({ code: 0, keywords: 'GOODSIG VALIDSIG' });
    }
    agent.close();
  });
});

test('a key that is not there is said, and the connection goes on', async () => {
  const key = home.generate({ userId: 'still here' });
  const agent = await Agent.connect(home.env);
  await expect(agent.sign('0'.repeat(40), 'sha256', NO_DIGEST, 'hello 1.0')).rejects.toMatchObject({
    kind: 'unable',
    code: 'agent-no-key',
    hint: expect.stringContaining('GNUPGHOME'),
  });
  expect(await agent.sign(home.keygrip(key), 'sha256', NO_DIGEST, 'hello 1.0')).toHaveLength(2);
  agent.close();
});

test('what is not a digest is never offered to the agent', async () => {
  const agent = await Agent.connect(home.env);
  await expect(agent.sign('0'.repeat(40), 'sha512', NO_DIGEST, 'hello 1.0')).rejects.toThrow(
    'not a keygrip and a digest',
  );
  agent.close();
});

test('an agent that is killed is said, and not started again behind our back; a new connection starts it', async () => {
  const key = home.generate({ userId: 'survivor' });
  const grip = home.keygrip(key);
  const agent = await Agent.connect(home.env);
  await agent.sign(grip, 'sha256', NO_DIGEST, 'hello 1.0');
  home.killAgent();
  const gone = { kind: 'unable', code: 'agent-lost' };
  await expect(agent.sign(grip, 'sha256', NO_DIGEST, 'hello 1.0')).rejects.toMatchObject(gone);
  await expect(agent.sign(grip, 'sha256', NO_DIGEST, 'hello 1.0')).rejects.toMatchObject(gone);

  const again = await Agent.connect(home.env);
  expect(await again.sign(grip, 'sha256', NO_DIGEST, 'hello 1.0')).toHaveLength(2);
  again.close();
});

test('no GnuPG on PATH is said, with what to install', async () => {
  await expect(Agent.connect({ ...home.env, PATH: '/nonexistent' })).rejects.toMatchObject({
    kind: 'unable',
    code: 'gpgconf-missing',
    hint: expect.stringContaining('gnupg'),
  });
});

describe('a key with a passphrase', () => {
  const locked = new GnupgHome();
  let key: Fingerprint;

  beforeAll(() => {
    key = locked.generate({ userId: 'locked', passphrase: 'sesame' });
  });
  afterAll(() => locked.close());

  const signWith = async (pinentry: string, env: Record<string, string> = {}) => {
    locked.configureAgent(`pinentry-program ${pinentry}`);
    const agent = await Agent.connect({ ...locked.env, ...env });
    return signature(agent, locked, key, ALGORITHM_ID.eddsa, 'sha256').finally(() => agent.close());
  };

  test('is asked for where the caller sits', async () => {
    const pinentry = new FakePinentry(locked.directory, 'sesame');
    const caller = {
      GPG_TTY: '/dev/pts/1234',
      TERM: 'vt100',
      LC_CTYPE: 'C.UTF-8',
      COUNTERSIGN_TICKET: 'ours alone',
    };
    const made = await signWith(pinentry.program, caller);
    const said = await rawGpgv({ signature: made, data: [DATA], keyring: locked.export(key) });
    expect(said).toMatchObject({ code: 0, keywords: 'GOODSIG VALIDSIG' });
    expect(pinentry.heard()).toEqual(
      expect.arrayContaining([
        'OPTION ttyname=/dev/pts/1234',
        'OPTION ttytype=vt100',
        'OPTION lc-ctype=C.UTF-8',
      ]),
    );
    expect(pinentry.heard().join('\n')).toMatch(/countersign wants to sign hello 1\.0/);
    expect(pinentry.heard().join('\n')).not.toContain('ours alone');
  });

  test('and cancel is an answer', async () => {
    const pinentry = new FakePinentry(locked.directory, null);
    await expect(signWith(pinentry.program)).rejects.toMatchObject({
      kind: 'unable',
      code: 'agent-cancelled',
    });
  });

  test.each([
    ['wrong', /^wrong passphrase/],
    ['', /no passphrase came/],
  ])('and the wrong passphrase %j leaves it locked', async (passphrase, message) => {
    const pinentry = new FakePinentry(locked.directory, passphrase);
    await expect(signWith(pinentry.program)).rejects.toMatchObject({
      kind: 'unable',
      code: 'agent-locked',
      message: expect.stringMatching(message),
    });
  });

  test('and without a pinentry it stays locked', async () => {
    await expect(signWith('/bin/false')).rejects.toMatchObject({
      kind: 'unable',
      code: 'agent-locked',
      hint: expect.stringContaining('GPG_TTY'),
    });
  });
});
