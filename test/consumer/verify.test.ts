import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ada, artifacts, build, minutes, project } from '../policy/scene.ts';
import { madeRelease, put, verify, write } from './made-release.ts';

const TAR = artifacts['hello.tar.gz'];
const TEXT = artifacts['docs/hello.txt'];
let parent = '';
let release = '';
let elsewhere = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-verify-'));
  release = write(madeRelease(), parent);
  elsewhere = write(new Map(), parent);
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

describe('a file is valid', () => {
  test('beside the release records', async () => {
    const path = join(release, 'hello.tar.gz');
    const verdict = await verify([path]);
    expect(verdict.outcome).toBe('valid');
    expect(verdict.files).toEqual([
      expect.objectContaining({ file: path, valid: true, name: 'hello.tar.gz', findings: [] }),
    ]);
  });

  test('in a subdirectory of the copy', async () => {
    expect(await verify([join(release, 'docs/hello.txt')])).toMatchObject({
      outcome: 'valid',
      files: [{ name: 'docs/hello.txt' }],
    });
  });

  test('elsewhere, with --release', async () => {
    const path = put(elsewhere, 'hello.tar.gz', TAR);
    expect(await verify([path], { release })).toMatchObject({ outcome: 'valid' });
  });

  test('as a download manager saves it: the last part of its name alone', async () => {
    const path = put(elsewhere, 'hello.txt', TEXT);
    expect(await verify([path], { release })).toMatchObject({
      outcome: 'valid',
      files: [{ name: 'docs/hello.txt' }],
    });
  });

  test('in a depot directory, by --version', async () => {
    const depot = join(elsewhere, 'depot');
    put(depot, 'releases/hello/x', '');
    renameSync(release, join(depot, 'releases/hello/1.0'));
    const path = put(elsewhere, 'hello.tar.gz', TAR);
    expect(await verify([path], { depot, version: '1.0' })).toMatchObject({ outcome: 'valid' });
  });

  test('with project and version as expected', async () => {
    const path = join(release, 'hello.tar.gz');
    expect(await verify([path], { project: 'hello', version: '1.0' })).toMatchObject({ outcome: 'valid' });
  });

  test('and so are the checksums and signatures that a glob catches too', async () => {
    const names = ['hello.tar.gz', 'hello.tar.gz.asc', 'SHA256SUMS', 'SHA256SUMS.asc'];
    expect(await verify(names.map((name) => join(release, name)))).toMatchObject({ outcome: 'valid' });
  });

  test('years later too', async () => {
    expect(await verify([join(release, 'hello.tar.gz')], { now: minutes(60 * 24 * 365 * 5) })).toMatchObject({
      outcome: 'valid',
    });
  });
});

describe('the verdict can be read aloud', () => {
  test('who signed, who approved, built by whom, where in the log', async () => {
    const { release: facts, checked, notChecked } = await verify([join(release, 'hello.tar.gz')]);
    expect(facts).toMatchObject({
      project: 'hello',
      version: '1.0',
      build,
      artifacts: 2,
      signedAt: '2026-11-22T12:30:00Z',
      releaseKey: { userId: 'Releases <release@example.org>' },
      approvers: [{ fingerprint: ada.certificate.primary.fingerprint, userId: 'Ada <ada@example.org>' }],
      threshold: 1,
      builders: { b1: 'keypair' },
      assurance: 'single-builder',
      source: { uri: 'git+https://example.org/hello.git', commit: 'c0'.repeat(20) },
      log: { origin: project.log.origin, index: 1, size: 3 },
      witnesses: [],
      quorum: 0,
    });
    expect(checked).toHaveLength(6);
    expect(notChecked.join('; ')).toMatch(/log still has entry 1.*offline.*witnesses.*DSSE.*another builder/);
  });
});

describe('a whole copy', () => {
  test('its progress is that of all its bytes', async () => {
    const seen: { done: number; bytes: number }[] = [];
    await verify([release], { progress: (_file, done, bytes) => seen.push({ done, bytes }) });
    const bytes = Object.values(artifacts).reduce((sum, each) => sum + each.length, 0);
    expect(seen.at(-1)).toEqual({ done: bytes, bytes });
    expect(seen.every((each) => each.bytes === bytes)).toBe(true);
  });

  test('is valid with every artifact, and nothing else', async () => {
    const verdict = await verify([release]);
    expect(verdict).toMatchObject({ outcome: 'valid', findings: [] });
    expect(verdict.files.map(({ name }) => name)).toEqual(['docs/hello.txt', 'hello.tar.gz']);
  });

  test.each([
    'extra.txt',
    'docs/more',
    'countersign/notes',
    'countersign/blobs/x',
    '.hidden',
    'hello.tar.gz.sig',
    'countersign/statements/b2.json',
    'countersign/statements/b1.2.json',
  ])('with %s as well is not', async (name) => {
    put(release, name, 'x');
    const verdict = await verify([release]);
    expect(verdict).toMatchObject({ outcome: 'not-valid', findings: [{ code: 'extra-file' }] });
    expect(verdict.findings[0]?.text).toContain(name);
  });

  test('with one artifact altered is not, and the other is', async () => {
    put(release, 'docs/hello.txt', 'hellO');
    expect(await verify([release])).toMatchObject({
      outcome: 'not-valid',
      files: [
        { file: 'docs/hello.txt', valid: false, findings: [{ code: 'altered' }] },
        { file: 'hello.tar.gz', valid: true },
      ],
    });
  });
});

describe('a file is not valid, and the verdict says what it should have been', () => {
  test.each([
    [
      'altered, same length',
      'hello.tar.gz',
      'A tarball',
      'altered',
      /not the hello\.tar\.gz that was signed: its SHA-256/,
    ],
    ['altered, longer', 'hello.tar.gz', 'a tarball!', 'altered', /has 10 bytes, the one signed has 9/],
    [
      'a signed file under another name',
      'hello-2.0.tar.gz',
      TAR,
      'wrong-name',
      /signed as hello\.tar\.gz, not under this name/,
    ],
    [
      'one artifact in the place of another',
      'hello.tar.gz',
      TEXT,
      'wrong-name',
      /signed as docs\/hello\.txt/,
    ],
    ['a stranger', 'other.bin', 'x', 'not-in-release', /nothing of hello 1\.0/],
    ['a signature over something else', 'hello.tar.gz.asc', 'x', 'not-in-release', /nothing of hello 1\.0/],
    [
      'cut short',
      'hello.tar.gz',
      TAR.slice(0, -1),
      'altered',
      /shorter, 8 of 9 bytes: is the copy complete\?/,
    ],
    ['empty', 'hello.tar.gz', '', 'altered', /0 of 9 bytes/],
  ])('%s', async (_, name, content, code, text) => {
    const path = put(elsewhere, name, content);
    const verdict = await verify([path], { release });
    expect(verdict).toMatchObject({ outcome: 'not-valid', files: [{ valid: false, findings: [{ code }] }] });
    expect(verdict.files[0]?.findings[0]?.text).toMatch(text);
  });

  test('a name of the release elsewhere in the path does not help', async () => {
    const path = put(elsewhere, 'docs/hello.txt/hello.tar.gz.bak', TAR);
    expect(await verify([path], { release })).toMatchObject({
      files: [{ findings: [{ code: 'wrong-name' }] }],
    });
  });

  test('one bad file among good ones is enough', async () => {
    const bad = put(elsewhere, 'hello.txt', 'x');
    const verdict = await verify([join(release, 'hello.tar.gz'), bad]);
    expect(verdict.outcome).toBe('not-valid');
    expect(verdict.files.map(({ valid }) => valid)).toEqual([true, false]);
  });
});

describe('it is another release than the one meant', () => {
  test.each([
    ['version', { version: '2.0' }, 'other-version'],
    ['project', { project: 'goodbye' }, 'other-project'],
  ])('by its %s', async (_, expected, code) => {
    const verdict = await verify([join(release, 'hello.tar.gz')], { ...expected });
    expect(verdict).toMatchObject({ outcome: 'not-valid', findings: [{ code }], release: null });
  });
});

describe('what cannot be answered is no verdict', () => {
  test.each([
    ['a file that is not there', ['nothing'], {}, 'no-such-file'],
    ['no release anywhere, and no version', ['file'], {}, 'release-unknown'],
    ['a version, but offline', ['file'], { version: '1.0' }, 'offline'],
    ['a URL, but offline', ['file'], { release: 'https://example.org/x' }, 'offline'],
  ])('%s', async (_, names, more, code) => {
    put(elsewhere, 'file', 'x');
    const paths = names.map((name) => join(elsewhere, name));
    await expect(verify(paths, more)).rejects.toMatchObject({ kind: 'usage', code });
  });

  test('a version that the depot does not have', async () => {
    const path = put(elsewhere, 'file', 'x');
    expect(await verify([path], { depot: elsewhere, version: '9.9' })).toMatchObject({
      outcome: 'incomplete',
      files: [{ valid: false }],
      findings: [{ code: 'release-missing', text: `there is no hello 9.9 in the depot ${elsewhere}` }],
    });
  });

  test('offline, it is the depot that is a URL', async () => {
    const path = put(elsewhere, 'file', 'x');
    await expect(verify([path], { depot: 'https://example.org', version: '1.0' })).rejects.toMatchObject({
      code: 'offline',
      message: expect.stringMatching(/^the depot is a URL/),
    });
  });

  test('a file that grows while it is read: what was read is not what lies there', async () => {
    // the kernel says that this has no bytes, and has some
    await expect(verify(['/proc/version'], { release })).rejects.toMatchObject({ code: 'file-grows' });
  });

  test('files of two copies at once, be they of one release', async () => {
    const other = write(madeRelease(), parent);
    const paths = [release, other].map((directory) => join(directory, 'hello.tar.gz'));
    await expect(verify(paths)).rejects.toMatchObject({
      code: 'several-releases',
      message: `these files are looked up in different places: ${release} and ${other}`,
    });
  });
});
