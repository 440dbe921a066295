/** What docs/how-to/unattended.md and card.md tell people to type, typed. */
import { execFile } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { CardReader } from '../harness/card-reader.ts';
import { shellBlocks } from '../harness/document.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { OpenpgpCard, PIN } from '../harness/openpgp-card.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { PROGRAM_H } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { PASSPHRASE } from './locked-key.ts';

const UNATTENDED = 'docs/how-to/unattended.md';
const CARD = 'docs/how-to/card.md';

interface Typed {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

const cleanup: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of cleanup.splice(0).reverse()) await close();
});

/** Types a script into bash, as the user who signs. */
function type(script: string, env: Record<string, string>, input = ''): Promise<Typed> {
  const countersign = `countersign() { '${process.execPath}' '${PROGRAM_H}' "$@"; }\n`;
  return new Promise((resolve) => {
    const options = { env, cwd: env['HOME'], timeout: 60_000 };
    const child = execFile(
      'bash',
      ['-eo', 'pipefail', '-c', countersign + script],
      options,
      (error, stdout, stderr) => resolve({ code: error ? (error.code ?? null) : 0, stdout, stderr }),
    );
    child.stdin?.end(input);
  });
}

const section = async (file: string, heading: string): Promise<string> =>
  (await shellBlocks(file, heading)).join('\n');

function mustWork(typed: Typed): Typed {
  if (typed.code === 0) return typed;
  throw new Error(`exit status ${typed.code}\n${typed.stdout}\n${typed.stderr}`);
}

test('unattended: set up, unlock, sign, lock', async () => {
  const home = new GnupgHome();
  const key = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
  home.configureAgent('s2k-count 65536');
  home.gpg(['--passphrase', PASSPHRASE, '--quick-add-key', key, 'ed25519', 'sign', 'never']);
  const world = await World.make({ release: { home, key } });
  cleanup.push(() => world.close());
  const env = { ...world.env('H'), ...home.env, RELEASE: key };
  const approved = await world.approve('1.0');
  mustBe(0, await world.attest(approved.ticket, { 'app.tgz': 'app' }));

  mustWork(await type(await section(UNATTENDED, 'Set up gpg-agent, once'), env));
  const unlock = await section(UNATTENDED, 'Unlock, after each boot');
  // watching does not end by itself
  const sign = (await section(UNATTENDED, 'Sign')).replace('--watch', '--once');
  const wrong = await type(unlock, env, 'not this\n');
  expect(wrong.code, 'the test signature says it').not.toBe(0);
  expect(wrong.stderr).toMatch(/^gpg: signing failed: No pinentry$/m);
  const watching = await type(sign.replace('sign', 'sign --json'), env);
  expect(watching.code).toBe(3);
  expect(JSON.parse(watching.stdout)).toMatchObject({ code: 'agent-wrong-passphrase' });
  const lock = await section(UNATTENDED, 'Lock');
  const { stdout } = mustWork(await type(`${unlock}\n${sign}\n${lock}`, env, `${PASSPHRASE}\n`));
  expect(stdout).toContain('published');

  const again = await world.approve('1.1');
  mustBe(0, await world.attest(again.ticket, { 'app.tgz': 'more' }));
  const locked = await type(sign.replace('sign', 'sign --json'), env);
  expect(locked.code).toBe(3);
  expect(JSON.parse(locked.stdout)).toMatchObject({ build: again.build, code: 'agent-locked' });
});

test('an OpenPGP card: certificate and PIN', async () => {
  const home = new GnupgHome();
  cleanup.push(() => home.close());
  const reader = await CardReader.start(home.directory);
  cleanup.push(() => reader.close());
  const pinentry = new FakePinentry(home.directory, PIN);
  appendFileSync(join(home.directory, 'gpg-agent.conf'), `pinentry-program ${pinentry.program}\n`);
  const env = { ...home.env, ...reader.env };
  const card = new OpenpgpCard();
  await reader.insert(card);

  const [setUp, ...others] = await shellBlocks(CARD, 'An OpenPGP card');
  // pcscd looks at the reader a few times a second
  const seen = 'for i in $(seq 100); do gpg --card-status >/dev/null 2>&1 && break; sleep 0.1; done';
  const typed = mustWork(await type([setUp, seen, ...others].join('\n'), env));
  expect(typed.stdout).toMatch(/OpenPGP/);
  const [RELEASE = ''] =
    mustWork(await type('gpg --with-colons --list-secret-keys', env)).stdout.match(/[0-9A-F]{40}/) ?? [];
  const sign =
    'gpg --batch --pinentry-mode error --output - --detach-sign </dev/null | gpg --verify - /dev/null';
  await reader.remove();
  mustWork(await type('while gpg --card-status >/dev/null 2>&1; do sleep 0.1; done', env));
  await reader.insert(card);
  mustWork(await type(seen, env));
  expect((await type(sign, env)).code, 'it wants its PIN').not.toBe(0);
  mustWork(await type(await section(CARD, 'The PIN'), { ...env, RELEASE }));
  mustWork(await type(sign, env));
});

test('a PKCS#11 token, as far as a signature', async () => {
  const home = new GnupgHome();
  cleanup.push(() => home.close());
  const pinentry = new FakePinentry(home.directory, PIN);
  appendFileSync(join(home.directory, 'gpg-agent.conf'), `pinentry-program ${pinentry.program}\n`);
  const env = { ...home.env, PIN, SO_PIN: '12345678' };
  const sign = 'echo test | gpg --batch --output - --detach-sign | gpg --verify - <(echo test)';
  mustWork(await type(`${await section(CARD, 'A PKCS#11 token')}\n${sign}`, env));
});
