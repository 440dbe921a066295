/** `doctor` and the host: its environment, programs, clock, room and memory, and the depot as it is seen from there. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import { isBuildId, toProjectName, toSha256, toVersion } from '../../src/records/names.ts';
import { timestamp } from '../../src/records/timestamp.ts';
import { freePort, World } from '../harness/world.ts';
import { Patient } from './patient.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

const at = (host: 'H' | 'L' | 'M' | 'operator', ...args: readonly string[]): Patient =>
  new Patient(args, { cwd: world.path('cwd'), env: world.env(host) });

describe('the environment', () => {
  test.each([
    ['NODE_OPTIONS', '--no-warnings', 'warning'],
    ['NODE_TLS_REJECT_UNAUTHORIZED', '0', 'warning'],
    ['NODE_DEBUG', 'none', 'note'],
    ['LD_PRELOAD', 'libm.so.6', 'warning'],
    ['NODE_EXTRA_CA_CERTS', '/nonexistent/ca.pem', 'warning'],
    ['GNUPGHOME', 'keys', 'warning'],
    ['https_proxy', 'http://me:hunter2@proxy.example', 'note'],
    ['SSL_CERT_FILE', '/etc/ssl/cert.pem', 'note'],
  ])('%s is told, and how to be rid of it', async (name, value, level) => {
    const env = { [name]: value };
    const builder = at('M');
    const finding = await builder.finding('environment', new RegExp(name), env);
    expect(finding).toMatchObject({ level });
    expect(finding.text).not.toContain('hunter2');
    // a relative home keeps its name, but no longer depends on the directory
    await builder.isCuredBy({ ...finding, hint: finding.hint.replace(/,.*/, '') }, env);
  });

  test('NODE_DEBUG, which prints what Node does, prints no token of ours', async () => {
    const { build, ticket } = await world.approve('2.0.0');
    expect((await world.attest(ticket, { a: 'a' })).code).toBe(0);
    const signed = await world.sign([], { env: { NODE_DEBUG: 'http,https,net,tls,stream' } });
    expect(signed).toMatchObject({ code: 0, json: [{ build }] });
    expect(signed.stderr).toContain('createConnection');
    expect(signed.stderr).not.toContain(
      readFileSync(world.path('H', 'signer', 'signer-token'), 'utf8').trim(),
    );
    expect(signed.stderr).not.toMatch(/Bearer/);
  });
});

describe('programs', () => {
  test('that are missing or too old are named, with the package that has them', async () => {
    const bin = world.path('bin');
    mkdirSync(bin);
    const env = { PATH: bin };
    expect(await at('L', '--role', 'depot').finding('programs', /./, env)).toMatchObject({
      level: 'problem',
      text: 'gpgv is not here',
      hint: 'apt install gpgv',
    });
    writeFileSync(`${bin}/gpgv`, '#!/bin/sh\necho "gpgv (GnuPG) 1.4.23"\n');
    chmodSync(`${bin}/gpgv`, 0o755);
    expect((await at('L', '--role', 'depot').finding('programs', /./, env)).text).toBe(
      'gpgv 1.4.23 is older than 2.2',
    );
    expect((await at('M').examine('', env)).code).toBe(0);
  });

  test('that fail leave a question open: neither healthy nor ill', async () => {
    const bin = world.path('bin-failing');
    mkdirSync(bin);
    writeFileSync(`${bin}/gpgconf`, '#!/bin/sh\n[ "$1" = --version ] || exit 1\n');
    chmodSync(`${bin}/gpgconf`, 0o755);
    const ran = await at('H').examine('', { PATH: `${bin}:${process.env['PATH']}` });
    expect(ran.code, ran.stdout).toBe(3);
    expect(ran.findings).toContainEqual(
      expect.objectContaining({
        check: 'release-key',
        text: expect.stringMatching(/^could not look: gpgconf/),
      }),
    );
  });

  test('without gpg the rest is looked at all the same', async () => {
    const bin = world.path('bin-without');
    mkdirSync(bin);
    const ran = await at('H').examine('', { PATH: bin });
    expect(ran.code).toBe(1);
    const text = ran.findings.map((each) => `${each.level} ${each.check}`);
    expect(text).toEqual(expect.arrayContaining(['problem programs', 'problem release-key', 'ok depot']));
  });
});

describe('the clock', () => {
  test('behind the signer’s own log', async () => {
    const build = '01arz3ndektsv4rrffq69g5fav';
    if (!isBuildId(build)) throw new Error('no build id');
    const entry = encodeLogEntry({
      type: 'approval',
      time: timestamp(new Date(Date.now() + 3_600_000)),
      build,
      project: toProjectName('widget', ''),
      version: toVersion('1.0', ''),
      records: { 'approval.json': toSha256('0'.repeat(64), '') },
      keys: [],
    });
    writeFileSync(world.journal, `${entry.toString()}\n`, { mode: 0o600 });
    const finding = await at('H').finding('clock');
    expect(finding).toMatchObject({ level: 'problem', hint: expect.stringContaining('timedatectl') });
    // a torn line, as a crash leaves it, is not looked at
    writeFileSync(world.journal, entry.toString().slice(0, 50), { mode: 0o600 });
    expect((await at('H').examine()).findings).toContainEqual(
      expect.objectContaining({ check: 'state', level: 'ok' }),
    );
  });

  test('another than the depot’s', async () => {
    const away = (seconds: number) =>
      serve((_request, response) => {
        response.setHeader('Date', new Date(Date.now() + seconds * 1000).toUTCString());
        answer(response, 200, '{"builds":[],"next":null}');
      });
    for (const [seconds, level] of [
      [-3600, 'warning'],
      [5, 'ok'],
    ] as const) {
      const depot = await away(seconds);
      const { findings } = await at('operator', '--depot', depot.url).examine();
      depot.close();
      expect(findings.filter(({ check }) => check === 'clock')).toMatchObject([{ level }]);
    }
  });
});

describe('the depot', () => {
  test('is not there, turns us away, or is something else', async () => {
    const operator = at('operator', '--depot', `http://127.0.0.1:${await freePort()}`);
    expect(await operator.finding('depot')).toMatchObject({
      level: 'problem',
      text: expect.stringContaining('ECONNREFUSED'),
      hint: expect.stringContaining('curl'),
    });
    for (const [status, body] of [
      [301, ''],
      [404, '{"builds":[],"next":null}'],
      [200, '<html>'],
      [200, '{"builds":[]}'],
    ] as const) {
      const other = await serve((_request, response) => answer(response, status, body));
      expect(await at('operator', '--depot', other.url).finding('depot')).toMatchObject({ level: 'problem' });
      other.close();
    }
    // where it is served nobody may have started it yet
    await world.stopServer();
    const down = await at('L', '--data', world.path('L', 'data')).finding('depot');
    expect(down.level).toBe('note');
    await world.startServer();
  });

  test('behind plain HTTP, elsewhere: no token goes there', async () => {
    const { port } = new URL(world.url);
    const finding = await at('H', '--depot', `http://0.0.0.0:${port}`).finding('depot');
    expect(finding).toMatchObject({ level: 'problem', text: expect.stringContaining('plain HTTP') });
  });

  test('is a directory', async () => {
    const directory = world.path('a depot');
    const signer = at('H', '--depot', directory);
    const missing = await signer.finding('depot');
    expect(missing.level).toBe('problem');
    // where a stick is not mounted, a directory made in its place is a trap
    expect(missing.hint).toMatch(/^findmnt +#.*mounted\?/);
    await signer.isCuredBy({ ...missing, hint: `mkdir '${directory}'` });
    const file = world.path('file');
    writeFileSync(file, '');
    expect(await at('H', '--depot', file).finding('depot')).toMatchObject({ level: 'problem' });
    expect(readFileSync(file)).toHaveLength(0);
  });
});

describe('room and memory', () => {
  /** Mounts that only what follows sees, in a shell that ends as doctor. */
  const privately = (mounts: string): string => {
    const root = process.geteuid?.() === 0 ? '' : '--map-root-user --user ';
    return `[ -n "$PRIVATE" ] || PRIVATE=1 exec unshare ${root}--mount sh "$SELF" "$0" "$@"\n${mounts}`;
  };

  /** A signer's host whose state lies in a file system of its own. */
  async function inFileSystem(options: string): Promise<Patient> {
    const self = world.path('cwd', 'self.sh');
    const state = world.path('H', 'signer');
    const mounts = [
      'set -e',
      `mkdir -p "$TMPDIR/kept" && cp -a '${state}/.' "$TMPDIR/kept"`,
      `mount -t tmpfs -o mode=700,${options} tmpfs '${state}'`,
      `cp -a "$TMPDIR/kept/." '${state}' && rm -r "$TMPDIR/kept"`,
      `printf 'Filename Type Size Used Priority\\n/dev/sda2 partition 1 0 -2\\n' > "$TMPDIR/swaps"`,
      'mount --bind "$TMPDIR/swaps" /proc/swaps',
      'exec "$@"',
    ].join('\n');
    writeFileSync(self, privately(mounts));
    return new Patient([], { cwd: world.path('cwd'), env: { ...world.env('H'), SELF: self } });
  }

  test('a state directory that is nearly full, of bytes or of files; swap on a disk', async () => {
    const small = await inFileSystem('size=1m');
    const enter = '. "$SELF"';
    const { findings, stderr } = await small.examine(enter);
    const said = findings
      .filter(({ level }) => level !== 'ok')
      .map(({ check, level }) => `${level} ${check}`);
    expect(said, stderr).toEqual(expect.arrayContaining(['problem space', 'note memory']));
    expect(findings.find(({ text }) => text.includes('/dev/sda2'))).toMatchObject({
      check: 'memory',
      level: 'note',
    });
    const few = await (await inFileSystem('size=1g,nr_inodes=60')).examine(enter);
    expect(few.findings).toContainEqual(
      expect.objectContaining({
        check: 'space',
        level: 'problem',
        text: expect.stringContaining('files left'),
      }),
    );
  });

  test('core dumps', async () => {
    const limited = await at('H').examine('ulimit -c 0');
    expect(
      limited.findings.filter(({ text }) => text.includes('core dump') && !text.startsWith('no')),
    ).toEqual([]);
    const open = await at('H').examine('ulimit -S -c "$(ulimit -H -c)"');
    const hard = open.findings.filter(({ hint }) => hint === 'ulimit -c 0');
    expect(hard.length).toBe(
      readFileSync('/proc/self/limits', 'utf8').match(/^Max core file size +\S+ +0 /m) ? 0 : 1,
    );
  });
});

interface Served {
  readonly url: string;
  close(): void;
}

async function serve(listener: RequestListener): Promise<Served> {
  const server = createServer(listener);
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

function answer(response: Parameters<RequestListener>[1], status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': String(body.length) });
  response.end(body);
}
