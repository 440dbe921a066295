/** The whole path with artifacts as people have them, and every stock tool at its end. */
import { execFile, execFileSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { downloadPackage } from '../harness/debian.ts';
import { World, mustBe } from '../harness/world.ts';

const run = promisify(execFile);
const MINUTES = 60_000;
const ISO_BYTES = 2 ** 31 + 123_457;

let world: World;
let base: string;
let release: string;
let keyring: string;
let names: string[];

/** A sparse image with something at its start, beyond 2 GiB and at its very end. */
function makeImage(path: string): void {
  const file = openSync(path, 'w');
  ftruncateSync(file, ISO_BYTES);
  for (const [position, text] of [
    [0x8001, 'CD001'],
    [2 ** 31 + 5, 'beyond'],
    [ISO_BYTES - 3, 'end'],
  ] as const)
    writeSync(file, text, position);
  closeSync(file);
}

const filesBelow = async (directory: string): Promise<string[]> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)));

beforeAll(async () => {
  world = await World.make();
  base = world.path('M', 'out');
  mkdirSync(base);
  if (existsSync('/etc/apt')) downloadPackage('hello', base, world.path('tmp', 'apt'));
  else throw new Error('this test needs apt, for a real .deb and its source');
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', base]);
  makeImage(join(base, 'install.iso'));
  writeFileSync(join(base, 'empty'), '');
  for (const name of ['deep/er/still/odd+name~rc1@2=x.txt', 'a+b/c~d', `${'n'.repeat(244)}.tar.gz`]) {
    mkdirSync(dirname(join(base, name)), { recursive: true });
    writeFileSync(join(base, name), `content of ${name}`);
  }
  // hello comes with its maintainer's signature: a suffix that is ours to give, so attest is told to leave it out
  names = (await filesBelow(base)).filter((name) => !name.endsWith('.asc')).sort();

  const { ticket } = await world.approve('1.0+real~1');
  mustBe(
    0,
    await world.runOn('M', ['attest', '--ticket', ticket, '--base', base, '--exclude', '*.asc', base], {
      timeoutMs: 2 * MINUTES,
    }),
  );
  mustBe(0, await world.sign([], { timeoutMs: 3 * MINUTES }));
  release = world.tree('releases', 'widget', '1.0+real~1');
  keyring = world.path('operator', 'keys', 'release.pgp');
}, 8 * MINUTES);

afterAll(() => world.close());

test('what is published is what was built, a .deb with its source, an npm tarball, an image and an empty file', async () => {
  expect(names.some((name) => name.endsWith('.deb'))).toBe(true);
  expect(names.some((name) => name.endsWith('.dsc'))).toBe(true);
  expect(names.some((name) => /^countersign-.*\.tgz$/.test(name))).toBe(true);
  const published = (await filesBelow(release)).filter((name) => !name.startsWith('countersign/'));
  const expected = [...names, ...names.map((name) => `${name}.asc`), 'SHA256SUMS', 'SHA256SUMS.asc'];
  expect(published.sort()).toEqual(expected.sort());
  expect((await stat(join(release, 'install.iso'))).size).toBe(ISO_BYTES);
});

test('gpgv, gpg and sqv accept every signature', { timeout: 5 * MINUTES }, async () => {
  const env = { ...process.env, ...world.releaseHome.env };
  for (const name of [...names, 'SHA256SUMS']) {
    const file = join(release, name);
    await run('gpgv', ['--keyring', keyring, `${file}.asc`, file]);
    await run('gpg', ['--batch', '--verify', `${file}.asc`, file], { env });
    await run('sqv', ['--keyring', keyring, `${file}.asc`, file]);
  }
});

test('sha256sum finds every artifact as listed', { timeout: 2 * MINUTES }, async () => {
  await run('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: release });
  const list = await readFile(join(release, 'SHA256SUMS'), 'utf8');
  expect(list.trimEnd().split('\n')).toHaveLength(names.length);
});

test('verify accepts the whole copy, and a single download of it', { timeout: 2 * MINUTES }, async () => {
  mustBe(0, await world.verify([release]));
  const one = join(release, 'deep/er/still/odd+name~rc1@2=x.txt');
  const ran = await world.verify([one]);
  mustBe(0, ran);
  expect(ran.stdout).toContain('1.0+real~1');
});
