/** `countersign log` as it is typed: on a real depot over HTTP, on directories, on a stranger's log, with what goes wrong. */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import { toFingerprint } from '../../src/records/names.ts';
import { generateWitnessKey } from '../../src/tlog/cosignature.ts';
import { parseSignerKey, parseVerifierKey } from '../../src/tlog/note.ts';
import { parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import { shellBlocks } from '../harness/document.ts';
import { ADA, MadeLog, buildId, entries, entry, ephemeralKey, leaves, timeOf } from '../harness/made-log.ts';
import { PROGRAM, PROGRAM_H } from '../harness/program.ts';
import type { Ran } from '../harness/program.ts';
import { sharedVectors } from '../harness/vectors.ts';
import { World, mustBe } from '../harness/world.ts';

let world: World;
let released: string;
let waiting: string;
beforeAll(async () => {
  world = await World.make();
  released = await world.release('1.0', { 'a.txt': 'hello' });
  waiting = (await world.approve('1.1')).build;
  await world.sign();
});
afterAll(() => world.close());

/** By somebody with the project file. */
const log = (...args: readonly string[]): Promise<Ran> => world.runOn('operator', ['log', ...args, '--json']);
const spoken = (...args: readonly string[]): Promise<Ran> => world.runOn('operator', ['log', ...args]);

describe('a real log', () => {
  test.each(['URL', 'directory', 'log'])('is shown and verified: %s', async (place) => {
    const at = { URL: world.url, directory: world.tree(), log: world.tree('log') }[place] ?? '';
    const shown = await log('show', '--log', at);
    expect(shown.json.map(({ index, type }) => [index, type])).toEqual([
      [0, 'approval'],
      [1, 'statement'],
      [2, 'intent'],
      [3, 'release'],
      [4, 'approval'], // prettier-ignore
    ]);
    const verified = await log('verify', '--log', at);
    expect(verified).toMatchObject({
      code: 0,
      json: [{ valid: true, findings: 0, entries: { approval: 2 } }],
    });
  });

  test('H’s program has it too, and people read a table', async () => {
    const { stdout, code } = await world.runOn('H', ['log', 'show'], { program: PROGRAM_H });
    expect(code).toBe(0);
    expect(stdout.split('\n')[3]).toMatch(
      new RegExp(`^3  \\S+Z  release    widget 1\\.0  ${released}  release\\.json `),
    );
    expect((await spoken('verify')).stdout).toMatch(/^whole\n/);
  });

  test('proves an entry, and the release of a build, to somebody without it', async () => {
    const key = parseVerifierKey(
      /^key = "(.*)"$/m.exec(readFileSync(world.path('H', 'countersign.toml'), 'utf8'))?.[1] ?? '',
    );
    for (const [what, type] of [
      [released, 'release'],
      ['4', 'approval'],
    ] as const) {
      // prettier-ignore
      const proof = parseProof(Buffer.from((await spoken('prove', what)).stdout));
      verifyProof(proof, proof.extra ?? Buffer.alloc(0), unwitnessed({ origin: key.name, key }));
      expect(parseLogEntry(proof.extra ?? Buffer.alloc(0)).type).toBe(type);
    }
    expect((await log('prove', waiting)).error).toMatchObject({ code: 'build-undecided' });
    expect((await log('prove', '5')).error).toMatchObject({ code: 'no-entry' });
  });

  test(
    'is what docs/how-to/log.md says: all commands, as they stand there',
    { timeout: 120_000 },
    async () => {
      const document = 'docs/how-to/log.md';
      const sections = [
        'Read',
        'An incident: which releases followed?',
        'Verify all of it',
        'Prove one entry',
        'Watch it',
      ];
      const blocks = (await Promise.all(sections.map((section) => shellBlocks(document, section)))).flat();
      const stranger = new MadeLog(world.path('stranger'));
      stranger.add([Buffer.from('anything'), Buffer.alloc(0)]);
      const first = parseLogEntry(Buffer.from(readFileSync(world.journal, 'utf8').split('\n')[0] ?? ''));
      writeFileSync(world.path('operator', 'expected.txt'), '1.0 # the first one\n');
      const script = `countersign() { '${PROGRAM}' "$@"; }\n${blocks.join('\n')}`;
      const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
        cwd: world.path('operator'),
        env: {
          ...world.env('operator'),
          ...{ BUILD: released, TICKET_KEY: first.keys[0] ?? '', ADA: world.approvers[0] ?? '' },
          ...{ THEIR_LOG: stranger.directory, THEIR_KEY: stranger.signer.verifier.text },
        },
      });
      expect(stdout.match(/^whole$/gm)).toHaveLength(2);
      expect(stdout).toMatch(/^1\.0$/m);
      expect(stdout).toMatch(/^widget 1\.0 {2}released/m);
      expect(existsSync(world.path('operator', 'monitor.state'))).toBe(true);
    },
  );
});

const { directory: tessera, skipped } = sharedVectors('tessera-log', 2);
describe.skipIf(skipped)('a log that another implementation wrote', () => {
  const key = ['--log-key', join(tessera, 'vkey')];
  const whole = { code: 0, json: [{ valid: true, size: 15, entries: null }] };

  test('is verified in a directory, and an entry of it proven', async () => {
    expect(await log('verify', '--log', tessera, ...key)).toMatchObject(whole);
    const { stdout } = await spoken('prove', '7', '--log', tessera, ...key);
    expect(parseProof(Buffer.from(stdout)).index).toBe(7);
  });

  test('… and behind any web server', async () => {
    const server = createServer((request, response) => {
      const file = join(tessera, request.url ?? '');
      const found = existsSync(file) && statSync(file).isFile() ? readFileSync(file) : null;
      response.writeHead(found ? 200 : 403, { 'content-length': found?.length ?? 0 }).end(found ?? '');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      expect(await log('verify', '--log', `http://127.0.0.1:${port}/`, ...key)).toMatchObject(whole);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('a log of 15 builds', () => {
  let made: MadeLog;
  beforeAll(() => {
    made = new MadeLog(
      world.path('made'),
      parseSignerKey(readFileSync(world.path('H', 'signer', 'log-key'), 'utf8').trim()),
    );
    made.add(
      leaves([
        ...entries(60),
        entry('conflict', 2, 60),
        entry('approval', 15, 61),
        entry('approval', 16, 62),
        entry('statement', 16, 63),
        entry('intent', 16, 64),
      ]),
    );
  });
  const at = (): string[] => ['--log', made.directory];
  const versions = async (...args: readonly string[]): Promise<unknown[]> =>
    (await log('show', '--releases', ...args, ...at())).json.map(
      ({ version, outcome }) => `${String(version)} ${String(outcome)}`,
    );

  test('which releases followed from a key, however it is written', async () => {
    const key = ephemeralKey(4);
    const groups = key.toLowerCase().replace(/(.{4})/g, '$1 ');
    for (const written of [key, groups, `0x${key.slice(-16)}`])
      expect(await versions('--key', written)).toEqual(['1.4 released']);
    expect(await versions('--key', ephemeralKey(9))).toEqual(['1.9 refused']);
    expect(await versions('--key', ephemeralKey(16), '--version', '1.4')).toEqual([]);
    const nobody = await log('show', '--key', 'FFFFFFFFFFFFFFFF', '--version', '1.4', ...at());
    expect(nobody).toMatchObject({ code: 0, json: [] });
    expect(nobody.stderr).toContain('warning: no entry of this log names key FFFFFFFFFFFFFFFF\n');
    expect(nobody.stderr).not.toContain('1.4');
    expect((await log('show', '--key', key.slice(-15), ...at())).error).toMatchObject({
      code: 'key-malformed',
    });
  });

  test('… an approver, a builder, a span of time, a conflict', async () => {
    expect(await versions('--approver', ADA.slice(-20))).toHaveLength(17);
    expect(await versions('--builder', 'b2')).toEqual([]);
    // of 1.14 its statement, of the others what came later
    expect(await versions('--builder', 'b1', '--since', timeOf(57))).toEqual([
      '1.2 released',
      '1.14 released',
      '1.16 intended',
    ]);
    expect(await versions('--since', timeOf(35), '--until', timeOf(40))).toEqual([
      '1.8 released',
      '1.9 refused',
      '1.10 released',
    ]);
    expect(await versions('--type', 'conflict')).toEqual(['1.2 released']);
    expect(await versions('--type', 'approval', '--since', timeOf(61))).toEqual([
      '1.15 approved',
      '1.16 intended',
    ]);
    const { json } = await log('show', '--releases', '--build', buildId(2), ...at());
    expect(json).toMatchObject([{ build: buildId(2), index: 11, time: timeOf(11), conflict: true }]);
  });

  test('entries by everything that an entry has', async () => {
    const indices = async (...args: readonly string[]): Promise<unknown[]> =>
      (await log('show', ...args, ...at())).json.map(({ index }) => index);
    expect(await indices('--version', '1.3')).toEqual([12, 13, 14, 15]);
    expect(await indices('--build', buildId(9))).toEqual([36, 37, 38]);
    expect(await indices('--type', 'heartbeat')).toEqual([39]);
    expect(await indices('--approver', ADA, '--version', '1.3')).toEqual([12, 14]);
    expect(await indices('--until', '2025-12-31')).toEqual([]);
    expect(await indices('--until', '2026-01-01T01:02:00+01:00')).toEqual([0, 1, 2]);
    expect(await indices('--project', 'gadget')).toEqual([]);
    for (const wrong of [
      ['--type', 'approved'],
      ['--since', '2026-02-30'],
      ['--until', 'yesterday'],
      ['--builder', 'B 1'],
    ])
      expect(await log('show', ...wrong, ...at())).toMatchObject({ code: 2 });
  });

  test('two keys of one end are not mixed up', async () => {
    const twin = new MadeLog(world.path('twin'), made.signer);
    const key = toFingerprint(`A${ephemeralKey(0).slice(1)}`, 'test');
    twin.add(leaves([entry('approval', 0, 0), { ...entry('approval', 1, 4), keys: [key] }]));
    const ran = await log('show', '--key', ephemeralKey(0).slice(-30), '--log', twin.directory);
    expect(ran).toMatchObject({ code: 2, error: { code: 'key-ambiguous' } });
    expect((await log('show', '--key', ephemeralKey(0), '--log', twin.directory)).json).toHaveLength(1);
  });

  test('a byte of it changed: verify names the entry, show shows nothing of it', async () => {
    const spoilt = world.path('spoilt');
    cpSync(made.directory, spoilt, { recursive: true });
    const path = join(spoilt, 'tile/entries/000.p/65');
    const bytes = readFileSync(path);
    bytes[bytes.indexOf(buildId(7))] = 0x37;
    writeFileSync(path, bytes);
    const ran = await log('verify', '--log', spoilt);
    expect(ran.code).toBe(1);
    expect(ran.json).toMatchObject([
      { code: 'entry-changed', index: 28, through: 28 },
      { valid: false, findings: 1 },
    ]);
    expect(await log('show', '--log', spoilt)).toMatchObject({ code: 1, error: { code: 'log-damaged' } });
    expect((await spoken('verify', '--log', spoilt)).stdout).toMatch(
      /^entry-changed {2}entry 28 is not what was signed/,
    );
  });

  test('a mirror that is damaged: the hint says what to type, and it mends it', async () => {
    const mirror = world.path('mirror');
    mustBe(0, await world.runOn('operator', ['sync', world.tree(), mirror]));
    const path = join(mirror, 'log/tile/entries/000.p/5');
    const bytes = readFileSync(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const damaged = await spoken('verify', '--log', mirror);
    expect(damaged.code).toBe(1);
    expect(damaged.stderr).toContain(`rm -r ${mirror}/log, then countersign sync DEPOT ${mirror};`);
    rmSync(join(mirror, 'log'), { recursive: true });
    mustBe(0, await world.runOn('operator', ['sync', world.tree(), mirror]));
    mustBe(0, await spoken('verify', '--log', mirror));
  });

  test('too few witnesses: nobody is told to copy what is whole', async () => {
    const file = world.path('operator', 'witnessed.toml');
    const text = readFileSync(world.path('operator', 'countersign.toml'), 'utf8');
    const { verifier } = generateWitnessKey('witness.example/w1');
    writeFileSync(
      file,
      `witness-quorum = 1\n${text}\n[[witnesses]]\nkey = "${verifier}"\nurl = "http://127.0.0.1:9"\n`,
    );
    const ran = await world.runOn('operator', ['log', 'verify', '-c', file]);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/^hint: the log is well: .*the witnesses/m);
    const json = await world.runOn('operator', ['log', 'verify', '-c', file, '--json']);
    expect(json.json).toMatchObject([{ code: 'witnesses-missing' }, { valid: false, cosigned: [] }]);
  });

  test('the monitor: news, an alert until it was seen, a fork whose evidence is kept', async () => {
    const state = world.path('monitor', 'state');
    const place = world.path('watched');
    cpSync(made.directory, place, { recursive: true });
    const look = (...args: readonly string[]): Promise<Ran> =>
      log('monitor', '--log', place, '--state', state, ...args);
    expect(await look()).toMatchObject({ code: 3, error: { code: 'disk' } });
    mkdirSync(world.path('monitor'));
    const first = await look();
    expect(first.code).toBe(1);
    expect(first.json.filter(({ news }) => news === 'release')).toHaveLength(14);
    expect(first.json.filter(({ alert }) => alert)).toMatchObject([{ alert: 'conflict', index: 60 }]);
    expect(first.stderr).not.toContain('ALERT');
    expect(await log('monitor', '--seen')).toMatchObject({ code: 2, error: { code: 'wrong-usage' } });
    expect(await look('--seen')).toMatchObject({ code: 1 });
    expect(await look()).toMatchObject({ code: 0, json: [{ size: 65, alerts: 0, news: 0 }] });
    expect(await look('--max-age', '1m')).toMatchObject({ code: 1, json: [{ alert: 'stale-head' }, {}] });

    const other = new MadeLog(world.path('other'), made.signer);
    other.add(leaves(entries(80)));
    for (let times = 0; times < 2; times++) {
      const ran = await log('monitor', '--log', other.directory, '--state', state);
      expect(ran).toMatchObject({
        code: 1,
        json: [{ alert: 'fork', evidence: [made.checkpoint(), other.checkpoint()] }, {}],
      });
    }
    const [kept = '', ...more] = readdirSync(world.path('monitor')).filter((name) =>
      name.startsWith('state.fork-'),
    );
    expect(more).toEqual([]);
    const evidence: unknown = JSON.parse(readFileSync(world.path('monitor', kept), 'utf8'));
    expect(evidence).toMatchObject({ code: 'fork', evidence: [made.checkpoint(), other.checkpoint()] });

    // the state alone moved away: the fork is still said, and not remembered as the truth
    rmSync(state);
    writeFileSync(world.path('expected'), `${buildId(0)}\n`);
    const again = ['monitor', '--log', other.directory, '--state', state, '--expect', world.path('expected')];
    expect(await log(...again)).toMatchObject({
      code: 1,
      json: expect.arrayContaining([
        {
          alert: 'fork',
          text: expect.any(String) as string,
          evidence: [made.checkpoint(), other.checkpoint()],
        },
      ]) as unknown,
    });
    expect(existsSync(state)).toBe(false);
    // the evidence, too: whoever moves both begins anew
    rmSync(world.path('monitor', kept));
    const ran = await log(...again);
    expect(ran.json.filter(({ alert }) => alert === 'fork')).toEqual([]);
    expect(ran.json.filter(({ alert }) => alert === 'unexpected-release')).toHaveLength(17);
  });
});

test('what is typed wrong is said', async () => {
  expect(await spoken()).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('one of: show, verify, prove, monitor') as string,
  });
  expect(await spoken('shwo')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('did you mean countersign log show?') as string,
  });
  expect((await spoken('--help')).stdout).toContain('usage: countersign log COMMAND');
  expect((await spoken('show', '--help')).stdout).toContain('usage: countersign log show');
  expect((await world.runOn('operator', ['help', 'log', 'verify'])).stdout).toContain(
    'usage: countersign log verify',
  );
  expect(await log('verify', '--log', world.path('M'))).toMatchObject({ code: 3, error: { code: 'no-log' } });
  expect(await log('verify', '--log-key', 'x')).toMatchObject({ code: 2 });
  expect(await log('verify', '--log-key', 'nofile', '--log', world.tree())).toMatchObject({
    code: 2,
    error: { message: expect.stringContaining('--log-key nofile: no such file') as string },
  });
  mustBe(0, await spoken('show', '-q'));
});
