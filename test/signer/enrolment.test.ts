/** Scheme enrol: a builder makes its own key, and its ticket's nonce introduces it; a stolen ticket that is used is noticed (protocol §2). */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import type { Ephemeral } from '../../src/openpgp/ephemeral.ts';
import { verifyEnrolment } from '../../src/policy/release-chain.ts';
import { buildPath, enrolmentFile, enrolmentReceiptFile } from '../../src/records/paths.ts';
import { toSlot } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { SignerState } from '../../src/signer/state.ts';
import type { Files } from '../policy/scene.ts';
import { approveMany, attestBy, sealingScene } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import { enrol, enrolmentOf, newKey, withKey } from './enrolling.ts';
import type { Odd } from './enrolling.ts';
import { oddDepot } from './odd-depot.ts';
import type { Ran, Scene } from './scene.ts';

const b1 = toSlot('b1', 'test');
const RECEIPT = enrolmentReceiptFile(b1);
const MINUTE = 60;
const contents = { 'hello.txt': 'hello' };

let scene: Scene;
let build: ManyBuild;
let key: Ephemeral;
beforeEach(async () => {
  scene = await sealingScene();
  build = await approveMany(scene, ['enrol'], 1);
  key = newKey(build);
});
afterEach(() => scene.close());

const once = (odd = {}): Promise<Ran> => scene.sign({ named: [build.build], ...odd });
const fingerprintOf = ({ certificate }: Ephemeral): string =>
  parseCertificate(certificate).primary.fingerprint;
const shown = (file: string): Promise<Buffer> => readFile(scene.path(buildPath(build.build, file)));
const notes = ({ events }: Ran): string[] =>
  events.flatMap((event) => (event.kind === 'note' ? [event.text] : []));

/** Lays files into the build, past every gate, in place of what is there. */
async function lay(files: Files): Promise<void> {
  for (const [file, bytes] of files) {
    const path = scene.path(buildPath(build.build, file));
    await mkdir(dirname(path), { recursive: true });
    await rm(path, { force: true });
    await writeFile(path, bytes);
  }
}

/** The receipt proves what the depot shows, to whoever has the log key alone. */
async function expectReceipt(of: Ephemeral = key): Promise<void> {
  const names = await readdir(scene.path(buildPath(build.build, 'enrolments')));
  const records = await Promise.all(
    names.filter((name) => name.endsWith('.json')).map((name) => shown(`enrolments/${name}`)),
  );
  const receipt = await shown(RECEIPT);
  const taken = records.flatMap((bytes) => {
    try {
      return [verifyEnrolment(receipt, bytes, scene.project.log).enrolment.certificate];
    } catch {
      return [];
    }
  });
  expect(taken).toEqual([of.certificate.toString('base64')]);
}

async function expectNotTaken(run: Ran, text: string): Promise<void> {
  expect(run).toMatchObject({ exit: 0, result: { outcome: 'waiting' } });
  expect(notes(run)).toEqual([
    expect.stringMatching(new RegExp(`^enrolments/b1.json is not taken: ${text}$`)),
  ]);
  expect(await scene.logged(build)).toBe('approval');
  await expect(shown(RECEIPT)).rejects.toThrow('ENOENT');
}

describe('a builder that enrols', () => {
  test('gets a receipt, builds, and is signed when nobody can enrol any more', async () => {
    await enrol(scene, build, 'b1', key);
    expect(await once()).toMatchObject({ exit: 0, result: { outcome: 'waiting' } });
    expect(await scene.logged(build)).toBe('approval enrolment');
    expect((await scene.log()).at(-1)).toMatchObject({
      keys: [fingerprintOf(key)],
      records: { [enrolmentFile(b1)]: sha256Hex(await shown(enrolmentFile(b1))) },
    });
    await expectReceipt();

    await attestBy(scene, withKey(build, 'b1', key), 'b1', contents);
    const text = /^it waits until .*Z: until then a second enrolment could show that a ticket was stolen$/;
    for (const seconds of [0, 10 * MINUTE - 1]) {
      scene.pass(seconds);
      const { result, exit } = await once();
      expect([result, exit]).toMatchObject([{ outcome: 'waiting', code: 'enrolment-open' }, 0]);
      expect(result?.text).toMatch(text);
      expect(await scene.logged(build)).toBe('approval enrolment statement');
    }
    scene.pass(1);
    expect((await once()).result).toMatchObject({ outcome: 'published' });
    const published = await readdir(scene.path('releases/hello/1.0/countersign/enrolments'));
    expect(published.sort()).toEqual(['b1.json', 'b1.json.mac', 'b1.json.receipt', 'b1.json.sig']);
    await rm(scene.path('releases/hello/1.0/countersign/enrolments/b1.json.mac'));
    expect((await once()).result).toMatchObject({ outcome: 'bad', code: 'release-differs' });
  });

  test.each([
    ['a second before enrolBy is taken', 10 * MINUTE - 1, 'approval enrolment'],
    ['at that second is not', 10 * MINUTE, 'approval'],
  ])('%s', async (_, seconds, entries) => {
    await enrol(scene, build, 'b1', key);
    scene.pass(seconds);
    await once();
    expect(await scene.logged(build)).toBe(entries);
  });

  test('late: it was not taken before; the build, which holds its version, is freed as the hint says', async () => {
    await once();
    await enrol(scene, build, 'b1', key);
    scene.pass(10 * MINUTE);
    const ran = await once();
    const builder = build.approval.builders[b1];
    const enrolBy = builder?.scheme === 'enrol' ? builder.enrolBy : '';
    expect(notes(ran)).toEqual([
      `enrolments/b1.json is not taken: it was not taken before ${enrolBy}, until when builder b1 could enrol`,
    ]);
    expect(ran.result).toMatchObject({
      outcome: 'waiting',
      text: `b1 did not enrol before ${enrolBy}: it can no longer be built`,
      hint: `countersign revoke ${build.build} --reason TEXT; then, with a longer --enrol-by: countersign approve 1.0 --scheme enrol --max-count 1000 --max-size 1G --max-total 1G --tickets DIR`,
    });
  });

  test('late, one of three, two of which must agree: the others are waited for', async () => {
    build = await approveMany(scene, ['enrol', 'enrol', 'enrol'], 2, { version: '2.0' });
    for (const slot of ['b1', 'b2']) await enrol(scene, build, slot, newKey(build));
    await once();
    scene.pass(10 * MINUTE);
    expect((await once()).result?.text).toBe('it waits for the statement of b1, b2');
  });

  test.each<[string, (first: ManyBuild) => Odd, string]>([
    [
      'a MAC keyed with what everybody can read',
      ({ tickets }) => ({ nonce: Buffer.from(sha256Hex(tickets['b1']?.nonce ?? Buffer.alloc(0)), 'hex') }),
      'its MAC is not made with the nonce of builder b1',
    ],
    [
      'the MAC of another slot',
      () => ({ macSlot: 'b2' }),
      'its MAC is not made with the nonce of builder b1',
    ],
    [
      'the MAC of a statement',
      () => ({ purpose: 'statement' }),
      'its MAC is not made with the nonce of builder b1',
    ],
    [
      'somebody else’s key, without possession',
      (first) => ({ possessor: newKey(first) }),
      'the signature is by .{40}, not by .{40}',
    ],
  ])('%s introduces nobody; the builder’s own beside it is taken', async (_, odd, text) => {
    await lay(enrolmentOf(scene, build, 'b1', key, odd(build)));
    const run = await once();
    await expectNotTaken(run, text);
    const own = newKey(build);
    await enrol(scene, build, 'b1', own);
    await once();
    expect(await scene.logged(build)).toBe('approval enrolment');
    await expectReceipt(own);
  });

  test.each<[string, () => Odd, string]>([
    ['of something else', () => ({ bytes: Buffer.from('{}') }), 'enrolment-malformed'],
    ['for another slot', () => ({ record: { slot: toSlot('b2', 'test') } }), 'enrolment-binding'],
    [
      'for another approval',
      () => ({ record: { approval: sha256Hex(Buffer.from('')) } }),
      'enrolment-binding',
    ],
    ['of no certificate', () => ({ record: { certificate: 'AAAA' } }), 'key-unusable'],
    [
      'of an approver’s key',
      () => ({ record: { certificate: scene.ada.certificate.bytes.toString('base64') } }),
      'key-unusable',
    ],
  ])('that has the nonce, and sends an enrolment %s, ends the build', async (_, odd, code) => {
    await lay(enrolmentOf(scene, build, 'b1', key, odd()));
    expect(await once()).toMatchObject({ exit: 1, result: { outcome: 'refused', code } });
    expect(await scene.logged(build)).toBe('approval refusal');
  });

  test('with the key of another builder of the build: refused', async () => {
    build = await approveMany(scene, ['enrol', 'enrol'], 2, { version: '2.0' });
    key = newKey(build);
    await enrol(scene, build, 'b1', key);
    await enrol(scene, build, 'b2', key);
    expect((await once()).result).toMatchObject({ outcome: 'refused', code: 'key-seen' });
    expect(await scene.logged(build)).toBe('approval enrolment refusal');
  });
});

describe('a ticket that was stolen', () => {
  const thief = (): Ephemeral => newKey(build, 'the thief');

  async function expectFrozen(run: Ran, other: Ephemeral): Promise<void> {
    expect(run).toMatchObject({ exit: 1, result: { outcome: 'refused', state: 'frozen', code: 'conflict' } });
    for (const each of [key, other]) expect(run.result?.text).toContain(fingerprintOf(each));
    expect(run.result?.text).toMatch(/somebody else has its ticket$/);
    expect(scene.agent.signatures).toBe(0);
    expect((await once()).result).toMatchObject({ outcome: 'decided', state: 'frozen' });
  }

  test('and used after the builder: frozen', async () => {
    await enrol(scene, build, 'b1', key);
    await once();
    const other = thief();
    await enrol(scene, build, 'b1', other);
    await expectFrozen(await once(), other);
    expect(await scene.logged(build)).toBe('approval enrolment refusal');
  });

  test('and used before the builder, whose own comes second: frozen', async () => {
    const other = thief();
    await enrol(scene, build, 'b1', other);
    await enrol(scene, build, 'b1', key);
    await expectFrozen(await once(), other);
  });

  test('and used once nobody can enrol any more, before it is signed: frozen, too', async () => {
    await enrol(scene, build, 'b1', key);
    await once();
    await attestBy(scene, withKey(build, 'b1', key), 'b1', contents);
    await once();
    scene.pass(10 * MINUTE);
    const other = thief();
    await enrol(scene, build, 'b1', other);
    await expectFrozen(await once(), other);
  });

  test('the same key again in other bytes is the builder’s own', async () => {
    await enrol(scene, build, 'b1', key);
    await once();
    const again = enrolmentOf(scene, build, 'b1', key);
    await lay(new Map([...again].map(([file, bytes]) => [file.replace('b1.json', 'b1.2.json'), bytes])));
    scene.pass(1);
    await once();
    expect(await scene.logged(build)).toBe('approval enrolment');
  });

  test('without its nonce: what a thief of the upload token lays beside it freezes nothing', async () => {
    await enrol(scene, build, 'b1', key);
    await once();
    await enrol(scene, build, 'b1', thief(), { nonce: Buffer.alloc(32) });
    await attestBy(scene, withKey(build, 'b1', key), 'b1', contents);
    scene.pass(10 * MINUTE);
    expect((await once()).result).toMatchObject({ outcome: 'published' });
  });
});

describe('a receipt', () => {
  test('is sent after a power cut right behind the entry', async () => {
    await enrol(scene, build, 'b1', key);
    const meddle = ({ journal }: SignerState): void => {
      const append = journal.append.bind(journal);
      journal.append = async (entry) => {
        await append(entry);
        if (entry.type === 'enrolment') throw new Error('power cut');
      };
    };
    await expect(once({ meddle })).rejects.toThrow('power cut');
    expect(await scene.logged(build)).toBe('approval enrolment');
    await once();
    await expectReceipt();
    expect(await scene.logged(build)).toBe('approval enrolment');
  });

  test('waits for a depot that is away, and comes again, the same, to one that has lost it, and the enrolment', async () => {
    await enrol(scene, build, 'b1', key);
    const submit = (): Promise<never> => Promise.reject(unable('network', 'the depot is away'));
    const depot = oddDepot(await scene.signerDepot(), { submit });
    expect((await once({ depot })).result).toMatchObject({ outcome: 'unfinished', code: 'network' });
    await once();
    await expectReceipt();
    const first = await shown(RECEIPT);
    await rm(scene.path(buildPath(build.build, 'enrolments')), { recursive: true });
    await once();
    await expectReceipt();
    expect(await shown(RECEIPT)).toEqual(first);
  });

  test('and its enrolment come back with a signer’s state', async () => {
    await lay(enrolmentOf(scene, build, 'b1', newKey(build), { nonce: Buffer.alloc(32) }));
    await enrol(scene, build, 'b1', key); // as the second
    await once();
    await attestBy(scene, withKey(build, 'b1', key), 'b1', contents);
    await writeFile(`${scene.state}/journal`, '');
    await rm(`${scene.state}/builds`, { recursive: true });
    scene.pass(10 * MINUTE);
    const { recovered, result } = await once({ recovering: true });
    expect(recovered).toMatchObject({ closed: 0 });
    expect(result).toMatchObject({ outcome: 'published' });
  });

  test('of a key that the log key alone introduced does not do: an intent that rests on it is not gone on with', async () => {
    await enrol(scene, build, 'b1', key);
    await once();
    await attestBy(scene, withKey(build, 'b1', key), 'b1', contents);
    scene.pass(10 * MINUTE);
    const meddle = ({ journal }: SignerState): void => {
      const append = journal.append.bind(journal);
      journal.append = async (entry) => {
        await append(entry);
        if (entry.type === 'intent') throw new Error('power cut');
      };
    };
    await expect(once({ meddle })).rejects.toThrow('power cut');
    const mac = `${scene.state}/builds/${build.build}/enrolments/b1.json.mac`;
    const good = await readFile(mac);
    await writeFile(
      mac,
      enrolmentOf(scene, build, 'b1', key, { nonce: Buffer.alloc(32) }).get('enrolments/b1.json.mac') ?? '',
    );
    const { result } = await once();
    expect(result).toMatchObject({ outcome: 'bad', state: 'verified', code: 'intent-invalid' });
    expect(result?.text).toContain('the log has no key that the nonce of builder b1 introduced');
    expect(scene.agent.signatures).toBe(0);
    await writeFile(mac, good);
    expect((await once()).result).toMatchObject({ outcome: 'published' });
  });
});
