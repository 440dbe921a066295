/**
 * Receipts: M builds and signs nothing before H's log shows it its own key. L, who brings the receipt, has many others to
 * show, and nothing else to say to M that M believes.
 */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Approval } from '../../src/records/approval.ts';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import { leafHash } from '../../src/tlog/merkle.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { formatProof, parseProof } from '../../src/tlog/proof.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { plant, post } from './forge.ts';
import { HeldLog } from './held-log.ts';
import { b2, enrolmentBy, forgeNonced, newKey, sealingWorld, stealNonce } from './nonced.ts';
import type { Nonced } from './nonced.ts';
import { entries, expectDenied } from './outcome.ts';

const RECEIPT = 'enrolments/b1.json.receipt';

let world: World;
let hostile: HostileDepot;
let terms: Approval;
/** A build that H has taken a key for; and one that M waits with. */
let taken: Nonced & { readonly files: Map<string, Buffer> };
let waiting: Nonced;
let ticket: string;
/** A released build's proof, and a refused one's. */
let released: string;
let refused: string;

beforeAll(async () => {
  world = await sealingWorld();
  hostile = await HostileDepot.start(world.url);
  released = await world.release('1.0', { app: 'app' });
  const again = await world.approve('1.0');
  mustBe(0, await world.attest(again.ticket, { app: 'other' }));
  mustBe(1, await world.sign());
  refused = again.build;
  const ran = await world.approve('2.0', ['--scheme', 'enrol', '--enrol-by', '5m']);
  mustBe(0, ran);
  waiting = await stealNonce(world, ran);
  ({ ticket } = ran);
  terms = waiting.approval;
  taken = await forgeNonced(world, terms, 'enrol', { version: '2.1', enrolSeconds: 300 });
  expect((await post(world, taken.build, taken.files)).status).toBe(201);
  expect((await post(world, taken.build, enrolmentBy(taken, newKey(taken)), taken.token)).status).toBe(201);
  mustBe(0, await world.sign([taken.build]));
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

const shown = (build: string, file: string): Promise<Buffer> => readFile(world.tree('builds', build, file));

/** `attest --run`, against the depot that lies; `made` is what the command leaves. */
async function attest(seconds = 30): Promise<{ ran: Ran; made: boolean }> {
  const out = world.path('M', 'made');
  await rm(out, { force: true });
  const how = [
    '--depot',
    hostile.url,
    '--run',
    `echo built > ${out}`,
    '--timeout',
    `${seconds}s`,
    '--base',
    world.path('M'),
  ];
  const ran = await world.runOn('M', ['attest', '--ticket', ticket, ...how, out, '--json']);
  return { ran, made: existsSync(out) };
}

/** The leaf of H's log that is of this build and type, and its place. */
function find(log: HeldLog, build: string, type: string): { index: number; leaf: Buffer } {
  const index = log.leaves.findIndex((leaf) => {
    const entry = parseLogEntry(leaf);
    return entry.build === build && entry.type === type;
  });
  return { index, leaf: log.leaves[index] ?? Buffer.alloc(0) };
}

const receiptAt = (log: HeldLog, { index, leaf }: { index: number; leaf: Buffer }, note?: string): Buffer => {
  const proof = parseProof(log.proof(index, note));
  return formatProof({ ...proof, extra: leaf });
};

describe('M is shown a receipt', () => {
  test('that is not of its key: it says so, and builds and signs nothing', async () => {
    const log = await HeldLog.of(world);
    const own = find(log, taken.build, 'enrolment');
    const stranger = new HeldLog(log.leaves, parseSignerKey(generateNoteKey(log.key.name).signer));
    const receipt = await shown(taken.build, RECEIPT);
    const lies = new Map<string, Buffer>([
      ['another build’s', receipt],
      ['of the approval', receiptAt(log, find(log, taken.build, 'approval'))],
      ['of a release', await shown(released, 'release.proof')],
      ['of a refusal', await shown(refused, 'refusal.proof')],
      ['under another key of that name', receiptAt(stranger, own)],
      ['cut short', receipt.subarray(0, 80)],
      ['nothing', Buffer.alloc(0)],
      ['not text', Buffer.from([0, 255, 254, 10])],
      ['a page', Buffer.from('<html>\u001b[2J enrolled')],
      ['a MiB of it', Buffer.alloc(1 << 20, receipt)],
    ]);
    for (const [what, lie] of lies) {
      hostile.give(/\.receipt$/, lie);
      const before = await snapshot(world);
      const { ran, made } = await attest(3);
      expect([ran.error?.code, made], `${what}\n${ran.stderr}`).toEqual([
        what === 'a MiB of it' ? 'receipt-missing' : 'receipt-invalid',
        false,
      ]);
      expect(ran.code, what).not.toBe(0);
      await expectUntouched(world, before, { answers: [ran] });
    }
    // it was one key all the time, and the thief’s of none
    expect((await shown(waiting.build, 'enrolments/b1.json')).length).toBeGreaterThan(0);
    await expect(shown(waiting.build, 'enrolments/b1.2.json')).rejects.toThrow('ENOENT');
  });

  test('of the right entry in a log that somebody else has signed, or of another slot: the same', async () => {
    mustBe(0, await world.sign([waiting.build]));
    const log = await HeldLog.of(world);
    const own = find(log, waiting.build, 'enrolment');
    const good = receiptAt(log, own);
    expect(leafHash(own.leaf)).toEqual(leafHash(parseProof(good).extra ?? Buffer.alloc(0)));
    const entry = JSON.parse(own.leaf.toString()) as Record<string, unknown>;
    const records = entry['records'] as Record<string, string>;
    const asB2 = Object.fromEntries(
      Object.entries(records).map(([name, digest]) => [name.replace('b1', b2), digest]),
    );
    const forgedLeaf = Buffer.from(JSON.stringify({ ...entry, records: asB2 }));
    const stranger = new HeldLog(log.leaves, parseSignerKey(generateNoteKey(log.key.name).signer));
    const lies = new Map([
      ['under another key', receiptAt(stranger, own)],
      ['with another leaf', formatProof({ ...parseProof(good), extra: forgedLeaf })],
      ['with the leaf of another build', formatProof({ ...parseProof(good), extra: find(log, taken.build, 'enrolment').leaf })], // prettier-ignore
      ['at another place', formatProof({ ...parseProof(good), index: own.index - 1 })],
      ['without its leaf', formatProof({ ...parseProof(good), extra: null })],
      ['with a hash of its way changed', formatProof({ ...parseProof(good), hashes: parseProof(good).hashes.map((hash) => Buffer.from(hash.map((octet) => octet ^ 1))) })], // prettier-ignore
    ]);
    for (const [what, lie] of lies) {
      hostile.give(/\.receipt$/, lie);
      const before = await snapshot(world);
      const { ran, made } = await attest(3);
      expect([ran.error?.code, made], `${what}\n${ran.stderr}`).toEqual(['receipt-invalid', false]);
      await expectUntouched(world, before, { answers: [ran] });
      const file = new Map([[RECEIPT, lie]]);
      const there = await plant(world, waiting.build, new Map([[RECEIPT, null]]));
      const answer = await post(world, waiting.build, file);
      expect(answer.status, what).toBe(403);
      await plant(world, waiting.build, there);
    }
  });

  test('by nobody, though L says that all is well: it waits, and gives up in time', async () => {
    hostile.withhold(/\.receipt$/);
    hostile.give(/enrolled|status/, Buffer.from('enrolled'));
    const before = await snapshot(world);
    const { ran, made } = await attest(2);
    expect([ran.code, ran.error?.code, made]).toEqual([3, 'receipt-missing', false]);
    await expectUntouched(world, before, { answers: [ran] });
  });

  test('that is its own: it builds; and that of one build is no receipt for any other at L', async () => {
    const other = await forgeNonced(world, terms, 'enrol', { version: '2.2', enrolSeconds: 300 });
    expect((await post(world, other.build, other.files)).status).toBe(201);
    const sent = enrolmentBy(other, newKey(other));
    expect((await post(world, other.build, sent, other.token)).status).toBe(201);
    const foreign = new Map([[RECEIPT, await shown(taken.build, RECEIPT)]]);
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, other.build, foreign), '403 chain-broken');
    // planted, it keeps H from nothing but the sending
    await plant(world, other.build, foreign);
    mustBe(0, await world.sign([other.build]));
    expect(await entries(world, other.build)).toEqual(['approval', 'enrolment']);

    const { ran, made } = await attest();
    expect([ran.code, made], ran.stderr).toEqual([0, true]);
    expect(existsSync(ticket)).toBe(false);
  });
});
