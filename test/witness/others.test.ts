/** What others have written: the specification's examples, another witness's tests, a log of another implementation. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LogKey } from '../../src/tlog/checkpoint.ts';
import { cosignaturesOf } from '../../src/tlog/cosignature.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { openNote, parseVerifierKey } from '../../src/tlog/note.ts';
import { textOf } from '../harness/json.ts';
import { ownVector, sharedVectors } from '../harness/vectors.ts';
import { cosignedAt, WitnessHost } from './host.ts';
import { Log } from './log.ts';

let host: WitnessHost;
beforeEach(() => {
  host = new WitnessHost();
});
afterEach(() => host.close());

test('the example of the specification is well-formed: what is wrong with it here is its key', async () => {
  const example = ownVector('tlog-witness.json');
  const log = new Log('log.example/one');
  await host.start([log]);
  expect((await host.add(textOf(example, 'request'))).status).toBe(404);
  await host.stop();
  await host.start([{ origin: 'example.com/behind-the-sofa', key: log.key }]);
  expect((await host.add(textOf(example, 'request'))).status).toBe(403);
  // nor are the cosignatures of its answer by ours, but for that they are lines of a note
  expect(cosignaturesOf(`${log.text(3)}\n${textOf(example, 'response')}`, [host.key])).toEqual([]);
});

interface Foreign {
  readonly logs: readonly {
    readonly origin: string;
    readonly key: string;
    readonly exchanges: readonly {
      readonly request: string;
      readonly status: number;
      readonly body?: string;
    }[];
  }[];
}

test('what litewitness answers to a Sigsum log and to Go’s checksum database', async () => {
  const { logs } = JSON.parse(ownVector('litewitness.json')) as Foreign;
  await host.start(logs.map(({ origin, key }) => ({ origin, key: parseVerifierKey(key) })));
  for (const { origin, exchanges } of logs)
    for (const { request, status, body } of exchanges) {
      const answer = await host.add(request);
      // it is older than today's text, by which an unknown log is 404
      expect(answer.status).toBe(request.includes(`\n${origin}\n`) ? status : 404);
      if (body !== undefined) expect(answer.body.toString()).toBe(body);
    }
  expect(await host.latest('go.sum database tree')).toContain('\n35225469\n');
});

const { directory, skipped } = sharedVectors('tessera-log', 1);
test.skipIf(skipped)('a log of transparency-dev/tessera is cosigned at each of its sizes', async () => {
  const read = (...path: string[]): Buffer => readFileSync(join(directory, ...path));
  const key = parseVerifierKey(read('vkey').toString().trim());
  const log: LogKey = { origin: 'example.com/log/testdata', key };
  const bundle = read('tile', 'entries', '000.p', '15');
  const leaves: Buffer[] = [];
  for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
    leaves.push(leafHash(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at))));
  const tree = treeOf(leaves);
  await host.start([log]);
  for (let size = 1; size <= 15; size++) {
    const note = read(`checkpoint.${size}`).toString();
    const proof = tree.consistencyProof(size - 1, size).map((hash) => `${hash.toString('base64')}\n`);
    const answer = await host.add(`old ${size - 1}\n${proof.join('')}\n${note}`);
    cosignedAt(openNote(note, key), answer, host.key);
  }
  // skipping some
  await host.close();
  host = new WitnessHost();
  await host.start([log]);
  for (const [old, size] of [[0, 3] as const, [3, 11] as const, [11, 15] as const]) {
    const proof = tree.consistencyProof(old, size).map((hash) => `${hash.toString('base64')}\n`);
    const body = `old ${old}\n${proof.join('')}\n${read(`checkpoint.${size}`).toString()}`;
    expect((await host.add(body)).status).toBe(200);
  }
});
