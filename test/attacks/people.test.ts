/**
 * People: who counts, and for how much. Two of three approvers must have signed, the one who asked among them. A build that
 * waits for people is no fault, so it is no refusal either: nothing is signed, and nothing ends. Not defended: one person who
 * has two certificates in the project file.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { encodeApproval, parseApproval } from '../../src/records/approval.ts';
import { approvalFile, approvalSignatureFile } from '../../src/records/paths.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import { plant, post } from './forge.ts';
import { entries, expectDenied, expectSigned, expectUnsigned, verdicts } from './outcome.ts';

const contents = { app: 'app' };
const NOBODY = 'F'.repeat(40) as Fingerprint;

let world: World;
let hostile: HostileDepot;
let toml: string;
/** Grace's certificate has a second key that signs. */
let secondKey: Fingerprint;

beforeAll(async () => {
  world = await World.make({ approvers: 3, threshold: 2 });
  hostile = await HostileDepot.start(world.url);
  toml = await readFile(world.path('H', 'countersign.toml'), 'utf8');
  const [, home] = world.approverHomes;
  const grace = key(1);
  secondKey = home?.addSubkey(grace, 'ed25519', 'sign') ?? NOBODY;
  await writeFile(world.path('H', 'keys', `approver-${grace}.pgp`), home?.export(grace) ?? '');
  await project(toml);
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

/** Of Ada, who asks, of Grace, and of Edsger. */
const key = (person: 0 | 1 | 2): Fingerprint => world.approvers[person] ?? NOBODY;
const signature = (person: 0 | 1 | 2, bytes: Buffer, by: string = key(person), ...how: string[]): Buffer =>
  world.approverHomes[person]?.sign(by, bytes, how) ?? Buffer.alloc(0);
const approvalOf = (build: string): Promise<Buffer> => readFile(world.tree('builds', build, approvalFile));
const named = (name: Fingerprint, bytes: Buffer): Map<string, Buffer> =>
  new Map([[approvalSignatureFile(name), bytes]]);

/** Puts this project file on every host. */
async function project(text: string): Promise<void> {
  await writeFile(world.path('H', 'countersign.toml'), text);
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
}

/** A sealed build that Ada has asked for. */
async function sealed(version: string): Promise<string> {
  const { ticket, build } = await world.approve(version);
  mustBe(0, await world.attest(ticket, contents));
  return build;
}

/** What a person does who has looked at the approval and allows it. */
async function endorse(build: string, person: 1 | 2): Promise<HttpAnswer> {
  return post(world, build, named(key(person), signature(person, await approvalOf(build))));
}

/** H says that the build waits, and why; it does nothing, and the build goes on as soon as that changes. */
async function expectWaiting(build: string, why: string, ...args: string[]): Promise<void> {
  const before = await snapshot(world);
  const ran = await world.sign([build, ...args]);
  expect([ran.code, ...verdicts(ran).map((verdict) => verdict.split(' ')[1])]).toEqual([0, 'approval-waits']);
  expect(ran.stderr).toContain(why);
  await expectUntouched(world, before, { answers: [] });
}

describe('the one who asks, alone,', () => {
  test('waits; with another the build is signed, and both are named', async () => {
    const build = await sealed('1.0');
    await expectWaiting(build, '1 of 2 approvers have signed it');
    expect(await entries(world, build)).toEqual([]);
    expect((await endorse(build, 1)).status).toBe(201);
    await expectSigned(world, build, '1.0', contents);
    const { json } = await world.verify([world.tree('releases/widget/1.0')]);
    expect(JSON.stringify(json)).toContain(key(0));
    expect(JSON.stringify(json)).toContain(key(1));
  });

  test('is not two by signing twice, at another time or with another digest', async () => {
    const build = await sealed('1.1');
    const bytes = await approvalOf(build);
    const again = signature(0, bytes, key(0), '--digest-algo', 'SHA256');
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, build, named(key(0), again)), '409 conflict');
    for (const name of [key(1), key(2)]) {
      await expectDenied(
        world,
        before,
        await post(world, build, named(name, again)),
        '403 signature-invalid',
      );
      await plant(world, build, named(name, again));
    }
    await expectDenied(world, before, await post(world, build, named(NOBODY, again)), '403 approver-unknown');
    await plant(world, build, named(NOBODY, again));
    await expectWaiting(build, '1 of 2 approvers have signed it');
  });

  test('is not two with a stranger', async () => {
    const build = await sealed('1.2');
    const stranger = world.releaseHome.generate({ userId: 'Mallory <mallory@example.org>' });
    const bytes = world.releaseHome.sign(stranger, await approvalOf(build));
    const before = await snapshot(world);
    await expectDenied(
      world,
      before,
      await post(world, build, named(stranger, bytes)),
      '403 approver-unknown',
    );
    await plant(world, build, new Map([...named(stranger, bytes), ...named(key(1), bytes)]));
    await expectWaiting(build, '1 of 2 approvers have signed it');
  });
});

describe('two keys of one certificate are one vote:', () => {
  test('either of them counts, both together count once', async () => {
    const { build, ticket } = await world.approve('2.0', [], { approver: 1 });
    mustBe(0, await world.attest(ticket, contents));
    const bytes = await approvalOf(build);
    const [first, second] = [key(1), secondKey].map((by) => signature(1, bytes, `${by}!`));
    if (!first || !second) throw new Error('no signatures');
    const before = await snapshot(world);
    await expectDenied(
      world,
      before,
      await post(world, build, named(secondKey, second)),
      '403 approver-unknown',
    );
    for (const bytes of [first, second])
      await expectDenied(
        world,
        before,
        await post(world, build, named(key(2), bytes)),
        '403 signature-invalid',
      );
    await plant(
      world,
      build,
      new Map([...named(key(1), first), ...named(secondKey, second), ...named(key(2), second)]),
    );
    await expectWaiting(build, '1 of 2 approvers have signed it');
    await plant(world, build, named(key(1), second));
    await expectWaiting(build, '1 of 2 approvers have signed it');

    await plant(world, build, named(key(2), signature(2, bytes)));
    await expectSigned(world, build, '2.0', contents);
  });
});

describe('two others, without the one who asks,', () => {
  test('wait for him', async () => {
    const build = await sealed('3.0');
    for (const person of [1, 2] as const) expect((await endorse(build, person)).status).toBe(201);
    const there = await plant(world, build, named(key(0), signature(0, Buffer.from('something else'))));
    await expectWaiting(build, `its requester ${key(0)} has not signed it`);
    await plant(world, build, there);
    await expectSigned(world, build, '3.0', contents);
  });
});

test('a signature that does not verify counts for nothing, and undoes nothing', async () => {
  const build = await sealed('3.1');
  expect((await endorse(build, 1)).status).toBe(201);
  await plant(world, build, named(key(2), signature(2, Buffer.from('something else'))));
  await plant(world, build, named(NOBODY, Buffer.alloc(100_000)));
  await expectSigned(world, build, '3.1', contents);
});

describe('an approval that is changed after the first signature', () => {
  test('is another, which nobody has asked for: the gate keeps the first, H waits', async () => {
    const build = await sealed('4.0');
    const bytes = await approvalOf(build);
    const approval = parseApproval(bytes);
    const limits = { ...approval.artifacts, maxCount: approval.artifacts.maxCount - 1 };
    const changed = encodeApproval({ ...approval, artifacts: limits });
    const before = await snapshot(world);
    const files = new Map([[approvalFile, changed], ...named(key(1), signature(1, changed))]);
    await expectDenied(world, before, await post(world, build, files), '409 conflict');

    const there = await plant(world, build, files);
    await expectWaiting(build, `its requester ${key(0)} has not signed it`);
    // nobody at all has signed this one
    await plant(world, build, named(key(1), signature(1, bytes)));
    await expectUnsigned(world, before, build, 'approved approval-invalid');

    await plant(world, build, there);
    expect((await endorse(build, 1)).status).toBe(201);
    await expectSigned(world, build, '4.0', contents);
  });
});

describe('who counts is asked again right before the release key is used:', () => {
  const without = (person: 0 | 1 | 2): string =>
    toml.replace(
      new RegExp(`\\[\\[approvers\\]\\]\\ncertificate = "keys/approver-${key(person)}.pgp"\\n`),
      '',
    );

  test.each<[what: string, why: string, change: () => string]>([
    ['an approver was removed', '1 of 2 approvers', () => without(1)],
    ['the one who asks was removed', 'its requester', () => without(0)],
    ['three are needed now', '2 of 3 approvers', () => toml.replace('threshold = 2', 'threshold = 3')],
  ])('%s while H read the artifacts', async (what, why, change) => {
    const version = `5.${what.length}`;
    const build = await sealed(version);
    expect((await endorse(build, 1)).status).toBe(201);
    expect(change()).not.toBe(toml);
    hostile.lie(/\/fetch$/, async (honest) => {
      await writeFile(world.path('H', 'countersign.toml'), change());
      return honest();
    });
    const before = await snapshot(world);
    const ran = await world.sign([build, '--depot', hostile.url]);
    await writeFile(world.path('H', 'countersign.toml'), toml);
    expect(verdicts(ran)).toEqual(['built approval-waits']);
    expect(ran.stderr).toContain(why);
    await expectUntouched(world, before, { answers: [] });
    expect(await entries(world, build)).toEqual(['approval', 'statement']);
    await expectSigned(world, build, version, contents);
  });

  test('one who was removed before may ask for nothing, and add nothing', async () => {
    const build = await sealed('6.0');
    const late = signature(2, await approvalOf(build));
    await project(without(2));
    const before = await snapshot(world);
    const ran = await world.approve('6.1', [], { approver: 2 });
    expect(ran.error?.code).toBe('approver-missing');
    await expectUntouched(world, before, { answers: [ran] });
    await expectDenied(world, before, await post(world, build, named(key(2), late)), '403 approver-unknown');
    await plant(world, build, named(key(2), late));
    await expectWaiting(build, '1 of 2 approvers have signed it');
    await project(toml);
    await expectSigned(world, build, '6.0', contents);
  });
});

describe('a threshold that means nothing', () => {
  test.each(['0', '-1', '4', '1.5', '"1"', 'true', '[2]', '2\nthreshold = 1', 'nan', '9007199254740993'])(
    'is an error on every host: %s',
    async (threshold) => {
      const before = await snapshot(world);
      const changed = toml.replace('threshold = 2', `threshold = ${threshold}`);
      for (const host of ['H', 'L', 'operator'])
        await writeFile(world.path(host, 'countersign.toml'), changed);
      const tickets = world.path('operator', 'tickets-none');
      const serve = ['serve', '--data', world.path('L', 'data'), '--listen', '127.0.0.1:0', '--json'];
      const runs = [
        await world.sign(),
        await world.runOn('L', serve),
        await world.runOn('operator', ['approve', '9.0', '--tickets', tickets, '--yes', '--json']),
      ];
      for (const host of ['H', 'L', 'operator']) await writeFile(world.path(host, 'countersign.toml'), toml);
      for (const ran of runs)
        expect([ran.code, ran.error?.code], ran.stderr).toEqual([2, 'config-malformed']);
      await expectUntouched(world, before, { answers: runs });
    },
  );

  test('is an error where it is not written, or not where it belongs', async () => {
    for (const changed of [
      toml.replace('threshold = 2\n', ''),
      `${toml.replace('threshold = 2\n', '')}threshold = 2\n`,
    ]) {
      const before = await snapshot(world);
      await writeFile(world.path('H', 'countersign.toml'), changed);
      const ran = await world.sign();
      await writeFile(world.path('H', 'countersign.toml'), toml);
      expect(ran.error?.code).toBe('config-malformed');
      await expectUntouched(world, before, { answers: [ran] });
    }
  });

  test.each(['0', '4', '-1', '1.5', 'two'])('is an error to init: %s', async (threshold) => {
    const before = await snapshot(world);
    const approvers = world.approvers.flatMap((each) => [
      '--approver',
      world.path('H', 'keys', `approver-${each}.pgp`),
    ]);
    const keys = ['--release-key', world.releaseKey, ...approvers, `--threshold=${threshold}`];
    const ran = await world.runOn('H', [
      'init',
      '--dir',
      world.path('cwd', 'x'),
      '--project',
      'x',
      '--json',
      ...keys,
    ]);
    expect(ran.code).toBe(2);
    await expectUntouched(world, before, { answers: [ran] });
  });
});
