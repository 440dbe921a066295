/** Logs that are what was signed, and still not what a log may be; and what becomes of the order of one that is gone on with. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { verifyLog } from '../../src/audit/verify.ts';
import { Order } from '../../src/policy/order.ts';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import type { BuildEntryType } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { parseWitnessKey, parseWitnessSigner, generateWitnessKey } from '../../src/tlog/cosignature.ts';
import { openLog } from '../../src/tree/log/reader.ts';
import { MadeLog, PROJECT, entries, entry, leaves, timeOf, versionOf } from '../harness/made-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'cs-content-'));
afterAll(() => rmSync(directory, { recursive: true }));

let count = 0;
const made = (...all: readonly Buffer[]): MadeLog => {
  const log = new MadeLog(join(directory, `log-${++count}`));
  log.add(all);
  return log;
};

async function verify(log: MadeLog, more: Partial<Parameters<typeof verifyLog>[0]> = {}) {
  const files = await openLog({ kind: 'directory', directory: log.directory });
  const verdict = await verifyLog({
    files,
    trust: log.trust,
    ours: true,
    list: null,
    progress() {},
    ...more,
  });
  return verdict.findings.listed.map(({ code, index }) => [code, index]);
}

test('bytes that are no entry, and entries that cannot come there, are named; to a stranger they are bytes', async () => {
  const log = made(
    ...leaves(entries(8)),
    Buffer.from('hello'),
    encodeLogEntry(entry('release', 0, 9)),
    encodeLogEntry(entry('statement', 7, 10)),
    ...leaves([entry('approval', 8, 11), entry('intent', 8, 12), entry('statement', 8, 13)]),
    Buffer.alloc(0),
  );
  expect(await verify(log)).toEqual([
    ['entry-malformed', 8],
    ['entry-order', 9],
    ['entry-order', 10],
    ['entry-order', 12],
    ['entry-malformed', 14],
  ]);
  expect(await verify(log, { ours: false })).toEqual([]);
});

test('a version is one build’s: an intent for another is named', async () => {
  const again = (type: BuildEntryType, index: number) => ({
    ...entry(type, 1, index),
    version: versionOf(0),
  });
  const second = [again('approval', 4), again('statement', 5), again('intent', 6)];
  expect(await verify(made(...leaves([...entries(4), ...second])))).toEqual([['entry-order', 6]]);
  // the first one was refused: the second may have its name
  const first = [entry('approval', 0, 0), entry('refusal', 0, 1)];
  expect(await verify(made(...leaves([...first, ...second])))).toEqual([]);
});

test('an entry that is dated before those before it is named, and taken in', async () => {
  const at = (minute: number) => ({ time: timeOf(minute) });
  const approval = { ...entry('approval', 0, 0), ...at(100) };
  const statement = { ...entry('statement', 0, 1), ...at(90) };
  const intent = { ...entry('intent', 0, 2), ...at(89) };
  const release = { ...entry('release', 0, 3), ...at(95) };
  const years = heartbeat(PROJECT, timestamp(new Date('2099-01-01T00:00:00Z')));
  expect(await verify(made(...leaves([approval, statement, intent, release])))).toEqual([['entry-time', 2]]);
  expect(await verify(made(...leaves([approval, years, statement, intent, release])))).toEqual([
    ['entry-time', 2],
  ]);
});

test('an empty log is a log, and so is one of full tiles', async () => {
  expect(await verify(made())).toEqual([]);
  expect(await verify(made(...leaves(entries(256))))).toEqual([]);
  expect(await verify(made(...leaves(entries(512))))).toEqual([]);
});

test('the quorum of witnesses, or it is said', async () => {
  const keys = ['w1.example', 'w2.example'].map((name) => generateWitnessKey(name));
  const log = made(...leaves(entries(4)));
  log.witnessed(keys.slice(0, 1).map(({ signer }) => parseWitnessSigner(signer))).add([]);
  const witnesses = keys.map(({ verifier }) => parseWitnessKey(verifier));
  expect(await verify(log, { trust: { ...log.trust, witnesses, quorum: 1 } })).toEqual([]);
  expect(await verify(log, { trust: { ...log.trust, witnesses, quorum: 2 } })).toEqual([
    ['witnesses-missing', null],
  ]);
});

test('an order that was put away and taken up again goes on as if it had not been', () => {
  const all = [...entries(40), entry('conflict', 0, 40)];
  for (let at = 0; at <= all.length; at++) {
    const order = new Order();
    for (const each of all.slice(0, at)) order.take(each);
    const again = Order.from(JSON.parse(JSON.stringify(order.save())));
    const [next] = all.slice(at);
    for (const each of [
      ...all.slice(0, at),
      entry('conflict', 1, 50),
      entry('approval', 20, 51),
      ...(next ? [next] : []),
    ]) {
      const say = (of: Order): string => {
        try {
          of.check(each);
          return 'may come';
        } catch (error) {
          return String(error);
        }
      };
      expect(say(again)).toBe(say(order));
    }
  }
});
