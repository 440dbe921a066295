/**
 * The envelope of a statement, read by others: cosign, of sigstore, verifies it, and in-toto's own types (SLSA's
 * provenance v1, in Go) take what is in it. What the builder did not sign is refused by cosign.
 */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import { PAYLOAD_TYPE, encodeEnvelope, paeBytes, parseEnvelope } from '../../src/records/dsse.ts';
import { programsOf, unpackPackage } from '../harness/debian.ts';
import { shellBlocks } from '../harness/document.ts';
import { World, mustBe } from '../harness/world.ts';
import { ask, compileGo } from './stranger.ts';
import type { Said } from './stranger.ts';

const directory = mkdtempSync(join(tmpdir(), 'cs-dsse-'));
let cosign: string;
let slsa: string;
let world: World;
let build: string;
/** What attest left at L. */
let envelope: Buffer;
let builder: KeyObject;
beforeAll(async () => {
  cosign = join(programsOf('cosign', 'cosign', directory), 'cosign');
  slsa = join(directory, 'slsa');
  const [packages, apt] = [join(directory, 'in-toto'), join(directory, 'apt')];
  unpackPackage('golang-github-in-toto-in-toto-golang-dev', 'trixie', packages, apt);
  await compileGo('slsa', slsa, join(packages, 'usr', 'share', 'gocode'));
  world = await World.make();
  const approved = await world.approve('1.0', ['--source', `git+https://example.org/x@${'a'.repeat(40)}`]);
  build = approved.build;
  mustBe(0, await world.attest(approved.ticket, { 'hello.tar': 'hello', 'docs/empty.txt': '' }));
  envelope = readFileSync(world.tree('builds', build, 'statements', 'b1.dsse.json'));
  const [b1] = Object.values(
    parseApproval(readFileSync(world.tree('builds', build, 'approval.json'))).builders,
  );
  if (b1?.scheme !== 'keypair') throw new Error('no certificate in the approval');
  builder = ed25519(Buffer.from(b1.certificate, 'base64'));
}, 120_000);
afterAll(async () => {
  await world.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The raw key in an ephemeral certificate: it has one shape, with the key from its 22nd byte on. */
const ed25519 = (certificate: Buffer): KeyObject =>
  createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: certificate.subarray(21, 53).toString('base64url') },
    format: 'jwk',
  });

/** Whether cosign takes the envelope for a statement of this type about that artifact, by the holder of the key. */
function cosignSays(
  offered: Buffer | string,
  { key = builder, artifact = 'hello', type = 'slsaprovenance1' } = {},
): Promise<Said> {
  const file = (name: string, content: Buffer | string): string => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const args = [
    ...['verify-blob-attestation', '--insecure-ignore-tlog', '--type', type],
    ...['--key', file('key.pem', key.export({ type: 'spki', format: 'pem' }))],
    ...['--signature', file('envelope', offered), file('artifact', artifact)],
  ];
  // a home of its own, and no network
  return ask(cosign, args, { cwd: directory, env: { HOME: directory } });
}

const refusal = (words: string): object => ({ code: 1, stderr: expect.stringContaining(words) });

describe('what attest left at the depot', () => {
  test.each(['hello', ''])('is the builder’s word on artifact %j', async (artifact) => {
    expect(await cosignSays(envelope, { artifact })).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('Verified OK'),
    });
  });

  test('and on no other', async () => {
    expect(await cosignSays(envelope, { artifact: 'hellO' })).toMatchObject(refusal('no matching subject'));
  });

  test('is nobody else’s', async () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    expect(await cosignSays(envelope, { key: publicKey })).toMatchObject(
      refusal('accepted signatures do not match threshold'),
    );
  });

  test('is provenance, of SLSA’s version 1, and nothing else', async () => {
    for (const type of ['slsaprovenance', 'slsaprovenance02', 'link'])
      expect((await cosignSays(envelope, { type })).code, type).toBe(1);
  });
});

describe('a byte of it changed', () => {
  const parts = (): { payload: Buffer; payloadType: string; sig: Buffer } => {
    const { payload, payloadType, signatures } = parseEnvelope(envelope);
    return { payload: Buffer.from(payload), payloadType, sig: Buffer.from(signatures[0].sig) };
  };
  const joined = ({ payload, payloadType, sig }: ReturnType<typeof parts>): string =>
    JSON.stringify({
      payload: payload.toString('base64'),
      payloadType,
      signatures: [{ keyid: '', sig: sig.toString('base64') }],
    });

  test('in nothing, but for the key id, which nobody signs: it is taken', async () => {
    expect((await cosignSays(joined(parts()))).code).toBe(0);
  });

  test('in the payload, at its start, middle and end', async () => {
    const { length } = parts().payload;
    for (const at of [0, Math.floor(length / 2), length - 1]) {
      const changed = parts();
      changed.payload[at]! ^= 1;
      expect(await cosignSays(joined(changed)), `byte ${at}`).toMatchObject(
        refusal('accepted signatures do not match threshold'),
      );
    }
  });

  test('in the signature', async () => {
    for (const at of [0, 31, 32, 63]) {
      const changed = parts();
      changed.sig[at]! ^= 1;
      expect(await cosignSays(joined(changed)), `byte ${at}`).toMatchObject(
        refusal('accepted signatures do not match threshold'),
      );
    }
  });

  test('in the type of the payload, which the signature covers', async () => {
    const changed = { ...parts(), payloadType: 'application/vnd.in-toto+jsom' };
    expect((await cosignSays(joined(changed))).code).toBe(1);
    const other = { ...parts(), payloadType: 'application/json' };
    expect((await cosignSays(joined(other))).code).toBe(1);
  });
});

describe('what cosign and in-toto make of a statement', () => {
  /** Signed by a key that cosign is told, whatever it is; and given to in-toto's types. */
  async function read(payload: string): Promise<{ cosign: number; types: number }> {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const bytes = Buffer.from(payload);
    const sig = sign(null, paeBytes(PAYLOAD_TYPE, bytes), privateKey);
    const said = await cosignSays(encodeEnvelope(bytes, 'key', sig), { key: publicKey });
    return { cosign: said.code, types: (await ask(slsa, [], { input: payload })).code };
  }
  const ours = (): string => parseEnvelope(envelope).payload.toString();

  test('they read ours, and every field of the provenance arrives', async () => {
    expect(await read(ours())).toEqual({ cosign: 0, types: 0 });
    const { stdout } = await ask(slsa, [], { input: ours() });
    const { invocationID, ...times } = JSON.parse(stdout).runDetails.metadata;
    const predicate = JSON.parse(ours()).predicate;
    // their name for it is older than the standard's
    predicate.runDetails.metadata = { invocationID: predicate.runDetails.metadata.invocationId, ...times };
    expect(JSON.parse(stdout)).toEqual(predicate);
    expect(invocationID).toMatch(/^urn:uuid:/);
    expect(predicate.buildDefinition.resolvedDependencies).toHaveLength(1);
  });

  test.each<[string, [string | RegExp, string], { cosign: number; types: number }]>([
    ['not JSON', ['{', ''], { cosign: 1, types: 1 }],
    ['another predicate', ['provenance/v1', 'provenance/v2'], { cosign: 1, types: 1 }],
    ['subjects that are none', ['"subject":[', '"subject":[7,'], { cosign: 1, types: 0 }],
    ['a time that is none', [/"startedOn":"[^"]*"/, '"startedOn":"yesterday"'], { cosign: 0, types: 1 }],
    [
      'a dependency that is none',
      ['"resolvedDependencies":[', '"resolvedDependencies":[7,'],
      { cosign: 0, types: 1 },
    ],
  ])('%s is refused by one of them', async (_, [from, to], expected) => {
    const changed = ours().replace(from, to);
    expect(changed).not.toBe(ours());
    expect(await read(changed)).toEqual(expected);
  });
});

test('by hand, as the manual has it: with cosign, and with openssl alone', async () => {
  const manual = 'docs/how-to/by-hand.md';
  const [verify = ''] =
    (await shellBlocks(manual, 'A build, in `builds/<build>/` (or in `countersign/` of a release)'))
      .join('\n')
      .match(/^jq .*certificate.*$/m) ?? [];
  const lines = await shellBlocks(manual, 'The envelope, for in-toto and sigstore tools');
  const type = (): Promise<Said> =>
    ask('bash', ['-eo', 'pipefail', '-c', [verify, ...lines].join('\n')], {
      cwd: world.tree('builds', build),
      env: { PATH: [dirname(cosign), process.env['PATH']].join(delimiter), HOME: directory },
    });
  const said = await type();
  expect(said).toMatchObject({ code: 0, stderr: expect.stringContaining('Verified OK') });
  expect(said.stdout).toContain('Signature Verified Successfully');

  const file = world.tree('builds', build, 'statements', 'b1.dsse.json');
  const { payload, signatures } = parseEnvelope(envelope);
  signatures[0].sig[5]! ^= 1;
  writeFileSync(file, encodeEnvelope(payload, 'key', signatures[0].sig));
  expect((await type()).code).not.toBe(0);
});
