/**
 * OpenPGP: the surroundings of the call. What the caller's configuration says, and what another gpgv on the PATH says, on H and
 * on L. Not defended: a program on H's own PATH is H; it can read H's log key, whatever it prints.
 */
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import type { Version } from '../../src/records/names.ts';
import { approvalFile, approvalSignatureFile } from '../../src/records/paths.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { craftKey, craftSignature, nowSeconds } from '../harness/craft.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import { blobs, forgeApproval, plant, post, sign, statementOf } from './forge.ts';
import type { Held } from './forge.ts';
import { entries, expectSigned, expectUnsigned, verdicts } from './outcome.ts';
import { shelf } from './round.ts';

const contents = { app: 'app' };
const mallory = craftKey('ed25519', nowSeconds() - 3600);

let world: World;
let terms: Approval;
/** One more secret key in the approver's gpg. */
let secondKey: string;

beforeAll(async () => {
  world = await World.make();
  const released = await world.release('1.0', { app: 'the release that must stay as it is' });
  terms = parseApproval(await readFile(world.tree('builds', released, approvalFile)));
  secondKey = world.approverHomes[0]?.generate({ userId: 'Second <second@example.org>' }) ?? '';
});
afterEach(() => vi.unstubAllEnvs());
afterAll(() => world.close());

let versions = 0;
const next = (): Version => `2.${++versions}` as Version;
const approver = () => world.approvers[0] ?? world.releaseKey;

/** A sealed build that is asked for in the approver's name, and whose approval Mallory signed. */
async function forged(): Promise<Held & { files: Map<string, Buffer>; created: number }> {
  const forgery = forgeApproval(world, terms, { version: next() });
  const created = nowSeconds();
  // her signature, under the approver's name
  const alias = { ...mallory, fingerprint: approver(), keyId: approver().slice(-16) };
  const signature = craftSignature(alias, forgery.bytes, { created });
  forgery.files.set(approvalSignatureFile(approver()), signature);
  const statement = sign(forgery, statementOf(forgery, contents));
  await plant(world, forgery.build, new Map([...forgery.files, ...statement, ...blobs(contents)]));
  return { ...forgery, created };
}

/** A sealed build as it should be. */
async function honest(): Promise<{ build: string; version: string }> {
  const version = next();
  const { ticket, build } = await world.approve(version);
  mustBe(0, await world.attest(ticket, contents));
  return { build, version };
}

/** A directory with this script in it as `gpgv`, in front of everything else on the PATH. */
async function pathWith(script: string): Promise<string> {
  const directory = world.path('M', `bin-${++versions}`);
  await mkdir(directory);
  await writeFile(join(directory, 'gpgv'), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, 'gpgv'), 0o755);
  return `${directory}:${process.env['PATH']}`;
}

describe('the caller’s configuration', () => {
  const trusting = [
    'trust-model always',
    'allow-weak-digest-algos',
    'ignore-time-conflict',
    'ignore-valid-from',
    'status-fd 1',
    'verbose',
  ];

  test('of gpgv and gpg, in GNUPGHOME and HOME on H, adds no key and takes none away', async () => {
    const ring = craftCertificate(mallory);
    const homes = [world.agent.directory, world.path('H', '.gnupg')];
    await mkdir(world.path('H', '.gnupg'), { recursive: true });
    for (const home of homes) {
      for (const name of ['trustedkeys.gpg', 'trustedkeys.kbx', 'extra.gpg'])
        await writeFile(join(home, name), ring);
      await writeFile(
        join(home, 'gpgv.conf'),
        `keyring ${join(home, 'extra.gpg')}\nignore-time-conflict\nverbose\n`,
      );
      await writeFile(
        join(home, 'gpg.conf'),
        [...trusting, `keyring ${join(home, 'extra.gpg')}`, ''].join('\n'),
      );
    }
    const before = await snapshot(world);
    await expectUnsigned(world, before, (await forged()).build, 'approved approval-invalid');
    const { build, version } = await honest();
    await expectSigned(world, build, version, contents);
    for (const home of homes) for (const name of ['gpgv.conf', 'gpg.conf']) await rm(join(home, name));
    await rm(world.path('H', '.gnupg'), { recursive: true });
  });

  test('of the environment, on H and on L, is not gpgv’s', async () => {
    const hostile = {
      GNUPGHOME: world.agent.directory,
      LD_BIND_NOW: '1',
      GPG_AGENT_INFO: '/nonexistent:1:1',
      GCRYPT_BARRETT: '1',
      LANG: 'de_DE.UTF-8',
      LANGUAGE: 'de',
      TZ: 'Pacific/Kiritimati',
      POSIXLY_CORRECT: '1',
    };
    const { build, version } = await honest();
    mustBe(0, await world.sign([build], { env: hostile }));
    expect(await readFile(world.tree('releases/widget', version, 'app'), 'utf8')).toBe('app');
  });

  const gpgConf = async (line: string): Promise<void> =>
    writeFile(join(world.approverHomes[0]?.directory ?? '', 'gpg.conf'), `${line}\n`);

  test.each([
    'textmode',
    'armor',
    'digest-algo SHA1',
    'personal-digest-preferences SHA1',
    'default-sig-expire 1d',
    'ask-sig-expire',
    'sig-notation a@example.org=x',
    'sig-policy-url https://example.org/',
    'status-fd 1',
    'logger-fd 1',
    'verbose',
    'with-fingerprint',
    'throw-keyids',
    'rfc2440',
    'no-emit-version\ncomment [GNUPG:] SIG_CREATED D',
  ])('of an approver’s gpg: %s changes nothing', async (line) => {
    await gpgConf(line);
    const { build, version } = await honest();
    await gpgConf('');
    await expectSigned(world, build, version, contents);
  });

  test.each<[line: string, code: string]>([
    ['sig-notation !critical@example.org=x', 'signature-unusable'],
    ['local-user MALLORY', 'signature-unusable'],
    ['faked-system-time 20300101T000000!', 'signature-unusable'],
    ['faked-system-time 20200101T000000!', 'approver-missing'],
    ['dry-run', 'agent-refused'],
  ])('of an approver’s gpg: with %s nothing is approved, and no ticket stays', async (line, code) => {
    const [before, kept] = [await snapshot(world), await shelf(world)];
    await gpgConf(line.replace('MALLORY', secondKey));
    const ran = await world.approve(next());
    await gpgConf('');
    expect(ran.error?.code).toBe(code);
    await expectUntouched(world, before, { answers: [ran] });
    expect(await shelf(world)).toEqual(kept);
    await expect(stat(ran.ticket)).rejects.toThrow('ENOENT');
  });
});

/** What gpgv says of a good signature by the approver. */
const transcript = (created: number): string => {
  const key = approver();
  const date = new Date(created * 1000).toISOString().slice(0, 10);
  return [
    'NEWSIG',
    `KEY_CONSIDERED ${key} 0`,
    `SIG_ID abc ${date} ${created}`,
    `GOODSIG ${key.slice(-16)} Approver 0 <a0@example.org>`,
    `VALIDSIG ${key} ${date} ${created} 0 4 0 22 8 00 ${key}`,
  ]
    .map((line) => `echo "[GNUPG:] ${line}" >&3`)
    .join('\n');
};

const GOOD = 'echo "[GNUPG:] NEWSIG" >&3; echo "[GNUPG:] GOODSIG 0 x" >&3; echo "[GNUPG:] VALIDSIG x" >&3';

describe('another gpgv on H’s PATH', () => {
  test('that says yes to everything, to the letter, gets nothing signed: we look ourselves', async () => {
    const forgery = await forged();
    const PATH = await pathWith(`${transcript(forgery.created)}\nexit 0`);
    const before = await snapshot(world);
    const ran = await world.sign([forgery.build], { env: { PATH } });
    expect(verdicts(ran)).toEqual(['approved approval-invalid']);
    await expectUntouched(world, before, { answers: [ran] });
    expect(await entries(world, forgery.build)).toEqual([]);
  });

  test.each([
    ['says nothing, and exits 0', 'exit 0'],
    ['says what careless callers look for', `${GOOD}; exit 0`],
    ['says it on standard error', `${GOOD.replaceAll('>&3', '>&2')}; exit 0`],
    ['says no', 'echo "[GNUPG:] BADSIG 0 x" >&3; exit 1'],
    ['crashes', 'kill -SEGV $$'],
    ['floods its status', 'while :; do echo "[GNUPG:] NEWSIG" >&3; done'],
    ['floods standard output and error', 'yes >&2 & yes'],
    ['hangs', 'exec sleep 600'],
  ])(
    'that %s ends no build: it is reported, and signed by the true one',
    async (_, script) => {
      const { build, version } = await honest();
      const before = await snapshot(world);
      const ran = await world.sign([build], { env: { PATH: await pathWith(script) } });
      expect(verdicts(ran)).toEqual(['approved approval-invalid']);
      await expectUntouched(world, before, { answers: [ran] });
      expect(await entries(world, build)).toEqual([]);
      await expectSigned(world, build, version, contents);
    },
    120_000,
  );

  test('that is not there, or is no program, is said', async () => {
    const { build, version } = await honest();
    const bare = world.path('M', 'bin-bare');
    await mkdir(bare);
    for (const name of ['gpg', 'gpgconf', 'flock', 'sh'])
      execFileSync('ln', [
        '-s',
        execFileSync('/bin/sh', ['-c', `command -v ${name}`])
          .toString()
          .trim(),
        bare,
      ]);
    const before = await snapshot(world);
    for (const there of [false, true]) {
      if (there) await writeFile(join(bare, 'gpgv'), 'not a program');
      const ran = await world.sign([build], { env: { PATH: bare } });
      expect([ran.code, ...verdicts(ran)]).toEqual([3, 'unknown gpgv-missing']);
      await expectUntouched(world, before, { answers: [ran] });
    }
    await expectSigned(world, build, version, contents);
  });
});

describe('another gpgv on L’s PATH', () => {
  /** L again, with this PATH. */
  async function serveWith(path: string): Promise<void> {
    await world.stopServer();
    vi.stubEnv('PATH', path);
    await world.startServer();
    vi.unstubAllEnvs();
  }

  test.each([
    ['says nothing, and exits 0', 'exit 0'],
    ['says what careless callers look for', `${GOOD}; exit 0`],
    ['says no', 'echo "[GNUPG:] BADSIG 0 x" >&3; exit 1'],
    ['floods its status', 'while :; do echo "[GNUPG:] NEWSIG" >&3; done'],
    ['hangs', 'exec sleep 600'],
  ])(
    'that %s: nothing is published; with the true one it is, and nothing is signed again',
    async (_, script) => {
      await serveWith(await pathWith(script));
      const { build, version } = await honest();
      const { published } = await snapshot(world);
      const ran = await world.sign([build]);
      expect(ran.code).toBeOneOf([1, 3]);
      expect((await snapshot(world)).published).toEqual(published);
      const { signatures } = world.agent;

      await serveWith(process.env['PATH'] ?? '');
      await expectSigned(world, build, version, contents);
      expect(world.agent.signatures).toBe(signatures);
    },
    120_000,
  );

  test('that says yes to everything publishes no signature that was altered on L', async () => {
    await serveWith(await pathWith('exit 1'));
    const { build, version } = await honest();
    await world.sign([build]);
    const name = 'signatures/SHA256SUMS.asc';
    const there = await plant(world, build, new Map([[name, craftSignature(mallory, Buffer.from('x'))]]));

    await serveWith(await pathWith(`${GOOD}; exit 0`));
    const before = await snapshot(world);
    const ran = await world.sign([build]);
    expect(ran.code).toBeOneOf([1, 3]);
    await expectUntouched(world, before, { answers: [ran] });

    await plant(world, build, there);
    await serveWith(process.env['PATH'] ?? '');
    await expectSigned(world, build, version, contents);
  });

  test('changes nothing at the gate, which asks none', async () => {
    await serveWith(await pathWith(`${transcript(nowSeconds())}\nexit 0`));
    const forgery = forgeApproval(world, terms, { version: next() });
    forgery.files.set(approvalSignatureFile(approver()), craftSignature(mallory, forgery.bytes));
    const before = await snapshot(world);
    const answer = await post(world, forgery.build, forgery.files);
    expect(answer.status).toBe(403);
    await expectUntouched(world, before, { answers: [answer] });
    await serveWith(process.env['PATH'] ?? '');
  });
});
