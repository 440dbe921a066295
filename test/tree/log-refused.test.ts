/** Pushes that a depot's log does not take, or not as they come: forks, rollbacks, lies, other keys; and cosignatures. */
import { describe, expect, test } from 'vitest';
import { extendLog } from '../../src/tree/log/extend.ts';
import type { LogPush } from '../../src/tree/tree.ts';
import {
  Log,
  MemoryTree,
  cosigned,
  entry,
  filesOf,
  grown,
  otherKey,
  readWhole,
  readerOf,
  trust,
  whole,
} from './log-scene.ts';

const extend = (tree: MemoryTree, push: LogPush) => extendLog(tree, trust, push);

describe('a log that does not go on from what is there', () => {
  const fork = new Log(0);
  for (let index = 0; index < 700; index++)
    fork.add(index < 290 ? entry(index) : Buffer.from(`other ${index}`));

  test.each<readonly [string, LogPush, string]>([
    ['an older checkpoint', whole.push(0, 200), '300 entries already, the checkpoint only 200'],
    ['the empty log', whole.push(0, 0), '300 entries already, the checkpoint only 0'],
    ['the same size of another', fork.push(0, 300), 'has 300 entries, other ones than the 300'],
    ['a longer one of another', fork.push(300), 'it is not the one of 700'],
    ['a longer one of another, whole', fork.push(0), 'it is not the one of 700'],
    ['a gap', whole.push(301, 400), '300 entries, those of the checkpoint of 400 begin with 301'],
    [
      'entries that are not those of the checkpoint',
      { ...whole.push(300, 400), entries: () => fork.leaves.slice(300, 400) },
      'it is not the one of 400',
    ],
  ])('%s', async (_, push, message) => {
    const tree = await grown(300);
    const before = filesOf(tree);
    await expect(extend(tree, push)).rejects.toMatchObject({
      ...{ kind: 'refused', code: 'log-conflict', status: 409 },
      message: expect.stringContaining(message),
    });
    expect([filesOf(tree), tree.files.get('log/checkpoint')]).toEqual([before, Buffer.from(whole.note(300))]);
  });

  test('overlapping entries with other bytes change nothing: what is there counts', async () => {
    const tree = await grown(300);
    const entries = () => [...fork.leaves.slice(290, 300), ...whole.leaves.slice(300, 400)];
    await extend(tree, { ...whole.push(290, 400), entries });
    expect(await readWhole(tree)).toEqual(whole.leaves.slice(0, 400));
  });
});

describe('what is no push', () => {
  const at = (from: number, size = 5): LogPush => whole.push(from, size);
  test.each<readonly [string, LogPush, string, number]>([
    [
      'another key of the same name',
      { ...at(0), checkpoint: Buffer.from(whole.note(5, otherKey)) },
      'checkpoint-invalid',
      403,
    ],
    ['no note', { ...at(0), checkpoint: Buffer.from('nonsense') }, 'checkpoint-invalid', 403],
    ['nothing', { ...at(0), checkpoint: Buffer.alloc(0) }, 'checkpoint-invalid', 403],
    ['a note without end', { ...at(0), checkpoint: Buffer.alloc(300_000, 'a') }, 'checkpoint-invalid', 403],
    [
      'a checkpoint without its signature',
      { ...at(0), checkpoint: Buffer.from(whole.text(5)) },
      'checkpoint-invalid',
      403,
    ],
    [
      'an extension line',
      { ...at(0), checkpoint: Buffer.from(whole.sign(`${whole.text(5)}more\n`)) },
      'checkpoint-invalid',
      403,
    ],
    [
      'another origin',
      { ...at(0), checkpoint: Buffer.from(whole.sign(whole.text(5).replace('org', 'net'))) },
      'checkpoint-invalid',
      403,
    ],
    [
      'a false cosignature',
      {
        ...at(0),
        checkpoint: Buffer.from(whole.note(5) + cosigned(whole.note(4), 0, 9).slice(whole.note(4).length)),
      },
      'note-invalid',
      403,
    ],
    ['too few entries', { ...at(0), entries: () => whole.leaves.slice(0, 4) }, 'log-malformed', 422],
    ['too many entries', { ...at(0), entries: () => whole.leaves.slice(0, 6) }, 'log-malformed', 422],
    [
      'entries without end',
      {
        ...at(0),
        entries: function* () {
          for (;;) yield entry(0);
        },
      },
      'log-malformed',
      422,
    ],
    [
      'an entry that no bundle holds',
      { ...at(0), entries: () => [Buffer.alloc(65_536)] },
      'log-malformed',
      422,
    ],
    ['from the future', { ...at(0), from: 6 }, 'log-malformed', 422],
    ['from -1', { ...at(0), from: -1 }, 'log-malformed', 422],
    ['from 0.5', { ...at(0), from: 0.5 }, 'log-malformed', 422],
  ])('%s', async (_, push, code, status) => {
    const tree = new MemoryTree();
    await expect(extend(tree, push)).rejects.toMatchObject({ kind: 'refused', code, status });
    expect(tree.changes).toBe(0);
  });
});

describe('cosignatures', () => {
  const note = whole.note(5);
  const kept = (tree: MemoryTree): string => tree.files.get('log/checkpoint')?.toString() ?? '';
  const send = (tree: MemoryTree, some: string) => extend(tree, whole.push(5, 5, some));

  test('are added to a checkpoint that is there, and not lost when it is sent again without', async () => {
    const tree = await grown(5);
    const [first, second] = [cosigned(note, 0, 100), cosigned(note, 1, 200)];
    expect(await send(tree, first)).toBe('new');
    expect(kept(tree)).toBe(first);
    expect(await send(tree, note)).toBe('same');
    expect(await send(tree, second)).toBe('new');
    expect(kept(tree)).toBe(cosigned(first, 1, 200));
    expect(await send(tree, first)).toBe('same');
    expect(await send(tree, cosigned(note, 0, 50))).toBe('same');
    expect(await send(tree, cosigned(note, 0, 300))).toBe('new');
    expect(kept(tree)).toBe(cosigned(cosigned(note, 0, 300), 1, 200));
    const head = await readerOf(tree).head();
    expect(head?.cosignatures.map(({ time }) => time)).toEqual([300, 200]);
  });

  test('of strangers are not kept, also not with the first checkpoint', async () => {
    const tree = new MemoryTree();
    const stranger = '— example.org/w3 ' + Buffer.alloc(76, 1).toString('base64') + '\n';
    await extend(tree, whole.push(0, 5, note + stranger));
    expect(kept(tree)).toBe(note);
    expect(await send(tree, note + stranger)).toBe('same');
  });

  test('of one size are not those of the next', async () => {
    const tree = await grown(5);
    await send(tree, cosigned(note, 0, 100));
    await extend(tree, whole.push(5, 6));
    expect(kept(tree)).toBe(whole.note(6));
  });
});

describe('a log that is damaged where it lies', () => {
  test('takes nothing more, says that it is damaged, and that is not the fault of who sends', async () => {
    const before = await grown(600);
    const needed = ['checkpoint', 'tile/0/002.p/88', 'tile/1/000.p/2', 'tile/entries/002.p/88'];
    for (const name of needed.map((each) => `log/${each}`)) {
      const tree = new MemoryTree(before.files);
      const bytes = Buffer.from(tree.files.get(name) ?? '');
      expect(bytes.length).toBeGreaterThan(0);
      bytes[40] = (bytes[40] ?? 0) ^ 1;
      for (const damage of [bytes, bytes.subarray(0, 39), Buffer.alloc(0), null]) {
        if (damage === null) tree.files.delete(name);
        else tree.files.set(name, damage);
        if (name === 'log/checkpoint' && damage === null) continue;
        await expect(extend(tree, whole.push(600, 601))).rejects.toMatchObject({
          kind: 'unable',
          code: 'log-damaged',
          hint: expect.stringContaining('move log/ away'),
        });
        expect(tree.changes).toBe(0);
      }
    }
  });
});
