/**
 * Encoding, of what H makes: release records in encodings of their own. First from an L that bends what it was given: the
 * digests tell. Then proven under H's log key, as if that had been stolen: the parsers tell.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  logEntryFile,
  manifestFile,
  releaseFile,
  releaseProofFile,
  signaturesListFile,
} from '../../src/records/paths.ts';
import { encodeRefusal, refusalOf } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { timestamp } from '../../src/records/names.ts';
import { encodingsOf } from '../harness/encodings.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import { post, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { LogThief } from './log-thief.ts';
import { expectUnsigned } from './outcome.ts';
import { shelf } from './round.ts';

let world: World;
let hostile: HostileDepot;
let thief: LogThief;
/** A release, and a build that waits for its statement. */
let released: string;
let held: Held;

beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
  released = await world.release('1.0', { app: 'app', 'sub/empty': '' });
  held = await steal(world, await world.approve('2.0'));
  thief = await LogThief.enter(world);
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

const CHAIN = [logEntryFile, releaseFile, manifestFile] as const;
const records = (file: string): Promise<Buffer> => readFile(world.tree('builds', released, file));

/** Lines that `sha256sum -c` would take, and lines that it would take for others. */
const bentLists = (list: string): ReadonlyMap<string, Buffer> =>
  new Map(
    Object.entries({
      'no newline at the end': list.slice(0, -1),
      'an empty line': `${list}\n`,
      'carriage returns': list.replaceAll('\n', '\r\n'),
      'byte order mark': `\ufeff${list}`,
      'binary mode': list.replaceAll('  ', ' *'),
      'a line twice': list + list.split('\n')[0] + '\n',
      'an escaped name': `\\${list}`,
      'out of the directory': list.replace('app.asc', '../app.asc'),
    }).map(([what, text]) => [what, Buffer.from(text)]),
  );

const bentProofs = (proof: string): ReadonlyMap<string, Buffer> =>
  new Map(
    Object.entries({
      'trailing bytes': `${proof}\n`,
      'two proofs': proof + proof,
      'carriage returns': proof.replaceAll('\n', '\r\n'),
      'byte order mark': `\ufeff${proof}`,
      'an index with a zero in front': proof.replace(/^index /m, 'index 0'),
      'an index beyond 2^53': proof.replace(/^index .*/m, 'index 9007199254740993'),
      'junk in base64': proof.replace(/=$/m, '= '),
    }).map(([what, text]) => [what, Buffer.from(text)]),
  );

async function bendings(file: string): Promise<ReadonlyMap<string, Buffer>> {
  const bytes = await records(file);
  if (file === signaturesListFile) return bentLists(bytes.toString());
  return file === releaseProofFile ? bentProofs(bytes.toString()) : encodingsOf(bytes);
}

describe('L shows what it was given, in other bytes:', () => {
  test.each([...CHAIN, signaturesListFile, releaseProofFile])('%s, and H notices', async (file) => {
    const [[what, bytes] = ['', Buffer.alloc(0)]] = [...(await bendings(file))].slice(-1);
    expect(what).not.toBe('');
    hostile.give(`/releases/widget/1.0/countersign/${file}`, bytes);
    await expectUnsigned(world, await snapshot(world), released, 'signed release-differs', [
      '--depot',
      hostile.url,
    ]);
  });

  test.each([...CHAIN, signaturesListFile, releaseProofFile])(
    '%s, and the consumer notices',
    async (file) => {
      const [, bytes = Buffer.alloc(0)] = [...(await bendings(file))][4] ?? [];
      hostile.give(`/releases/widget/1.0/countersign/${file}`, bytes);
      const before = await snapshot(world);
      const release = `${hostile.url}/releases/widget/1.0`;
      const ran = await world.verify([world.tree('releases/widget/1.0/app')], ['--release', release]);
      expect(ran.code).toBe(1);
      await expectUntouched(world, before, { answers: [ran] });
    },
  );

  test('as they are, both are content', async () => {
    mustBe(0, await world.sign([released, '--depot', hostile.url]));
    const release = `${hostile.url}/releases/widget/1.0`;
    mustBe(0, await world.verify([world.tree('releases/widget/1.0/app')], ['--release', release]));
  });
});

describe('proven under the log key:', () => {
  test.each([...CHAIN, signaturesListFile, releaseProofFile])(
    '%s is turned away by the gate',
    async (file) => {
      const [before, kept] = [await snapshot(world), await shelf(world)];
      const good = await thief.release(released, (_, bytes) => bytes, held);
      const bytes = good.get(file) ?? Buffer.alloc(0);
      const all =
        file === signaturesListFile
          ? bentLists(bytes.toString())
          : file === releaseProofFile
            ? bentProofs(bytes.toString())
            : encodingsOf(bytes);
      for (const [what, bent] of all) {
        const chain = await thief.release(released, (each, good) => (each === file ? bent : good), held);
        const answer = await post(world, held.build, chain);
        const { code } = JSON.parse(answer.body.toString()) as { readonly code: string };
        expect(['record-malformed', 'record-too-large', 'name-malformed', 'proof-invalid', 'proof-malformed', 'note-invalid'], `${what}: ${code}`).toContain(code); // prettier-ignore
        await expectUntouched(world, before, { answers: [answer] });
      }
      expect(await shelf(world)).toEqual(kept);
    },
  );

  test('a refusal is turned away by the gate, and no word to the operator', async () => {
    const [before, kept] = [await snapshot(world), await shelf(world)];
    const reasons = [{ code: 'expired', where: 'here', text: 'because' }] as const;
    const facts = {
      build: held.approval.build,
      approval: sha256Hex(held.bytes),
      time: timestamp(new Date()),
    };
    const record = encodeRefusal(refusalOf({ ...facts, reasons }));
    for (const bent of encodingsOf(record).values()) {
      const answer = await post(world, held.build, thief.refusal(held, bent));
      expect(JSON.parse(answer.body.toString())).toMatchObject({ code: expect.stringMatching(/^record-/) });
      await expectUntouched(world, before, { answers: [answer] });
    }
    expect(await shelf(world)).toEqual(kept);

    const [[, bent] = []] = encodingsOf(record);
    for (const [file, bytes] of thief.refusal(held, bent ?? record))
      hostile.give(`/builds/${held.build}/${file}`, bytes);
    const status = await world.runOn('operator', ['status', held.build, '--json', '--depot', hostile.url]);
    expect(status.json[0]).toMatchObject({ state: 'approved' });
  });

  const chosen = [
    'duplicate key, other value first',
    'escaped duplicate',
    '__proto__ that holds a field',
    '2^53+1',
    '1e400',
    '200,000 levels',
    'invalid UTF-8',
    'byte order mark',
    'two documents',
    '2026-02-30',
    'no newline at the end',
    'out of the directory',
    'trailing bytes',
    'an index beyond 2^53',
  ];

  test.each([...CHAIN, signaturesListFile, releaseProofFile])(
    '%s in a copy of the release is not valid to a consumer',
    async (file) => {
      const before = await snapshot(world);
      const copy = world.path('M', `copy-${file}`);
      await cp(world.tree('releases/widget/1.0'), copy, { recursive: true });
      const all = [...(await bendings(file))].filter(([what]) => chosen.includes(what));
      expect(all.length).toBeGreaterThan(1);
      for (const [what, bent] of all) {
        const chain = await thief.release(released, (each, good) => (each === file ? bent : good));
        for (const [name, bytes] of chain) await writeFile(`${copy}/countersign/${name}`, bytes);
        // the thief's log is none that the depot has
        const ran = await world.verify([copy], ['--offline']);
        expect([ran.code, what], ran.stdout).toEqual([1, what]);
        await expectUntouched(world, before, { answers: [ran] });
      }
    },
  );

  test('in the one encoding that there is, all of them take it', async () => {
    const copy = world.path('M', 'copy');
    await cp(world.tree('releases/widget/1.0'), copy, { recursive: true });
    const chain = await thief.release(released, (_, bytes) => bytes);
    for (const [name, bytes] of chain) await writeFile(`${copy}/countersign/${name}`, bytes);
    mustBe(0, await world.verify([copy], ['--offline']));
    const own = await thief.release(released, (_, bytes) => bytes, held);
    expect((await post(world, held.build, own)).status).toBe(201);
  });
});
