/** The receipt of many files: asked for together, some of them as a consumer asks, and what is shown to consumers decides. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refused, unable } from '../../src/failure.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';

const names = Array.from({ length: 60 }, (_, at) => `f${at + 10}`);
const [first, last] = ['f10', 'f69'];

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
  const build = await scene.approve();
  await scene.attest(build, Object.fromEntries(names.map((name) => [name, name])));
});
afterEach(() => scene.close());

/** The public depot, with what it was asked by itself. */
function counted(change: (real: Depot) => Partial<Depot> = () => ({})) {
  const real = scene.depot.as(null);
  const asked: string[] = [];
  const odd = { read: real.read.bind(real), size: real.size.bind(real), ...change(real) };
  const depot = oddDepot(real, {
    ...odd,
    read: (path, max) => (asked.push(path), odd.read(path, max)),
    size: (path) => (asked.push(path), odd.size(path)),
  });
  const times = (name: string): number => asked.filter((path) => path.endsWith(`/${name}`)).length;
  return {
    depot,
    times,
    together: (all: readonly string[]) => all.reduce((sum, name) => sum + times(name), 0),
  };
}

const all = (count: number) => names.map(() => count);
const asc = names.map((name) => `${name}.asc`);

test('a sample is asked for by itself, and what a web server may show otherwise', async () => {
  const { depot, times, together } = counted();
  expect((await scene.sign({ publicDepot: depot })).result?.outcome).toBe('published');
  for (const one of [names, asc]) {
    expect(together(one)).toBeGreaterThan(2);
    expect(together(one)).toBeLessThanOrEqual(18);
  }
  for (const name of [first, last, 'SHA256SUMS', 'SHA256SUMS.asc', 'countersign/release.json'])
    expect(times(name), name).toBe(1);
});

test.each<[string, (name: string) => boolean]>([
  ['the first', (name) => name === first],
  ['the last', (name) => name === last],
  ['all between', (name) => name !== first && name !== last],
])('of %s consumers are shown others than the depot says: that is said', async (_, lied) => {
  const nameOf = (path: string): string => path.split('/').at(-1) ?? '';
  const isLied = (path: string): boolean => /^f\d\d/.test(nameOf(path)) && lied(nameOf(path).slice(0, 3));
  const reads = counted((real) => ({
    read: async (path, max) => (isLied(path) ? Buffer.from('another') : real.read(path, max)),
  }));
  const differs = { exit: 1, result: { state: 'signed', code: 'release-differs' } };
  expect(await scene.sign({ publicDepot: reads.depot })).toMatchObject(differs);
  const sizes = counted((real) => ({ size: async (path) => (isLied(path) ? 1 : real.size(path)) }));
  expect(await scene.sign({ publicDepot: sizes.depot })).toMatchObject(differs);
  expect((await scene.sign()).result?.outcome).toBe('published');
});

test.each<[string, (real: Depot) => Partial<Depot>]>([
  [
    'what comes otherwise',
    (real) => ({
      fetchReleased: async (...files) => (await real.fetchReleased(...files)).map(() => Buffer.from('other')),
      releasedSizes: async (...files) => (await real.releasedSizes(...files)).map(() => null),
    }),
  ],
  [
    'a store of plain files, which has no such answer',
    () => ({
      fetchReleased: () => Promise.reject(refused('http-405', 'not allowed')),
      releasedSizes: () => Promise.reject(refused('http-405', 'not allowed')),
    }),
  ],
  [
    'a connection that is cut whenever many are asked for',
    () => ({
      fetchReleased: () => Promise.reject(unable('network', 'the cable is out')),
      releasedSizes: () => Promise.reject(unable('network', 'the cable is out')),
    }),
  ],
])('%s: each is asked for by itself, and that decides', async (_, change) => {
  const { depot, times } = counted(change);
  expect((await scene.sign({ publicDepot: depot })).result?.outcome).toBe('published');
  expect(names.map(times)).toEqual(all(1));
  expect(asc.map(times)).toEqual(all(1));
});
