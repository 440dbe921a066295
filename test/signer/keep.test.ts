/** `sign --keep`: one file a content while it is read, names once the release is logged, and nothing of what is not signed. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { newBuildId, toArtifactName, toProjectName, toVersion } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { Keep } from '../../src/signer/keep.ts';
import { newSession } from '../../src/signer/round.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { Scene } from './scene.ts';

let directory: string;
let tree: DirectoryTree;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-keep-'));
  tree = await DirectoryTree.make(directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const newKeep = (at: number): Keep => new Keep(tree, newBuildId(new Date(at), Buffer.alloc(10)));
const blob = (text: string) => ({ sha256: sha256Hex(Buffer.from(text)), bytes: Buffer.from(text) });
const release = (files: Readonly<Record<string, string>>) => ({
  project: toProjectName('hello', 'test'),
  version: toVersion('1.0', 'test'),
  subjects: Object.entries(files).map(([name, text]) => ({
    ...{ name: toArtifactName(name, 'test'), sha256: blob(text).sha256, size: text.length },
  })),
});
const names = (): string[] => readdirSync(directory).filter((name) => name !== '.tmp');

test('a build that is not signed is in the way of no other of its version', async () => {
  const [first, second] = [newKeep(1), newKeep(2)];
  await first.writeAll([blob('first')]);
  expect(names()).not.toContain('hello-1.0');
  await first.discard();
  const wanted = release({ x: 'second' });
  await second.requireRoom(wanted);
  await second.writeAll([blob('second')]);
  await second.finish(wanted);
  expect(readFileSync(join(directory, 'hello-1.0/x'), 'utf8')).toBe('second');
  expect(names()).toEqual(['hello-1.0']);
});

test('one content under thousands of names is one open file', async () => {
  const wanted = release(
    Object.fromEntries(Array.from({ length: 6000 }, (_, at) => [`d${at % 7}/n${at}`, 'x'])),
  );
  const keep = newKeep(1);
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  const keeping = await keep.begin(blob('x').sha256);
  expect(open() - before).toBeLessThan(10);
  await keeping.discard();
  await keep.writeAll([blob('x')]);
  await keep.finish(wanted);
  expect(
    readdirSync(directory, { recursive: true }).filter((name) => /\/n\d+$/.test(String(name))),
  ).toHaveLength(6000);
});

test('a run that ended between the release and the names: the next one gives them', async () => {
  const wanted = release({ a: 'same', b: 'same', 'c/d': 'other' });
  await newKeep(1).writeAll([blob('same'), blob('other')]);
  await newKeep(1).finish(wanted);
  for (const [name, text] of [
    ['a', 'same'],
    ['b', 'same'],
    ['c/d', 'other'],
  ] as const)
    expect(readFileSync(join(directory, 'hello-1.0', name), 'utf8')).toBe(text);
  // and again, once all is done
  await newKeep(1).finish(wanted);
  expect(names()).toEqual(['hello-1.0']);
});

test('what was kept in part gets no name', async () => {
  await newKeep(1).writeAll([blob('one')]);
  await newKeep(1).finish(release({ a: 'one', b: 'two' }));
  expect(names()).toEqual([]);
});

test('a signing that is broken off leaves nothing, and the next one in that session keeps all', async () => {
  const scene = await Scene.make();
  try {
    const build = await scene.approve();
    await scene.attest(build, { a: 'a', large: 'x'.repeat(100_000) });
    const locked = newSession({
      connectAgent: () => Promise.reject(unable('agent-locked', 'the card is not there')),
    });
    expect((await scene.sign({ keep: tree, session: locked })).result).toMatchObject({
      code: 'agent-locked',
    });
    expect(locked.verified).not.toBe(null);
    expect(names()).toEqual([]);
    const session = { ...scene.newSession(), verified: locked.verified };
    expect((await scene.sign({ keep: tree, session })).result).toMatchObject({ outcome: 'published' });
    expect(names()).toEqual(['hello-1.0']);
    expect(readdirSync(join(directory, 'hello-1.0')).sort()).toEqual(['a', 'large']);
  } finally {
    await scene.close();
  }
});

test('a directory that is gone is no matter of builds that are not read yet', async () => {
  const scene = await Scene.make();
  try {
    await scene.approve();
    rmSync(directory, { recursive: true });
    expect((await scene.sign({ keep: tree })).result).toMatchObject({ outcome: 'waiting' });
  } finally {
    await scene.close();
  }
});
