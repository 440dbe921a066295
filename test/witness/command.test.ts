/** `countersign witness`: what people type, and what it says when that cannot be. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
} from 'node:fs';
import { rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cosignaturesOf } from '../../src/tlog/cosignature.ts';
import { runProgram } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { add, latest, NAME, WitnessHost } from './host.ts';
import { Log, originHash } from './log.ts';
import { ended, shown, started } from './program.ts';
import type { Started } from './program.ts';

const log = new Log('log.example/one');
const other = new Log('log.example/two');
const LOG = ['--log', log.key.text];

let directory: string;
let state: string;
let running: Started[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-witness-'));
  state = join(directory, 'state');
  running = [];
});
afterEach(async () => {
  for (const witness of running) await witness.stop('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

const start = async (args: readonly string[] = LOG, options = {}): Promise<Started> => {
  const witness = await started(['--state', state, ...args], options);
  running.push(witness);
  return witness;
};
const first = (): Promise<Started> => start([...LOG, '--name', NAME]);
const refused = async (args: readonly string[], options = {}) => {
  const ran = await ended(['--state', state, ...args], options);
  return [ran.code, ran.error?.code];
};

test('the first run makes key and state, and says what goes into the project file; later runs know both', async () => {
  const said = await shown(['--state', state, '--name', NAME, ...LOG]);
  const [, key = ''] = /^key = "(.*)"$/m.exec(said) ?? [];
  expect(key).toMatch(/^witness\.example\/w1\+[0-9a-f]{8}\+B[A-Za-z0-9+/]{43}$/);
  expect(said).toMatch(
    /^witness-quorum = 1\n\n\[\[witnesses\]\]\nkey = .*\nurl = "http:\/\/127\.0\.0\.1:\d+"$/m,
  );
  expect(said).toContain('log log.example/one\n');
  expect(said).not.toContain('PRIVATE');

  expect(statSync(state).mode & 0o777).toBe(0o700);
  expect(statSync(join(state, 'witness-key')).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(state, '.gitignore'), 'utf8')).toBe('*\n');

  for (const args of [LOG, [...LOG, '--name', NAME]]) {
    const witness = await start(args);
    expect(witness.key.text).toBe(key);
    expect(await witness.stop()).toBe(0);
  }
  expect(await refused([...LOG, '--name', 'witness.example/w2'])).toEqual([2, 'witness-name']);
});

test('it remembers over restarts, by SIGTERM and by SIGKILL; the journal has no secret', async () => {
  const witness = await first();
  expect((await add(witness.url, log.body({ old: 0, size: 5 }))).status).toBe(200);
  const secret = readFileSync(join(state, 'witness-key'), 'latin1').trim();
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await running.at(-1)?.stop(signal);
    const again = await start();
    const shown = (await latest(again.url, log.origin)) ?? '';
    expect(cosignaturesOf(shown, [witness.key])).toHaveLength(1);
    expect((await add(again.url, log.forkedAt(4).body({ old: 5, size: 5 }))).status).toBe(422);
    // the answer may be here before what the witness says
    await until('it warns', () => again.said.length > 0);
    expect(again.said.join('\n')).toMatch(/^warning: log\.example\/one is forked: .*\\n5\\n/);
    expect(again.said.join('\n')).not.toContain(secret.slice(-40));
  }
});

test('an empty directory, as a service manager makes it, will do; two witnesses never share one', async () => {
  mkdirSync(state, { mode: 0o700 });
  await first();
  expect(await refused(LOG)).toEqual([3, 'locked']);
});

test('which logs: several, one by another name than its key; none is an error, and makes nothing', async () => {
  const renamed = new Log('a log whose key is called otherwise', other.signer);
  const many = [...LOG, '--log', `${renamed.origin} ${other.key.text}`];
  const witness = await start([...many, ...LOG, '--name', NAME]);
  expect(witness.logs).toEqual([log.origin, renamed.origin]);
  expect((await add(witness.url, renamed.body({ old: 0, size: 2 }))).status).toBe(200);
  expect((await add(witness.url, other.body({ old: 0, size: 2 }))).status).toBe(404);

  const fresh = join(directory, 'fresh');
  for (const bad of [
    [],
    ['--log', 'junk'],
    ['--log', log.key.text.slice(0, -1)],
    ['--log', witness.key.text],
    ['--log', `${log.key.text} `],
    ['--depot', '/tmp', ...LOG],
    ['--listen', '127.0.0.1', ...LOG],
    ['--tls-cert', '/x', ...LOG],
  ]) {
    const ran = await ended(['--state', fresh, '--name', NAME, ...bad]);
    expect([ran.code, ran.error?.code, existsSync(fresh)]).toEqual([2, expect.any(String), false]);
  }
  expect((await ended(['--name', NAME, ...LOG])).error?.message).toContain('--state DIR');
});

test('names that no key can have', async () => {
  for (const name of ['', 'a b', 'a+b', 'a\nb'])
    await expect(new WitnessHost(state).start([log], name)).rejects.toMatchObject({ code: 'wrong-usage' });
  for (const name of ['a b', 'https://witness.example.org/w1'])
    expect(await refused([...LOG, '--name', name])).toEqual([2, 'wrong-usage']);
});

test('the key as a credential: only with the state that it was made with', async () => {
  const witness = await first();
  await add(witness.url, log.body({ old: 0, size: 3 }));
  await witness.stop();
  const credentials = join(directory, 'credentials');
  mkdirSync(credentials);
  renameSync(join(state, 'witness-key'), join(credentials, 'witness-key'));
  const env = { CREDENTIALS_DIRECTORY: credentials };
  const given = await start(LOG, { env });
  expect([given.key.text, await latest(given.url, log.origin)]).toEqual([
    witness.key.text,
    expect.stringContaining(log.text(3)),
  ]);
  await given.stop();
  expect(readdirSync(state)).not.toContain('witness-key');
  expect(await refused(LOG)).toEqual([2, 'state-missing']);

  // the state was lost: with the key alone it would forget what it cosigned
  rmSync(state, { recursive: true });
  expect(await refused(LOG, { env })).toEqual([2, 'state-missing']);
  expect(await refused([...LOG, '--name', NAME], { env })).toEqual([2, 'state-missing']);
  // nor will that of another do
  rmSync(state, { recursive: true });
  await (await first()).stop();
  expect(await refused(LOG, { env })).toEqual([3, 'state-damaged']);
});

describe('a state that is not as it was left', () => {
  const record = (): string => join(state, 'checkpoints', originHash(log.origin));
  const args = [...LOG, '--log', other.key.text];
  let kept: string;
  beforeAll(async () => {
    kept = join(mkdtempSync(join(tmpdir(), 'cs-witness-')), 'state');
    const witness = await started(['--state', kept, ...args, '--name', NAME]);
    await add(witness.url, log.body({ old: 0, size: 5 }));
    await add(witness.url, other.body({ old: 0, size: 7 }));
    await witness.stop();
  });
  afterAll(() => rmSync(join(kept, '..'), { recursive: true, force: true }));
  beforeEach(() => cpSync(kept, state, { recursive: true }));

  test.each<[string, 'usage' | 'unable', string, () => void]>([
    ['it is gone', 'usage', 'state-missing', () => rmSync(state, { recursive: true })],
    [
      'it is empty',
      'usage',
      'state-missing',
      () => execFileSync('find', [state, '-mindepth', '1', '-delete']),
    ],
    ['everybody may write it', 'usage', 'state-permissions', () => chmodSync(state, 0o777)],
    ['a group may read it', 'usage', 'state-permissions', () => chmodSync(state, 0o750)],
    [
      'others may read the key',
      'usage',
      'state-permissions',
      () => chmodSync(join(state, 'witness-key'), 0o604),
    ],
    ['the key is gone', 'usage', 'state-missing', () => rmSync(join(state, 'witness-key'))],
    ['the key is cut', 'unable', 'state-damaged', () => truncateSync(join(state, 'witness-key'), 60)],
    [
      'the key is that of a log',
      'unable',
      'state-damaged',
      () =>
        writeFileSync(
          join(state, 'witness-key'),
          'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n',
        ),
    ],
    ['which key it was for is gone', 'unable', 'state-damaged', () => rmSync(join(state, 'verifier-key'))],
    ['the list of logs is gone', 'unable', 'state-damaged', () => rmSync(join(state, 'origins'))],
    ['a checkpoint is gone', 'unable', 'state-damaged', () => rmSync(record())],
    ['a checkpoint is cut', 'unable', 'state-damaged', () => truncateSync(record(), 80)],
    ['a checkpoint is empty', 'unable', 'state-damaged', () => truncateSync(record(), 0)],
    [
      'a checkpoint has another size',
      'unable',
      'state-damaged',
      () => writeFileSync(record(), readFileSync(record(), 'utf8').replace('\n5\n', '\n4\n')),
    ],
    ['a checkpoint was not cosigned', 'unable', 'state-damaged', () => writeFileSync(record(), log.note(4))],
    [
      'a checkpoint is that of another log',
      'unable',
      'state-damaged',
      () => renameSync(join(state, 'checkpoints', originHash(other.origin)), record()),
    ],
    ['a checkpoint is a directory', 'unable', 'not-a-file', () => (rmSync(record()), mkdirSync(record()))],
  ])('%s', async (_, kind, code, change) => {
    change();
    await expect(new WitnessHost(state).start([log, other], null)).rejects.toMatchObject({ kind, code });
  });

  test('a directory above it that everybody may write, or a link to it', async () => {
    const link = join(directory, 'link');
    symlinkSync(state, link);
    const linked = await started(['--state', link, ...args]);
    running.push(linked);
    await linked.stop();
    chmodSync(directory, 0o777);
    expect(await refused(LOG)).toEqual([2, 'state-permissions']);
  });
});

test('with a certificate it speaks HTTPS', async () => {
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const openssl = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost';
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert];
  execFileSync('openssl', [...openssl.split(' '), ...names], { stdio: 'pipe' });
  const witness = await start([...LOG, '--name', NAME, '--tls-cert', cert, '--tls-key', key]);
  expect(witness.url).toMatch(/^https:/);
  const status = await new Promise((resolve, reject) => {
    const options = { method: 'POST', ca: readFileSync(cert), agent: false };
    const sent = request(`${witness.url}/add-checkpoint`, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.once('error', reject).end(log.body({ old: 0, size: 2 }));
  });
  expect(status).toBe(200);
});

test('an address that is taken exits 3, and leaves the state to the next', async () => {
  const { url } = await first();
  const elsewhere = join(directory, 'elsewhere');
  const args = [
    'witness',
    '--state',
    elsewhere,
    '--name',
    NAME,
    ...LOG,
    '--listen',
    new URL(url).host,
    '--json',
  ];
  const ran = await runProgram(args, { env: { PATH: process.env['PATH'] ?? '' }, cwd: '/' });
  expect([ran.code, ran.error?.code]).toEqual([3, 'listen-failed']);
  expect(await started(['--state', elsewhere, ...LOG]).then((witness) => witness.stop())).toBe(0);
});
