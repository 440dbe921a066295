/** The list of builds is kept in memory, and right whoever writes into the directory. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { newBuildId } from '../../src/records/names.ts';
import type { BuildId } from '../../src/records/names.ts';
import { BuildList } from '../../src/tree/build-list.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { Inside } from '../../src/tree/inside.ts';

let root: string;
let builds: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'builds-'));
  builds = join(root, 'builds');
  mkdirSync(builds);
});
afterEach(() => rm(root, { recursive: true }));

const id = (at: number): BuildId =>
  newBuildId(new Date(Date.UTC(2026, 0, 1) + at * 1000), Buffer.alloc(10, at));
const make = (at: number): BuildId => {
  mkdirSync(join(builds, id(at)));
  return id(at);
};

test('whoever else writes there is seen at once, also twice within one tick of the clock of the disk', async () => {
  const list = new BuildList(await Inside.of(root));
  const made: BuildId[] = [];
  for (let at = 0; at < 50; at++) {
    made.push(make(at));
    expect(await list.after(null)).toEqual(made);
  }
});

test('once it is kept, what comes, goes or is put in its place is still seen', async () => {
  let time = 0;
  const list = new BuildList(await Inside.of(root), () => (time += 10_000));
  const later = async (): Promise<readonly BuildId[]> => {
    await list.after(null);
    return list.after(null);
  };
  const [first, second] = [make(1), make(2)];
  expect(await later()).toEqual([first, second]);
  const third = make(3);
  expect(await later()).toEqual([first, second, third]);
  rmSync(join(builds, second), { recursive: true });
  expect(await later()).toEqual([first, third]);
  renameSync(builds, join(root, 'aside'));
  expect(await later()).toEqual([]);
  mkdirSync(builds);
  expect(await later()).toEqual([]);
  const other = make(4);
  expect(await later()).toEqual([other]);
  rmSync(builds, { recursive: true });
  symlinkSync('aside', builds);
  expect(await later(), 'no link is followed').toEqual([]);
});

test('a page begins after any name, whether it is there or not', async () => {
  const list = new BuildList(await Inside.of(root));
  const made = [1, 3, 5].map(make);
  expect(await list.after(id(0))).toEqual(made);
  expect(await list.after(id(1))).toEqual(made.slice(1));
  expect(await list.after(id(2))).toEqual(made.slice(1));
  expect(await list.after(id(5))).toEqual([]);
});

test('pages are full as long as there is more, whatever has not begun among them', async () => {
  const tree = await DirectoryTree.open(root);
  const begun: BuildId[] = [];
  for (let at = 0; at < 30; at++) {
    const build = make(at);
    if (at % 3 === 0 || at > 25) continue;
    await tree.write(`builds/${build}/approval.json`, Buffer.from('{}'));
    begun.push(build);
  }
  const found: BuildId[] = [];
  for (;;) {
    const page = await tree.builds(found.at(-1) ?? null, 5);
    found.push(...page);
    if (page.length < 5) break;
  }
  expect(found).toEqual(begun);
  for (const build of begun.slice(3, 6)) await tree.write(`builds/${build}/revocations/x`, Buffer.from('{}'));
  expect((await tree.revoked(null, 100)).builds).toEqual(begun.slice(3, 6));
  expect(await tree.revoked(id(0), 2)).toEqual({ builds: [], next: id(2) });
});
