/**
 * Properties of a depot: whatever the order in which what is legal comes, and however often, it ends in the same tree;
 * and of what its writers share: counts, turns, work done once for many.
 */
import { createHash } from 'node:crypto';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Failure, refused } from '../../src/failure.ts';
import { KeyedMutex } from '../../src/tree/mutex.ts';
import { Quota } from '../../src/tree/quota.ts';
import { SharedWork } from '../../src/tree/shared-work.ts';
import { approvalSignatureFile, buildPath } from '../../src/records/paths.ts';
import { ada, approval, approvalFiles, bob, build, statementFiles, without } from '../policy/scene.ts';
import { blobs, chainOf, makeDepot, put, releaseSignatures } from '../tree/depot.ts';
import type { DepotOnDisk } from '../tree/depot.ts';

/** Path and digest of all that a depot holds. */
async function treeOf({ directory }: DepotOnDisk): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  const files: string[] = [];
  for (const name of names.sort()) {
    const path = join(directory, name);
    if (!(await stat(path)).isFile()) continue;
    files.push(
      `${createHash('sha256')
        .update(await readFile(path))
        .digest('hex')}  ${name}`,
    );
  }
  return files;
}

const bobsName = approvalSignatureFile(bob.certificate.primary.fingerprint);
const both = approvalFiles(approval, [ada, bob]);
const bobs = new Map([...both].filter(([name]) => name === bobsName));
const statement = statementFiles();
const signatures = releaseSignatures();
const chain = chainOf(signatures);
const [first, second] = blobs;
if (!first || !second) throw new Error('the scene has two artifacts');
const chainFirst = new Map([...chain].filter(([name]) => /^(log-entry|release)\.(json|proof)$/.test(name)));

/** Every write that one build sees, each as whoever may do it does it. */
const WRITES: Readonly<Record<string, (to: DepotOnDisk) => Promise<unknown>>> = {
  approval: ({ depot }) => depot.submit(build, without(both, bobsName)),
  endorsement: ({ depot }) => depot.submit(build, bobs),
  'a blob': ({ builder }) => put(builder, first.bytes),
  'blobs together': ({ builder }) => builder.putBlobs(build, [first, second]),
  'the other blob': ({ builder }) => put(builder, second.bytes),
  statement: ({ builder }) => builder.submit(build, statement),
  proof: ({ depot }) => depot.submit(build, chainFirst),
  chain: ({ depot }) => depot.submit(build, chain),
  signatures: ({ depot }) => depot.putSignatures(build, signatures),
  // a release has the endorsements that came before it, so it comes after all of them here
  publish: async ({ depot }) => {
    if ((await depot.size(buildPath(build, bobsName))) === null)
      throw refused('early', 'Bob is still to sign');
    await depot.publish(build);
  },
};
const names = Object.keys(WRITES);

/** Whether it was taken; a refusal is for now only, as what it rests on may come later. */
async function taken(to: DepotOnDisk, name: string): Promise<boolean> {
  try {
    await WRITES[name]?.(to);
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** The writes in these orders, at once; then what was refused again, until nothing more is. */
async function written(orders: readonly (readonly string[])[]): Promise<string[]> {
  const depot = await makeDepot();
  try {
    const run = async (order: readonly string[]): Promise<void> => {
      for (const name of order) await taken(depot, name);
    };
    await Promise.all(orders.map(run));
    for (let refused = [...names], before = -1; refused.length !== before;) {
      before = refused.length;
      const again: string[] = [];
      for (const name of refused) if (!(await taken(depot, name))) again.push(name);
      refused = again;
    }
    for (const name of names) expect(await taken(depot, name), `${name}, once more`).toBe(true);
    return await treeOf(depot);
  } finally {
    await depot.remove();
  }
}

describe('all writes of a build', () => {
  const order = fc.array(fc.constantFrom(...names), { minLength: 5, maxLength: 14 });

  test('in any order, some of them again and again, some at once: the same tree', async () => {
    const expected = await written([names]);
    expect(expected.length).toBeGreaterThan(20);
    await fc.assert(
      fc.asyncProperty(fc.array(order, { minLength: 1, maxLength: 3 }), async (orders) => {
        expect(await written(orders)).toEqual(expected);
      }),
      { numRuns: 8 },
    );
  });

  test('twice: the second time everything is there already', async () => {
    const depot = await makeDepot();
    for (const name of names) expect(await taken(depot, name), name).toBe(true);
    const before = await treeOf(depot);
    for (const name of ['approval', 'endorsement', 'statement', 'proof', 'chain', 'a blob'])
      expect(await WRITES[name]?.(depot), name).toBe('same');
    expect(await treeOf(depot)).toEqual(before);
    await depot.remove();
  });
});

test('a quota is the sum of what is there and what is just coming', () => {
  const step = fc.record({ size: fc.nat(1000), end: fc.constantFrom('new', 'same', 'pending') });
  fc.assert(
    fc.property(fc.nat(10), fc.nat(1000), fc.array(step), (count, bytes, steps) => {
      const quota = new Quota({ count, bytes }, []);
      for (const { size } of steps) quota.begin(size);
      const ended = steps.filter(({ end }) => end !== 'pending');
      for (const { size, end } of ended) quota.end(size, end === 'new' ? 'new' : 'same');
      const kept = steps.filter(({ end }) => end !== 'same');
      const sum = kept.reduce((total, { size }) => total + size, bytes);
      expect(quota.totalsWithout(() => false)).toEqual({ count: count + kept.length, bytes: sum });
      expect(quota.idle).toBe(ended.length === steps.length);
    }),
  );
});

describe('what writers share', () => {
  test('turns: one at a time for each key, in the order of asking, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.record({ key: fc.constantFrom('a', 'b'), fails: fc.boolean() })),
        async (s, asked) => {
          const mutex = new KeyedMutex();
          const [begun, busy] = [new Map<string, number[]>(), new Set<string>()];
          const all = asked.map(({ key, fails }, at) =>
            mutex.run(key, async () => {
              expect(busy.has(key)).toBe(false);
              busy.add(key);
              begun.set(key, [...(begun.get(key) ?? []), at]);
              await s.schedule(Promise.resolve());
              busy.delete(key);
              if (fails) throw new Error(`${at}`);
              return at;
            }),
          );
          const settled = Promise.allSettled(all);
          for (const [at, result] of (await s.waitFor(settled)).entries())
            expect(result.status).toBe(asked[at]?.fails === true ? 'rejected' : 'fulfilled');
          for (const [key, order] of begun)
            expect(order).toEqual([...asked.keys()].filter((at) => asked[at]?.key === key));
        },
      ),
      { numRuns: 100 },
    );
  });

  test('work: whoever asks gets a run that began afterwards, and there is never more than one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.record({ turns: fc.nat(4), finish: fc.boolean() }), { minLength: 1, maxLength: 12 }),
        async (s, asked) => {
          let [begun, running, ended] = [0, 0, 0];
          const shared = new SharedWork<string>(async () => {
            begun += 1;
            running += 1;
            expect(running).toBe(1);
            await s.schedule(Promise.resolve());
            running -= 1;
            ended += 1;
          });
          const all: Promise<void>[] = [];
          for (const { turns, finish } of asked) {
            const before = begun;
            all.push(shared.run('key').then(() => expect(ended).toBeGreaterThan(before)));
            // so that it is asked for before, while and after one runs
            for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
            if (finish && s.count() > 0) await s.waitOne();
          }
          await s.waitFor(Promise.all(all));
          expect(begun).toBeLessThanOrEqual(asked.length);
        },
      ),
      { numRuns: 100 },
    );
  });
});
