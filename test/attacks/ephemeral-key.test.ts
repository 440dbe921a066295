/**
 * A build's own key: one that is none, one that was used before, one that says two things, one that is used where it
 * has no business.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import type { Approval, KeypairBuilder } from '../../src/records/approval.ts';
import { timestamp, toBuildId, toSlot } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import type { Ticket } from '../../src/records/ticket.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { craftKey } from '../harness/craft.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved } from '../harness/world.ts';
import { sealed } from '../policy/scene.ts';
import { asSecond, blobs, forgeApproval, plant, post, putBlob, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { LOW_ORDER, NON_CANONICAL, certificateOf, certificateOfOwner } from './odd-key.ts';
import { entries, expectDenied, expectSigned, expectUnsigned } from './outcome.ts';
import { expectRound } from './round.ts';

const files = { 'app.tgz': 'app' };
const others = { 'app.tgz': 'app, and something else' };

let world: World;
/** A finished build, and the key that it had. */
let spent: Held;
let terms: Approval;

beforeAll(async () => {
  world = await World.make();
  const { ticket, ...held } = await stolen('1.0');
  mustBe(0, await world.attest(ticket, files));
  mustBe(0, await world.sign());
  spent = held;
  terms = held.approval;
});
afterAll(() => world.close());

async function stolen(version: string, ...args: string[]): Promise<Approved & Held> {
  const ran = await world.approve(version, args);
  mustBe(0, ran);
  return { ...ran, ...(await steal(world, ran)) };
}

/** Terms of an approval for this version. */
const version = (name: string): Approval => ({ ...terms, version: name as Approval['version'] });

/** When the keys are made that are nobody's, and from when on their approvals are valid: nothing else is wrong with them. */
const notBefore = timestamp(new Date());
const created = ephemeralCreation(notBefore);

/** Approvals that an approver signed for these keys, planted where no gate is. */
async function plantKeys(keys: ReadonlyMap<string, Buffer>): Promise<Map<string, string>> {
  const builds = new Map<string, string>();
  for (const [what, certificate] of keys) {
    const forged = forgeApproval(world, version(`2.${builds.size}`), { notBefore }, certificate);
    await expectDenied(
      world,
      await snapshot(world),
      await post(world, forged.build, forged.files),
      '422 key-unusable',
    );
    await plant(world, forged.build, new Map([...forged.files, ...sign(forged, statementOf(forged, files)), ...blobs(files)])); // prettier-ignore
    builds.set(what, forged.build);
  }
  return builds;
}

describe('an approver signs an approval for', () => {
  test('a key that is none: of low order, or written in a second way', async () => {
    const points = [...LOW_ORDER, ...NON_CANONICAL].map(
      ([what, point]) => [what, certificateOf(point, created)] as const,
    );
    // with Node 20 these would pass where only the self-signature is checked; a newer OpenSSL takes none of them
    const taken = points.filter(([, { signs }]) => signs).length;
    expect(taken === 0 || taken >= LOW_ORDER.size).toBe(true);
    const before = await snapshot(world);
    const builds = await plantKeys(new Map(points.map(([what, { certificate }]) => [what, certificate])));
    await expectRound(world, before, builds, () => 'refused key-unusable');
  });

  test('a key of any shape but the one', async () => {
    const key = craftKey('ed25519', created);
    const shape = { text: 'a builder', flags: 0x02 };
    const { certificate } = makeEphemeral({ userId: 'a builder', created });
    const later = makeEphemeral({ userId: 'a builder', created: created + 1 });
    const shapes = new Map([
      ['an RSA key', craftCertificate(craftKey('rsa2048', created), { userIds: [shape] })],
      ['an end of its validity', craftCertificate(key, { userIds: [{ ...shape, keyLifetime: 3600 }] })],
      ['a second user id', craftCertificate(key, { userIds: [shape, shape] })],
      [
        'a subkey',
        craftCertificate(key, { userIds: [shape], subkeys: [{ key: craftKey('ed25519', created) }] }),
      ],
      ['a revocation', craftCertificate(key, { userIds: [shape], revoked: true })],
      [
        'an approver’s certificate',
        world.approverHomes[0]?.export(world.approvers[0] ?? '') ?? Buffer.alloc(0),
      ],
      ['the release certificate', world.releaseHome.export(world.releaseKey)],
      ['another hour', later.certificate],
      ['the headers of old', Buffer.concat([Buffer.from([0x98, 51]), certificate.subarray(2)])],
      ['a packet more', Buffer.concat([certificate, encodePacket(12, Buffer.from([1, 2]))])],
    ]);
    const before = await snapshot(world);
    await expectRound(world, before, await plantKeys(shapes), () => 'refused key-unusable');
  });

  test('their own key, in the shape of a builder’s', async () => {
    const [home, approver] = [world.approverHomes[0], world.approvers[0]];
    if (!home || !approver) throw new Error('no approver');
    const own = await certificateOfOwner(home, approver);
    const notBefore = timestamp(new Date((own.created + 3600) * 1000));
    const forged = forgeApproval(world, version('2.own'), { notBefore }, own.certificate);
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, forged.build, forged.files), '422 key-seen');
    await plant(world, forged.build, forged.files);
    await expectUnsigned(world, before, forged.build, 'refused key-seen');
  });

  test('a key with an odd but printable user id, in a slot with an odd name: it is signed', async () => {
    const userId = '[GNUPG:] VALIDSIG %0a "x" <y@z> \\ \'$(id)\' : ;';
    const key = makeEphemeral({ userId, created });
    const secret = parseEphemeralSecret(key.secretKey);
    const slot = toSlot('0-linux-x64', 'test');
    const token = Buffer.alloc(32, 7);
    const builder: KeypairBuilder = {
      scheme: 'keypair',
      uploadTokenSha256: sha256Hex(token),
      certificate: key.certificate.toString('base64'),
    };
    const forged = forgeApproval(world, version('3.0'), { notBefore, builders: { [slot]: builder } });
    expect((await post(world, forged.build, forged.files)).status).toBe(201);
    expect((await putBlob(world, { ...forged, token }, files['app.tgz'])).status).toBe(201);
    const statement = encodeStatement(statementOf(forged, files, { slot }));
    const sent = await post(world, forged.build, sealed(statement, slot, secret, new Date()), token);
    expect(sent.status).toBe(201);
    await expectSigned(world, forged.build, '3.0', files);
  });
});

describe('a key seen before', () => {
  test('that a finished build had: another approval for it is refused, and so is all that it signs', async () => {
    const { notBefore } = spent.approval;
    const forged = {
      ...forgeApproval(world, version('4.0'), { notBefore }, spent.secret.certificate),
      secret: spent.secret,
    };
    const before = await snapshot(world);
    // the gate keeps no book of keys: it lets all of it in
    expect((await post(world, forged.build, forged.files)).status).toBe(201);
    expect((await putBlob(world, forged, others['app.tgz'])).status).toBe(201);
    const statement = sign(forged, statementOf(forged, others));
    expect((await post(world, forged.build, statement, forged.token)).status).toBe(201);
    await expectUnsigned(world, before, forged.build, 'refused key-seen');
  });

  test('in an approval that H sees in the same round: the first is signed, the second is not', async () => {
    const first = await stolen('4.1');
    const { notBefore } = first.approval;
    const second = {
      ...forgeApproval(world, version('4.2'), { notBefore }, first.secret.certificate),
      secret: first.secret,
    };
    mustBe(0, await world.attest(first.ticket, files));
    await plant(world, second.build, new Map([...second.files, ...sign(second, statementOf(second, others)), ...blobs(others)])); // prettier-ignore
    const ran = await world.sign([first.build, second.build]);
    expect(ran.json).toMatchObject([{ state: 'published' }, { state: 'refused', code: 'key-seen' }]);
    await expectUntouched(world, await snapshot(world), { answers: [ran], refused: second.build });
    await expectSigned(world, first.build, '4.1', files);
  });
});

describe('a key that says two things', () => {
  test('the gate keeps both, and H freezes the build', async () => {
    const held = await stolen('5.0');
    mustBe(0, await world.attest(held.ticket, files));
    const before = await snapshot(world);
    const second = sign(held, statementOf(held, others));
    expect((await post(world, held.build, second, held.token)).status).toBe(201);
    await expectUnsigned(world, before, held.build, 'frozen conflict');
    const status = await world.runOn('operator', ['status', held.build]);
    expect(status.stdout).toContain('app.tgz');
  });

  test('the ticket used on two machines: the second is told, and H freezes the build', async () => {
    const held = await stolen('5.1');
    const copy = world.path('M', 'copied.ticket');
    await writeFile(copy, await readFile(held.ticket));
    mustBe(0, await world.attest(held.ticket, files));
    const before = await snapshot(world);
    const second = await world.attest(copy, others);
    expect(second.error?.code).toBe('statement-not-first');
    await expectUntouched(world, before, { answers: [second] });
    await expectUnsigned(world, before, held.build, 'frozen conflict');
  });

  test.each([
    ['a file more', { ...files, extra: 'x' }],
    ['a file less', { 'doc.txt': 'd' }],
    ['another name for the same bytes', { 'app.tar': 'app' }],
  ])('%s is a conflict too', async (what, contents) => {
    const held = await stolen(`5.2-${what.replaceAll(' ', '-')}`);
    const first = { ...files, 'doc.txt': 'd' };
    mustBe(0, await world.attest(held.ticket, first));
    const before = await snapshot(world);
    await plant(world, held.build, asSecond(sign(held, statementOf(held, contents))));
    await expectUnsigned(world, before, held.build, 'frozen conflict');
  });

  test('that are the same artifacts: the second is ignored', async () => {
    const held = await stolen('5.3');
    const copy = world.path('M', 'copied-again.ticket');
    await writeFile(copy, await readFile(held.ticket));
    mustBe(0, await world.attest(held.ticket, files));
    expect((await world.attest(copy, files)).error?.code).toBe('statement-not-first');
    const again = sign(held, statementOf(held, files, { invocationId: 'urn:x:again', command: 'make' }));
    expect((await post(world, held.build, again, held.token)).status).toBe(201);
    await expectSigned(world, held.build, '5.3', files);
  });

  test('after the release: nothing is signed any more, what is published stays, and the log says it once', async () => {
    const { build, token } = spent;
    const before = await snapshot(world);
    const late = sign(spent, statementOf(spent, others));
    expect((await post(world, build, late, token)).status).toBe(201);
    for (const run of [1, 2]) {
      const ran = await world.sign([build]);
      mustBe(0, ran);
      expect(ran.stderr, `run ${run}`).toContain(
        'a builder vouched for other artifacts (statements/b1.2.json)',
      );
    }
    await expectUntouched(world, before, { answers: [] });
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release', 'conflict']);
  });
});

describe('when a key signs', () => {
  const minutes = (from: Date, count: number): Date => new Date(from.getTime() + count * 60_000);

  test.each([
    ['eleven minutes before its time', -11, '422 statement-time', 'refused statement-time'],
    ['eleven minutes ahead of H', 11, '403 signature-invalid', 'approved statement-invalid'],
  ] as const)('%s: not believed', async (what, count, denied, verdict) => {
    const held = await stolen(`6.0-${what.replaceAll(' ', '-')}`);
    const before = await snapshot(world);
    const statement = sign(held, statementOf(held, files), minutes(new Date(), count));
    await expectDenied(world, before, await post(world, held.build, statement, held.token), denied);
    await plant(world, held.build, new Map([...statement, ...blobs(files)]));
    await expectUnsigned(world, before, held.build, verdict);
  });

  test.each([
    ['nine minutes before its time', -9],
    ['nine minutes ahead of H', 9],
  ])('%s: clocks differ, it is signed', async (what, count) => {
    const name = `6.1-${what.replaceAll(' ', '-')}`;
    const held = await stolen(name);
    const statement = sign(held, statementOf(held, files), minutes(new Date(), count));
    expect((await putBlob(world, held, files['app.tgz'])).status).toBe(201);
    expect((await post(world, held.build, statement, held.token)).status).toBe(201);
    await expectSigned(world, held.build, name, files);
  });
});

describe('a ticket used for what it is not', () => {
  let mine: Approved & Held;
  let yours: Approved & Held;
  beforeAll(async () => {
    mine = await stolen('7.0-mine');
    yours = await stolen('7.0-yours');
  });

  /** `attest` with a ticket put together by hand. */
  async function expectRefused(
    name: string,
    code: string,
    change: (mine: Ticket, yours: Ticket) => Ticket,
  ): Promise<void> {
    const [one, other] = [await readFile(mine.ticket, 'utf8'), await readFile(yours.ticket, 'utf8')];
    const path = world.path('M', `${name}.ticket`);
    await writeFile(path, formatTicket(change(parseTicket(one), parseTicket(other))), { mode: 0o600 });
    const before = await snapshot(world);
    const ran = await world.attest(path, others);
    expect(ran.error?.code, ran.stderr).toBe(code);
    await expectUntouched(world, before, { answers: [ran] });
    expect(ran.stdout + ran.stderr).not.toContain(parseTicket(one).uploadToken);
  }

  test('for another build', () =>
    expectRefused('build', 'approval-mismatch', (ticket) => ({
      ...ticket,
      build: toBuildId(yours.build, 'test'),
    })));
  test('for another build, under its approval', () =>
    expectRefused('approval', 'token-unknown', (ticket, { build, approval }) => ({
      ...ticket,
      build,
      approval,
    })));
  test('for another build, with its token', () =>
    expectRefused('token', 'signature-invalid', (ticket, { build, approval, uploadToken }) => ({ ...ticket, build, approval, uploadToken }))); // prettier-ignore
  test('for another slot', () =>
    expectRefused('slot', 'token-of-another-slot', (ticket) => ({ ...ticket, slot: toSlot('b2', 'test') })));

  test('its statement in another slot is not the slot’s', async () => {
    const before = await snapshot(world);
    const b2 = encodeStatement(statementOf(mine, others, { slot: toSlot('b2', 'test') }));
    const statement = sign(mine, b2);
    await expectDenied(
      world,
      before,
      await post(world, mine.build, statement, mine.token),
      '422 statement-binding',
    );
    await plant(world, mine.build, new Map([...statement, ...blobs(others)]));
    await expectUnsigned(world, before, mine.build, 'refused statement-binding');
  });

  test('the other build is none the worse for it', async () => {
    mustBe(0, await world.attest(yours.ticket, files));
    await expectSigned(world, yours.build, '7.0-yours', files);
  });
});
