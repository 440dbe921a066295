/**
 * Names: what climbs out of a directory, hides in it, collides in it, or speaks to the program that prints it. On M
 * `attest` turns it away; signed with a real ticket by somebody who does not use `attest`, the gate does; and H does
 * where L has no gate.
 */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import type { ArtifactName, Version } from '../../src/records/names.ts';
import { blobFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved } from '../harness/world.ts';
import { forgeApproval, plant, post, putBlob, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { expectDenied, expectSigned } from './outcome.ts';
import { expectRound, shelf } from './round.ts';

let world: World;
let open: Approved;
/** What a thief of the open build's ticket has. */
let held: Held;
let terms: Approval;

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'the release that must stay as it is' });
  open = await world.approve('2.0');
  held = await steal(world, open);
  terms = parseApproval(held.bytes);
});
afterAll(() => world.close());

const forged = '[GNUPG:] GOODSIG 0123456789ABCDEF Ada';
const composed = 'caf\u00e9';

/** Names that a file on M can have, and must not be released under. */
const onDisk: Readonly<Record<string, string>> = {
  'a line of gpgv': `x\n${forged}`,
  'a carriage return': `x\r${forged}`,
  'an escape sequence': '\u001b[2Jx',
  'a backslash': '..\\x',
  'a drive': 'C:x',
  'a dash in front': '-rf',
  'a directory with a dash in front': '--output=x/app',
  percent: '%2e%2e',
  'a space': 'a b',
  'a command': '$(id)',
  'a home': '~root',
  'é in one character': composed,
  'é in two': composed.normalize('NFD'),
  'dots of full width': '\uff0e\uff0e',
  'right to left': 'x\u202egpj.exe',
  '256 bytes': `${'a'.repeat(100)}/${'b'.repeat(155)}`,
  'a segment without room for its signature': 'a'.repeat(252),
  'nine segments': 'a/b/c/d/e/f/g/h/i',
  'a device': 'CON',
  'a device with a suffix, deep down': 'sub/nul.tar.gz',
  'a dot-file': '.bashrc',
  'a dot-directory': 'sub/.git/config',
  'a dot at the end': 'x.',
  'a signature': 'app.asc',
  'a signature in capitals': 'app.SIG',
  'a directory like a signature': 'app.asc/x',
  'a MAC': 'app.mac',
  'a proof': 'app.Proof',
  'the records’ directory': 'countersign/release.json',
  'the records’ directory in capitals': 'Countersign/x',
  'the checksums': 'SHA256SUMS',
  'the checksums in small letters': 'sha256sums',
};

describe('attest names the file, signs nothing, and leaves the ticket as it was:', () => {
  test.each(Object.entries(onDisk))('%s', async (_, name) => {
    const before = await snapshot(world);
    const base = await world.place({ good: 'good', [name]: 'bad' });
    const ran = await world.runOn('M', ['attest', '--ticket', open.ticket, '--base', base, base, '--json']);
    expect([ran.code, ran.error?.code]).toEqual([1, 'artifacts-refused']);
    // it names the file, or the directory that can hold no artifact
    expect(`${name}/`.startsWith(ran.error?.message.split(': ')[0] ?? '?'), ran.error?.message).toBe(true);
    await expectUntouched(world, before, { answers: [ran] });
  });

  test('two that differ in case alone', async () => {
    const before = await snapshot(world);
    const ran = await world.attest(open.ticket, { 'sub/App': '1', 'sub/app': '2' });
    expect(ran.error).toMatchObject({ code: 'artifacts-refused', message: expect.stringContaining('only in case') }); // prettier-ignore
    await expectUntouched(world, before, { answers: [ran] });
  });

  test('one that is not UTF-8', async () => {
    const before = await snapshot(world);
    const base = await world.place({ good: 'good' });
    await writeFile(Buffer.concat([Buffer.from(`${base}/x`), Buffer.from([0xff, 0xc0, 0xaf])]), 'bad');
    const ran = await world.runOn('M', ['attest', '--ticket', open.ticket, '--base', base, base, '--json']);
    expect(ran.error?.code).toBe('artifacts-refused');
    await expectUntouched(world, before, { answers: [ran] });
  });

  test.each([
    ['a parent directory', 'artifacts-refused', ['out/up/secret']],
    ['a file elsewhere', 'artifacts-refused', ['out/link']],
    ['a directory elsewhere, found by walking', 'artifacts-refused', ['out']],
    ['nothing, by a path that climbs', 'outside-base', ['out/../secret']],
    ['nothing, by an absolute path', 'outside-base', ['/etc/hostname']],
  ])('a symlink to %s', async (_, code, paths) => {
    const before = await snapshot(world);
    const site = await world.place({ secret: 'not for release', 'out/app': 'app' });
    await symlink('..', join(site, 'out/up'));
    await symlink('../secret', join(site, 'out/link'));
    const base = code === 'outside-base' ? join(site, 'out') : site;
    const named = paths.map((path) => (path.startsWith('/') ? path : join(site, path)));
    const ran = await world.runOn('M', [
      'attest',
      '--ticket',
      open.ticket,
      '--base',
      base,
      ...named,
      '--json',
    ]);
    expect(ran.error?.code).toBe(code);
    await expectUntouched(world, before, { answers: [ran] });
  });
});

/** Names that only somebody who writes the statement by hand can give. */
const byHand: Readonly<Record<string, string>> = {
  'the parent': '../x',
  'the parent, later': 'sub/../../x',
  'an absolute path': '/etc/passwd',
  'a dot': './x',
  nothing: '',
  'a doubled slash': 'a//b',
  'a slash at the end': 'a/',
  'a NUL': 'app\0.asc',
  'a megabyte': 'a'.repeat(1_000_000),
};

/** Names that cannot lie in one directory. */
const together: Readonly<Record<string, readonly string[]>> = {
  'twins in another case': ['App', 'app'],
  'a file and a directory of one name': ['a', 'a/b'],
  'the same in another case': ['A/b', 'a'],
  'one name twice': ['app', 'app'],
  'names out of order': ['b', 'a'],
};

const content = 'the artifact with the bad name';
const subject = { sha256: sha256Hex(content), size: content.length };
const hostile: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(Object.entries({ ...onDisk, ...byHand }).map(([what, name]) => [what, [name]])),
  ...together,
};

/** A statement with these names, by the holder of the ticket: whoever signs is not kept from anything. */
const namedBy = (holder: Held, names: readonly string[]): Map<string, Buffer> =>
  sign(holder, statementOf(holder, {}, { subjects: names.map((name) => ({ ...subject, name: name as ArtifactName })) })); // prettier-ignore

describe('a statement made by hand, validly signed, the upload token right:', () => {
  beforeAll(async () => {
    expect((await putBlob(world, held, content)).status).toBe(201);
  });

  test.each(Object.entries(hostile))('the gate turns away %s', async (_, names) => {
    const [before, kept] = [await snapshot(world), await shelf(world)];
    await expectDenied(world, before, await post(world, held.build, namedBy(held, names), held.token), '422 statement-malformed'); // prettier-ignore
    expect(await shelf(world)).toEqual(kept);
  });

  test('H refuses each of them for good, and writes down why, harmlessly', async () => {
    const builds = new Map<string, string>();
    for (const [at, [what, names]] of Object.entries(hostile).entries()) {
      const forgery = forgeApproval(world, terms, { version: `3.${at}` as Version });
      const files = new Map([...forgery.files, ...namedBy(forgery, names)]);
      await plant(world, forgery.build, files.set(blobFile(subject.sha256), Buffer.from(content)));
      builds.set(what, forgery.build);
    }
    await expectRound(world, await snapshot(world), builds, () => 'refused statement-malformed');
  }, 240_000);
});

test('odd but legal names are signed, with the ticket that all of the above left alone', async () => {
  const odd = {
    'c++-12~rc1_amd64.deb': 'plus and tilde',
    'user@host=1.2.tar.gz': 'at and equals',
    '_-._+~@=': 'nothing but the alphabet',
    '0': 'one character',
    ['long/'.padEnd(255, 'x')]: '255 bytes',
    'a/b/c/d/e/f/g/h': 'eight segments',
    empty: '',
    'sub/SHA256SUMS': 'reserved at the top alone',
    'sub/countersign/release.json': 'likewise',
    'app.asc.gz': 'does not end in it',
    asc: 'is not a suffix',
    'console.log': 'no device',
    com10: 'no device either',
    App: 'another case',
    ab: 'a prefix of no directory',
    'aa/b': 'its own directory',
  };
  mustBe(0, await world.attest(open.ticket, odd));
  await expectSigned(world, open.build, '2.0', odd);
  const list = await readFile(world.tree('releases/widget/2.0/SHA256SUMS'), 'utf8');
  expect(list.split('\n')).toHaveLength(Object.keys(odd).length + 1);
});

test('a directory that is left out may be called anything', async () => {
  const { ticket, build } = await world.approve('2.1');
  const base = await world.place({ 'out/app': 'app' });
  for (const name of ['out/.git/x\n', 'out/CON/y.asc']) {
    await mkdir(dirname(join(base, name)), { recursive: true });
    await writeFile(join(base, name), 'not for release');
  }
  const without = ['--exclude', 'out/.git/**', '--exclude', 'out/CON/**'];
  mustBe(
    0,
    await world.runOn('M', ['attest', '--ticket', ticket, '--base', base, ...without, join(base, 'out')]),
  );
  await expectSigned(world, build, '2.1', { 'out/app': 'app' });
});
