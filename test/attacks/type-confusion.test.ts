/**
 * Type confusion: one kind of file in the place of another. An artifact may be a byte-exact copy of any of our records, and
 * is then signed by the release key: nothing may be believed for that. What approvers, builders and the log signed must not be
 * believed as anything but what they signed it as.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { encodeEnvelope, PAYLOAD_TYPE, paeBytes } from '../../src/records/dsse.ts';
import type { Version } from '../../src/records/names.ts';
import {
  approvalFile,
  approvalSignatureFile,
  statementEnvelopeFile,
  statementFile,
  statementSignatureFile,
} from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { formatProof, parseProof } from '../../src/tlog/proof.ts';
import { craftSignature } from '../harness/craft.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import { forgeBuild } from './craft-keys.ts';
import {
  approvalFiles,
  b1,
  blobs,
  forgeApproval,
  plant,
  post,
  putBlob,
  sign,
  statementOf,
  steal,
} from './forge.ts';
import type { Held } from './forge.ts';
import { expectDenied, expectSigned, expectUnsigned } from './outcome.ts';
import { expectRound } from './round.ts';

let world: World;
let released: string;
let terms: Approval;
/** A build that waits for its statement, and what a thief of its ticket has. */
let held: Held;
/** An approval that no approver has signed, for what the attacker would like to be released. */
let wanted: ReturnType<typeof forgeApproval>;
const evil = { app: 'the attacker’s app' };
const record = (file: string): Promise<Buffer> => readFile(world.tree('builds', released, file));

/** Byte for byte our records; the attacker had a part in a build, and put them among its artifacts. */
let vendored: Record<'approval' | 'statement' | 'manifest' | 'release' | 'entry' | 'proof' | 'signature' | 'sums' | 'revocation', Buffer>; // prettier-ignore
const nameOf = (what: string): string => `vendored/${what}`;
const signatureOf = (what: string): Promise<Buffer> =>
  readFile(world.tree('releases/widget/2.0', `${nameOf(what)}.asc`));

beforeAll(async () => {
  world = await World.make();
  released = await world.release('1.0', { app: 'the honest app' });
  terms = parseApproval(await record(approvalFile));
  held = await steal(world, await world.approve('1.1'));
  wanted = forgeApproval(world, terms, { version: '1.2' as Version });
  const reason = {
    type: 'application/vnd.countersign.revocation.v1+json',
    build: released,
    reason: 'because',
  };
  vendored = {
    approval: wanted.bytes,
    statement: encodeStatement(statementOf(held, evil)),
    manifest: await record('manifest.json'),
    release: await record('release.json'),
    entry: await record('log-entry.json'),
    proof: await record('release.proof'),
    signature: await record('signatures/app.asc'),
    sums: Buffer.from(`${sha256Hex(evil.app)}  app\n`),
    revocation: Buffer.from(JSON.stringify(reason)),
  };
  const contents = Object.fromEntries(Object.entries(vendored).map(([what, bytes]) => [nameOf(what), bytes]));
  const { ticket, build } = await world.approve('2.0');
  mustBe(0, await world.attest(ticket, contents));
  await expectSigned(world, build, '2.0', contents);
});
afterAll(() => world.close());

describe('an artifact that is one of our records was signed, as the bytes that it is; its signature is no authority', () => {
  test('for the approval that it is: not under the release key’s name, not under an approver’s', async () => {
    const before = await snapshot(world);
    const signature = await signatureOf('approval');
    for (const [signer, denial] of [
      [world.releaseKey, '403 approver-unknown'],
      [world.approvers[0] ?? world.releaseKey, '403 signature-invalid'],
    ] as const) {
      const files = new Map([[approvalFile, vendored.approval], [approvalSignatureFile(signer), signature]]); // prettier-ignore
      await expectDenied(world, before, await post(world, wanted.build, files), denial);
      await plant(world, wanted.build, files);
      await expectUnsigned(world, before, wanted.build, 'approved approval-invalid');
    }
  });

  test('for the statement that it is', async () => {
    const before = await snapshot(world);
    expect((await putBlob(world, held, evil.app)).status).toBe(201);
    const files = new Map([
      [statementFile(b1), vendored.statement],
      [statementSignatureFile(b1), await signatureOf('statement')],
    ]);
    await expectDenied(
      world,
      before,
      await post(world, held.build, files, held.token),
      '403 signature-invalid',
    );
    const there = await plant(world, held.build, files);
    await expectUnsigned(world, before, held.build, 'approved statement-invalid');
    await plant(world, held.build, there);
  });

  test('for the checksums that it is, in a copy of another release', async () => {
    const before = await snapshot(world);
    const copy = world.path('M', 'sums');
    await cp(world.tree('releases/widget/1.0'), copy, { recursive: true });
    await writeFile(`${copy}/app`, evil.app);
    await writeFile(`${copy}/SHA256SUMS`, vendored.sums);
    await writeFile(`${copy}/SHA256SUMS.asc`, await signatureOf('sums'));
    for (const paths of [[copy], [`${copy}/app`]])
      await expectUntouched(world, before, { answers: [await world.verify(paths)] });
  });

  test('for the manifest, the release and the entry that they are', async () => {
    const before = await snapshot(world);
    const files = new Map([
      ['manifest.json', vendored.manifest],
      ['signatures/manifest.json.asc', await signatureOf('manifest')],
    ]);
    await expectDenied(world, before, await post(world, held.build, files), '403 write-needs-authenticator');
    const proven = new Map([
      ['release.proof', vendored.proof],
      ['log-entry.json', vendored.entry],
      ['release.json', vendored.release],
    ]);
    await expectDenied(world, before, await post(world, held.build, proven), '403 build-mismatch');
  });
});

/** Each of our records as it really is, for the place of another. */
const others = (): Record<string, Buffer> => {
  const { approval: _approval, statement: _statement, ...rest } = vendored;
  return rest;
};

describe('a record in the place of another, signed by whoever signs what belongs there:', () => {
  test('any as an approval', async () => {
    const before = await snapshot(world);
    const builds = new Map<string, string>();
    for (const [what, bytes] of Object.entries({ ...others(), statement: vendored.statement })) {
      const { build } = forgeApproval(world, terms);
      const files = approvalFiles(world, bytes);
      await expectDenied(world, before, await post(world, build, files), '422 record-malformed');
      await plant(world, build, files);
      builds.set(what, build);
    }
    await expectRound(world, before, builds, () => 'approved approval-invalid');
  });

  test('any as a statement', async () => {
    const builds = new Map<string, string>();
    for (const [what, bytes] of Object.entries({ ...others(), approval: held.bytes })) {
      const before = await snapshot(world);
      const denied = await post(world, held.build, sign(held, bytes), held.token);
      await expectDenied(world, before, denied, '422 statement-malformed');
      const forgery = forgeApproval(world, terms, { version: `3.${builds.size}` as Version });
      await plant(world, forgery.build, new Map([...forgery.files, ...sign(forgery, bytes)]));
      builds.set(what, forgery.build);
    }
    await expectRound(world, await snapshot(world), builds, () => 'refused statement-malformed');
  });

  test('any as an envelope, and an envelope that signs something else than its type says', async () => {
    const before = await snapshot(world);
    const good = sign(held, statementOf(held, evil));
    const bytes = good.get(statementFile(b1)) ?? Buffer.alloc(0);
    const { fingerprint, signRaw } = held.secret;
    const envelopes = [
      ...Object.values(vendored),
      encodeEnvelope(bytes, fingerprint, signRaw(bytes)),
      encodeEnvelope(bytes, fingerprint, signRaw(paeBytes('application/json', bytes))),
      encodeEnvelope(held.bytes, fingerprint, signRaw(paeBytes(PAYLOAD_TYPE, held.bytes))),
    ];
    for (const envelope of envelopes) {
      const files = new Map(good).set(statementEnvelopeFile(b1), envelope);
      await expectDenied(
        world,
        before,
        await post(world, held.build, files, held.token),
        '422 envelope-mismatch',
      );
    }
  });

  test('a refusal as a release, and a release as a refusal', async () => {
    const again = await world.approve('1.0');
    mustBe(0, await world.attest(again.ticket, evil));
    await expectUnsigned(world, await snapshot(world), again.build, 'refused version-taken');
    const proof = parseProof(await readFile(world.tree('builds', again.build, 'refusal.proof')));
    const refusal = await readFile(world.tree('builds', again.build, 'refusal.json'));

    const before = await snapshot(world);
    const asRelease = new Map([
      ['log-entry.json', proof.extra ?? Buffer.alloc(0)],
      ['release.proof', formatProof({ ...proof, extra: null })],
      ['release.json', refusal],
    ]);
    await expectDenied(world, before, await post(world, again.build, asRelease), '403 chain-broken');

    const ofRelease = { ...parseProof(vendored.proof), extra: vendored.entry };
    const asRefusal = new Map([['refusal.json', vendored.release], ['refusal.proof', formatProof(ofRelease)]]); // prettier-ignore
    await expectDenied(world, before, await post(world, released, asRefusal), '403 chain-broken');
    const status = await world.runOn('operator', ['status', released, '--json']);
    expect(status.json[0]).toMatchObject({ state: 'published' });
  });
});

describe('a signature of one kind in the place of another:', () => {
  const approver = () => world.approvers[0] ?? world.releaseKey;
  const home = () => {
    const [first] = world.approverHomes;
    if (first === undefined) throw new Error('a world without approvers');
    return first;
  };

  test('an approver’s over an approval, in text mode', async () => {
    const { build, bytes, files } = forgeApproval(world, terms, { version: '4.0' as Version });
    files.set(approvalSignatureFile(approver()), home().sign(approver(), bytes, ['--textmode']));
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, build, files), '403 signature-invalid');
    await plant(world, build, files);
    await expectUnsigned(world, before, build, 'approved approval-invalid');
  });

  test('a builder’s over a statement: in text mode, over its PAE, plain Ed25519, the envelope itself', async () => {
    const { held: own, files, key } = forgeBuild(world, terms, { version: '4.1' as Version });
    const good = sign(own, statementOf(own, evil));
    await plant(world, own.build, new Map([...files, ...blobs(evil)]));
    const bytes = good.get(statementFile(b1)) ?? Buffer.alloc(0);
    const signatures = {
      'in text mode': craftSignature(key, bytes, { type: 1 }),
      'over the PAE': craftSignature(key, paeBytes(PAYLOAD_TYPE, bytes)),
      'a certification': craftSignature(key, bytes, { type: 0x13 }),
      'a standalone signature': craftSignature(key, bytes, { type: 0x02 }),
      'plain Ed25519': own.secret.signRaw(bytes),
      'the envelope': good.get(statementEnvelopeFile(b1)) ?? Buffer.alloc(0),
    };
    const before = await snapshot(world);
    for (const signature of Object.values(signatures)) {
      const write = new Map([[statementFile(b1), bytes], [statementSignatureFile(b1), signature]]); // prettier-ignore
      await expectDenied(
        world,
        before,
        await post(world, own.build, write, own.token),
        '403 signature-invalid',
      );
      await plant(world, own.build, write);
      await expectUnsigned(world, before, own.build, 'approved statement-invalid');
    }
    await plant(world, own.build, new Map([[statementSignatureFile(b1), craftSignature(key, bytes)]]));
    await expectSigned(world, own.build, '4.1', evil);
  });

  test('an approver’s over a statement, and a builder’s over an approval', async () => {
    const own = forgeApproval(world, terms, { version: '4.2' as Version });
    await plant(world, own.build, new Map([...own.files, ...blobs(evil)]));
    const before = await snapshot(world);
    const write = sign(own, statementOf(own, evil));
    const bytes = write.get(statementFile(b1)) ?? Buffer.alloc(0);
    write.set(statementSignatureFile(b1), home().sign(approver(), bytes)).delete(statementEnvelopeFile(b1));
    await expectDenied(
      world,
      before,
      await post(world, own.build, write, own.token),
      '403 signature-invalid',
    );
    await plant(world, own.build, write);
    await expectUnsigned(world, before, own.build, 'approved statement-invalid');

    const next = forgeApproval(world, terms, { version: '4.3' as Version });
    const seconds = Math.floor(Date.now() / 1000);
    next.files.set(approvalSignatureFile(approver()), next.secret.sign(next.bytes, seconds));
    await expectDenied(world, before, await post(world, next.build, next.files), '403 signature-invalid');
    await plant(world, next.build, next.files);
    await expectUnsigned(world, before, next.build, 'approved approval-invalid');
  });

  test('an approver’s over an artifact is no release signature', async () => {
    const before = await snapshot(world);
    const app = world.path('M', 'app');
    await writeFile(app, evil.app);
    await writeFile(`${app}.asc`, home().sign(approver(), Buffer.from(evil.app), ['--armor']));
    const key = world.path('H', 'keys', 'release.pgp');
    const ran = await world.verify([app], ['--key', key, '--signature-only']);
    expect(ran.code).toBe(1);
    await expectUntouched(world, before, { answers: [ran] });
  });
});
