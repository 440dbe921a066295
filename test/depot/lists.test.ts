/** Lists that are costly to tell: many who ask cost as much as one. */
import { expect, test } from 'vitest';
import type { BuildId } from '../../src/records/names.ts';
import { Lists } from '../../src/depot/lists.ts';

const lists = (): { told: Lists; work: () => Promise<number>; end: () => void; begun: () => number } => {
  let begun = 0;
  let end = (): void => {};
  const gate = new Promise<void>((resolve) => {
    end = resolve;
  });
  const work = async (): Promise<number> => {
    begun += 1;
    const which = begun;
    await gate;
    return which;
  };
  return { told: new Lists(), work, end: () => end(), begun: () => begun };
};

test('a thousand who ask for one list cost as much as one', async () => {
  const { told, work, end, begun } = lists();
  const all = Array.from({ length: 1000 }, () => told.tell('releases', work));
  end();
  expect(new Set(await Promise.all(all))).toEqual(new Set([1]));
  expect(await told.tell('releases', work)).toBe(1);
  expect(begun()).toBe(1);
});

test('what has changed since is in the next one, also where that was begun before', async () => {
  const { told, work, end } = lists();
  const before = told.tell('releases', work);
  told.heard({ kind: 'changed', build: '01aaaaaaaaaaaaaaaaaaaaaaaa' as BuildId });
  const after = told.tell('releases', work);
  end();
  expect(await Promise.all([before, after])).toEqual([1, 2]);
});

test('different ones wait for their turn, and too many are told to come again', async () => {
  const { told, work, end, begun } = lists();
  const some = Array.from({ length: 32 }, (_, each) => told.tell(`builds ${each}`, work));
  await expect(told.tell('builds 32', work)).rejects.toMatchObject({ code: 'busy' });
  expect(begun()).toBeLessThanOrEqual(1);
  end();
  await Promise.all(some);
});

test('a list that could not be told is asked for again', async () => {
  const told = new Lists();
  const failing = (): Promise<number> => Promise.reject(new Error('no disk'));
  await expect(told.tell('releases', failing)).rejects.toThrow('no disk');
  expect(await told.tell('releases', async () => 7)).toBe(7);
});
