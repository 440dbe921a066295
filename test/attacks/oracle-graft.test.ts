/**
 * The graft: an artifact whose bytes are all that is hashed for a certification, so that a signature over it without a
 * trailer behind would bind an attacker's subkey, or name, to the release key. A signer with two mistakes in it makes that
 * signature, so these tests can fail; ours makes none, and a signer with one of the two makes one that is of no use.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { subkeyMaterial, userIdMaterial } from '../../src/openpgp/self-signature.ts';
import { buildHashedPart, encodeSignature, parseSignature, trailerOf } from '../../src/openpgp/signature.ts';
import { SUBPACKET, encodeSubpacket, uint32 } from '../../src/openpgp/subpacket.ts';
import { craftKey, craftSignature, craftSignatureBody, nowSeconds } from '../harness/craft.ts';
import type { CraftKey } from '../harness/craft.ts';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';
import { rawGpgv } from '../harness/gpgv.ts';
import { snapshot } from '../harness/invariants.ts';
import { MutantProgram } from '../harness/mutant-program.ts';
import type { Edit } from '../harness/mutant-program.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { expectOwnDigests } from './agent-digests.ts';
import { approveDigest, certifyingWorld, digestWorld } from './digest-world.ts';
import { expectSigned, expectUnsigned } from './outcome.ts';

/** It signs what the builder's hash comes to, with nothing of its own behind. */
const NO_TRAILER: Edit = {
  file: 'openpgp/pass.ts',
  find: 'const own = Buffer.concat([hashedPart, trailerOf(hashedPart)]);',
  put: 'const own = NOTHING;',
};
/** It signs unseen with a key that can certify. */
const ANY_KEY: Edit = {
  file: 'signer/states.ts',
  find: 'if (certifying !== null)',
  put: 'if (certifying === "")',
};

const EVIL = 'Evil <evil@example.org>';
const DOCUMENT = Buffer.from('a genuine one');
const evil = Buffer.from('signed by nobody who may');

/** What an attacker makes of a release certificate: the artifacts, and the certificate that signatures over them would give. */
class Graft {
  readonly mine: CraftKey = craftKey('ed25519', nowSeconds());
  readonly certificate: Buffer;
  readonly #genuine: Buffer;
  readonly #subkey: Hashed;
  readonly #name: Hashed;

  constructor(world: World) {
    this.certificate = world.releaseHome.export(world.releaseKey);
    // whose name gpgv gives to a signature of the release key's is the question
    this.#genuine = world.releaseHome.sign(world.releaseKey, DOCUMENT);
    const { primary } = parseCertificate(this.certificate);
    const material = subkeyMaterial(primary, this.mine.public);
    const backSignature = craftSignatureBody(this.mine, material, { type: 0x19 });
    const issuer = encodeSubpacket(SUBPACKET.issuerFingerprint, Buffer.from(`04${world.releaseKey}`, 'hex'));
    const created = encodeSubpacket(SUBPACKET.created, uint32(nowSeconds() + 1));
    const mayCertifyAndSign = encodeSubpacket(SUBPACKET.keyFlags, Buffer.from([0x03]));
    const isPrimaryName = encodeSubpacket(25, Buffer.from([1]));
    this.#subkey = hashed(material, 0x18, [
      created,
      encodeSubpacket(SUBPACKET.keyFlags, Buffer.from([0x02])),
      encodeSubpacket(SUBPACKET.embeddedSignature, backSignature),
      issuer,
    ]);
    this.#name = hashed(userIdMaterial(primary, Buffer.from(EVIL)), 0x13, [
      created,
      mayCertifyAndSign,
      isPrimaryName,
      issuer,
    ]);
  }

  get artifacts(): Record<string, Buffer> {
    return { 'name.bin': this.#name.all, 'subkey.bin': this.#subkey.all };
  }

  get digests(): string[] {
    return [this.#name, this.#subkey].map(({ digest }) => digest.toString('hex'));
  }

  /** With the numbers of those signatures put under the attacker's own packets: does gpgv believe either? */
  async succeeds(
    signatures: Readonly<Record<string, string | Buffer>>,
  ): Promise<{ subkey: boolean; name: boolean }> {
    const numbers = (name: string) => parseSignature(Buffer.from(signatures[name] ?? '')).mpis;
    const withSubkey = Buffer.concat([
      this.certificate,
      encodePacket(14, this.mine.body),
      encodeSignature(this.#subkey.part, this.#subkey.digest, numbers('subkey.bin')),
    ]);
    const withName = Buffer.concat([
      this.certificate,
      encodePacket(13, Buffer.from(EVIL)),
      encodeSignature(this.#name.part, this.#name.digest, numbers('name.bin')),
    ]);
    const { status } = await rawGpgv({ keyring: withName, signature: this.#genuine, data: [DOCUMENT] });
    return {
      subkey: await gpgvAccepts(withSubkey, craftSignature(this.mine, evil), evil),
      name: status.includes('evil@example.org'),
    };
  }
}

interface Hashed {
  readonly part: Buffer;
  /** Everything that goes into the digest. */
  readonly all: Buffer;
  readonly digest: Buffer;
}

function hashed(material: Buffer, type: number, subpackets: readonly Buffer[]): Hashed {
  const part = buildHashedPart(type, 22, 'sha256', Buffer.concat(subpackets));
  const all = Buffer.concat([material, part, trailerOf(part)]);
  return { part, all, digest: createHash('sha256').update(all).digest() };
}

const mutants: MutantProgram[] = [];
const mutant = async (...edits: readonly Edit[]): Promise<string> => {
  const made = await MutantProgram.ofSigner(edits);
  mutants.push(made);
  return made.path;
};
afterAll(() => Promise.all(mutants.map((made) => made.close())));

/** The signatures over the artifacts of a build, as L has them before they are published. */
async function signaturesAtL(
  world: World,
  build: string,
  names: readonly string[],
): Promise<Record<string, string>> {
  const read = async (name: string) =>
    [name, await readFile(world.tree('builds', build, 'signatures', `${name}.asc`), 'utf8')] as const;
  return Object.fromEntries(await Promise.all(names.map(read)));
}

describe('where H has a key that certifies', () => {
  let world: World;
  let graft: Graft;
  beforeAll(async () => {
    world = await certifyingWorld();
    graft = new Graft(world);
  });
  afterAll(() => world.close());

  test('it signs nothing in digest mode', async () => {
    const held = await approveDigest(world, '1.0');
    mustBe(0, await world.attest(held.ticket, graft.artifacts));
    const before = await snapshot(world);
    await expectUnsigned(world, before, held.build, 'built release-key-certifies');
  });

  test('a signer with both mistakes: the graft succeeds, and gpgv says GOODSIG of what the attacker signs', async () => {
    const held = await approveDigest(world, '1.1');
    mustBe(0, await world.attest(held.ticket, graft.artifacts));
    const since = world.agent.digests.length;
    const ran = await world.sign([held.build], { program: await mutant(NO_TRAILER, ANY_KEY) });
    expect(world.agent.digests.slice(since)).toEqual(expect.arrayContaining(graft.digests));
    const signatures = await signaturesAtL(world, held.build, Object.keys(graft.artifacts));
    expect(await graft.succeeds(signatures)).toEqual({ subkey: true, name: true });
    // L, which verifies over its own bytes, publishes none of it, and H says so
    expect(ran.code, ran.stdout).toBeOneOf([1, 3]);
    expect(ran.stderr).toMatch(/name\.bin|subkey\.bin/);
    await expect(readFile(world.tree('releases', world.project, '1.1', 'SHA256SUMS'))).rejects.toThrow(
      'ENOENT',
    );
  });

  test('a signer that only takes any key: the trailer is enough, no signature can be turned into a certification', async () => {
    const held = await approveDigest(world, '1.2');
    mustBe(0, await world.attest(held.ticket, graft.artifacts));
    const since = world.agent.digests.length;
    await expectSigned(world, held.build, '1.2', graft.artifacts, [], { program: await mutant(ANY_KEY) });
    await expectOwnDigests(world, world.agent.digests.slice(since), '1.2');
    const signatures = await signaturesAtL(world, held.build, Object.keys(graft.artifacts));
    expect(await graft.succeeds(signatures)).toEqual({ subkey: false, name: false });
  });
});

describe('where H has a subkey that can only sign', () => {
  let world: World;
  let graft: Graft;
  beforeAll(async () => {
    world = await digestWorld();
    graft = new Graft(world);
  });
  afterAll(() => world.close());

  test('the artifacts are signed as the bytes that they are', async () => {
    const held = await approveDigest(world, '2.0');
    mustBe(0, await world.attest(held.ticket, graft.artifacts));
    const since = world.agent.digests.length;
    await expectSigned(world, held.build, '2.0', graft.artifacts);
    await expectOwnDigests(world, world.agent.digests.slice(since), '2.0');
    for (const digest of graft.digests) expect(world.agent.digests).not.toContain(digest);
  });

  test('a signer without a trailer of its own: the subkey makes nothing of it', async () => {
    const held = await approveDigest(world, '2.1');
    mustBe(0, await world.attest(held.ticket, graft.artifacts));
    await world.sign([held.build], { program: await mutant(NO_TRAILER) });
    expect(world.agent.digests).toEqual(expect.arrayContaining(graft.digests));
    const signatures = await signaturesAtL(world, held.build, Object.keys(graft.artifacts));
    expect(await graft.succeeds(signatures)).toEqual({ subkey: false, name: false });
  });
});
