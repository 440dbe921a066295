/** The depot behind nginx, as docs/how-to/nginx.md sets it up: what passes through, and what nginx serves from the directory. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, readFile, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { shellBlocks } from '../harness/document.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { until } from '../harness/until.ts';
import { World, freePort, mustBe } from '../harness/world.ts';

const run = promisify(execFile);
const LARGE = randomBytes(5_000_000);
const RELEASE = '/releases/widget/1.0';

let world: World;
let build: string;
/** Of nginx; the depot itself is at `world.url`. */
let url: string;
let certificate: string;
let nginx: ChildProcess | undefined;
/** Of every command. */
const env: Record<string, string> = {};

const isRoot = process.getuid?.() === 0;
/** Another user of this host, whom root alone can be. */
const OTHER = { name: 'nobody nogroup', as: ['--reuid', '65534', '--regid', '65534', '--clear-groups'] };

/** Whether that user can read the file. */
const isOpen = (file: string): Promise<boolean> =>
  run('setpriv', [...OTHER.as, 'head', '-c', '1', file], { encoding: 'buffer' }).then(
    () => true,
    ({ stderr }: { readonly stderr: Buffer }) => {
      expect(stderr.toString()).toMatch(/Permission denied/);
      return false;
    },
  );

/** nginx with the site of the page, whose addresses and files are those of this world. */
async function startNginx(port: number, key: string): Promise<ChildProcess> {
  const [page = ''] = await shellBlocks('docs/how-to/nginx.md', 'The site', 'nginx');
  const site = page
    .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
    .replace('listen [::]:443 ssl;', '')
    .replace(/ssl_certificate .*/, `ssl_certificate ${certificate};`)
    .replace(/ssl_certificate_key .*/, `ssl_certificate_key ${key};`)
    .replace('/srv/countersign', world.tree())
    .replace('127.0.0.1:8080', new URL(world.url).host);
  const directory = world.path('nginx');
  await mkdir(directory);
  await writeFile(`${directory}/site.conf`, site);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  // the rest as Debian has it
  await writeFile(
    `${directory}/nginx.conf`,
    `daemon off; pid ${directory}/pid; user ${isRoot ? OTHER.name : userInfo().username}; worker_processes 2;
     events { worker_connections 768; }
     http {
       sendfile on; tcp_nopush on; types_hash_max_size 2048; gzip on; access_log off;
       include /etc/nginx/mime.types; default_type application/octet-stream;
       ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
       include ${directory}/site.conf;
     }`,
  );
  const args = ['-p', directory, '-c', `${directory}/nginx.conf`, '-e', `${directory}/error.log`];
  const child = spawn('nginx', args, {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` },
  });
  await until('nginx answers', async () => (await curl(url, '/')).status === 200);
  return child;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** curl, whose answer is read to its end; status 0 if there was none. */
async function curl(base: string, path: string, ...options: readonly string[]): Promise<Answer> {
  const args = [
    '-sS',
    '-i',
    '--path-as-is',
    '--http1.1',
    '--cacert',
    certificate,
    ...options,
    `${base}${path}`,
  ];
  const settings = { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 } as const;
  const stdout = await run('curl', args, settings).then(
    (ran) => ran.stdout,
    () => Buffer.alloc(0),
  );
  const end = stdout.indexOf('\r\n\r\n');
  const [first = '', ...lines] = stdout.subarray(0, Math.max(end, 0)).toString('latin1').split('\r\n');
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return {
    status: Number(first.split(' ')[1] ?? 0),
    headers: Object.fromEntries(headers),
    body: stdout.subarray(end + 4),
  };
}

/** What both must say alike. */
const alike = ({ status, headers, body }: Answer): unknown => {
  const names = ['content-type', 'content-length', 'content-disposition', 'content-range'];
  const more = ['etag', 'last-modified', 'x-content-type-options', 'referrer-policy'];
  return {
    status,
    sha256: sha256Hex(body),
    ...Object.fromEntries([...names, ...more].map((name) => [name, headers[name]])),
  };
};

beforeAll(async () => {
  const port = await freePort();
  url = `https://127.0.0.1:${port}`;
  world = await World.make({
    stage: {
      url: `http://127.0.0.1:${await freePort()}`,
      serve: ['--proxy', '127.0.0.1'],
      env,
      open: async () => {},
      enter: () => [],
    },
  });
  certificate = world.path('cert.pem');
  env['NODE_EXTRA_CA_CERTS'] = certificate;
  const key = world.path('key.pem');
  const openssl = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost';
  const name = ['-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', [...openssl.split(' '), ...name, '-keyout', key, '-out', certificate], {
    stdio: 'pipe',
  });
  // from now on everybody goes through nginx
  const file = world.path('H', 'countersign.toml');
  await writeFile(file, (await readFile(file, 'utf8')).replaceAll(world.url, url));
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
  // as far as L's directory anybody gets
  await chmod(world.directory, 0o711);
  nginx = await startNginx(port, key);
});
afterAll(async () => {
  nginx?.kill('SIGTERM');
  await world.close();
});

test(
  'a build goes through it to its release, and everybody finds it there',
  { timeout: 60_000 },
  async () => {
    build = await world.release('1.0', { 'widget.bin': LARGE, 'docs/a.json': '{"a":1}', empty: '' });
    mustBe(0, await world.verify([world.tree('releases', 'widget', '1.0', 'widget.bin')]));
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`file-${at}`, `content ${at}`]));
    await world.release('2.0', many);
    const checked = await world.runOn('operator', ['log', 'verify', '--json']);
    mustBe(0, checked);
    const copy = world.path('cwd', 'copy');
    mustBe(0, await world.runOn('operator', ['sync', url, copy, '--json']));
    expect(await readdir(`${copy}/releases/widget`)).toEqual(['1.0', '2.0']);
    expect((await readFile(`${copy}/releases/widget/1.0/widget.bin`)).equals(LARGE)).toBe(true);
  },
);

describe('a published file is the same from both', () => {
  test('by its type, its tag, its time and its bytes, also as a part', { timeout: 30_000 }, async () => {
    const published = (await readdir(world.tree('releases', 'widget', '1.0'), { recursive: true }))
      .filter((name) => name.includes('.') || /sums$|^empty$/i.test(name))
      .map((name) => `${RELEASE}/${name}`);
    const tiles = (await readdir(world.tree('log'), { recursive: true })).filter((name) =>
      /\/\d{3}$|\.p\/\d+$/.test(name),
    );
    expect(tiles).not.toEqual([]);
    const paths = [...published, ...tiles.map((name) => `/log/${name}`)];
    expect(paths).toEqual(
      expect.arrayContaining([
        `${RELEASE}/widget.bin`,
        `${RELEASE}/widget.bin.asc`,
        `${RELEASE}/docs/a.json`,
        `${RELEASE}/SHA256SUMS`,
        `${RELEASE}/countersign/release.json`,
        `${RELEASE}/countersign/release.proof`,
        `${RELEASE}/countersign/signatures.list`,
        `${RELEASE}/countersign/statements/b1.json.sig`,
      ]),
    );
    for (const path of paths) {
      const [ours, its] = [await curl(world.url, path), await curl(url, path)];
      expect(its.headers['server'], path).toMatch(/^nginx/);
      expect(alike(its), path).toEqual(alike(ours));
      expect([path, its.status, its.headers['cache-control']]).toEqual([
        path,
        200,
        'public, max-age=31536000, immutable',
      ]);
      expect(ours.headers['cache-control']).toBe(its.headers['cache-control']);
    }
    const [ours, its] = [await curl(world.url, '/log/checkpoint'), await curl(url, '/log/checkpoint')];
    for (const name of ['content-type', 'cache-control', 'content-length'])
      expect([name, its.headers[name]]).toEqual([name, ours.headers[name]]);
    // its tag would be that of another checkpoint of the same second
    expect([its.body, its.headers['etag']]).toEqual([ours.body, undefined]);
  });

  test('and under every condition', { timeout: 30_000 }, async () => {
    const path = `${RELEASE}/widget.bin`;
    const { etag = '', 'last-modified': modified = '' } = (await curl(world.url, path)).headers;
    const later = 'Fri, 01 Jan 2100 00:00:00 GMT';
    const earlier = 'Thu, 01 Jan 1970 00:00:01 GMT';
    for (const [status, ...headers] of [
      [304, `If-None-Match: ${etag}`],
      [304, `If-None-Match: W/${etag}, "other"`],
      [304, 'If-None-Match: *'],
      [200, 'If-None-Match: "other"'],
      [304, `If-Modified-Since: ${modified}`],
      [304, `If-Modified-Since: ${later}`],
      [200, `If-Modified-Since: ${earlier}`],
      [200, 'If-None-Match: "other"', `If-Modified-Since: ${later}`],
      [200, `If-Match: ${etag}`],
      [412, 'If-Match: "other"'],
      [412, `If-Unmodified-Since: ${earlier}`],
      [206, 'Range: bytes=0-9'],
      [206, 'Range: bytes=-10'],
      [206, 'Range: bytes=4999990-'],
      [206, 'Range: bytes=7-11', `If-Range: ${etag}`],
      [206, 'Range: bytes=7-11', `If-Range: ${modified}`],
      [200, 'Range: bytes=7-11', 'If-Range: "other"'],
      [200, 'Range: bytes=7-11,15-20'],
      [416, 'Range: bytes=5000000-'],
    ] as const) {
      const options = headers.flatMap((header) => ['-H', header]);
      const [ours, its] = [await curl(world.url, path, ...options), await curl(url, path, ...options)];
      expect([headers, ours.status, its.status]).toEqual([headers, status, status]);
      if (status === 200 || status === 206) expect(alike(its)).toEqual(alike(ours));
      expect(its.headers['content-range']).toBe(ours.headers['content-range']);
      // that there is no such part, or that it is another, is for nobody to keep
      if (status > 400) expect(its.headers['cache-control']).toBeUndefined();
    }
    const heads = [await curl(world.url, path, '-I'), await curl(url, path, '-I')];
    expect(heads.map(alike)).toEqual([alike(heads[0] as Answer), alike(heads[0] as Answer)]);
    expect(heads[1]?.headers['content-length']).toBe(String(LARGE.length));
  });
});

describe('what is not published', () => {
  test('waits in quarantine, whatever way is tried', async () => {
    const approved = await world.approve('3.0');
    mustBe(0, await world.attest(approved.ticket, { secret: 'not yet' }));
    const [blob = ''] = await readdir(world.tree('builds', approved.build, 'blobs'));
    const path = `builds/${approved.build}/blobs/${blob}`;
    expect((await curl(url, `/${path}`)).status).toBe(401);
    for (const way of [
      `/releases/../${path}`,
      `/releases/widget/1.0/../../../${path}`,
      `/releases/widget/1.0/%2e%2e/%2e%2e/%2e%2e/${path}`,
      `/log/..%2f${path}`,
      `/log/../${path}`,
      `//${path}`,
      `/%62uilds/${approved.build}/blobs/${blob}`,
    ]) {
      const { status, body } = await curl(url, way);
      expect([way, status]).toEqual([way, expect.toBeOneOf([400, 401, 404])]);
      expect(body.toString()).not.toContain('not yet');
    }
    await writeFile(world.tree('.tmp', 'half'), 'not yet');
    expect((await curl(url, '/.tmp/half')).status).toBe(404);
  });

  test.runIf(isRoot)('is closed to other users of the host, also what was open until now', async () => {
    const { build: waiting, ticket } = await world.approve('3.1');
    const published = [
      ...['SHA256SUMS', 'widget.bin'].map((name) => `releases/widget/1.0/${name}`),
      'log/checkpoint',
    ];
    const waits = async (): Promise<string[]> => {
      const names = await readdir(world.tree('builds', waiting), { recursive: true });
      return [
        ...names.filter((name) => name.includes('.')).map((name) => `builds/${waiting}/${name}`),
        '.tmp/half',
      ];
    };
    const open = async (paths: readonly string[]): Promise<string[]> => {
      const opened = await Promise.all(
        paths.map(async (path) => [path, await isOpen(world.tree(path))] as const),
      );
      return opened.flatMap(([path, is]) => (is ? [path] : []));
    };
    expect(await open(await waits())).toEqual(await waits());

    // what was moved aside waits, too, whether or not the page was read
    await writeFile(world.tree('builds', waiting, 'blobs.old'), 'not yet');
    expect(await world.stopServer()).toBe(0);
    mustBe(0, await world.runOn('L', ['check', '--data', world.tree(), '--repair', '--json']));
    const [time = ''] = await readdir(world.tree('.aside'));
    const aside = `.aside/${time}/builds/${waiting}/blobs.old`;
    expect(await readFile(world.tree(aside), 'utf8')).toBe('not yet');
    expect(await open([aside])).toEqual([]);

    // by a depot of earlier days
    await chmod(world.tree('.aside'), 0o755);
    await chmod(world.tree('log'), 0o700);
    expect(await open([aside, 'log/checkpoint'])).toEqual([aside]);
    const [, page = ''] = await shellBlocks('docs/how-to/nginx.md', 'What nginx may read');
    await run('bash', ['-euc', page], { cwd: world.tree() });
    expect(await open([aside, ...(await waits()), ...published])).toEqual(published);

    await world.startServer();
    mustBe(0, await world.attest(ticket, { secret: 'not yet' }));
    mustBe(0, await world.sign());
    expect((await waits()).length).toBeGreaterThan(10);
    expect(await open([...(await waits()), 'releases/widget/3.1/secret'])).toEqual([
      'releases/widget/3.1/secret',
    ]);
    expect((await curl(url, '/releases/widget/3.1/secret')).headers['server']).toMatch(/^nginx/);
  });

  test('a release that is copied is there when its proof is, and links lead nowhere', async () => {
    const [from, to] = [world.tree('releases', 'widget', '1.0'), world.tree('releases', 'widget', '1.1')];
    await cp(from, to, { recursive: true, preserveTimestamps: true });
    await rename(`${to}/countersign/release.proof`, `${to}/countersign/.release.proof.x7`);
    const files = ['widget.bin', 'SHA256SUMS', 'widget.bin.asc', 'countersign/release.json'];
    for (const name of [...files, 'countersign/.release.proof.x7']) {
      const { status, headers } = await curl(url, `/releases/widget/1.1/${name}`);
      expect([name, status]).toEqual([name, 404]);
      expect([headers['content-type'], headers['cache-control']]).toEqual(['application/json', 'no-store']);
    }
    await rename(`${to}/countersign/.release.proof.x7`, `${to}/countersign/release.proof`);
    const [one, other] = [
      await curl(url, `${RELEASE}/widget.bin`),
      await curl(url, '/releases/widget/1.1/widget.bin'),
    ];
    expect([other.status, other.headers['etag']]).toEqual([200, one.headers['etag']]);

    await symlink(world.path('L', 'countersign.toml'), `${to}/link`);
    await symlink(world.tree('builds'), `${to}/builds`);
    for (const name of ['link', `builds/${build}/approval.json`, 'docs', 'nothing'])
      expect([name, (await curl(url, `/releases/widget/1.1/${name}`)).status]).toEqual([name, 404]);
  });

  test('nor are the meters of the depot', async () => {
    expect((await curl(url, '/metrics')).status).toBe(404);
    expect((await rawRequest(world.url, { path: '/metrics' })).status).toBe(200);
  });

  test('what nginx has no file for is answered by the depot, with its body and its methods', async () => {
    const names = JSON.stringify(['docs/a.json']);
    const sizes = await curl(url, `${RELEASE}/sizes`, '--data-binary', names);
    expect([sizes.status, sizes.body.toString()]).toEqual([200, '[7]\n']);
    const refused = await curl(url, `${RELEASE}/widget.bin`, '-X', 'DELETE');
    expect([refused.status, refused.headers['allow']]).toEqual([405, 'GET, HEAD']);
    const page = await curl(url, `${RELEASE}/`, '-H', 'Accept: text/html', '--compressed');
    expect([page.headers['content-type'], page.headers['content-encoding']]).toEqual([
      'text/html; charset=utf-8',
      undefined,
    ]);
    const again = await curl(
      url,
      `${RELEASE}/`,
      '-H',
      `If-None-Match: ${page.headers['etag']}`,
      '-H',
      'Accept: text/html',
    );
    expect(again.status).toBe(304);
  });
});

test('while the depot is down what it has published is still there', async () => {
  expect(await world.stopServer()).toBe(0);
  const file = await curl(url, `${RELEASE}/widget.bin`);
  expect([file.status, file.body.equals(LARGE)]).toEqual([200, true]);
  expect((await curl(url, '/log/checkpoint')).status).toBe(200);
  expect((await curl(url, `${RELEASE}/widget.bin`, '-H', 'Range: bytes=0-9')).status).toBe(206);
  // what nginx does not serve from the directory
  for (const path of [`/builds/${build}/approval.json`, '/releases/', '/nothing'])
    expect([path, (await curl(url, path)).status]).toEqual([path, 502]);
  await world.startServer();
  expect((await curl(url, `/builds/${build}/approval.json`)).status).toBe(200);
});
