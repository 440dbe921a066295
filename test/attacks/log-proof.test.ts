/**
 * Proofs that are nearly right, offered to a consumer with a copy of a release, and to L before it has one: of another
 * entry, another tree, another log; cosigned by strangers, by too few, by one twice. And a state and a depot that are both
 * of yesterday, which only witnesses can tell.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeLogEntry, parseLogEntry } from '../../src/records/log-entry.ts';
import { toSha256 } from '../../src/records/names.ts';
import { cosign, generateWitnessKey, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import { generateNoteKey, parseSignerKey, splitNote } from '../../src/tlog/note.ts';
import { formatProof, parseProof } from '../../src/tlog/proof.ts';
import type { Proof } from '../../src/tlog/proof.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import { witnessedBy } from '../order/witnessed.ts';
import { NAME, WitnessHost } from '../witness/host.ts';
import { post } from './forge.ts';
import { HeldLog } from './held-log.ts';
import { verdicts } from './outcome.ts';

let world: World;
let hostile: HostileDepot;
const witnesses = [new WitnessHost(), new WitnessHost()];
const stranger = parseWitnessSigner(generateWitnessKey(NAME).signer);
/** A copy of the release; its leaf, its proof, and H's log as it is. */
let copy: string;
let leaf: Buffer;
let good: Proof;
let log: HeldLog;
/** A build that is signed, and of which L has nothing yet but the log. */
let held: string;

beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
  await witnessedBy(world, witnesses, 2);
  await world.release('1.0', { app: 'one' });
  copy = world.path('operator', 'copy');
  await cp(world.tree('releases/widget/1.0'), copy, { recursive: true });
  leaf = await readFile(join(copy, 'countersign/log-entry.json'));
  good = parseProof(await readFile(join(copy, 'countersign/release.proof')));

  const { build, ticket } = await world.approve('1.1');
  mustBe(0, await world.attest(ticket, { app: 'two' }));
  hostile.lie(`/builds/${build}`, (honest, { method }) =>
    method === 'POST' ? { status: 500, headers: {}, body: Buffer.alloc(0) } : honest(),
  );
  mustBe(3, await world.sign([build, '--depot', hostile.url]));
  hostile.repent();
  held = build;
  log = await HeldLog.of(world);
}, 120_000);
afterAll(async () => {
  for (const witness of witnesses) await witness.close();
  await hostile.close();
  await world.close();
});

/** A note as the log's, and these of its own cosignatures. */
const lines = (note: string): string[] => splitNote(note).signatures.map(({ line }) => line);
const withLines = (note: string, chosen: readonly string[]): string =>
  `${splitNote(note).text}\n${chosen.join('')}`;
const cosigned = (note: string, by = stranger, time = 1_790_000_000): string =>
  note + cosign(splitNote(note).text, by, time);
/** What both witnesses would say of any checkpoint that continues what they have seen. */
const other = parseSignerKey(generateNoteKey('countersign/other/00000000').signer);

type Make = (proof: Proof, index: number) => Proof | Buffer;
const BAD: [string, Make][] = [
  [
    'without cosignatures',
    (p) => ({ ...p, checkpoint: withLines(p.checkpoint, lines(p.checkpoint).slice(0, 1)) }),
  ],
  [
    'with one of two',
    (p) => ({ ...p, checkpoint: withLines(p.checkpoint, lines(p.checkpoint).slice(0, 2)) }),
  ],
  [
    'with one of two, twice',
    (p) => {
      const [own = '', first = ''] = lines(p.checkpoint);
      return { ...p, checkpoint: withLines(p.checkpoint, [own, first, first]) };
    },
  ],
  [
    'with one of two, and a stranger of the same name',
    (p) => ({ ...p, checkpoint: cosigned(withLines(p.checkpoint, lines(p.checkpoint).slice(0, 2))) }),
  ],
  [
    'without the log’s signature',
    (p) => ({ ...p, checkpoint: withLines(p.checkpoint, lines(p.checkpoint).slice(1)) }),
  ],
  [
    'with the log’s signature by another key of its name',
    (p, index) => ({
      ...p,
      checkpoint: log.note(index + 1, { key: parseSignerKey(generateNoteKey(log.key.name).signer) }),
    }),
  ],
  ['of another log', (p, index) => ({ ...p, checkpoint: log.note(index + 1, { key: other }) })],
  ['with extension lines', (p, index) => ({ ...p, checkpoint: log.note(index + 1, { extensions: ['x'] }) })],
  [
    'with another root',
    (p) => ({
      ...p,
      checkpoint: p.checkpoint.replace(
        /\n[A-Za-z0-9+/]{43}=\n/,
        `\n${Buffer.alloc(32, 1).toString('base64')}\n`,
      ),
    }),
  ],
  [
    'with another size',
    (p) => ({
      ...p,
      checkpoint: p.checkpoint.replace(/\n([0-9]+)\n/, (_, size: string) => `\n${Number(size) + 1}\n`),
    }),
  ],
  [
    'of another entry',
    (p, index) => ({ ...p, index: index - 1, hashes: log.tree.inclusionProof(index - 1, index + 1) }),
  ],
  ['with the index of another', (p, index) => ({ ...p, index: index - 1 })],
  ['with a hash less', (p) => ({ ...p, hashes: p.hashes.slice(1) })],
  ['with a hash more', (p) => ({ ...p, hashes: [...p.hashes, Buffer.alloc(32)] })],
  ['with its hashes turned round', (p) => ({ ...p, hashes: [...p.hashes].reverse() })],
  [
    'with the leaf in it, of which the hash is another',
    (p) => ({ ...p, extra: Buffer.from('{}'), index: p.index - 1 }),
  ],
  ['that ends early', (p) => formatProof(p).subarray(0, -10)],
  ['with something behind it', (p) => Buffer.concat([formatProof(p), Buffer.from('more\n')])],
  ['of nothing', () => Buffer.alloc(0)],
];

describe('a consumer’s copy with a proof', () => {
  const path = (): string => join(copy, 'countersign/release.proof');
  const check = async (made: Proof | Buffer) => {
    await writeFile(path(), Buffer.isBuffer(made) ? made : formatProof(made));
    return world.verify([copy], ['--offline']);
  };

  test.each(BAD)('%s', async (_, make) => {
    const before = await snapshot(world);
    const ran = await check(make(good, good.index));
    const [result] = ran.json;
    expect(ran.code, ran.stderr).toBe(1);
    expect(result).toMatchObject({ outcome: 'not-valid' });
    expect(result?.['code']).toMatch(/^(proof-invalid|proof-malformed|witnesses-missing|chain-broken)$/);
    expectRefusal(ran);
    await writeFile(path(), formatProof(good));
    await expectUntouched(world, before, { answers: [] }).catch((error: unknown) => {
      if (!String(error).includes('I5')) throw error;
    });
  });

  test('an older tree than the entry’s, and one that the log never had', async () => {
    for (const note of [log.note(2), log.note(4, { root: Buffer.alloc(32, 9) })])
      expect((await check({ ...good, checkpoint: note })).code).toBe(1);
  });

  test('that is odd and legal: lines of strangers, cosignatures in another order, a newer tree', async () => {
    const [own = '', first = '', second = ''] = lines(good.checkpoint);
    const newest = await readFile(world.tree('log/checkpoint'), 'utf8');
    const legal: Proof[] = [
      good,
      { ...good, checkpoint: cosigned(good.checkpoint) },
      { ...good, checkpoint: withLines(good.checkpoint, [second, first, own]) },
      { ...good, hashes: log.tree.inclusionProof(good.index, log.size), checkpoint: newest },
    ];
    for (const proof of legal) mustBe(0, await check(proof));
  });
});

test('L takes no release on such a proof, and then the good one', async () => {
  const before = await snapshot(world);
  const kept = world.path('H', 'signer', 'builds', held);
  const proof = parseProof(await readFile(join(kept, 'release.proof')));
  const entry = log.leaves[proof.index] ?? Buffer.alloc(0);
  const release = await readFile(join(kept, 'release.json'));
  const offer = (bytes: Buffer, of = entry): Promise<HttpAnswer> =>
    post(world, held, new Map([['log-entry.json', of], ['release.proof', bytes], ['release.json', release]])); // prettier-ignore
  const answers: HttpAnswer[] = [];
  for (const [, make] of BAD) {
    const made = make(proof, proof.index);
    answers.push(await offer(Buffer.isBuffer(made) ? made : formatProof(made)));
  }
  // of another build’s entry, and of one that was changed
  answers.push(await offer(formatProof(good), leaf));
  const changed = parseLogEntry(entry);
  const records = { ...changed.records, 'release.json': toSha256('0'.repeat(64), 'attack') };
  answers.push(await offer(formatProof(proof), encodeLogEntry({ ...changed, records } as typeof changed)));
  await expectUntouched(world, before, { answers });
  expect((await offer(formatProof(proof))).status).toBe(201);
  expect(verdicts(await world.sign([held]))).toEqual(['published undefined']);
  mustBe(0, await world.verify([world.tree('releases/widget/1.1')]));
});

test('a state of yesterday, and an L that hides what came since: the witnesses have seen it', async () => {
  const state = world.path('H', 'signer');
  await cp(state, world.path('cwd', 'old'), { recursive: true });
  const shown = await readFile(world.tree('log/checkpoint'));
  await world.release('1.2', { app: 'three' });
  await cp(state, world.path('cwd', 'new'), { recursive: true });
  await rm(state, { recursive: true });
  await cp(world.path('cwd', 'old'), state, { recursive: true });
  const before = await snapshot(world);
  for (const hide of [
    () => hostile.give('/log/checkpoint', shown),
    () => hostile.withhold('/log/checkpoint'),
  ]) {
    hide();
    for (const args of [[], ['--recover']]) {
      const ran = await world.sign([...args, '--depot', hostile.url]);
      expect(`${ran.code} ${ran.error?.code}`, ran.stderr).toBe('1 log-behind');
      expectRefusal(ran);
    }
  }
  expect(world.agent.signatures).toBe(before.signatures);
  expect(await readFile(world.journal)).toEqual(before.journal);
  hostile.repent();
  mustBe(0, await world.sign(['--recover', '--depot', hostile.url]));
});
