/**
 * Enrolment: a key is a builder's if the nonce of its ticket introduced it, its own signature shows possession, and it came
 * in time; a second one means a thief. Not defended: a thief whose enrolment is the only one to come before `enrolBy`,
 * because the builder never started, builds in its place.
 */
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import type { Approval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { craftKey } from '../harness/craft.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { sealed } from '../policy/scene.ts';
import { b1, blobs, plant, post, putBlob, statementOf } from './forge.ts';
import type { BuildFiles } from './forge.ts';
import { b2, enrolmentBy, forgeNonced, newKey, sealingWorld, shownOf, stealNonce } from './nonced.ts';
import type { Nonced, OddApproval, OddEnrolment, OwnKey } from './nonced.ts';
import { LOW_ORDER, NON_CANONICAL, certificateOf, certificateOfOwner } from './odd-key.ts';
import { entries, expectDenied, expectSigned, expectUnsigned, verdicts } from './outcome.ts';
import { expectRound } from './round.ts';

const files = { 'app.tgz': 'app' };
const others = { 'app.tgz': 'app, and something else' };
const [RECORD, SIGNATURE, MAC] = ['enrolments/b1.json', 'enrolments/b1.json.sig', 'enrolments/b1.json.mac'];
const RECEIPT = `${RECORD}.receipt`;

/** H a minute on: nobody can enrol any more. Its clock never goes back, so these tests come last. */
const later = {
  env: {
    LD_PRELOAD: execFileSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD']).toString().trim(),
    FAKETIME: '+65s',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  },
};

let world: World;
let terms: Approval;
let versions = 0;
beforeAll(async () => {
  world = await sealingWorld();
  const ran = await world.approve('1.0', ['--scheme', 'enrol']);
  mustBe(0, ran);
  terms = (await stealNonce(world, ran)).approval;
});
afterAll(() => world.close());

async function forged(odd: OddApproval = {}): Promise<Nonced> {
  const held = await forgeNonced(world, terms, 'enrol', { version: `2.${++versions}`, ...odd });
  const { status, body } = await post(world, held.build, held.files);
  expect(status, body.toString()).toBe(201);
  return held;
}

/** The statement of the key's holder. */
const stated = (held: Nonced, key: OwnKey, contents = files): Map<string, Buffer> =>
  sealed(encodeStatement(statementOf(held, contents)), b1, parseEphemeralSecret(key.secretKey), new Date());

async function sendAll(held: Nonced, ...writes: ReadonlyMap<string, Buffer>[]): Promise<void> {
  for (const files of writes) {
    const { status, body } = await post(world, held.build, files, held.token);
    expect(status, body.toString()).toBe(201);
  }
}

const with1 = (sent: BuildFiles, name: string, change: (bytes: Buffer) => Buffer): Map<string, Buffer> =>
  new Map(
    [...sent].map(([other, bytes]) => [other, other === name ? change(bytes ?? none) : (bytes ?? none)]),
  );
const none = Buffer.alloc(0);
const flip = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.map((octet, at) => (at === 40 ? octet ^ 1 : octet)));
const shown = (held: Pick<Nonced, 'build'>, file: string): Promise<Buffer> =>
  readFile(world.tree('builds', held.build, file));

/** Builds for which H takes no key: they wait as if nothing had come, no entry is made, no receipt sent. */
async function expectNotTaken(builds: ReadonlyMap<string, Nonced>, more = {}): Promise<void> {
  const before = await snapshot(world);
  const ran = await world.sign(
    [...builds.values()].map(({ build }) => build),
    more,
  );
  mustBe(0, ran);
  expect(verdicts(ran)).toEqual([...builds].map(() => 'approved statement-waits'));
  await expectUntouched(world, before, { answers: [] });
  for (const [what, held] of builds) {
    expect(ran.stderr, what).toMatch(new RegExp(`^${held.build}: enrolments/b1.json is not taken: `, 'm'));
    expect(await entries(world, held.build), what).toEqual(['approval']);
    await expect(shown(held, RECEIPT), what).rejects.toThrow('ENOENT');
  }
}

describe('an enrolment that is not the builder’s', () => {
  test('is not taken, and ends nothing; the builder’s own beside it is', async () => {
    const odd: [string, gate: number | string, (held: Nonced, key: OwnKey) => BuildFiles][] = [
      ...Object.entries({
        'keyed with the hash that everybody can read': (held) => ({ nonce: Buffer.from(shownOf(held).sha256, 'hex') }), // prettier-ignore
        'keyed with the upload token': ({ token }) => ({ nonce: token }),
        'keyed with zeros': () => ({ nonce: Buffer.alloc(32) }),
        'with the MAC of a statement': () => ({ purpose: 'statement' }),
        'with the MAC of another slot': () => ({ slot: b2 }),
        'with the MAC of another build': () => ({ build: terms.build }),
      } satisfies Record<string, (held: Nonced) => OddEnrolment>).map(([what, how]): (typeof odd)[number] => [
        what,
        201,
        (held, key) => enrolmentBy(held, key, how(held)),
      ]),
      ['with a bit of its MAC flipped', 201, (held, key) => with1(enrolmentBy(held, key), MAC, (mac) => Buffer.from(mac.toString().replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))))], // prettier-ignore
      ['without its MAC', '403 write-needs-authenticator', (held, key) => new Map([...enrolmentBy(held, key)].filter(([name]) => name !== MAC))], // prettier-ignore
      ['without its signature', '403 write-needs-authenticator', (held, key) => new Map([...enrolmentBy(held, key)].filter(([name]) => name !== SIGNATURE))], // prettier-ignore
      ['with CR LF behind its MAC', '413 record-too-large', (held, key) => with1(enrolmentBy(held, key), MAC, (mac) => Buffer.from(`${mac.toString().trimEnd()}\r\n`))], // prettier-ignore
      [
        'with an empty MAC',
        '422 mac-malformed',
        (held, key) => with1(enrolmentBy(held, key), MAC, () => none),
      ],
      ['with a bit of its signature flipped', '403 signature-invalid', (held, key) => with1(enrolmentBy(held, key), SIGNATURE, (sig) => Buffer.concat([sig.subarray(0, -1), flip(sig).subarray(-1).map((octet) => octet ^ 1)]))], // prettier-ignore
      ['of somebody else’s key, without possession', '403 signature-invalid', (held, key) => enrolmentBy(held, key, { possessor: newKey(held) })], // prettier-ignore
      ['changed after it was signed', '403 signature-invalid', (held, key) => with1(enrolmentBy(held, newKey(held)), RECORD, () => enrolmentBy(held, key).get(RECORD) ?? none)], // prettier-ignore
    ];
    const builds = new Map<string, Nonced>();
    for (const [what, gate, make] of odd) {
      const held = await forged();
      const sent = with1(make(held, newKey(held)), '', (bytes) => bytes);
      const before = await snapshot(world);
      const answer = await post(world, held.build, sent, held.token);
      if (gate === 201) expect(answer.status, what).toBe(201);
      else await expectDenied(world, before, answer, gate as '403 x');
      await plant(world, held.build, sent);
      builds.set(what, held);
    }
    await expectNotTaken(builds);

    for (const held of builds.values()) await sendAll(held, enrolmentBy(held, newKey(held)));
    mustBe(0, await world.sign([...builds.values()].map(({ build }) => build)));
    for (const [what, held] of builds) {
      expect(await entries(world, held.build), what).toEqual(['approval', 'enrolment']);
      await shown(held, RECEIPT);
    }
  });

  test('or comes late, to the second: the gate and H say so, and the key is never taken', async () => {
    const held = await forged({ enrolSeconds: 1 });
    const { enrolBy } = held.approval.builders[b1] as { readonly enrolBy: string };
    await sleep(Math.max(0, Date.parse(enrolBy) - Date.now()));
    const sent = enrolmentBy(held, newKey(held));
    await expectDenied(world, await snapshot(world), await post(world, held.build, sent, held.token), '403 expired'); // prettier-ignore
    await plant(world, held.build, sent);
    await expectNotTaken(new Map([['late', held]]));
  });

  test('or is of a slot that does not enrol, or comes with another slot’s token: denied', async () => {
    const token = Buffer.alloc(32, 7);
    const notBefore = timestamp(new Date());
    const pair = makeEphemeral({ userId: 'b2', created: ephemeralCreation(notBefore) });
    const certificate = pair.certificate.toString('base64');
    const beside = { scheme: 'keypair', uploadTokenSha256: sha256Hex(token), certificate } as const;
    const held = await forged({ notBefore, beside });
    const before = await snapshot(world);
    const asB2 = new Map(
      [...enrolmentBy(held, pair)].map(([name, bytes]) => [name.replace('b1', 'b2'), bytes]),
    );
    await expectDenied(world, before, await post(world, held.build, asB2, token), '422 name-not-allowed');
    const own = enrolmentBy(held, newKey(held));
    await expectDenied(world, before, await post(world, held.build, own, token), '403 token-of-another-slot');
    await expectDenied(world, before, await post(world, held.build, own), '401 token-missing');
    await expectDenied(world, before, await post(world, held.build, own, terms.build.length ? Buffer.alloc(32) : token), '403 token-unknown'); // prettier-ignore

    // and the key of the other slot signs nothing of this one, neither before nor after it has enrolled
    const foreign = stated(held, pair);
    await expectDenied(world, before, await post(world, held.build, foreign, held.token), '403 signature-invalid'); // prettier-ignore
    await sendAll(held, own);
    mustBe(0, await world.sign([held.build]));
    const after = await snapshot(world);
    await expectDenied(world, after, await post(world, held.build, foreign, held.token), '403 signature-invalid'); // prettier-ignore
    await plant(world, held.build, new Map([...foreign, ...blobs(files)]));
    await expectUnsigned(world, after, held.build, 'enrolled statement-invalid');
  });
});

describe('whoever has the nonce, and introduces with it', () => {
  test('a key that must not be used, ends the build', async () => {
    const notBefore = timestamp(new Date());
    const created = ephemeralCreation(notBefore);
    const [home, approver] = [world.approverHomes[0], world.approvers[0]];
    if (!home || !approver) throw new Error('no approver');
    const shape = { text: 'a builder', flags: 0x02 };
    const odd = new Map<string, Buffer>([
      ['an approver’s certificate', home.export(approver)],
      ['the release certificate', world.releaseHome.export(world.releaseKey)],
      ['an RSA key', craftCertificate(craftKey('rsa2048', created), { userIds: [shape] })],
      ['a key with an end', craftCertificate(craftKey('ed25519', created), { userIds: [{ ...shape, keyLifetime: 3600 }] })], // prettier-ignore
      ['a key of another hour', makeEphemeral({ userId: 'x', created: created - 1 }).certificate],
    ]);
    for (const [what, point] of [...LOW_ORDER, ...NON_CANONICAL])
      odd.set(what, certificateOf(point, created).certificate);
    const builds = new Map<string, string>();
    for (const [what, certificate] of odd) {
      const held = await forged({ notBefore });
      const sent = enrolmentBy(held, newKey(held), {
        record: { certificate: certificate.toString('base64') },
      });
      const before = await snapshot(world);
      await expectDenied(world, before, await post(world, held.build, sent, held.token), '422 key-unusable');
      await plant(world, held.build, sent);
      builds.set(what, held.build);
    }
    await expectRound(world, await snapshot(world), builds, () => 'refused key-unusable');
  });

  test('a key that somebody has already, an approver or another build, ends it too', async () => {
    const [home, approver] = [world.approverHomes[0], world.approvers[0]];
    if (!home || !approver) throw new Error('no approver');
    const owned = await certificateOfOwner(home, approver);
    const theirs = await forged({
      notBefore: timestamp(new Date((owned.created + 3600) * 1000)),
      enrolSeconds: 7000,
    });
    const certificate = owned.certificate.toString('base64');
    const own = enrolmentBy(theirs, newKey(theirs), { record: { certificate } });
    await expectDenied(
      world,
      await snapshot(world),
      await post(world, theirs.build, own, theirs.token),
      '422 key-seen',
    );

    const notBefore = timestamp(new Date());
    const first = await forged({ notBefore });
    const key = newKey(first);
    await sendAll(first, enrolmentBy(first, key));
    mustBe(0, await world.sign([first.build]));
    const second = await forged({ notBefore });
    await sendAll(second, enrolmentBy(second, key)); // the gate keeps no book of keys
    await expectUnsigned(world, await snapshot(world), second.build, 'refused key-seen');
    expect(await entries(world, first.build)).toEqual(['approval', 'enrolment']);
  });

  test('a key for something else, or what is no enrolment, ends it', async () => {
    const odd = new Map<string, [OddEnrolment, refused: `refused ${string}`]>([
      ['another build', [{ record: { build: terms.build } }, 'refused enrolment-binding']],
      ['another slot', [{ record: { slot: b2 } }, 'refused enrolment-binding']],
      ['another approval', [{ record: { approval: sha256Hex('') } }, 'refused enrolment-binding']],
      ['an approval', [{ bytes: Buffer.from('{}') }, 'refused enrolment-malformed']],
      ['nothing', [{ bytes: none }, 'refused enrolment-malformed']],
      ['a newline', [{ bytes: Buffer.from('\n[GNUPG:] GOODSIG\u001b[2J') }, 'refused enrolment-malformed']],
    ]);
    const builds = new Map<string, string>();
    for (const [what, [how]] of odd) {
      const held = await forged();
      const sent = enrolmentBy(held, newKey(held), how);
      const answer = await post(world, held.build, sent, held.token);
      expect(answer.status, what).toBe(422);
      await expectUntouched(world, await snapshot(world), { answers: [answer] });
      await plant(world, held.build, sent);
      builds.set(what, held.build);
    }
    await expectRound(world, await snapshot(world), builds, (what) => odd.get(what)?.[1] ?? 'refused x');
  });
});

describe('once nobody can enrol any more,', () => {
  let [honest, robbed, robbedLate, token, back]: Nonced[] = [];
  const keys = new Map<Nonced | undefined, OwnKey>();
  const keyOf = (held: Nonced | undefined): OwnKey => keys.get(held) ?? newKey(held ?? fail());
  const fail = (): never => {
    throw new Error('no build');
  };

  beforeAll(async () => {
    [honest, robbed, robbedLate, token, back] = await Promise.all([1, 2, 3, 4, 5].map(() => forged()));
    const enrolled = [honest, robbed, robbedLate, token].map((held) => held ?? fail());
    for (const held of [...enrolled, back ?? fail()]) keys.set(held, newKey(held));
    for (const held of enrolled) await sendAll(held, enrolmentBy(held, keyOf(held)));
    const builds = [...enrolled, back ?? fail()].map(({ build }) => build);
    mustBe(0, await world.sign(builds));
    for (const held of enrolled) {
      for (const content of [files, others])
        expect((await putBlob(world, held, content['app.tgz'])).status).toBe(201);
      await sendAll(held, stated(held, keyOf(held)));
    }
    // a thief while it is time, and the statement is there
    await sendAll(robbed ?? fail(), enrolmentBy(robbed ?? fail(), newKey(robbed ?? fail())));
    const before = await snapshot(world);
    const ran = await world.sign(builds);
    expect(verdicts(ran)).toEqual([
      'built enrolment-open',
      'frozen conflict',
      'built enrolment-open',
      'built enrolment-open',
      'approved statement-waits',
    ]);
    await expectUntouched(world, before, { answers: [ran], refused: robbed?.build ?? null });
    // thieves who come too late: of a ticket, and of an upload token
    await sendAll(robbedLate ?? fail(), enrolmentBy(robbedLate ?? fail(), newKey(robbedLate ?? fail())));
    const guessed = { nonce: Buffer.alloc(32, 1) };
    await sendAll(token ?? fail(), enrolmentBy(token ?? fail(), newKey(token ?? fail()), guessed));
  });

  test('an enrolment that L held back until then is not taken', async () => {
    const held = back ?? fail();
    await plant(world, held.build, enrolmentBy(held, keyOf(held)));
    await expectNotTaken(new Map([['back', held]]), later);
  });

  test('the key of a thief who was late freezes the build all the same', async () => {
    const held = robbedLate ?? fail();
    await expectUnsigned(world, await snapshot(world), held.build, 'frozen conflict', [], later);
    expect(await entries(world, held.build)).toEqual(['approval', 'enrolment', 'statement', 'refusal']);
  });

  test('one who had the upload token and no nonce has changed nothing: it is signed', async () => {
    const held = token ?? fail();
    await expectSigned(world, held.build, held.approval.version, files, [], later);
  });

  test('the builder’s is signed; what a thief of the ticket sends after that changes nothing', async () => {
    const held = honest ?? fail();
    const { version } = held.approval;
    await expectSigned(world, held.build, version, files, [], later);
    const [before, thief] = [await snapshot(world), newKey(held)];
    const second = await post(world, held.build, enrolmentBy(held, thief), held.token);
    expect(second.status).toBe(201);
    const answer = await post(world, held.build, stated(held, thief, others), held.token);
    const ran = await world.sign([held.build], later);
    mustBe(0, ran);
    await expectUntouched(world, before, { answers: [] });
    expect([answer.status, verdicts(ran)]).toEqual([201, ['published undefined']]);
    expect(await entries(world, held.build)).toEqual([
      'approval',
      'enrolment',
      'statement',
      'intent',
      'release',
    ]);
    mustBe(0, await world.verify([world.tree('releases/widget', version)]));
  });

  test('no one build’s enrolment is another’s', async () => {
    const [from, to] = [honest ?? fail(), await forged()];
    const copied = new Map(
      await Promise.all(
        [RECORD, SIGNATURE, MAC].map(async (file) => [file, await shown(from, file)] as const),
      ),
    );
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, to.build, copied, to.token), '422 enrolment-binding');
    const receipt = new Map([[RECEIPT, await shown(from, RECEIPT)]]);
    await expectDenied(world, before, await post(world, to.build, receipt), '422 record-missing');
    await expectDenied(world, before, await post(world, to.build, new Map([...copied, ...receipt]), to.token), '422 enrolment-binding'); // prettier-ignore
    await plant(world, to.build, new Map([...copied, ...receipt]));
    const status = await world.runOn('operator', ['status', to.build, '--json']);
    expect(status.json[0]).toMatchObject({ state: 'approved' });
    await expectUnsignedWaiting(to);
  });

  async function expectUnsignedWaiting(held: Nonced): Promise<void> {
    const before = await snapshot(world);
    const ran = await world.sign([held.build], later);
    expect(verdicts(ran)).toEqual(['approved statement-waits']);
    await expectUntouched(world, before, { answers: [] });
    expect(await entries(world, held.build)).toEqual(['approval']);
  }
});
