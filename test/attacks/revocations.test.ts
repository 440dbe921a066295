/**
 * People who take back: before the release one approver is enough, after it two, persons and not keys; a word that is not
 * theirs, of this build and of this approval, counts for nothing. Not defended: one approver who stops builds out of malice.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { timestamp } from '../../src/records/names.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import {
  approvalFile,
  approvalSignatureFile,
  revocationFile,
  revocationSignatureFile,
} from '../../src/records/paths.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import type { Revocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { plant, post } from './forge.ts';
import { entries, expectDenied, verdicts } from './outcome.ts';

const contents = { app: 'app' };
const NOBODY = 'F'.repeat(40) as Fingerprint;
const none = Buffer.alloc(0);

let world: World;
let hostile: HostileDepot;
let toml: string;
/** Grace's certificate has a second key that signs; Edsger's has one that has expired since. */
let secondKey: Fingerprint;
let stranger: Fingerprint;

beforeAll(async () => {
  world = await World.make({ approvers: 3, threshold: 2 });
  hostile = await HostileDepot.start(world.url);
  toml = await readFile(world.path('H', 'countersign.toml'), 'utf8');
  const [, grace] = world.approverHomes;
  secondKey = grace?.addSubkey(key(1), 'ed25519', 'sign') ?? NOBODY;
  await writeFile(world.path('H', 'keys', `approver-${key(1)}.pgp`), grace?.export(key(1)) ?? '');
  stranger = world.releaseHome.generate({ userId: 'Mallory <mallory@example.org>' });
  await project(toml);
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

type Person = 0 | 1 | 2;
/** Of Ada, who asks, of Grace, and of Edsger. */
const key = (person: Person): Fingerprint => world.approvers[person] ?? NOBODY;
const sign = (person: Person, bytes: Buffer, by: string = key(person), ...how: string[]): Buffer =>
  world.approverHomes[person]?.sign(by, bytes, how) ?? none;
const without = (person: Person): string =>
  toml.replace(`[[approvers]]\ncertificate = "keys/approver-${key(person)}.pgp"\n`, '');

async function project(text: string): Promise<void> {
  await writeFile(world.path('H', 'countersign.toml'), text);
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
}

/** A sealed build that Ada has asked for and Grace has allowed. */
async function sealed(version: string): Promise<string> {
  const { ticket, build } = await world.approve(version);
  mustBe(0, await world.attest(ticket, contents));
  const bytes = await readFile(world.tree('builds', build, approvalFile));
  const endorsement = new Map([[approvalSignatureFile(key(1)), sign(1, bytes)]]);
  expect((await post(world, build, endorsement)).status).toBe(201);
  return build;
}

async function released(version: string): Promise<string> {
  const build = await sealed(version);
  mustBe(0, await world.sign([build]));
  return build;
}

async function recordOf(build: string, changes: Partial<Revocation> = {}): Promise<Buffer> {
  const approval = sha256Hex(await readFile(world.tree('builds', build, approvalFile)));
  const own = { build, approval, reason: 'not ours', time: timestamp(new Date()) } as Revocation;
  return encodeRevocation({ ...own, ...changes });
}

/** A revocation in a person's name. */
const named = (name: Fingerprint, bytes: Buffer, signature: Buffer): Map<string, Buffer> =>
  new Map([
    [revocationSignatureFile(name), signature],
    [revocationFile(name), bytes],
  ]);

const bad: readonly [
  what: string,
  gate: `${number} ${string}`,
  make: (build: string, other: string) => Promise<Map<string, Buffer>>,
][] = [
  [
    'by a stranger',
    '403 approver-unknown',
    async (build) => {
      const bytes = await recordOf(build);
      return named(stranger, bytes, world.releaseHome.sign(stranger, bytes));
    },
  ],
  [
    'by a stranger, in an approver’s name',
    '403 signature-invalid',
    async (build) => {
      const bytes = await recordOf(build);
      return named(key(1), bytes, world.releaseHome.sign(stranger, bytes));
    },
  ],
  [
    'by one approver, in the name of another',
    '403 signature-invalid',
    async (build) => {
      const bytes = await recordOf(build);
      return named(key(2), bytes, sign(1, bytes));
    },
  ],
  [
    'in the name of a subkey',
    '403 approver-unknown',
    async (build) => {
      const bytes = await recordOf(build);
      return named(secondKey, bytes, sign(1, bytes, `${secondKey}!`));
    },
  ],
  [
    'of another build, copied',
    '422 build-mismatch',
    async (_, other) => {
      const bytes = await recordOf(other);
      return named(key(1), bytes, sign(1, bytes));
    },
  ],
  [
    'of another approval of the build',
    '422 build-mismatch',
    async (build) => {
      const bytes = await recordOf(build, { approval: sha256Hex('another') });
      return named(key(1), bytes, sign(1, bytes));
    },
  ],
  [
    'changed after it was signed',
    '403 signature-invalid',
    async (build) =>
      named(key(1), await recordOf(build, { reason: 'changed' }), sign(1, await recordOf(build))),
  ],
  [
    'signed in text mode',
    '403 signature-invalid',
    async (build) => {
      const bytes = await recordOf(build);
      return named(key(1), bytes, sign(1, bytes, key(1), '--textmode'));
    },
  ],
  [
    'signed as a whole message',
    '403 signature-invalid',
    async (build) => {
      const bytes = await recordOf(build);
      return named(
        key(1),
        bytes,
        world.approverHomes[1]?.gpg(['-u', key(1), '--sign', '-o', '-'], bytes) ?? none,
      );
    },
  ],
  [
    'with nothing for a signature',
    '403 signature-invalid',
    async (build) => named(key(1), await recordOf(build), none),
  ],
  [
    'that is the approval, and its signature',
    '422 revocation-malformed',
    async (build) => {
      const bytes = await readFile(world.tree('builds', build, approvalFile));
      return named(key(1), bytes, sign(1, bytes));
    },
  ],
  [
    'that speaks to terminals',
    '422 revocation-malformed',
    async () => {
      const bytes = Buffer.from('{"type":"\u001b[2J\n[GNUPG:] GOODSIG"}');
      return named(key(1), bytes, sign(1, bytes));
    },
  ],
];

describe('a revocation', () => {
  let other: string;
  beforeAll(async () => {
    ({ build: other } = await world.approve('1.other'));
  });

  test.each(bad)('%s counts for nothing: the gate says so, and H signs', async (what, gate, make) => {
    const version = `1.${bad.findIndex(([each]) => each === what)}`;
    const build = await sealed(version);
    const files = await make(build, other);
    const before = await snapshot(world);
    const answer = await post(world, build, files);
    const { code } = JSON.parse(answer.body.toString()) as { readonly code: string };
    expect(`${answer.status} ${code.replace('record-malformed', 'revocation-malformed')}`).toBe(gate);
    await expectUntouched(world, before, { answers: [answer] });
    await plant(world, build, files);
    const ran = await world.sign([build]);
    expect(verdicts(ran), ran.stderr).toEqual(['published undefined']);
    expect(ran.stderr.includes('does not count')).toBe(files.has(revocationFile(key(1))) || files.has(revocationFile(key(2)))); // prettier-ignore
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release']);
  });

  test('offered as an endorsement is none, nor is one half of it without the other a revocation', async () => {
    const { ticket, build } = await world.approve('1.90');
    mustBe(0, await world.attest(ticket, contents));
    const bytes = await recordOf(build);
    const before = await snapshot(world);
    const posing = new Map([[approvalSignatureFile(key(1)), sign(1, bytes)]]);
    await expectDenied(world, before, await post(world, build, posing), '403 signature-invalid');
    const [signature, record] = [...named(key(1), bytes, sign(1, bytes))];
    if (!signature || !record) throw new Error('nothing');
    await expectDenied(
      world,
      before,
      await post(world, build, new Map([record])),
      '403 write-needs-authenticator',
    );
    await expectDenied(world, before, await post(world, build, new Map([signature])), '422 record-missing');
    await plant(world, build, posing);
    const ran = await world.sign([build]);
    expect(verdicts(ran)).toEqual(['approved approval-waits']);
    await expectUntouched(world, before, { answers: [] });
  });

  test('by one who was removed counts no more, and by one who has come back again', async () => {
    const build = await sealed('1.91');
    const bytes = await recordOf(build);
    const files = named(key(2), bytes, sign(2, bytes));
    await project(without(2));
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, build, files), '403 approver-unknown');
    await plant(world, build, files);
    hostile.withhold(/\/fetch$|\/blobs\//);
    expect(verdicts(await world.sign([build, '--depot', hostile.url]))).toEqual(['built artifact-missing']);
    await project(toml);
    const after = await snapshot(world);
    const ran = await world.sign([build]);
    expect([ran.code, verdicts(ran)]).toEqual([1, ['revoked revoked']]);
    await expectUntouched(world, after, { answers: [ran] });
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'revocation']);
  });

  test.each([
    ['while H reads the artifacts', ['approval', 'statement', 'revocation']],
    ['while the agent makes the first signature', ['approval', 'statement', 'intent', 'revocation']],
  ] as const)('that comes %s ends the build, and nothing leaves', async (what, logged) => {
    const version = `1.92.${what.length}`;
    const build = await sealed(version);
    let revoked: Promise<Ran> | undefined;
    const revoke = () => world.runOn('operator', ['revoke', build, '--reason', 'a hole in it', '--yes']);
    const reading = what.includes('reads');
    if (reading)
      hostile.lie(/\/fetch$/, async (honest) => {
        await (revoked ??= revoke());
        return honest();
      });
    else
      world.agent.before = async (command) => {
        if (command.startsWith('PKSIGN')) await (revoked ??= revoke());
      };
    const before = await snapshot(world);
    const ran = await world.sign([build, '--depot', hostile.url]);
    world.agent.before = () => {};
    expect((await revoked)?.code).toBe(0);
    expect([ran.code, verdicts(ran)], ran.stderr).toEqual([1, ['revoked revoked']]);
    if (reading) await expectUntouched(world, before, { answers: [ran] });
    expect((await snapshot(world)).published).toEqual(before.published);
    expect(await entries(world, build)).toEqual(logged);
    await expect(readFile(world.tree('builds', build, 'release.json'))).rejects.toThrow('ENOENT');
    // and stays so; nothing of what was signed is kept
    const signatures = world.agent.signatures;
    expect(verdicts(await world.sign([build]))).toEqual(['revoked revoked']);
    expect([world.agent.signatures, await entries(world, build)]).toEqual([signatures, logged]);
    const kept = await readdir(world.path('H', 'signer', 'builds', build), { recursive: true });
    expect(kept.filter((name) => name.endsWith('.asc'))).toEqual([]);
  });
});

describe('after the release', () => {
  test('one careless approver alone withdraws nothing, whatever keys they sign with; two persons do', async () => {
    const build = await released('2.0');
    const bytes = await recordOf(build);
    const first = named(key(1), bytes, sign(1, bytes));
    expect((await post(world, build, first)).status).toBe(201);
    const before = await snapshot(world);
    const again = await recordOf(build, { reason: 'once more' });
    const second = named(key(1), again, sign(1, again, `${secondKey}!`));
    await expectDenied(world, before, await post(world, build, second), '409 conflict');
    for (const name of [secondKey, key(2)])
      await plant(world, build, named(name, again, sign(1, again, `${secondKey}!`)));
    const ran = await world.sign([build]);
    expect([ran.code, verdicts(ran)], ran.stderr).toEqual([0, ['published undefined']]);
    expect(ran.stderr).toContain('to withdraw it takes 2 approvers, 1 revoked it');
    await expectUntouched(world, before, { answers: [] });
    mustBe(0, await world.verify([world.tree('releases/widget/2.0')]));

    await rm(world.tree('builds', build, revocationFile(key(2))));
    await rm(world.tree('builds', build, revocationSignatureFile(key(2))));
    const revoke = ['revoke', build, '--reason', 'a hole in it', '--yes'];
    mustBe(0, await world.runOn('operator', revoke, { approver: 2 }));
    const withdrawn = await world.sign([build]);
    expect(verdicts(withdrawn), withdrawn.stderr).toEqual(['revoked revoked']);
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release', 'revocation']);
    const verified = await world.verify([world.tree('releases/widget/2.0')]);
    expect([verified.code, verified.error?.code ?? verified.json[0]?.['code']]).toEqual([1, 'revoked']);
    expect((await snapshot(world)).published).toEqual(before.published);
  });

  test('L cannot make one of two: a revocation that it shows twice, or one of another release', async () => {
    const [build, other] = [await released('2.1'), await released('2.2')];
    const [bytes, theirs] = [await recordOf(build), await recordOf(other)];
    expect((await post(world, build, named(key(1), bytes, sign(1, bytes)))).status).toBe(201);
    await plant(world, build, named(key(2), theirs, sign(2, theirs)));
    const before = await snapshot(world);
    expect(verdicts(await world.sign([build]))).toEqual(['published undefined']);
    await plant(world, build, named(key(2), bytes, sign(1, bytes)));
    expect(verdicts(await world.sign([build]))).toEqual(['published undefined']);
    await expectUntouched(world, before, { answers: [] });
    mustBe(0, await world.verify([world.tree('releases/widget/2.1')]));
  });
});
