import { expect, test } from 'vitest';
import { buildPath } from '../../src/records/paths.ts';
import { Decisions } from '../../src/tree/decisions.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { releaseFiles } from '../policy/release-scene.ts';
import { approvalFiles, build, project, subjects } from '../policy/scene.ts';

test('a release is read again until its list of signatures is there', async () => {
  const files = [...releaseFiles()];
  const isList = ([name]: readonly [string, Buffer]): boolean => name === 'signatures.list';
  const view = new MemoryView().put(buildPath(build), approvalFiles());
  view.put(
    buildPath(build),
    files.filter((file) => !isList(file)),
  );
  const decisions = new Decisions(project, view);
  expect((await decisions.of(build))?.signatures).toBeNull();
  view.put(buildPath(build), files.filter(isList));
  expect((await decisions.of(build))?.signatures?.listed.size).toBeGreaterThan(0);
});

test('a decision is read once, however often strangers write; that there is none is asked again', async () => {
  const view = new MemoryView().put(buildPath(build), approvalFiles());
  const read: string[] = [];
  const counting = {
    size: (path: string) => view.size(path),
    read: (path: string) => {
      read.push(path);
      return view.read(path);
    },
  };
  const decisions = new Decisions(project, counting);
  expect(await decisions.of(build)).toBeNull();
  view.put(buildPath(build), releaseFiles());
  const decided = await decisions.of(build);
  expect(decided?.artifacts.size).toBe(subjects.length);
  const manifest = buildPath(build, 'manifest.json');
  expect(read.filter((path) => path === manifest)).toHaveLength(1);
  read.length = 0;
  expect(await decisions.of(build)).toBe(decided);
  expect(read).toEqual([]);
});
