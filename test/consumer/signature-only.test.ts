import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { artifacts, mallory, minutes, releaseKey } from '../policy/scene.ts';
import { madeRelease, put, verify, write } from './made-release.ts';

const files = madeRelease();
const signature = files.get('hello.tar.gz.asc') ?? Buffer.alloc(0);
const key = { trust: { kind: 'key', certificate: releaseKey.certificate } } as const;
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-sigonly-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('with the key alone the verdict is about the signature and nothing else', () => {
  test('it is good: then it says whose it is, and how little that is', async () => {
    const path = put(directory, 'hello.tar.gz', artifacts['hello.tar.gz']);
    put(directory, 'hello.tar.gz.asc', signature);
    const verdict = await verify([path], key);
    expect(verdict).toMatchObject({
      outcome: 'signature-only',
      release: null,
      files: [{ valid: true, name: null }],
      signature: { key: { userId: 'Releases <release@example.org>' }, created: '2026-11-22T12:30:00Z' },
    });
    expect(verdict.notChecked.join(' ')).toMatch(
      /called.*which project and version.*when.*approved.*built.*log has it.*since.*witnesses/s,
    );
  });

  test('the same under another name is just as good, which is why it is not called valid', async () => {
    const path = put(directory, 'evil.tar.gz', artifacts['hello.tar.gz']);
    put(directory, 'evil.tar.gz.asc', signature);
    expect(await verify([path], key)).toMatchObject({ outcome: 'signature-only' });
  });

  test('the signature may lie in a copy of the release', async () => {
    const path = put(directory, 'hello.tar.gz', artifacts['hello.tar.gz']);
    expect(await verify([path], { ...key, release: write(files, directory) })).toMatchObject({
      outcome: 'signature-only',
    });
  });

  test.each([
    ['other bytes', 'a tarbalL', {}, 'signature-bad'],
    [
      'another key',
      'a tarball',
      { trust: { kind: 'key', certificate: mallory.certificate } as const },
      'signature-of-other-key',
    ],
    ['dated ahead of our clock', 'a tarball', { now: minutes(-60) }, 'signature-from-future'],
  ])('%s: not valid', async (_, content, more, code) => {
    const path = put(directory, 'hello.tar.gz', content);
    put(directory, 'hello.tar.gz.asc', signature);
    expect(await verify([path], { ...key, ...more })).toMatchObject({
      outcome: 'not-valid',
      files: [{ valid: false, findings: [{ code }] }],
      signature: null,
    });
  });

  test('bad in one file and missing for another: not valid', async () => {
    const path = put(directory, 'hello.tar.gz', 'a tarbalL');
    put(directory, 'hello.tar.gz.asc', signature);
    expect(await verify([put(directory, 'other', 'x'), path], key)).toMatchObject({ outcome: 'not-valid' });
  });

  test.each([{ version: '1.0' }, { project: 'hello' }])('%j is nothing that it can say', async (expected) => {
    const path = put(directory, 'hello.tar.gz', artifacts['hello.tar.gz']);
    put(directory, 'hello.tar.gz.asc', signature);
    const asked = verify([path], { ...key, ...expected, signatureOnly: true });
    await expect(asked).rejects.toMatchObject({ kind: 'usage', code: 'key-alone' });
  });

  test('no signature: no verdict', async () => {
    const path = put(directory, 'hello.tar.gz', artifacts['hello.tar.gz']);
    expect(await verify([path], key)).toMatchObject({ outcome: 'incomplete' });
  });

  test('a directory can only be checked with a project file', async () => {
    await expect(verify([directory], key)).rejects.toMatchObject({ kind: 'usage', code: 'not-a-file' });
  });
});

describe('with a project file, --signature-only and no release to look the file up in', () => {
  const alone = { signatureOnly: true } as const;
  const download = (content = artifacts['hello.tar.gz']): string => {
    put(directory, 'hello.tar.gz.asc', signature);
    return put(directory, 'hello.tar.gz', content);
  };

  test('the signature beside it is judged with the release certificate of the project', async () => {
    expect(await verify([download()], alone)).toMatchObject({ outcome: 'signature-only', release: null });
    expect(await verify([download(Buffer.from('a tarbalL'))], alone)).toMatchObject({ outcome: 'not-valid' });
  });

  test('a version that was named must be found', async () => {
    const asked = verify([download()], { ...alone, version: '1.0' });
    await expect(asked).rejects.toMatchObject({ code: 'offline' });
  });

  test('in a release it is more than the signature that holds', async () => {
    const release = write(files, directory);
    expect(await verify([`${release}/hello.tar.gz`], alone)).toMatchObject({ outcome: 'valid' });
  });
});
