/**
 * Mix and match, the consumer's end: genuine releases, shown as what they are not, or put together from two.
 */
import { copyFile, cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';

let world: World;
const named = (name: string) => ({ 'app.tgz': `app of ${name}`, 'doc/app.txt': `text of ${name}` });
const release = (version: string, ...rest: string[]): string =>
  world.tree('releases', world.project, version, ...rest);
/** A consumer's own directory, with a copy of release 5.1. */
let copy: string;
let home: string;

beforeAll(async () => {
  world = await World.make();
  await world.release('5.0', named('5.0'));
  await world.release('5.1', named('5.1'));
});
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cs-consumer-'));
  copy = join(home, 'copy');
  await cp(release('5.1'), copy, { recursive: true });
});
afterEach(() => rm(home, { recursive: true }));
afterAll(() => world.close());

/** `verify` of a copy or of a file in it, which must say no for this reason. */
async function expectInvalid(paths: string[], code: string, args: string[] = [], exit = 1): Promise<void> {
  const before = await snapshot(world);
  const ran = await world.verify(paths, args);
  expect([ran.code, ran.json[0]?.['code']], ran.stdout).toEqual([exit, code]);
  await expectUntouched(world, before, { answers: [ran] });
}

test('a copy, a file of it, a file by itself, and a file in another place are valid', async () => {
  mustBe(0, await world.verify([copy]));
  mustBe(0, await world.verify([join(copy, 'doc/app.txt')]));
  await copyFile(join(copy, 'app.tgz'), join(home, 'app.tgz'));
  mustBe(0, await world.verify([join(home, 'app.tgz')], ['--version', '5.1']));
  mustBe(0, await world.verify([join(home, 'app.tgz')], ['--release', copy]));
});

test('a release under a name that is no version’s is valid where the version is said', async () => {
  const latest = join(home, 'releases', world.project, 'latest');
  await mkdir(join(home, 'releases', world.project), { recursive: true });
  await rename(copy, latest);
  mustBe(0, await world.verify([latest], ['--version', '5.1']));
  await expectInvalid([latest], 'other-version');
});

test('a whole release served under another version', async () => {
  const before = await snapshot(world);
  await rename(release('5.1'), release('5.1-hidden'));
  await cp(release('5.0'), release('5.1'), { recursive: true });
  try {
    await copyFile(release('5.0', 'app.tgz'), join(home, 'app.tgz'));
    for (const [paths, args] of [
      [[join(home, 'app.tgz')], ['--version', '5.1']],
      [[join(home, 'app.tgz')], ['--release', `${world.url}/releases/${world.project}/5.1`]],
      [[join(home, 'app.tgz')], ['--release', release('5.1')]],
      [[release('5.1')], ['--version', '5.1']],
      [[release('5.1')], []],
      [[release('5.1', 'app.tgz')], []],
    ] as const) {
      const ran = await world.verify(paths, args);
      expect([ran.code, ran.json[0]?.['code']], `${paths.join(' ')} ${args.join(' ')}`).toEqual([
        1,
        'other-version',
      ]);
    }
  } finally {
    await rm(release('5.1'), { recursive: true });
    await rename(release('5.1-hidden'), release('5.1'));
  }
  expect(await snapshot(world)).toEqual(before);
});

test('a whole release of another project', async () => {
  const place = join(home, 'releases/gadget/5.1');
  await mkdir(join(home, 'releases/gadget'), { recursive: true });
  await rename(copy, place);
  await expectInvalid([place], 'other-project');
  await expectInvalid([join(place, 'app.tgz')], 'other-project', ['--project', 'gadget']);
});

test('a signed file under another name', async () => {
  await copyFile(join(copy, 'app.tgz'), join(home, 'gadget.tgz'));
  await expectInvalid([join(home, 'gadget.tgz')], 'wrong-name', ['--release', copy]);
  // with its signature beside it, of the same name: gpgv alone would take it
  await copyFile(join(copy, 'app.tgz.asc'), join(home, 'gadget.tgz.asc'));
  await expectInvalid([join(home, 'gadget.tgz')], 'wrong-name', ['--release', copy]);
});

test('two signed files under each other’s names, signatures too', async () => {
  await mkdir(join(home, 'x'));
  for (const end of ['', '.asc']) {
    const [app, text, aside] = [
      join(copy, `app.tgz${end}`),
      join(copy, `doc/app.txt${end}`),
      join(home, 'x/aside'),
    ];
    await rename(app, aside);
    await rename(text, app);
    await rename(aside, text);
  }
  await expectInvalid([copy], 'altered');
  await expectInvalid([join(copy, 'app.tgz')], 'wrong-name');
});

test.each([
  ['an artifact', 'app.tgz', 'altered'],
  ['a signature', 'app.tgz.asc', 'chain-broken'],
  ['the checksums', 'SHA256SUMS', 'checksums'],
  ['their signature', 'SHA256SUMS.asc', 'chain-broken'],
  ['the approval', 'countersign/approval.json', 'chain-broken'],
  ['the statement', 'countersign/statements/b1.json', 'chain-broken'],
  ['the manifest', 'countersign/manifest.json', 'chain-broken'],
  ['the list of signatures', 'countersign/signatures.list', 'chain-broken'],
  ['release.json', 'countersign/release.json', 'chain-broken'],
  ['the log entry', 'countersign/log-entry.json', 'proof-invalid'],
  ['the proof', 'countersign/release.proof', 'proof-invalid'],
])('a copy with %s of another release', async (_, name, code) => {
  await copyFile(release('5.0', name), join(copy, name));
  await expectInvalid([copy], code);
});

test('a copy with one file missing is incomplete, never valid', async () => {
  for (const name of ['app.tgz', 'doc/app.txt.asc', 'SHA256SUMS', 'countersign/manifest.json']) {
    await rename(join(copy, name), join(home, 'aside'));
    await expectInvalid([copy], 'release-incomplete', [], 3);
    await rename(join(home, 'aside'), join(copy, name));
  }
  mustBe(0, await world.verify([copy]));
});

test('a copy with one file too many', async () => {
  await writeFile(join(copy, 'doc/install.sh'), 'rm -rf /');
  await expectInvalid([copy], 'extra-file');
});

test('a file of another release of the project', async () => {
  await copyFile(release('5.0', 'app.tgz'), join(home, 'app.tgz'));
  await expectInvalid([join(home, 'app.tgz')], 'altered', ['--version', '5.1']);
  mustBe(0, await world.verify([join(home, 'app.tgz')], ['--version', '5.0']));
});
