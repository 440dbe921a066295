/**
 * OpenPGP: approvals and statements under signatures that are not quite signatures, and by keys that may not sign. Neither the
 * gate nor H believes one, and none ends a build: whoever meant it well may sign again.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import type { Version } from '../../src/records/names.ts';
import {
  approvalFile,
  approvalSignatureFile,
  statementFile,
  statementSignatureFile,
} from '../../src/records/paths.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import type { CraftParts } from '../harness/craft-certificate.ts';
import { craftKey, craftSignature, nowSeconds } from '../harness/craft.ts';
import type { CraftKey, CraftKind } from '../harness/craft.ts';
import { rawGpgv } from '../harness/gpgv.ts';
import { snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import { badSignatures, oddSignatures } from './bad-signatures.ts';
import { addApprover, forgeBuild } from './craft-keys.ts';
import { blobs, b1, forgeApproval, plant, post, putBlob, sign, statementOf } from './forge.ts';
import type { Held } from './forge.ts';
import { expectDenied } from './outcome.ts';
import { expectRound, shelf } from './round.ts';
import type { Verdict } from './round.ts';

const DAY = 24 * 3600;
const contents = { app: 'app' };

let world: World;
let terms: Approval;
/** An approver like any other, whose key is in our own hands. */
const carol = craftKey('ed25519', nowSeconds() - 100 * DAY);
const carolsRing = craftCertificate(carol);

/** Approvers of the project file who may not sign (any more): the certificate, and the key that signs all the same. */
function unfit(parts: (subkey: CraftKey) => CraftParts, signs: 'primary' | 'subkey' = 'primary', age = 100) {
  const [primary, subkey] = [0, 1].map(() => craftKey('ed25519', nowSeconds() - age * DAY));
  if (!primary || !subkey) throw new Error('no keys');
  const certificate = craftCertificate(primary, parts(subkey));
  return { certificate, primary, signer: signs === 'primary' ? primary : subkey };
}
const user = 'Crafted <crafted@example.org>';
const revocation = 'revocation in SHA-1';
const unfitApprovers = {
  expired: unfit(() => ({ userIds: [{ text: user, keyLifetime: 99 * DAY }] })),
  revoked: unfit(() => ({ revoked: true })),
  [revocation]: unfit(() => ({ revoked: true, revocationHash: 'sha1' })),
  'dated in the future': unfit(() => ({}), 'primary', -1),
  'for certifying alone': unfit(() => ({ userIds: [{ text: user, flags: 0x01 }] })),
  'for encryption alone': unfit(() => ({ userIds: [{ text: user, flags: 0x0c }] })),
  'without usage flags': unfit(() => ({ userIds: [{ text: user, flags: null }] })),
  'a subkey that has not signed its binding': unfit(
    (key) => ({ subkeys: [{ key, backSigned: false }] }),
    'subkey',
  ),
  'a subkey that is revoked': unfit((key) => ({ subkeys: [{ key, revoked: true }] }), 'subkey'),
  'a subkey that has expired': unfit((key) => ({ subkeys: [{ key, keyLifetime: DAY }] }), 'subkey'),
  'a subkey for encryption': unfit((key) => ({ subkeys: [{ key, flags: 0x0c }] }), 'subkey'),
  'a subkey of an expired key': unfit((key) => ({ userIds: [{ text: user, keyLifetime: DAY }], subkeys: [{ key }] }), 'subkey'), // prettier-ignore
  'a subkey that a stranger bound': unfit((key) => ({ subkeys: [{ key, by: craftKey('ed25519', nowSeconds() - DAY) }] }), 'subkey'), // prettier-ignore
};
const fitApprovers = {
  ...Object.fromEntries(
    (['rsa2048', 'p256', 'p384'] as const satisfies CraftKind[]).map((kind) => {
      const key = craftKey(kind, nowSeconds() - DAY);
      const userIds = [{ text: user, hash: kind === 'p384' ? ('sha384' as const) : ('sha256' as const) }];
      return [kind, { certificate: craftCertificate(key, { userIds }), primary: key, signer: key }];
    }),
  ),
  'a signing subkey': unfit(
    (key) => ({ userIds: [{ text: user, flags: 0x01 }], subkeys: [{ key }] }),
    'subkey',
  ),
};

beforeAll(async () => {
  world = await World.make();
  const released = await world.release('1.0', { app: 'the release that must stay as it is' });
  terms = parseApproval(await readFile(world.tree('builds', released, approvalFile)));
  await addApprover(world, carolsRing);
  for (const { certificate } of [...Object.values(unfitApprovers), ...Object.values(fitApprovers)])
    await addApprover(world, certificate);
  await world.stopServer();
  await world.startServer();
});
afterAll(() => world.close());

let versions = 0;
const next = (): { version: Version } => ({ version: `2.${++versions}` as Version });

/** A build that `approver` asked for, and its approval under this signature. */
function askedBy(approver: CraftKey, signature: (bytes: Buffer) => Buffer) {
  const { files: _files, ...held } = forgeApproval(world, terms, {
    ...next(),
    requester: approver.fingerprint,
  });
  const files = new Map([
    [approvalFile, held.bytes],
    [approvalSignatureFile(approver.fingerprint), signature(held.bytes)],
  ]);
  return { held, files };
}

/** The gate turns each away; planted behind it, H says this of each. */
async function expectUnbelieved(
  builds: ReadonlyMap<
    string,
    { held: Held; files: Map<string, Buffer>; more?: Map<string, Buffer>; token?: Buffer }
  >,
  verdictOf: (what: string) => Verdict,
): Promise<void> {
  const [before, kept] = [await snapshot(world), await shelf(world)];
  for (const [what, { held, files, token }] of builds) {
    const answer = await post(world, held.build, files, token);
    const large = what === '20,000 in one file';
    // who writes an approval has no token, and sends little
    const denial = large || what === 'larger than 4 KiB' ? (large && !token ? '413 too-large' : '413 record-too-large') : '403 signature-invalid'; // prettier-ignore
    await expectDenied(world, before, answer, denial);
  }
  expect(await shelf(world)).toEqual(kept);
  for (const { held, files, more = [] } of builds.values())
    await plant(world, held.build, new Map([...files, ...more, ...blobs(contents)]));
  const ids = new Map([...builds].map(([what, { held }]) => [what, held.build]));
  await expectRound(world, before, ids, verdictOf);
}

describe('an approver’s signature over an approval', () => {
  test('that is not quite one is nobody’s word', async () => {
    const forms = badSignatures(carol, Buffer.from('x')).keys();
    const builds = [...forms].map((what) => {
      const signature = (bytes: Buffer): Buffer => badSignatures(carol, bytes).get(what) ?? Buffer.alloc(0);
      return [what, askedBy(carol, signature)] as const;
    });
    await expectUnbelieved(new Map(builds), () => 'approved approval-invalid');
  }, 240_000);

  test('by a key that may not sign is nobody’s word', async () => {
    const builds = Object.entries(unfitApprovers).map(([what, { primary, signer }]) => {
      // signed while the key was good, as far as the signature says
      const created = Math.max(signer.created, nowSeconds() - 100 * DAY) + 60;
      return [what, askedBy(primary, (bytes) => craftSignature(signer, bytes, { created }))] as const;
    });
    await expectUnbelieved(new Map(builds), () => 'approved approval-invalid');
  }, 240_000);

  test('that is odd but legal is believed, by gpgv too, and published as it is', async () => {
    const builds = [
      ...[...oddSignatures(carol, Buffer.alloc(0)).keys()].map((what) => ({
        ...askedBy(carol, (bytes) => oddSignatures(carol, bytes).get(what) ?? Buffer.alloc(0)),
        ring: carolsRing,
      })),
      ...Object.entries(fitApprovers).map(([what, { certificate, primary, signer }]) => ({
        ...askedBy(primary, (bytes) =>
          craftSignature(signer, bytes, { hash: what === 'p384' ? 'sha384' : 'sha256' }),
        ),
        ring: certificate,
      })),
    ];
    for (const { held, files } of builds) {
      expect((await post(world, held.build, files)).status).toBe(201);
      expect((await putBlob(world, held, contents.app)).status).toBe(201);
      const statement = sign(held, statementOf(held, contents));
      expect((await post(world, held.build, statement, held.token)).status).toBe(201);
    }
    mustBe(0, await world.sign(builds.map(({ held }) => held.build)));
    for (const { held, files, ring } of builds) {
      const directory = world.tree('releases/widget', held.approval.version, 'countersign');
      for (const [name, bytes] of files) expect(await readFile(`${directory}/${name}`)).toEqual(bytes);
      const [data = ring, signature = ring] = [...files.values()];
      const said = await rawGpgv({ keyring: ring, signature, data: [data] });
      expect(said).toMatchObject({ code: 0, keywords: expect.stringMatching(/^GOODSIG (\S+ )*VALIDSIG$/) });
    }
  }, 240_000);
});

describe('a builder’s signature over a statement', () => {
  test('that is not quite one is reported; with a good one in its place the build is signed', async () => {
    const builds = new Map(
      [...badSignatures(carol, Buffer.from('x')).keys()].map((what) => {
        const { held, files: approval, key } = forgeBuild(world, terms, next());
        const good = sign(held, statementOf(held, contents));
        const bytes = good.get(statementFile(b1)) ?? Buffer.alloc(0);
        const bad = badSignatures(key, bytes).get(what) ?? Buffer.alloc(0);
        const files = new Map([[statementFile(b1), bytes], [statementSignatureFile(b1), bad]]); // prettier-ignore
        return [what, { held, files, more: approval, token: held.token, good }] as const;
      }),
    );
    // the gate knows their approvals, H has seen none of them
    for (const { held, more } of builds.values())
      expect((await post(world, held.build, more)).status).toBe(201);
    await expectUnbelieved(builds, (what) =>
      what === '20,000 in one file' ? 'approved too-large' : 'approved statement-invalid',
    );

    for (const { held, good } of builds.values()) await plant(world, held.build, good);
    mustBe(0, await world.sign([...builds.values()].map(({ held }) => held.build)));
  }, 240_000);

  test('that is odd but legal is believed', async () => {
    const builds = [...oddSignatures(carol, Buffer.alloc(0)).keys()].map((what) => {
      const { held, files: approval, key } = forgeBuild(world, terms, next());
      const good = sign(held, statementOf(held, contents));
      const bytes = good.get(statementFile(b1)) ?? Buffer.alloc(0);
      return {
        held,
        approval,
        files: good.set(statementSignatureFile(b1), oddSignatures(key, bytes).get(what) ?? bytes),
      };
    });
    for (const { held, approval, files } of builds) {
      expect((await post(world, held.build, approval)).status).toBe(201);
      expect((await putBlob(world, held, contents.app)).status).toBe(201);
      expect((await post(world, held.build, files, held.token)).status).toBe(201);
    }
    mustBe(0, await world.sign(builds.map(({ held }) => held.build)));
  }, 240_000);
});
