/**
 * The oracle: whoever gets H to sign a digest of their choice has the release key for a moment, and a certification
 * made then lasts. So H signs what it has read itself, each time with its own trailer behind it.
 */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Agent } from '../../src/openpgp/agent.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { subkeyMaterial } from '../../src/openpgp/self-signature.ts';
import { buildHashedPart, encodeSignature, parseSignature, trailerOf } from '../../src/openpgp/signature.ts';
import { SUBPACKET, encodeSubpacket, uint32 } from '../../src/openpgp/subpacket.ts';
import { encodeCanonical } from '../../src/records/canonical.ts';
import type { Json } from '../../src/records/canonical.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { packTar, tarEntries } from '../../src/tree/tar.ts';
import { craftKey, craftSignature, craftSignatureBody, inlineMessage, nowSeconds } from '../harness/craft.ts';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { snapshot } from '../harness/invariants.ts';
import { isObject, readJson } from '../harness/json.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved, Files } from '../harness/world.ts';
import { expectOwnDigests } from './agent-digests.ts';
import {
  approvalFiles,
  blobs,
  filesOf,
  forgeApproval,
  plant,
  post,
  sign,
  statementOf,
  steal,
} from './forge.ts';
import type { Held } from './forge.ts';
import { entries, expectDenied, expectSigned, expectUnsigned, verdicts } from './outcome.ts';
import { expectRound } from './round.ts';

const files = { 'app.tgz': 'app', 'doc/app.txt': 'text' };

let world: World;
let hostile: HostileDepot;
beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

async function stolen(of: World, version: string): Promise<Approved & Held> {
  const ran = await of.approve(version);
  mustBe(0, ran);
  return { ...ran, ...(await steal(of, ran)) };
}

async function release(of: World, version: string, contents: Files, args: string[] = []): Promise<string> {
  const held = await stolen(of, version);
  mustBe(0, await of.attest(held.ticket, contents));
  const since = of.agent.digests.length;
  await expectSigned(of, held.build, version, contents, args);
  await expectOwnDigests(of, of.agent.digests.slice(since), version);
  return held.build;
}

describe('what the agent is asked to sign', () => {
  test('is what H computed over each artifact and its own trailer, and nothing else', async () => {
    await release(world, '1.0', { ...files, empty: '', 'twin.txt': 'text' });
  });

  test('also where the project signs with SHA-512', async () => {
    const project = world.path('H', 'countersign.toml');
    const toml = await readFile(project, 'utf8');
    await writeFile(project, toml.replace(/^hash = "sha256"/m, 'hash = "sha512"'));
    await world.shareProject();
    await world.stopServer();
    await world.startServer();
    await release(world, '1.1', files);
    expect(world.agent.digests.at(-1)).toHaveLength(128);
    await writeFile(project, toml);
    await world.shareProject();
    await world.stopServer();
    await world.startServer();
  });

  test('stays that when H is killed in between: the same digests, the same signatures', async () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`file-${i}.bin`, `content ${i}`]));
    const held = await stolen(world, '1.2');
    mustBe(0, await world.attest(held.ticket, many));
    const since = world.agent.digests.length;
    const power = new AbortController();
    world.agent.before = async () => {
      if (world.agent.digests.length <= since + 100) return;
      power.abort();
      await new Promise(() => {}); // the agent hears no more of it
    };
    const killed = await world.sign([held.build], { kill: power.signal });
    world.agent.before = () => {};
    expect(killed.code).toBe(null);
    expect(await entries(world, held.build)).toEqual(['approval', 'statement', 'intent']);
    const asked = world.agent.digests.slice(since);
    expect(asked.length).toBeLessThan(300);

    await expectSigned(world, held.build, '1.2', many);
    // only what H had asked for and not yet kept is asked for again
    const digests = world.agent.digests.slice(since);
    const again = digests.slice(asked.length).filter((digest) => asked.includes(digest));
    expect(again.length).toBeLessThan(asked.length);
    await expectOwnDigests(world, [...new Set(digests)], '1.2');
  });
});

describe('artifacts that look like something to sign', () => {
  test('keys, certificates, signatures, records and digests are signed as the raw bytes that they are', async () => {
    const held = await stolen(world, '2.0');
    const approver = world.approvers[0] ?? '';
    const [home] = world.approverHomes;
    const key = craftKey('ed25519', nowSeconds());
    const data = Buffer.from('data');
    const old = (name: string) => readFile(world.tree('releases', world.project, '1.0', name));
    const digest = createHash('sha256').update('what an attacker wants signed').digest();
    const contents: Record<string, Buffer | string> = {
      'release.pgp': world.releaseHome.export(world.releaseKey),
      'approver.pgp': home?.export(approver) ?? '',
      'builder.pgp': held.secret.certificate,
      'key-packet.bin': encodePacket(6, key.body),
      'signature.bin': craftSignature(key, data),
      'certification.bin': craftSignature(key, data, { type: 0x13 }),
      'inline.pgp': inlineMessage(key, data),
      'revocation.txt': world.releaseHome.revocationCertificate(world.releaseKey),
      'armored.txt': await old('app.tgz.asc'),
      'trailer.bin': Buffer.concat([data, trailerOf(Buffer.alloc(35))]),
      'digest.bin': digest,
      'digest.txt': digest.toString('hex'),
      'approval.json': held.bytes,
      'statement.json': await old('countersign/statements/b1.json'),
      'manifest.json': await old('countersign/manifest.json'),
      'log-entry.json': await old('countersign/log-entry.json'),
      'proof.txt': await old('countersign/release.proof'),
      'sums.txt': await old('SHA256SUMS'),
    };
    mustBe(0, await world.attest(held.ticket, contents));
    const since = world.agent.digests.length;
    await expectSigned(world, held.build, '2.0', contents);
    await expectOwnDigests(world, world.agent.digests.slice(since), '2.0');
    expect(world.agent.digests).not.toContain(digest.toString('hex'));
    // and gpgv, which knows nothing of us, takes each for a signed document
    const certificate = world.releaseHome.export(world.releaseKey);
    for (const [name, content] of Object.entries(contents)) {
      const signature = await readFile(world.tree('releases', world.project, '2.0', `${name}.asc`));
      expect(await gpgvAccepts(certificate, signature, Buffer.from(content)), name).toBe(true);
    }
  });

  test('no signature over them can be turned into a subkey binding; over a foreign digest it could', async () => {
    // the worst case: one key that certifies and signs
    const other = await World.make({ primarySigns: true });
    try {
      const certificate = other.releaseHome.export(other.releaseKey);
      const { primary } = parseCertificate(certificate);
      const mine = craftKey('ed25519', nowSeconds());
      const material = subkeyMaterial(primary, mine.public);
      const backSignature = craftSignatureBody(mine, material, { type: 0x19 });
      const binding = buildHashedPart(0x18, 22, 'sha256', Buffer.concat([
          encodeSubpacket(SUBPACKET.created, uint32(nowSeconds())),
          encodeSubpacket(SUBPACKET.keyFlags, Buffer.from([0x02])),
          encodeSubpacket(SUBPACKET.embeddedSignature, backSignature),
          encodeSubpacket(SUBPACKET.issuerFingerprint, Buffer.from(`04${other.releaseKey}`, 'hex')),
        ])); // prettier-ignore
      // everything that is hashed for a binding of my key to the release key, as an artifact
      const artifact = Buffer.concat([material, binding, trailerOf(binding)]);
      const digest = createHash('sha256').update(artifact).digest();
      const graft = (numbers: readonly Buffer[]): Buffer =>
        Buffer.concat([certificate, encodePacket(14, mine.body), encodeSignature(binding, digest, numbers)]);
      const evil = Buffer.from('signed by nobody who may');

      await release(other, '1.0', { 'app.bin': artifact });
      expect(other.agent.digests).not.toContain(digest.toString('hex'));
      const asc = await readFile(other.tree('releases', other.project, '1.0', 'app.bin.asc'));
      expect(await gpgvAccepts(graft(parseSignature(asc).mpis), craftSignature(mine, evil), evil)).toBe(
        false,
      );

      // what this is all about: an H that signed the digest it is given
      const agent = await Agent.connect(other.releaseHome.env);
      const numbers = await agent.sign(other.releaseHome.keygrip(other.releaseKey), 'sha256', digest, 'evil');
      agent.close();
      expect(await gpgvAccepts(graft(numbers), craftSignature(mine, evil), evil)).toBe(true);
    } finally {
      await other.close();
    }
  });
});

describe('a digest, offered', () => {
  const digest = 'd1'.repeat(32);
  type Members = Record<string, Json>;

  /** The statement with its JSON changed, canonical again. */
  function bent(held: Held, change: (statement: Members, subject: Members) => void): Buffer {
    const statement = structuredClone(readJson(encodeStatement(statementOf(held, files)).toString()));
    if (!isObject(statement) || !Array.isArray(statement['subject'])) throw new Error('no statement');
    change(statement, (statement['subject'] as Members[])[0] ?? {});
    return encodeCanonical(statement);
  }

  test.each<[string, string, (statement: Members, subject: Members) => void]>([
    [
      'a hash state',
      'state',
      (_, subject) => (subject['annotations'] = { size: 3, sha256State: `${digest}00` }),
    ],
    ['a second digest', 'second', (_, subject) => (subject['digest'] = { sha256: digest, openpgp: digest })],
    [
      'a longer digest',
      'sha512',
      (_, subject) => (subject['digest'] = { sha256: digest, sha512: digest + digest }),
    ],
    ['a digest to sign', 'to-sign', (_, subject) => (subject['signatureDigest'] = digest)],
    ['a digest of the whole', 'whole', (statement) => (statement['signatureDigest'] = digest)],
    ['a trailer', 'trailer', (_, subject) => (subject['annotations'] = { size: 3, trailer: '04ff00000006' })],
    ['no size', 'no-size', (_, subject) => (subject['annotations'] = {})],
    ['contents instead of a digest', 'content', (_, subject) => (subject['content'] = 'YXBw')],
  ])('in a statement, as %s', async (_, version, change) => {
    const held = await stolen(world, `3.${version}`);
    const before = await snapshot(world);
    const statement = sign(held, bent(held, change));
    await expectDenied(
      world,
      before,
      await post(world, held.build, statement, held.token),
      '422 statement-malformed',
    );
    await plant(world, held.build, new Map([...statement, ...blobs(files)]));
    await expectUnsigned(world, before, held.build, 'refused statement-malformed');
    expect(world.agent.digests).not.toContain(digest);
  });

  test('as the digest of an artifact: the artifact is not there', async () => {
    const held = await stolen(world, '3.absent');
    const before = await snapshot(world);
    const { subjects } = statementOf(held, files);
    const absent = subjects.map((subject) => ({ ...subject, sha256: digest as typeof subject.sha256 }));
    await plant(world, held.build, sign(held, statementOf(held, files, { subjects: absent })));
    await expectUnsigned(world, before, held.build, 'built artifact-missing');
    await plant(world, held.build, new Map([[`blobs/${digest}`, Buffer.from('app')]]));
    await expectUnsigned(world, before, held.build, 'built artifact-wrong');
  });

  test('in an approval that allows it: the project does not, or it is none', async () => {
    const { approval } = await stolen(world, '3.terms');
    const builds = new Map<string, string>();
    for (const [what, change] of [
      ['mode digest', { mode: 'digest' }],
      ['a field more', { signatureDigest: digest }],
      ['a digest for an artifact', { artifacts: { ...approval.artifacts, digests: { 'app.tgz': digest } } }],
    ] as const) {
      const forged = forgeApproval(world, approval);
      const bytes = encodeCanonical({ ...(readJson(forged.bytes.toString()) as Members), ...change });
      const signed = approvalFiles(world, bytes);
      const before = await snapshot(world);
      const answer = await post(world, forged.build, signed);
      await expectDenied(
        world,
        before,
        answer,
        `422 ${what === 'mode digest' ? 'policy-mode' : 'record-malformed'}`,
      );
      const held = { ...forged, bytes };
      await plant(
        world,
        forged.build,
        new Map([...signed, ...sign(held, statementOf(held, files)), ...blobs(files)]),
      );
      builds.set(what, forged.build);
    }
    await expectRound(world, await snapshot(world), builds, (what) =>
      what === 'mode digest' ? 'refused policy-mode' : 'approved approval-invalid',
    );
  });

  test('by L, in the place of what H is to write: H writes its own, and says that L has another', async () => {
    const held = await stolen(world, '3.written');
    mustBe(0, await world.attest(held.ticket, files));
    const names = ['manifest.json', 'signatures.list', 'signatures/app.tgz.asc'];
    const finished = await release(world, '3.finished', files);
    await plant(world, held.build, await filesOf(world, finished, names));
    const [before, since] = [await snapshot(world), world.agent.digests.length];
    const ran = await world.sign([held.build]);
    expect([ran.code, verdicts(ran)]).toEqual([expect.toBeOneOf([1, 3]), ['signed conflict']]);
    expect((await snapshot(world)).published).toEqual(before.published);

    await plant(world, held.build, new Map(names.map((name) => [name, null])));
    await expectSigned(world, held.build, '3.written', files);
    await expectOwnDigests(world, world.agent.digests.slice(since), '3.written');
  });

  test('by L, in headers and in batches of artifacts: H goes by the bytes that it read', async () => {
    hostile.lie(/\/blobs\//, async (honest) => {
      const answer = await honest();
      const claim = Buffer.from(digest, 'hex').toString('base64');
      return { ...answer, headers: { ...answer.headers, digest: `sha-256=${claim}`, 'repr-digest': `sha-256=:${claim}:`, etag: `"${digest}"` } }; // prettier-ignore
    });
    hostile.lie(/\/builds\/.*\/fetch$/, async (honest) => {
      const answer = await honest();
      const batch = [];
      for await (const { name, bytes } of tarEntries([answer.body], { files: 9, fileBytes: 99, bytes: 99 }))
        batch.push({ name, bytes: Buffer.from(bytes.toString('hex').slice(0, bytes.length)) });
      return { ...answer, body: packTar(batch) };
    });
    await release(world, '3.headers', files, ['--depot', hostile.url]);
    expect(hostile.asked.some((asked) => asked.includes('/blobs/'))).toBe(true);
  });
});
