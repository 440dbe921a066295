/**
 * Slots: each builder's ticket, key, nonce and token are good for one slot of one build, once. Not defended, because nobody
 * could see it: one builder, or one thief, who holds the tickets of several slots, and is counted as several.
 */
import { randomBytes } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { sealNonce } from '../../src/openpgp/sealed.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import type { Approval, Builder } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { sealed } from '../policy/scene.ts';
import { b1, blobs, forgeApproval, plant, post, putBlob, sign, statementOf } from './forge.ts';
import { b2, enrolmentBy, forgeNonced, newKey, sealingWorld } from './nonced.ts';
import { entries, expectDenied, expectSigned, expectUnsigned } from './outcome.ts';
import { approveSeveral, send, statedBy } from './several.ts';
import type { Several } from './several.ts';

const files = { 'app.tgz': 'app' };
const others = { 'app.tgz': 'app, and something else' };
const TWO = ['--builders', '2'];

let world: World;
/** A finished build of two. */
let old: Several;
let terms: Approval;
beforeAll(async () => {
  world = await sealingWorld();
  old = await approveSeveral(world, '1.0', TWO);
  terms = old.approval;
  await send(world, old, 'b1', files);
  await send(world, old, 'b2', files);
  await expectSigned(world, old.build, '1.0', files);
});
afterAll(() => world.close());

describe('a builder’s key', () => {
  test('says two things, one before and one after H restarts: frozen, also when L shows only the second', async () => {
    const held = await approveSeveral(world, '2.0', TWO);
    await send(world, held, 'b1', files);
    mustBe(0, await world.sign([held.build])); // each run is a new process
    await send(world, held, 'b2', files);
    await plant(world, held.build, new Map([...statedBy(held, 'b1', others), ...blobs(others)]));
    await expectUnsigned(world, await snapshot(world), held.build, 'frozen conflict');
  });

  test('says one thing in each of two builds: only where it belongs', async () => {
    const held = await approveSeveral(world, '2.1', TWO);
    const before = await snapshot(world);
    const foreign = statedBy({ ...held, holders: old.holders }, 'b1', files);
    const answer = await post(world, held.build, foreign, held.holders.b1.token);
    await expectDenied(world, before, answer, '403 signature-invalid');
    await plant(world, held.build, new Map([...foreign, ...blobs(files)]));
    await send(world, held, 'b2', files);
    await expectUnsigned(world, before, held.build, 'approved statement-invalid');
    // and what it signed in the finished build, with that build's words, is of that build
    const copied = new Map<string, Buffer>();
    for (const name of ['b1.json', 'b1.json.sig', 'b1.dsse.json'])
      copied.set(`statements/${name}`, await readFile(world.tree('builds', old.build, 'statements', name)));
    await plant(world, held.build, copied);
    await expectUnsigned(world, before, held.build, 'approved statement-invalid');
    await plant(world, held.build, statedBy(held, 'b1', files));
    await expectSigned(world, held.build, '2.1', files);
  });

  test('in two slots of one approval: the gate and H refuse it', async () => {
    const notBefore = timestamp(new Date());
    const key = makeEphemeral({ userId: 'both', created: ephemeralCreation(notBefore) });
    const certificate = key.certificate.toString('base64');
    const builder = (token: Buffer): Builder => ({
      ...{ scheme: 'keypair', uploadTokenSha256: sha256Hex(token), certificate },
    });
    const builders = { [b1]: builder(randomBytes(32)), [b2]: builder(randomBytes(32)) };
    const version = '2.2' as Approval['version'];
    const forged = forgeApproval(world, terms, { version, notBefore, builders });
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, forged.build, forged.files), '422 key-seen');
    await plant(world, forged.build, forged.files);
    await expectUnsigned(world, before, forged.build, 'refused key-seen');
  });

  test('that an approval had, introduced in another build by its nonce: refused', async () => {
    const notBefore = timestamp(new Date());
    const key = makeEphemeral({ userId: 'a builder', created: ephemeralCreation(notBefore) });
    const version = '2.3' as Approval['version'];
    const first = forgeApproval(world, terms, { version, notBefore, quorum: 1 }, key.certificate);
    expect((await post(world, first.build, first.files)).status).toBe(201);
    mustBe(0, await world.sign([first.build]));
    const second = await forgeNonced(world, terms, 'enrol', { version: '2.4', notBefore });
    expect((await post(world, second.build, second.files)).status).toBe(201);
    const introduced = enrolmentBy(second, key);
    expect((await post(world, second.build, introduced, second.token)).status).toBe(201);
    await expectUnsigned(world, await snapshot(world), second.build, 'refused key-seen');
    // the first build is none the worse for it
    const own = { ...first, secret: parseEphemeralSecret(key.secretKey) };
    expect((await putBlob(world, own, files['app.tgz'])).status).toBe(201);
    expect((await post(world, own.build, sign(own, statementOf(own, files)), own.token)).status).toBe(201);
    await expectSigned(world, own.build, '2.3', files);
  });

  test('that was introduced in one build, in the approval of another: refused', async () => {
    const notBefore = timestamp(new Date());
    const first = await forgeNonced(world, terms, 'enrol', { version: '2.5', notBefore });
    const key = newKey(first);
    expect((await post(world, first.build, first.files)).status).toBe(201);
    expect((await post(world, first.build, enrolmentBy(first, key), first.token)).status).toBe(201);
    mustBe(0, await world.sign([first.build]));
    expect(await entries(world, first.build)).toEqual(['approval', 'enrolment']);
    const version = '2.6' as Approval['version'];
    const second = forgeApproval(world, terms, { version, notBefore, quorum: 1 }, key.certificate);
    expect((await post(world, second.build, second.files)).status).toBe(201);
    const own = { ...second, secret: parseEphemeralSecret(key.secretKey) };
    await plant(world, own.build, new Map([...sign(own, statementOf(own, files)), ...blobs(files)]));
    await expectUnsigned(world, await snapshot(world), second.build, 'refused key-seen');
  });
});

describe('a nonce', () => {
  test('that two slots of one approval share: the gate and H refuse it', async () => {
    const nonce = randomBytes(32);
    const certificate = parseCertificate(world.releaseHome.export(world.releaseKey));
    const seal = async (): Promise<Builder> => ({
      ...{ scheme: 'mac', uploadTokenSha256: sha256Hex(randomBytes(32)), nonceSha256: sha256Hex(nonce) },
      sealedNonce: (await sealNonce(nonce, certificate)).toString('base64'),
    });
    const builders = { [b1]: await seal(), [b2]: await seal() };
    const version = '3.0' as Approval['version'];
    const forged = forgeApproval(world, terms, { version, builders });
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, forged.build, forged.files), '422 nonce-unusable');
    await plant(world, forged.build, forged.files);
    await expectUnsigned(world, before, forged.build, 'refused nonce-unusable');
  });
});

describe('an upload token', () => {
  test('that two slots share opens the first of them alone, and makes nobody’s statement', async () => {
    const notBefore = timestamp(new Date());
    const token = randomBytes(32);
    const keys = [1, 2].map((slot) =>
      makeEphemeral({ userId: `b${slot}`, created: ephemeralCreation(notBefore) }),
    );
    const [one, two] = keys.map((key): Builder => ({
      ...{ scheme: 'keypair', uploadTokenSha256: sha256Hex(token) },
      certificate: key.certificate.toString('base64'),
    }));
    if (!one || !two || !keys[0] || !keys[1]) throw new Error('two keys');
    const version = '4.0' as Approval['version'];
    const forged = forgeApproval(world, terms, { version, notBefore, builders: { [b1]: one, [b2]: two } });
    expect((await post(world, forged.build, forged.files)).status).toBe(201);
    expect((await putBlob(world, { ...forged, token }, files['app.tgz'])).status).toBe(201);
    const by = (slot: typeof b1, key: (typeof keys)[number]): Map<string, Buffer> =>
      sealed(
        encodeStatement(statementOf(forged, files, { slot })),
        slot,
        parseEphemeralSecret(key.secretKey),
        new Date(),
      );
    const before = await snapshot(world);
    const second = await post(world, forged.build, by(b2, keys[1]), token);
    await expectDenied(world, before, second, '403 token-of-another-slot');
    const wrong = await post(world, forged.build, by(b1, keys[1]), token);
    await expectDenied(world, before, wrong, '403 signature-invalid');
    expect((await post(world, forged.build, by(b1, keys[0]), token)).status).toBe(201);
    // what counts for H is who signed
    await plant(world, forged.build, by(b2, keys[1]));
    await expectSigned(world, forged.build, '4.0', files);
  });
});

describe('a ticket', () => {
  test('of one slot, used in another, by its whole or by its halves: nothing is sealed there', async () => {
    const held = await approveSeveral(world, '5.0', TWO);
    const [one, two] = await Promise.all(
      [held.holders.b1, held.holders.b2].map(async ({ ticket }) =>
        parseTicket(await readFile(ticket, 'utf8')),
      ),
    );
    if (!one || !two) throw new Error('two tickets');
    for (const [code, mixed, at] of [
      ['token-of-another-slot', { ...one, slot: two.slot }, 1],
      ['signature-invalid', { ...two, secret: one.secret }, 2],
      ['token-of-another-slot', { ...one, uploadToken: two.uploadToken }, 3],
    ] as const) {
      const path = world.path('M', `mixed-${at}.ticket`);
      await writeFile(path, formatTicket(mixed), { mode: 0o600 });
      const before = await snapshot(world);
      const ran = await world.attest(path, files);
      expect(ran.error?.code, ran.stderr).toBe(code);
      await expectUntouched(world, before, { answers: [ran] });
    }
    mustBe(0, await world.attest(held.holders.b1.ticket, files));
    mustBe(0, await world.attest(held.holders.b2.ticket, files));
    await expectSigned(world, held.build, '5.0', files);
  });

  test('of each slot, all with one builder: nobody can see that, and it is signed as two of two', async () => {
    const held = await approveSeveral(world, '5.1', TWO);
    for (const slot of ['b1', 'b2'] as const) {
      const path = world.path('M', `${slot}.ticket`);
      await copyFile(held.holders[slot].ticket, path);
      mustBe(0, await world.attest(path, others));
    }
    await expectSigned(world, held.build, '5.1', others);
    const { stdout } = await world.runOn('operator', ['verify', world.tree('releases/widget/5.1')]);
    expect(stdout).toContain('2 of 2 builders agree');
  });
});
