/** Attack family "names": what could mean another file, another line or another thing somewhere. */
import { describe, expect, test } from 'vitest';
import { artifactNameProblem, artifactSetProblems, toArtifactName } from '../../src/records/names.ts';
import { parseStatement } from '../../src/records/statement.ts';
import { parseManifest } from '../../src/records/manifest.ts';
import { parseSignaturesList } from '../../src/records/signatures-list.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeCanonical } from '../../src/records/canonical.ts';
import { refusalOf } from '../harness/failure.ts';
import { membersOf } from '../harness/json.ts';
import { records } from './samples.ts';

const good = [
  'a',
  '_',
  '0',
  'hello_2.10-3_amd64.deb',
  'gcc-12_12.2.0-14+deb12u1~bpo1.tar.xz',
  'lib/x86_64-linux-gnu/libfoo.so.1',
  'a/b/c/d/e/f/g/h',
  'A'.repeat(251),
  `${'a'.repeat(200)}/${'b'.repeat(54)}`,
  'SHA256SUMS.txt',
  'sub/SHA256SUMS',
  'sub/countersign',
  'countersign-0.1.0.tgz',
  'CONSOLE.txt',
  'com10',
  'nul_',
  'x.asc.txt',
  'asc',
  'sig',
  'a=b~c@d+e-f_g',
  'a..b',
  '__proto__',
  'constructor',
];

const bad: Record<string, string> = {
  empty: '',
  parent: '../x',
  'parent inside': 'a/../../x',
  'only dots': '..',
  here: './a',
  absolute: '/etc/passwd',
  'double slash': 'a//b',
  'slash at the end': 'a/',
  backslash: 'a\\b',
  drive: 'c:x',
  NUL: 'a\0.txt',
  'escaped parent': '%2e%2e/x',
  'escaped slash': 'a%2fb',
  'newline and a status line': 'x\n[GNUPG:] GOODSIG 0123456789ABCDEF Ada',
  'carriage return': 'a\rb',
  'terminal escape': 'a\x1b[2Jb',
  'right-to-left override': 'a\u202egpj.exe',
  'leading dash': '-rf',
  'leading dash inside': 'a/-rf',
  'leading tilde': '~root',
  'dot-file': '.ssh/authorized_keys',
  'dot-file inside': 'a/.git',
  space: 'a b',
  NFC: 'caf\u00e9',
  NFD: 'cafe\u0301',
  'full-width letter': '\uff41',
  'no-break space': 'a\u00a0b',
  '256 bytes': `${'a'.repeat(200)}/${'b'.repeat(55)}`,
  'no room for .asc': 'a'.repeat(252),
  '9 segments': 'a/b/c/d/e/f/g/h/i',
  'dot at the end': 'a.',
  'dot at the end of a directory': 'a./b',
  device: 'CON',
  'device in lower case': 'nul',
  'device with an extension': 'Aux.c',
  'device as a directory': 'a/com1/b',
  'another device': 'LPT9.tar.gz',
  'the signature of another': 'a.asc',
  'in capitals': 'a.ASC',
  'a directory like it': 'a.asc/b',
  '.sig': 'a.sig',
  '.mac': 'a.mac',
  '.proof': 'release.proof',
  'the records of a release': 'countersign/release.json',
  'in other case': 'Countersign/x',
  'the same as a file': 'countersign',
  'the checksum file': 'SHA256SUMS',
  'in lower case': 'sha256sums',
  'a directory like the checksum file': 'SHA256SUMS/x',
  wildcard: '*.deb',
  quote: "a'b",
  shell: '$(reboot)',
  semicolon: 'a;b',
  'a colon': 'a:b',
};

const statement = records.find(({ name }) => name === 'statement');
const manifest = records.find(({ name }) => name === 'manifest');
/** The example of a record with these names in its list of subjects. */
const withNames = (record: typeof statement, field: string, names: readonly string[]) => {
  const subjects = names.map((name) => ({
    name,
    digest: { sha256: sha256Hex('') },
    annotations: { size: 0 },
  }));
  return encodeCanonical({
    ...Object.fromEntries(membersOf(record?.bytes.toString() ?? '')),
    [field]: subjects,
  });
};

describe('one name', () => {
  test.each(good)('%s', (name) => {
    expect(artifactNameProblem(name)).toBeNull();
    expect(parseStatement(withNames(statement, 'subject', [name])).subjects[0]?.name).toBe(name);
    expect(parseManifest(withNames(manifest, 'subjects', [name])).subjects[0]?.name).toBe(name);
    const list = [`${name}.asc`, 'SHA256SUMS.asc'].sort().map((file) => `${sha256Hex('')}  ${file}\n`);
    expect(parseSignaturesList(Buffer.from(list.join(''))).has(`${name}.asc`)).toBe(true);
  });

  test.each(Object.entries(bad))('%s', (_, name) => {
    expect(artifactNameProblem(name)).toMatch(/^[ -~]+$/);
    expect(refusalOf(() => toArtifactName(name, 'subject 1')).code).toBe('name-malformed');
    expect(refusalOf(() => parseStatement(withNames(statement, 'subject', [name]))).code).toBe(
      'name-malformed',
    );
    expect(refusalOf(() => parseManifest(withNames(manifest, 'subjects', [name]))).code).toBe(
      'name-malformed',
    );
  });

  test.each([
    ['a b', 'a space is not allowed'],
    ['a\\b', '\\ is not allowed'],
    ['caf\u00e9', 'U+00E9 is not allowed'],
    ['a\u{1f600}', 'U+1F600 is not allowed'],
    ['a/~b', 'a segment starts with ~'],
  ])('%j: the message names the character', (name, text) => {
    expect(artifactNameProblem(name)).toContain(text);
  });

  test('a name of megabytes costs nothing and is not repeated whole', () => {
    const name = '/'.repeat(10_000_000);
    expect(artifactNameProblem(name)).toBe('longer than 255 bytes');
    expect(refusalOf(() => toArtifactName(name, 'subject 1')).message.length).toBeLessThan(400);
  });
});

describe('names together', () => {
  test.each([
    [['a', 'b', 'a-b', 'a.b', 'dir/a', 'dir/b', 'dir2', 'dir-x']],
    [['Dir/a', 'dir/b']],
    [['a/b', 'a.b', 'ab']],
  ])('%j', (names) => {
    expect(artifactSetProblems(names)).toEqual([]);
    expect(parseStatement(withNames(statement, 'subject', names.toSorted())).subjects).toHaveLength(
      names.length,
    );
  });

  test.each([
    ['the same twice', ['a', 'a'], 'a', 'named twice'],
    ['twins', ['README', 'readme'], 'readme', 'differs from README only in case'],
    ['twins in a directory', ['A/b', 'a/B'], 'a/B', 'differs from A/b only in case'],
    ['a file and a directory', ['a', 'a/b'], 'a/b', 'needs a to be a directory, which is a file'],
    ['deeper', ['a/b', 'a/b/c/d'], 'a/b/c/d', 'needs a/b to be a directory, which is a file'],
    ['in other case', ['A', 'a/b'], 'a/b', 'needs A to be a directory, which is a file'],
    [
      'far apart in byte order',
      ['a', 'a-b', 'a.b', 'a/b'],
      'a/b',
      'needs a to be a directory, which is a file',
    ],
  ])('%s', (_, names, name, text) => {
    expect(artifactSetProblems(names)).toEqual([{ name, text }]);
    expect(artifactSetProblems(names.toReversed())).toHaveLength(1);
    expect(refusalOf(() => parseStatement(withNames(statement, 'subject', names))).code).toBe(
      'name-malformed',
    );
    expect(refusalOf(() => parseManifest(withNames(manifest, 'subjects', names))).code).toBe(
      'name-malformed',
    );
  });

  test('all that is wrong is found at once', () => {
    expect(artifactSetProblems(['a', 'a', 'A', 'a/b', 'a/c'])).toHaveLength(4);
  });

  test('subjects stand in byte order', () => {
    const error = refusalOf(() => parseStatement(withNames(statement, 'subject', ['b', 'a'])));
    expect(error.message).toBe('statement.subject: not in byte order of the names');
    expect(
      parseStatement(withNames(statement, 'subject', ['A', 'B', '_', 'a-b', 'a.b'])).subjects,
    ).toHaveLength(5);
  });
});
