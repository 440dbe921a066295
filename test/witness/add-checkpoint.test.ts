/** What a witness answers, over HTTP: C2SP tlog-witness, add-checkpoint and the checkpoint that it shows. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { generateWitnessKey, parseWitnessKey } from '../../src/tlog/cosignature.ts';
import { openNote } from '../../src/tlog/note.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { cosignedAt, WitnessHost } from './host.ts';
import { line, Log, originHash } from './log.ts';

const log = new Log('log.example/one');
const other = new Log('log.example/two');

let host: WitnessHost;
const open = async (): Promise<void> => {
  host = new WitnessHost();
  await host.start([log, other]);
};
const close = (): Promise<void> => host.close();

const status = async (body: string): Promise<number> => (await host.add(body)).status;

describe('a log that grows', () => {
  beforeEach(open);
  afterEach(close);
  test('is cosigned each time, and the latest is shown with both signatures', async () => {
    expect(await host.latest(log.origin)).toBeNull();
    for (const [old, size] of [
      [0, 0],
      [0, 1],
      [1, 6],
      [6, 8],
      [8, 8],
      [8, 100],
    ] as const) {
      host.time += 60;
      const answer = await host.add(log.body({ old, size }));
      expect(cosignedAt(log.text(size), answer, host.key)).toBe(host.time);
      expect(answer.headers['content-length']).toBe(String(answer.body.length));
      const shown = (await host.latest(log.origin)) ?? '';
      expect(shown).toBe(log.note(size) + answer.body.toString());
      expect(openNote(shown, log.key)).toBe(log.text(size));
    }
    expect(await host.latest(other.origin)).toBeNull();
    expect(host.said).toEqual([]);
  });

  test('extension lines are cosigned and shown as they are', async () => {
    const extensions = ['extra', '— not.a.signature AAAA', '🌲 <script>'];
    const answer = await host.add(log.body({ old: 0, size: 5, extensions }));
    cosignedAt(log.text(5, extensions), answer, host.key);
    expect(await host.latest(log.origin)).toContain(log.text(5, extensions));
    const shown = await rawRequest(host.url, { path: `/${originHash(log.origin)}/checkpoint` });
    expect(shown.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
    });
  });

  test('two keys for one origin: either will do, and both lines are shown', async () => {
    const next = new Log(log.origin);
    await host.stop();
    await host.start([log, { origin: log.origin, key: next.key }]);
    expect(await status(log.body({ old: 0, size: 3 }))).toBe(200);
    expect(await status(log.body({ old: 3, size: 4, signer: next.signer }))).toBe(200);
    const [, newLine = ''] = next.note(5).split('\n\n');
    expect(await status(log.body({ old: 4, size: 5, lines: [newLine, newLine] }))).toBe(200);
    expect((await host.latest(log.origin))?.split(newLine)).toHaveLength(2);
    const wrong = line(next.origin, next.key.id, 64);
    expect(await status(log.body({ old: 5, size: 6, lines: [wrong] }))).toBe(403);
  });

  test('the same within a second is the same answer, also if others ask', async () => {
    await host.add(log.body({ old: 0, size: 9 }));
    // and no more work for its disk
    const file = (): number => statSync(join(host.directory, 'checkpoints', originHash(log.origin))).ino;
    const before = file();
    const answers = await Promise.all([1, 2, 3].map(() => host.add(log.body({ old: 9, size: 9 }))));
    expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1);
    expect(file()).toBe(before);
  });

  test('a clock that was set back: the time stays where it was', async () => {
    const before = host.time;
    await host.add(log.body({ old: 0, size: 3 }));
    host.time -= 86_400;
    await host.stop();
    await host.start([log, other]);
    const times: number[] = [];
    for (const [old, size] of [[3, 4] as const, [4, 4] as const])
      times.push(cosignedAt(log.text(size), await host.add(log.body({ old, size })), host.key));
    expect(times).toEqual([before, before]);
    // that of another log is none of its business
    expect(cosignedAt(other.text(1), await host.add(other.body({ old: 0, size: 1 })), host.key)).toBe(
      host.time,
    );
    host.time = before + 5;
    expect(cosignedAt(log.text(4), await host.add(log.body({ old: 4, size: 4 })), host.key)).toBe(before + 5);
  });
});

describe('signatures of others are nothing to it', () => {
  beforeEach(open);
  afterEach(close);
  test('witnesses, post-quantum ones, types that nobody knows, its own from a former time', async () => {
    const [own = ''] = (await host.add(log.body({ old: 0, size: 2 }))).body.toString().split('\n');
    const mldsa = line('pq.example/w', Buffer.of(1, 2, 3, 4), 8 + 2420);
    const lines = [
      `${own}\n`,
      line(host.key.name, host.key.id, 72),
      mldsa,
      line('log.example/one', Buffer.of(9, 9, 9, 9), 64),
      line('someone.example', log.key.id, 64),
      // a witness that has the name of the log
      line(log.origin, parseWitnessKey(generateWitnessKey(log.origin).verifier).id, 72),
      line('grease.example', Buffer.of(0, 0, 0, 0), 1),
    ];
    const sixteen = Array.from({ length: 16 }, () => mldsa);
    const answer = await host.add(log.body({ old: 2, size: 3, lines: [...lines, ...sixteen] }));
    cosignedAt(log.text(3), answer, host.key);
    // and none of them is shown
    expect(await host.latest(log.origin)).toBe(log.note(3) + answer.body.toString());
  });
});

describe('what is refused', () => {
  beforeEach(open);
  afterEach(close);
  beforeEach(async () => void (await host.add(log.body({ old: 0, size: 7 }))));
  afterEach(async () => {
    // nothing of it was taken, and the next true one is
    expect(await host.latest(log.origin)).toContain(log.text(7));
    expect(await status(log.body({ old: 7, size: 8 }))).toBe(200);
  });

  test('404: a log that it does not know, whoever signed', async () => {
    const stranger = new Log('log.example/three');
    expect(await status(stranger.body({ old: 0, size: 1 }))).toBe(404);
    expect(await status(stranger.body({ old: 0, size: 1, signer: log.signer }))).toBe(404);
  });

  test('403: no signature of a trusted key, or a wrong one', async () => {
    const own = { old: 7, size: 8 };
    for (const body of [
      log.body({ ...own, signer: other.signer }),
      log.body({ ...own, signer: new Log(log.origin).signer }),
      log.body({ ...own, lines: [line(log.origin, log.key.id, 64)] }),
      log.body({ ...own, lines: [line(log.origin, log.key.id, 63)] }),
      log.body({ ...own, lines: ['— log.example/one !!\n'] }),
      log.body({ ...own, lines: ['text behind the signatures\n'] }),
      log.body(own).replace(/^— .*\n/m, ''),
      log.body(own).replace(/^— (.*)\n/m, line(log.origin, log.key.id, 64)),
    ])
      expect([await status(body), body]).toEqual([403, body]);
  });

  test('400: an old size above the new one', async () => {
    expect(await status(`old 8\n\n${log.note(7)}`)).toBe(400);
    expect(await status(`old 7\n\n${log.note(3)}`)).toBe(400);
  });

  test('409: another old size than that of the latest, which is told', async () => {
    for (const [old, size] of [
      [0, 7],
      [0, 50],
      [6, 7],
      [6, 6],
      [0, 0],
      [8, 9],
    ] as const) {
      const answer = await host.add(log.body({ old, size }));
      expect([answer.status, answer.body.toString()]).toEqual([409, '7\n']);
      expect(answer.headers).toMatchObject({ 'content-type': 'text/x.tlog.size', 'content-length': '2' });
    }
    // nobody has seen the other one yet
    expect((await host.add(other.body({ old: 3, size: 4 }))).body.toString()).toBe('0\n');
  });

  test('422: no proof, or one of something else', async () => {
    const right = log.tree.consistencyProof(7, 12);
    const fork = log.forkedAt(6);
    for (const proof of [
      [],
      right.slice(1),
      right.slice(0, -1),
      right.toReversed(),
      [...right, Buffer.alloc(32)],
      right.map((hash, at) => (at === 0 ? Buffer.alloc(32) : hash)),
      Array.from({ length: 63 }, () => Buffer.alloc(32, 1)),
      log.tree.consistencyProof(6, 12),
      fork.tree.consistencyProof(7, 12),
    ])
      expect(await status(log.body({ old: 7, size: 12, proof }))).toBe(422);
    expect(await status(log.body({ old: 7, size: 7, proof: [Buffer.alloc(32)] }))).toBe(422);
    const [hash = Buffer.alloc(0)] = right;
    expect(await status(other.body({ old: 0, size: 12, proof: [hash] }))).toBe(422);
  });

  test('422: an empty tree whose root is not that of an empty tree', async () => {
    const text = `${other.origin}\n0\n${Buffer.alloc(32).toString('base64')}\n`;
    const note = other.note(5).replace(other.text(5), text);
    // signed like this by its own key
    const lied = Object.create(other, { text: { value: () => text } }) as Log;
    expect(await status(`old 0\n\n${note}`)).toBe(403);
    expect(await status(`old 0\n\n${lied.note(0)}`)).toBe(422);
  });

  test('422: two histories of one log; only the first is cosigned, and the operator is told once', async () => {
    for (const size of [7, 8, 50]) {
      const fork = log.forkedAt(6);
      expect(await status(fork.body({ old: 7, size }))).toBe(422);
      expect(await status(fork.body({ old: 7, size }))).toBe(422);
    }
    // the two are of one size: whoever has both can prove that the log lies
    expect(host.said).toEqual([expect.stringContaining('log.example/one is forked')]);
    expect(host.said[0]).toContain(JSON.stringify(log.forkedAt(6).note(7)).slice(1, -1));
  });
});
