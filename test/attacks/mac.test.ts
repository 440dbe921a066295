/**
 * The MAC: it convinces H if the ticket's nonce made it, over these bytes, for this build and slot, as a statement's. L can
 * check none of it, so what it lets pass is H's to find out; and as L could have spoilt it, it ends nothing. Not defended:
 * whoever has the nonce, H among them, makes every MAC; and whoever has the upload token can be first with a bad one.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import type { Approval } from '../../src/records/approval.ts';
import { toSlot } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe } from '../harness/world.ts';
import type { Approved, World } from '../harness/world.ts';
import { sealed } from '../policy/scene.ts';
import { asSecond, b1, blobs, plant, post, putBlob, statementOf } from './forge.ts';
import { forgeNonced, macBy, macked, sealingWorld, shownOf, stealNonce } from './nonced.ts';
import type { Nonced, OddApproval } from './nonced.ts';
import { entries, expectDenied, expectSigned, expectUnsigned } from './outcome.ts';
import { expectRound } from './round.ts';

const files = { 'app.tgz': 'app' };
const others = { 'app.tgz': 'app, and something else' };
const MAC = 'statements/b1.json.mac';

let world: World;
/** A finished build. */
let old: Nonced;
let terms: Approval;
let versions = 0;
beforeAll(async () => {
  world = await sealingWorld();
  const ran = await approve('1.0');
  old = await stealNonce(world, ran);
  terms = old.approval;
  mustBe(0, await world.attest(ran.ticket, files));
  await expectSigned(world, old.build, '1.0', files);
});
afterAll(() => world.close());

async function approve(version: string): Promise<Approved> {
  const ran = await world.approve(version, ['--scheme', 'mac']);
  mustBe(0, ran);
  return ran;
}

/** An approved build, past the gate, with its artifacts. */
async function forged(odd: OddApproval = {}): Promise<Nonced> {
  const held = await forgeNonced(world, terms, 'mac', { version: `2.${++versions}`, ...odd });
  const { status, body } = await post(world, held.build, held.files);
  expect(status, body.toString()).toBe(201);
  await plant(world, held.build, blobs(files));
  return held;
}

const text = (mac: Buffer): string => mac.toString().trimEnd();
const flipped = (bytes: Buffer, at: number): Buffer =>
  Buffer.from(bytes.map((octet, index) => (index === at ? octet ^ 1 : octet)));

/** What somebody makes of a statement without the nonce, or of a MAC that was made with it. */
function badMacs(held: Nonced, bytes: Buffer): Map<string, Buffer> {
  const good = macBy(held, 'statement', bytes);
  const raw = Buffer.from(text(good), 'base64');
  const line = (mac: Buffer | string): Buffer => Buffer.from(`${mac.toString('base64')}\n`);
  const odd = (how: Parameters<typeof macBy>[3], of = bytes): Buffer => macBy(held, 'statement', of, how);
  const hmac = (key: string | Buffer): Buffer => line(createHmac('sha256', key).update(bytes).digest());
  const published = Buffer.from(shownOf(held).sha256, 'hex');
  return new Map([
    ['its first bit flipped', line(flipped(raw, 0))],
    ['its last bit flipped', line(flipped(raw, 31))],
    ['of other bytes', odd({}, flipped(bytes, bytes.length - 3))],
    ['keyed with the hash that everybody can read', odd({ nonce: published })],
    ['keyed with that hash, without more ado', hmac(published)],
    ['keyed with the upload token', odd({ nonce: held.token })],
    ['keyed with nothing', hmac('')],
    ['keyed with zeros', odd({ nonce: Buffer.alloc(32) })],
    ['keyed with the nonce itself', hmac(held.nonce)],
    ['of another slot', odd({ slot: toSlot('b2', 'test') })],
    ['of another build', odd({ build: old.build })],
    ['with the nonce of another build', odd({ nonce: old.nonce })],
    ['of an enrolment', odd({ purpose: 'enrolment' })],
    ['all zeros', line(Buffer.alloc(32))],
  ]);
}

/** What is not the one way to write a MAC: the gate sees that. */
function malformedMacs(held: Nonced, bytes: Buffer): Map<string, Buffer> {
  const good = macBy(held, 'statement', bytes);
  const raw = Buffer.from(text(good), 'base64');
  return new Map(
    Object.entries({
      nothing: '',
      'without its line feed': text(good),
      'with another line feed': `${text(good)}\n\n`,
      'with CR LF': `${text(good)}\r\n`,
      'with bytes behind': `${text(good)}\nx`,
      'with a space in front': ` ${text(good)}\n`,
      'without its padding': `${text(good).replace('=', '')}\n`,
      'with other bits behind its end': `${text(good).slice(0, -2)}${String.fromCharCode(text(good).charCodeAt(42) + 1)}=\n`,
      'in the alphabet of URLs': `${Buffer.alloc(32, 0xff).toString('base64url')}=\n`,
      'in hex': `${raw.toString('hex')}\n`,
      'as it is': raw,
      twice: Buffer.concat([good, good]),
      'cut in half': good.subarray(0, 22),
      'sixteen bytes of it': `${raw.subarray(0, 16).toString('base64')}\n`,
      large: Buffer.alloc(60_000, good),
    }).map(([what, mac]) => [what, Buffer.from(mac)]),
  );
}

describe('a statement with a MAC that the nonce did not make', () => {
  test('passes the gate, which cannot tell, and not H; it heals when the builder’s own is there', async () => {
    const builds = new Map<string, string>();
    const all = new Map<string, Nonced>();
    for (const what of badMacs(old, Buffer.alloc(9)).keys()) {
      const held = await forged();
      const bytes = encodeStatement(statementOf(held, files));
      const mac = badMacs(held, bytes).get(what) ?? Buffer.alloc(0);
      expect((await post(world, held.build, macked(held, bytes, mac), held.token)).status, what).toBe(201);
      builds.set(what, held.build);
      all.set(what, held);
    }
    const before = await snapshot(world);
    await expectRound(world, before, builds, () => 'approved statement-invalid');
    for (const build of builds.values()) expect(await entries(world, build)).toEqual(['approval']);
    const [held] = all.values();
    if (!held) throw new Error('no builds');
    await plant(world, held.build, macked(held, statementOf(held, files)));
    await expectSigned(world, held.build, held.approval.version, files);
  });

  test('or whose MAC is written in another way: denied, and planted it is not believed either', async () => {
    const builds = new Map<string, string>();
    for (const what of malformedMacs(old, Buffer.alloc(9)).keys()) {
      const held = await forged();
      const bytes = encodeStatement(statementOf(held, files));
      const mac = malformedMacs(held, bytes).get(what) ?? Buffer.alloc(0);
      const answer = await post(world, held.build, macked(held, bytes, mac), held.token);
      const denied = mac.length > 45 ? '413 record-too-large' : '422 mac-malformed';
      await expectDenied(world, await snapshot(world), answer, denied);
      await plant(world, held.build, macked(held, bytes, mac));
      builds.set(what, held.build);
    }
    await expectRound(world, await snapshot(world), builds, () => 'approved statement-invalid');
  });

  test('or with other authenticators than a MAC: denied; without one H believes none of them', async () => {
    const builds = new Map<string, string>();
    const key = makeEphemeral({ userId: 'x', created: ephemeralCreation(terms.notBefore) });
    const secret = parseEphemeralSecret(key.secretKey);
    for (const [what, keep, denied] of [
      ['a signature, and no MAC', /json$|sig$/, '422 name-not-allowed'],
      ['an envelope, and no MAC', /json$/, '422 name-not-allowed'],
      ['none', /b1.json$/, '403 write-needs-authenticator'],
    ] as const) {
      const held = await forged();
      const signed = sealed(encodeStatement(statementOf(held, files)), b1, secret, new Date());
      const sent = new Map([...signed].filter(([name]) => keep.test(name)));
      const before = await snapshot(world);
      await expectDenied(world, before, await post(world, held.build, sent, held.token), denied);
      await plant(world, held.build, sent);
      builds.set(what, held.build);
    }
    await expectRound(world, await snapshot(world), builds, () => 'approved statement-invalid');
  });

  test('beside it a stranger’s signature: denied as a whole; planted, the MAC counts and it does not leave', async () => {
    const held = await forged();
    const statement = encodeStatement(statementOf(held, files));
    const key = makeEphemeral({ userId: 'x', created: ephemeralCreation(terms.notBefore) });
    const both = new Map([
      ...sealed(statement, b1, parseEphemeralSecret(key.secretKey), new Date()),
      ...macked(held, statement),
    ]);
    const before = await snapshot(world);
    await expectDenied(
      world,
      before,
      await post(world, held.build, both, held.token),
      '422 name-not-allowed',
    );
    await plant(world, held.build, both);
    const { version } = held.approval;
    await expectSigned(world, held.build, version, files);
    await expect(
      readFile(world.tree('releases/widget', version, 'countersign/statements/b1.json.sig')),
    ).rejects.toThrow('ENOENT');
  });
});

describe('a nonce that approvers signed', () => {
  const encrypt = (content: Buffer, ...how: string[]): Buffer =>
    world.releaseHome.gpg(
      ['--trust-model', 'always', '--recipient', world.releaseKey, ...how, '--encrypt', '--output', '-'],
      content,
    );

  test('and that is none ends the build, in one round with all others, within memory', async () => {
    const nonce = randomBytes(32);
    const good = shownOf(old).sealed;
    const odd = new Map<string, OddApproval>([
      ['of 31 bytes', { sealed: encrypt(nonce.subarray(1)), nonceSha256: sha256Hex(nonce.subarray(1)) }],
      ['of 33 bytes', { sealed: encrypt(Buffer.alloc(33)), nonceSha256: sha256Hex(Buffer.alloc(33)) }],
      ['that opens to another', { sealed: encrypt(randomBytes(32)), nonce }],
      ['copied from another build', { sealed: good, nonce }],
      ['cut short', { sealed: good.subarray(0, -1) }],
      [
        'a compressed bomb of 64 MiB',
        { sealed: encrypt(Buffer.alloc(64 << 20), '--compress-algo', 'bzip2', '-z', '9') },
      ],
      ['signed, too', { sealed: encrypt(nonce, '--sign', '--local-user', world.releaseKey), nonce }],
      ['under a passphrase', { sealed: symmetric(nonce), nonce }],
      ['not sealed', { sealed: nonce, nonce }],
    ]);
    const builds = new Map<string, string>();
    for (const [what, how] of odd) {
      const held = await forged(how);
      await plant(world, held.build, macked(held, statementOf(held, files)));
      builds.set(what, held.build);
    }
    await expectRound(world, await snapshot(world), builds, () => 'refused nonce-unusable');
  });

  function symmetric(nonce: Buffer): Buffer {
    return world.releaseHome.gpg(['--passphrase', 'x', '--symmetric', '--output', '-'], nonce);
  }

  test('sealed to somebody else: H cannot tell what it is, says so, and tries again', async () => {
    const [home, approver] = [world.approverHomes[0], world.approvers[0]];
    if (!home || !approver) throw new Error('no approver');
    home.addSubkey(approver, 'cv25519', 'encr');
    const nonce = randomBytes(32);
    const theirs = home.gpg(['--trust-model', 'always', '-r', approver, '--encrypt', '-o', '-'], nonce);
    const held = await forged({ sealed: theirs, nonce });
    await plant(world, held.build, macked(held, statementOf(held, files)));
    const before = await snapshot(world);
    for (const run of [1, 2]) {
      const ran = await world.sign([held.build]);
      expect([ran.code, ran.json[0]?.['code']], `run ${run}`).toEqual([3, 'nonce-locked']);
      await expectUntouched(world, before, { answers: [ran] });
    }
    expect(await entries(world, held.build)).toEqual(['approval']);
  });

  test('in an odd but legal way is opened: with the recipient hidden, and compressed, as gpg does by itself', async () => {
    for (const how of [['--throw-keyids'], ['--compress-algo', 'zlib', '-z', '9']]) {
      const nonce = randomBytes(32);
      const held = await forged({ sealed: encrypt(nonce, ...how), nonce });
      expect((await post(world, held.build, macked(held, statementOf(held, files)), held.token)).status).toBe(201); // prettier-ignore
      await expectSigned(world, held.build, held.approval.version, files);
    }
  });

  test('once before, hash and all: it is the new build’s too, and its old MACs are not', async () => {
    const { sealed: again } = shownOf(old);
    const held = await forged({ sealed: again, nonce: old.nonce });
    const bytes = encodeStatement(statementOf(held, files));
    const before = await snapshot(world);
    await plant(world, held.build, macked(held, bytes, macBy(old, 'statement', bytes)));
    await expectUnsigned(world, before, held.build, 'approved statement-invalid');
    const [statement, mac] = ['b1.json', 'b1.json.mac'].map((name) =>
      readFile(world.tree('builds', old.build, 'statements', name)),
    );
    if (!statement || !mac) throw new Error('nothing');
    await plant(world, held.build, macked(old, await statement, await mac));
    await expectUnsigned(world, before, held.build, 'approved statement-invalid');
    await plant(world, held.build, macked(held, bytes));
    await expectSigned(world, held.build, held.approval.version, files);
  });
});

describe('a ticket with a nonce, used for what it is not', () => {
  test('on two machines, for other files: the second is told, and H freezes the build', async () => {
    const { ticket, build } = await approve('3.0');
    const copy = world.path('M', 'copied.ticket');
    await writeFile(copy, await readFile(ticket), { mode: 0o600 });
    mustBe(0, await world.attest(ticket, files));
    const before = await snapshot(world);
    const second = await world.attest(copy, others);
    expect(second.error?.code).toBe('statement-not-first');
    await expectUntouched(world, before, { answers: [second] });
    await expectUnsigned(world, before, build, 'frozen conflict');
  });

  test('by one who has its upload token alone: a second statement freezes nothing; it is reported, and heals', async () => {
    const { ticket, build } = await approve('3.1');
    const held = await stealNonce(world, { ticket, build });
    mustBe(0, await world.attest(ticket, files));
    const without = { ...held, nonce: randomBytes(32) };
    const second = macked(without, statementOf(held, others));
    expect((await putBlob(world, held, others['app.tgz'])).status).toBe(201);
    expect((await post(world, build, second, held.token)).status).toBe(201);
    await expectUnsigned(world, await snapshot(world), build, 'built statement-invalid');
    await plant(world, build, new Map([...asSecond(second).keys()].map((name) => [name, null])));
    await expectSigned(world, build, '3.1', files);
  });

  test('for another build: its MAC is nobody’s there, and the other build’s own is signed', async () => {
    const [mine, yours] = [await approve('3.2'), await approve('3.3')];
    const [one, other] = [await readFile(mine.ticket, 'utf8'), await readFile(yours.ticket, 'utf8')].map(
      parseTicket,
    );
    if (!one || !other) throw new Error('no tickets');
    const path = world.path('M', 'mixed.ticket');
    await writeFile(path, formatTicket({ ...other, secret: one.secret }), { mode: 0o600 });
    mustBe(0, await world.attest(path, files));
    await expectUnsigned(world, await snapshot(world), yours.build, 'approved statement-invalid');
    const held = await stealNonce(world, yours);
    await plant(world, yours.build, new Map([[MAC, macked(held, await readFile(world.tree('builds', yours.build, 'statements/b1.json'))).get(MAC) ?? null]])); // prettier-ignore
    await expectSigned(world, yours.build, '3.3', files);
  });
});
