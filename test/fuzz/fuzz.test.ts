/** Each reader of foreign bytes against a few thousand inputs, the same every time; `npm run test:fuzz` tries more. */
import { describe, expect, test } from 'vitest';
import { refused } from '../../src/failure.ts';
import { Run, problemWith } from './fuzz.ts';
import type { Finding, Target } from './fuzz.ts';
import { Dice, mutate } from './mutate.ts';
import { targets } from './targets.ts';

const SEED = 1;
const INPUTS = { quick: 1500, slow: 30 };

/** What a run of so many inputs finds. */
async function findings(target: Target, inputs: number): Promise<Finding[]> {
  const run = new Run(target, SEED);
  const found: Finding[] = [];
  while (run.inputs < inputs) {
    const finding = await run.next();
    if (finding) found.push(finding);
  }
  return found;
}

describe.each(targets)('$name', (target) => {
  test('takes its real inputs', async () => {
    for (const seed of target.seeds) {
      const answers: string[] = [];
      expect(await problemWith(target, seed, (how) => answers.push(how))).toBeNull();
      expect(target.seeds.length > 1 || answers[0]?.startsWith('accepted'), answers[0]).toBe(true);
    }
  });

  test('takes or refuses what is nearly right', async () => {
    const found = await findings(target, target.slow ? INPUTS.slow : INPUTS.quick);
    expect(found.map(({ input, problem }) => `${problem}\n${input.toString('base64')}`)).toEqual([]);
  });
});

describe('the fuzzer', () => {
  const seeds = [Buffer.from('{"size":1,"name":"a"}')];

  test('makes the same inputs of the same seed, and others of another', () => {
    const inputs = (seed: number): string[] => {
      const dice = new Dice(seed);
      return Array.from({ length: 100 }, () => mutate(dice, seeds, []).toString('base64'));
    };
    expect(inputs(1)).toEqual(inputs(1));
    expect(new Set([...inputs(1), ...inputs(2)]).size).toBeGreaterThan(150);
  });

  test.each<[string, Target['read']]>([
    ['throws what is no Failure', (input) => JSON.parse(input.toString())],
    [
      'quotes all of what it refuses',
      (input) => {
        throw refused('x', input.toString('latin1').repeat(100));
      },
    ],
    [
      'rejects what is no Failure, two steps in',
      async (input) => {
        if (input[0] !== 0x7b) throw refused('x', 'no object');
        if (!input.includes('size')) throw refused('x', 'no size');
        if (input.includes('"size":"')) throw new TypeError('not a number');
      },
    ],
  ])('finds a reader that %s', async (_, read) => {
    expect((await findings({ name: 'planted', seeds, words: ['"'], read }, 3000)).length).toBeGreaterThan(0);
  });
});
