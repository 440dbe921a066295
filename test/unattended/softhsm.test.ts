/** A release key in a PKCS#11 token (SoftHSM, behind the real gnupg-pkcs11-scd), from `init` to what users download. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GnupgHome } from '../harness/gnupg.ts';
import { rawGpgv } from '../harness/gpgv.ts';
import { expectRefusal } from '../harness/invariants.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { mustBe, World } from '../harness/world.ts';
import { certify } from './card-key.ts';

const MODULE = '/usr/lib/softhsm/libsofthsm2.so';
const PIN = '7654321';
const MANY = 24;

let home: GnupgHome;
let pinentry: FakePinentry;
let world: World;

/** A token with an RSA key and the X.509 certificate of the same CKA_ID that gnupg-pkcs11-scd looks for. */
function makeToken({ directory, env }: GnupgHome): void {
  const here = (name: string): string => join(directory, name);
  mkdirSync(here('tokens'));
  writeFileSync(here('softhsm2.conf'), `directories.tokendir = ${here('tokens')}\nlog.level = ERROR\n`);
  env['SOFTHSM2_CONF'] = here('softhsm2.conf');
  const run = (command: string, ...args: string[]): Buffer =>
    execFileSync(command, args, { env, cwd: directory, stdio: 'pipe' });
  const token = ['--token', 'release', '--pin', PIN];
  run('softhsm2-util', '--init-token', '--free', '--label', 'release', '--so-pin', '12345678', '--pin', PIN);
  const certificate = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=release', '-days', '3650'];
  run('openssl', 'req', ...certificate, '-keyout', 'key.pem', '-out', 'cert.der', '-outform', 'DER');
  run('softhsm2-util', '--import', 'key.pem', ...token, '--label', 'release', '--id', '01');
  const login = ['--module', MODULE, '--token-label', 'release', '--login', '--pin', PIN];
  run('pkcs11-tool', ...login, '--write-object', 'cert.der', '--type', 'cert', '--id', '01');
  rmSync(here('key.pem'));
}

beforeAll(async () => {
  home = new GnupgHome();
  makeToken(home);
  const { directory } = home;
  pinentry = new FakePinentry(directory, PIN);
  writeFileSync(
    join(directory, 'gnupg-pkcs11-scd.conf'),
    `providers softhsm\nprovider-softhsm-library ${MODULE}\n`,
  );
  writeFileSync(
    join(directory, 'gpg-agent.conf'),
    `scdaemon-program /usr/bin/gnupg-pkcs11-scd\npinentry-program ${pinentry.program}\n`,
  );
  world = await World.make({ release: { home, key: await certify(home, 'rsa') } });
});
afterAll(() => world.close());

async function sealed(version: string, files: Record<string, string>): Promise<string> {
  const approved = await world.approve(version);
  mustBe(0, approved);
  mustBe(0, await world.attest(approved.ticket, files));
  return approved.build;
}

const asked = (): number => pinentry.heard().filter((line) => line.startsWith('GETPIN')).length;

test('many artifacts, one signature at a time, and the PIN once', async () => {
  home.killAgent();
  execFileSync('gpgconf', ['--launch', 'gpg-agent'], { env: home.env });
  const before = asked();
  const files = Object.fromEntries(Array.from({ length: MANY }, (_, i) => [`part-${i}.bin`, `part ${i}`]));
  const build = await sealed('1.0', files);
  const ran = await world.sign();
  mustBe(0, ran);
  expect(ran.json).toMatchObject([{ build, state: 'published', artifacts: MANY }]);
  expect(asked() - before).toBe(1);
  const release = (name: string): Buffer => readFileSync(world.tree('releases', 'widget', '1.0', name));
  for (const name of ['SHA256SUMS', 'part-7.bin']) {
    const keyring = home.export(world.releaseKey);
    const said = await rawGpgv({ signature: release(`${name}.asc`), data: [release(name)], keyring });
    expect(said).toMatchObject({ code: 0, keywords: 'GOODSIG VALIDSIG' });
  }
});

test('its scdaemon is killed between two signatures: that costs a new gpg-agent at most, which finishes', async () => {
  const build = await sealed('1.1', { 'one.bin': 'one', 'two.bin': 'two' });
  const first = world.agent.digests.length;
  world.agent.before = (command) => {
    if (command !== 'PKSIGN' || world.agent.digests.length !== first + 2) return;
    const said = execFileSync('gpg-connect-agent', ['SCD GETINFO pid', '/bye'], { env: home.env }).toString();
    process.kill(Number(/^D (\d+)/m.exec(said)?.[1]), 'SIGKILL');
  };
  let ran = await world.sign();
  world.agent.before = () => {};
  // from 2.4 on gpg-agent starts it again by itself
  const isOld = / 2\.[23]\.\d+$/m.test(
    execFileSync('gpg-agent', ['--version'], { env: home.env }).toString(),
  );
  if (isOld) {
    expectRefusal(ran);
    expect(ran).toMatchObject({ code: 3, json: [{ build, state: 'verified', code: 'agent-no-scdaemon' }] });
    expect(ran.stderr).toMatch(/lost scdaemon.*\n.*hint: .*gpgconf --kill gpg-agent/);
    home.killAgent();
    execFileSync('gpgconf', ['--launch', 'gpg-agent'], { env: home.env });
    ran = await world.sign();
  }
  mustBe(0, ran);
  expect(ran.json).toMatchObject([{ build, state: 'published' }]);
  expect(new Set(world.agent.digests.slice(first)).size, 'one set of signatures').toBe(3);
});
