/** `sync` from a depot whose owner means ill, or whose disk does: nothing of it passes the gate of the other. */
import { execFileSync } from 'node:child_process';
import { cp, readFile, rename, rm, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, afterAll, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { syncStatus } from '../../src/tree/sync.ts';
import {
  approvalFiles,
  approval,
  artifacts,
  build,
  mallory,
  now,
  otherBuild,
  project,
} from '../policy/scene.ts';
import { carry, outcome } from './carry.ts';
import { Directories, contentsOf, filesOf, replace, timesOf } from './copies.ts';
import { makeDepot, releaseSignatures, seal, sendRelease } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const directories = new Directories();
let source: DepotOnDisk;
let whole: Record<string, string>;
beforeAll(async () => {
  source = await makeDepot();
  await seal(source);
  await sendRelease(source, releaseSignatures());
  await source.depot.publish(build);
  whole = await contentsOf(source.directory);
});
afterAll(() => source.remove());
afterEach(() => directories.remove());

const at = (file: string): string => `builds/${build}/${file}`;
const blob = (bytes: Buffer): string => at(`blobs/${sha256Hex(bytes)}`);
const [hello, docs] = [artifacts['hello.tar.gz'], artifacts['docs/hello.txt']];

/** A whole copy, to do something to. */
async function copied(): Promise<string> {
  const copy = await directories.make();
  await cp(source.directory, copy, { recursive: true });
  return copy;
}

/** What is carried from it, and that nothing was published. */
async function carriedNothing(from: string): Promise<{ outcome: string; to: string }> {
  const to = await directories.make();
  const results = await carry(from, to);
  expect(await filesOf(to, 'releases')).toEqual([]);
  expect(syncStatus(results)).toBe(1);
  // once the copy is mended, all of it arrives
  return { outcome: outcome(results), to };
}

test('a bit turned in any of its files is found, and nothing of that build is published', async () => {
  for (const path of await filesOf(source.directory, 'builds')) {
    const copy = await copied();
    const bytes = await readFile(join(copy, path));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await replace(copy, path, bytes);
    const { to } = await carriedNothing(copy);
    // what it had taken was good: the true depot completes it
    expect(outcome(await carry(source.directory, to)), path).toBe('carried');
    expect(await contentsOf(to), path).toEqual(whole);
    await directories.remove();
  }
});

test('what its releases/ show is not looked at', async () => {
  const copy = await copied();
  for (const path of await filesOf(copy, 'releases')) await replace(copy, path, 'evil');
  const to = await directories.make();
  expect(outcome(await carry(copy, to))).toBe('carried');
  expect(await contentsOf(to)).toEqual(whole);
});

describe('artifacts', () => {
  test.each([
    [
      'swapped',
      'blob-mismatch',
      async (copy: string) => {
        await rename(join(copy, blob(hello)), join(copy, 'x'));
        await rename(join(copy, blob(docs)), join(copy, blob(hello)));
        await rename(join(copy, 'x'), join(copy, blob(docs)));
      },
    ],
    ['missing', 'blob-missing', (copy: string) => rm(join(copy, at('blobs')), { recursive: true })],
    ['of a sparse terabyte', 'blob-mismatch', (copy: string) => truncate(join(copy, blob(docs)), 2 ** 40)],
    [
      'that are links',
      'blob-missing',
      async (copy: string) => {
        await rm(join(copy, blob(docs)));
        await symlink(join(source.directory, blob(docs)), join(copy, blob(docs)));
      },
    ],
    [
      'in a directory that is a link',
      'blob-missing',
      async (copy: string) => {
        await rm(join(copy, at('blobs')), { recursive: true });
        await symlink(join(source.directory, at('blobs')), join(copy, at('blobs')));
      },
    ],
    [
      'that are pipes',
      'blob-missing',
      async (copy: string) => {
        await rm(join(copy, blob(docs)));
        execFileSync('mkfifo', [join(copy, blob(docs))]);
      },
    ],
  ])('%s', async (_what, code, spoil) => {
    const copy = await copied();
    await spoil(copy);
    const { outcome: what, to } = await carriedNothing(copy);
    expect(what).toBe(`refused ${code}`);
    // the build's other files travelled: only what was spoilt does now
    expect(await carry(source.directory, to)).toMatchObject([{ state: 'carried' }]);
    expect(await contentsOf(to)).toEqual(whole);
  });
});

describe('records', () => {
  test('that are larger than any such file may be are not read', async () => {
    for (const file of ['approval.json', 'release.json', 'statements/b1.json']) {
      const copy = await copied();
      await truncate(join(copy, at(file)), 2 ** 40);
      expect((await carriedNothing(copy)).outcome, file).toBe('refused too-large');
    }
  });

  test('that are links lead nowhere', async () => {
    const copy = await copied();
    await rm(join(copy, at('approval.json')));
    await symlink(join(source.directory, at('approval.json')), join(copy, at('approval.json')));
    expect((await carriedNothing(copy)).outcome).toBe('refused incomplete');
  });

  test('of one build are nothing in another', async () => {
    const copy = await copied();
    await rename(join(copy, `builds/${build}`), join(copy, `builds/${otherBuild}`));
    expect((await carriedNothing(copy)).outcome).toBe('refused build-mismatch');
  });

  test('of another project are refused, those of this one go on', async () => {
    const copy = await copied();
    const foreign = await makeDepot({ approvers: [mallory.certificate] });
    try {
      await foreign.depot.submit(build, approvalFiles(approval, [mallory]));
      await cp(join(foreign.directory, `builds/${build}`), join(copy, `builds/${otherBuild}`), {
        recursive: true,
      });
    } finally {
      await foreign.remove();
    }
    const to = await directories.make();
    const results = await carry(copy, to);
    expect(results.map(({ state, code }) => [state, code])).toEqual([
      ['carried', null],
      ['refused', 'write-needs-authenticator'],
    ]);
    expect(syncStatus(results)).toBe(1);
    expect(await contentsOf(to)).toEqual(whole);
  });
});

test('files of its own making travel nowhere', async () => {
  const copy = await copied();
  for (const path of [
    'evil',
    at('evil.json'),
    at('blobs/evil'),
    at(`signatures/evil.asc`),
    'builds/evil/approval.json',
    at('statements/b9.json'),
    at('approval.json.' + 'A'.repeat(40) + '.sig'),
  ])
    await replace(copy, path, 'evil');
  const to = await directories.make();
  expect(outcome(await carry(copy, to))).toBe('carried');
  expect(await contentsOf(to)).toEqual(whole);
});

describe('the receiving end', () => {
  test('keeps what it has of the build, and says that it is other', async () => {
    const other = await makeDepot();
    try {
      await other.depot.submit(build, approvalFiles({ ...approval, source: null }));
      const times = await timesOf(other.directory);
      const results = await carry(source.directory, other.directory);
      expect(outcome(results)).toBe('refused conflict');
      expect(await timesOf(other.directory)).toEqual(times);
    } finally {
      await other.remove();
    }
  });

  test('keeps authenticators that are as good as those that come', async () => {
    const other = await makeDepot();
    try {
      const again = approvalFiles(approval, undefined, new Date(now.getTime() + 1000));
      await other.depot.submit(build, again);
      expect(outcome(await carry(source.directory, other.directory))).toBe('carried');
      for (const [name, bytes] of again)
        expect(await readFile(join(other.directory, at(name)))).toEqual(bytes);
      expect(await filesOf(other.directory)).toEqual(await filesOf(source.directory));
    } finally {
      await other.remove();
    }
  });

  test('does not publish a second release of a version', async () => {
    const to = await directories.make();
    await carry(source.directory, to);
    await rm(join(to, 'builds'), { recursive: true });
    await replace(to, 'releases/hello/1.0/countersign/release.json', 'another');
    const before = await contentsOf(to, 'releases');
    expect(outcome(await carry(source.directory, to))).toBe('refused version-taken');
    expect(await contentsOf(to, 'releases')).toEqual(before);
  });

  test('goes by its own project file', async () => {
    const to = await directories.make();
    const results = await carry(
      source.directory,
      to,
      { now },
      { ...project, approvers: [mallory.certificate] },
    );
    expect(outcome(results)).toBe('refused write-needs-authenticator');
    expect(await filesOf(to)).toEqual([]);
  });
});
