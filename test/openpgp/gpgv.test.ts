/** The gpgv wrapper among enemies: a gpgv that lies, hangs and floods; the caller's configuration; odd files. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { askGpgv, verifyWithGpgv } from '../../src/openpgp/gpgv.ts';
import type { Question } from '../../src/openpgp/gpgv.ts';
import { examineSignature } from '../../src/openpgp/verify.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { craftKey, craftSignature, nowSeconds } from '../harness/craft.ts';
import { rawGpgv } from '../harness/gpgv.ts';
import { MUTANT_LISTENERS } from '../harness/mutants.ts';

const DATA = Buffer.from('an artifact\n');
const key = craftKey('ed25519', nowSeconds() - 3600);
const ring = craftCertificate(key);
const signature = craftSignature(key, DATA);
const question: Question = { signature, data: DATA, certificate: parseCertificate(ring), now: new Date() };

const directory = mkdtempSync(join(tmpdir(), 'cs-gpgv-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Everything that temporary files are made in, to see that none stay. */
const temporary = join(directory, 'tmp');
mkdirSync(temporary);
beforeEach(() => vi.stubEnv('TMPDIR', temporary));
afterEach(() => expect(readdirSync(temporary)).toEqual([]));

const file = (name: string, content: string | Buffer): string => {
  writeFileSync(join(directory, name), content);
  return join(directory, name);
};

/** A program in place of gpgv. */
function fake(script: string): string {
  const path = file('gpgv', `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o700);
  return path;
}

/** The true transcript of the good signature. */
async function transcript(): Promise<string> {
  const examined = examineSignature(signature, question.certificate, question.now);
  if (!('signature' in examined)) throw new Error(examined.reason);
  return (await askGpgv(examined, question)).status.toString();
}

const good = await transcript();

test('a good signature is good: in memory, in a file, behind a symlink', async () => {
  const path = file('artifact', DATA);
  symlinkSync(path, join(directory, 'link'));
  for (const data of [DATA, { file: path }, { file: join(directory, 'link') }]) {
    expect(await verifyWithGpgv({ ...question, data })).toEqual({
      ok: true,
      primary: key.fingerprint,
      signingKey: key.fingerprint,
      created: expect.any(Number),
      hash: 'sha256',
    });
  }
});

test('gpgv gets one packet, one keyring, one document, and nothing of ours but PATH', async () => {
  vi.stubEnv('GNUPGHOME', '/home/caller/.gnupg');
  vi.stubEnv('LD_PRELOAD', '');
  const said = join(directory, 'said');
  const gpgv = fake(
    `printf '%s\\n' "$@" > ${said}; env | sed s/=.*// | sort > ${said}.env; cat <&4 > ${said}.packet; cat /proc/self/fd/6 > ${said}.ring; exit 2`,
  );
  await verifyWithGpgv({ ...question, gpgv });
  const [homedir, home = '', keyring, ring = '', ...rest] = readFileSync(said, 'utf8').trimEnd().split('\n');
  expect([homedir, keyring, ...rest]).toEqual([
    '--homedir', '--keyring', '--status-fd', '3', '--enable-special-filenames', '--', '-&4', '-&5',
  ]); // prettier-ignore
  // the keyring is an open file without a name: a crash leaves nothing, and nobody puts another in its place
  expect([home, ring]).toEqual(['/proc/self/fd/6/no-home', '/proc/self/fd/6']);
  expect(readFileSync(`${said}.ring`)).toEqual(question.certificate.bytes);
  // PWD and _ are the shell's own
  expect(
    readFileSync(`${said}.env`, 'utf8')
      .split('\n')
      .filter((name) => !['PWD', '_', ''].includes(name)),
  ).toEqual(['LANG', 'PATH']);
  expect(readFileSync(`${said}.packet`)).toEqual(signature);
});

describe("the caller's gpgv.conf and home", () => {
  const stranger = craftKey('ed25519', nowSeconds() - 3600);
  const home = join(directory, 'home');
  mkdirSync(join(home, '.gnupg'), { recursive: true });
  const theirs = { ...question, signature: craftSignature(stranger, DATA) };

  beforeEach(() => {
    writeFileSync(join(home, '.gnupg/gpgv.conf'), 'weak-digest SHA256\n');
    writeFileSync(join(home, '.gnupg/trustedkeys.gpg'), craftCertificate(stranger));
    vi.stubEnv('HOME', home);
    vi.stubEnv('GNUPGHOME', join(home, '.gnupg'));
  });

  test('decide what a careless call trusts', async () => {
    const env = { PATH: process.env['PATH'], GNUPGHOME: join(home, '.gnupg') };
    const said = await rawGpgv({ ...theirs, data: [DATA], keyring: ring }, { env, options: () => [] });
    expect(said).toMatchObject({ code: 0, keywords: 'GOODSIG VALIDSIG' });
  });

  test('change nothing here', async () => {
    expect(await verifyWithGpgv(question)).toMatchObject({ ok: true });
    expect(await verifyWithGpgv(theirs)).toMatchObject({ ok: false, code: 'signature-of-other-key' });
  });
});

describe('a gpgv that lies', () => {
  const says = (text: string, more = 'exit 0'): string => fake(`cat ${file('lines', text)} >&3\n${more}`);
  const without = (word: string): string =>
    good
      .split('\n')
      .filter((line) => !line.includes(` ${word} `))
      .join('\n');
  const twice = (word: string): string => good.replace(new RegExp(`^.* ${word} .*\n`, 'm'), '$&$&');
  const changed = (from: string | RegExp, to: string): string => {
    expect(good).toMatch(from);
    return good.replace(from, to);
  };

  test('is believed where it tells the truth', async () => {
    expect(await verifyWithGpgv({ ...question, gpgv: says(good) })).toMatchObject({ ok: true });
  });

  const lies: [name: string, script: () => string][] = [
    ['exits 0 and says nothing', () => fake('exit 0')],
    ['exits 0 with GOODSIG and VALIDSIG alone', () => says('[GNUPG:] GOODSIG\n[GNUPG:] VALIDSIG\n')],
    ['leaves NEWSIG out', () => says(good.replace(/^.* NEWSIG.*\n/m, ''))],
    ['leaves GOODSIG out', () => says(without('GOODSIG'))],
    ['leaves VALIDSIG out', () => says(without('VALIDSIG'))],
    ['says NEWSIG twice', () => says(good.replace(/^.* NEWSIG.*\n/m, '$&$&'))],
    ['says GOODSIG twice', () => says(twice('GOODSIG'))],
    ['says VALIDSIG twice', () => says(twice('VALIDSIG'))],
    ['says it twice over', () => says(good + good)],
    ['says it backwards', () => says(`${good.trimEnd().split('\n').toReversed().join('\n')}\n`)],
    ['stops in the last line', () => says(good.slice(0, -1))],
    ['adds BADSIG', () => says(`${good}[GNUPG:] BADSIG ${key.keyId} x\n`)],
    ['adds ERROR', () => says(`${good}[GNUPG:] ERROR keydb_search 9\n`)],
    ['adds a keyword that nobody knows', () => says(`${good}[GNUPG:] SURPRISE\n`)],
    ['adds a notation that is not in the signature', () => says(`${good}[GNUPG:] NOTATION_NAME a@b\n`)],
    ['adds a line that is none', () => says(`${good}good signature, believe me\n`)],
    ['adds an empty line', () => says(`${good}\n`)],
    ['adds a zero byte', () => says(`${good}\0`)],
    ['ends lines with CR LF', () => says(good.replaceAll('\n', '\r\n'))],
    ['names another signing key', () => says(changed(/VALIDSIG [0-9A-F]{40}/, `VALIDSIG ${'A'.repeat(40)}`))],
    ['names another primary key', () => says(changed(/[0-9A-F]{40}\n/, `${'A'.repeat(40)}\n`))],
    ['names another key in GOODSIG', () => says(changed(/GOODSIG [0-9A-F]{16}/, 'GOODSIG 0123456789ABCDEF'))],
    [
      'considers another key',
      () => says(changed(/KEY_CONSIDERED [0-9A-F]{40}/, `KEY_CONSIDERED ${'A'.repeat(40)}`)),
    ],
    ['names another time', () => says(changed(/(VALIDSIG \S+ \S+) \d+/, '$1 1'))],
    ['says that it expires', () => says(changed(/ 0 4 0 22 8 00 /, ' 1999999999 4 0 22 8 00 '))],
    ['says version 3', () => says(changed(/ 0 4 0 22 8 00 /, ' 0 3 0 22 8 00 '))],
    ['says another algorithm', () => says(changed(/ 0 4 0 22 8 00 /, ' 0 4 0 1 8 00 '))],
    ['says another digest', () => says(changed(/ 0 4 0 22 8 00 /, ' 0 4 0 22 2 00 '))],
    ['says class 01', () => says(changed(/ 0 4 0 22 8 00 /, ' 0 4 0 22 8 01 '))],
    ['says it all and exits 1', () => says(good, 'exit 1')],
    ['says it all and exits 2', () => says(good, 'exit 2')],
    ['says it all and is killed', () => says(good, 'kill -9 $$')],
    ['says it all on standard error', () => fake(`cat ${file('lines', good)} >&2`)],
    ['says it all on standard output', () => fake(`cat ${file('lines', good)}`)],
    ['floods the status', () => says(good, 'while :; do echo "[GNUPG:] KEY_CONSIDERED x 0"; done >&3')],
    ['floods standard output', () => says(good, 'while :; do echo "good, good, good"; done')],
    ['floods standard error', () => says(good, 'while :; do echo "good, good, good"; done >&2')],
  ];

  test.each(lies)('and %s is not believed', async (_, script) => {
    expect(await verifyWithGpgv({ ...question, gpgv: script() })).toMatchObject({
      ok: false,
      code: 'gpgv-refused',
    });
  });

  test.each([
    ['the exit code alone', 'exits 0 and says nothing'],
    ['VALIDSIG alone', 'says it all and exits 1'],
    ['a merged error stream', 'says it all on standard error'],
  ])('kills a wrapper that looks at %s', async (mutant, name) => {
    const script = lies.find(([lie]) => lie === name)?.[1];
    expect(await MUTANT_LISTENERS[mutant]?.({ ...question, gpgv: script?.() ?? '' })).toBe(true);
  });
});

describe('a gpgv that does not end', () => {
  afterEach(() => vi.useRealTimers());

  test.each([
    ['hangs', 'exec sleep 1000'],
    ['leaves somebody behind who holds its descriptors', '(exec sleep 3) &'],
  ])('and %s is killed at its deadline', async (_, script) => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const started = join(directory, 'started');
    rmSync(started, { force: true });
    const verdict = verifyWithGpgv({ ...question, gpgv: fake(`touch ${started}; ${script}`) });
    while (!existsSync(started)) await nextTurn();
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    vi.advanceTimersByTime(25_000);
    expect(await verdict).toMatchObject({
      ok: false,
      code: 'gpgv-refused',
      reason: 'gpgv did not end in time',
    });
  });
});

test('no place for the keyring is not a verdict', async () => {
  vi.stubEnv('TMPDIR', '/nonexistent');
  await expect(verifyWithGpgv(question)).rejects.toMatchObject({ kind: 'unable', code: 'gpgv-failed' });
});

test('no gpgv is not a verdict', async () => {
  vi.stubEnv('PATH', '/nonexistent');
  await expect(verifyWithGpgv(question)).rejects.toMatchObject({ kind: 'unable', code: 'gpgv-missing' });
});

test.each(['fifo', 'directory', 'nothing'])('a %s in place of the document is not read', async (kind) => {
  const path = join(directory, `odd-${kind}`);
  if (kind === 'fifo') execFileSync('mkfifo', [path]);
  if (kind === 'directory') mkdirSync(path);
  const answer = verifyWithGpgv({ ...question, data: { file: path } });
  await expect(answer).rejects.toMatchObject({ kind: 'unable', code: 'data-unreadable' });
});
