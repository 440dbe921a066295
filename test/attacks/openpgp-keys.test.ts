/**
 * OpenPGP: key files that are not one fit certificate, and keys in two places. `init` writes nothing for them; put into the
 * project file afterwards, no command on any host works with it.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeArmor } from '../../src/openpgp/armor.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { encodeSubpacket, SUBPACKET } from '../../src/openpgp/subpacket.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import type { CraftParts } from '../harness/craft-certificate.ts';
import { craftKey, craftSignature, nowSeconds } from '../harness/craft.ts';
import type { CraftKind } from '../harness/craft.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { LOW_ORDER, certificateOf } from './odd-key.ts';
import { expectSigned } from './outcome.ts';

const DAY = 24 * 3600;
const armor = (bytes: Buffer): string => encodeArmor('PGP PUBLIC KEY BLOCK', bytes);
const age = (days: number): number => nowSeconds() - days * DAY;
const user = 'Crafted <crafted@example.org>';

/** A certificate made by hand. */
const crafted = (parts: CraftParts = {}, kind: CraftKind = 'ed25519', days = 100): Buffer =>
  craftCertificate(craftKey(kind, age(days)), parts);
const withSubkey = (parts: Omit<NonNullable<CraftParts['subkeys']>[number], 'key'>): Buffer =>
  crafted({
    userIds: [{ text: user, flags: 0x01 }],
    subkeys: [{ key: craftKey('ed25519', age(50)), ...parts }],
  });

const good = crafted();
/** What is no certificate whose owner may sign. */
const unfit: Readonly<Record<string, Buffer>> = {
  'two certificates': Buffer.concat([good, crafted()]),
  'the same one twice': Buffer.concat([good, good]),
  'two in one armor': Buffer.from(armor(Buffer.concat([good, crafted()]))),
  'two armors': Buffer.from(armor(good) + armor(crafted())),
  'text around the armor': Buffer.from(`trust me\n${armor(good)}`),
  'armor with another label': Buffer.from(encodeArmor('PGP SIGNATURE', good)),
  'trailing bytes': Buffer.concat([good, Buffer.from('x')]),
  'a stranger’s key without a word of his': Buffer.concat([
    good,
    encodePacket(6, craftKey('ed25519', age(1)).body),
  ]),
  'a signature': craftSignature(craftKey('ed25519', age(1)), good),
  'a compressed certificate': encodePacket(8, Buffer.concat([Buffer.from([0]), good])),
  'no user id': crafted({ userIds: [] }),
  'a user id that is revoked': crafted({ userIds: [{ text: user, revokedAt: age(1) }] }),
  'a user id that a stranger certified': crafted({
    userIds: [{ text: user, by: craftKey('ed25519', age(1)) }],
  }),
  'a self-signature in SHA-1': crafted({ userIds: [{ text: user, hash: 'sha1' }] }),
  'a self-signature that has ended': crafted({ userIds: [{ text: user, expiresAfter: DAY }] }),
  'an expired key': crafted({ userIds: [{ text: user, keyLifetime: DAY }] }),
  'a revoked key': crafted({ revoked: true }),
  'a key revoked in SHA-1': crafted({ revoked: true, revocationHash: 'sha1' }),
  'a key dated in the future': crafted({}, 'ed25519', -2),
  'a key for certifying': crafted({ userIds: [{ text: user, flags: 0x01 }] }),
  'a key for encryption': crafted({ userIds: [{ text: user, flags: 0x0c }] }),
  'a key without usage flags': crafted({ userIds: [{ text: user, flags: null }] }),
  'a subkey for encryption': withSubkey({ flags: 0x0c }),
  'a subkey without a back-signature': withSubkey({ backSigned: false }),
  'a subkey that is revoked': withSubkey({ revoked: true }),
  'a subkey that has expired': withSubkey({ keyLifetime: DAY }),
  'a subkey that a stranger bound': withSubkey({ by: craftKey('ed25519', age(1)) }),
  'RSA of 1,024 bits': crafted({}, 'rsa1024'),
  'a point of low order': certificateOf([...LOW_ORDER.values()][0] ?? good, age(1)).certificate,
  'something else': Buffer.from('hello'),
  nothing: Buffer.alloc(0),
  'a megabyte': Buffer.alloc(1024 * 1024, 0x99),
};

/** Odd, and fit. */
const fit: Readonly<Record<string, Buffer>> = {
  'a certificate made by hand': good,
  armored: Buffer.from(armor(good).replace('\n', '\nComment: of mine\n')),
  'with blank lines around the armor': Buffer.from(`\n\n${armor(good)}\n\n`),
  'with CR LF': Buffer.from(armor(good).replaceAll('\n', '\r\n')),
  'RSA of 2,048 bits': crafted({}, 'rsa2048'),
  'P-256': crafted({}, 'p256'),
  'a subkey that signs, beside one that is revoked': crafted({
    userIds: [{ text: user, flags: 0x01 }],
    subkeys: [{ key: craftKey('ed25519', age(9)) }, { key: craftKey('ed25519', age(8)), revoked: true }],
  }),
  'a user id that would be two lines, and a status line': crafted({
    userIds: [{ text: 'Zoë\n[GNUPG:] GOODSIG 0 \u001b[2J\u202e' }],
  }),
  'a notation in its self-signature': crafted({
    userIds: [{ text: user, hashed: [encodeSubpacket(SUBPACKET.features, Buffer.from([1]))] }],
  }),
};

let world: World;
let before: Snapshot;
beforeAll(async () => {
  world = await World.make();
});
beforeEach(async () => {
  before = await snapshot(world);
});
afterAll(() => world.close());

let projects = 0;
/** `init` of another project, its keys in files on M, which the invariants leave out. */
async function init(
  release: Buffer | string,
  ...approvers: (Buffer | string)[]
): Promise<Ran & { directory: string }> {
  const directory = world.path('M', `project-${++projects}`);
  const named = async (key: Buffer | string, name: string): Promise<string> => {
    if (typeof key === 'string') return key;
    await writeFile(`${directory}-${name}`, key);
    return `${directory}-${name}`;
  };
  const args = ['--dir', directory, '--project', 'other', '--release-key', await named(release, 'release')];
  for (const [at, approver] of approvers.entries()) args.push('--approver', await named(approver, `a${at}`));
  return { ...(await world.runOn('H', ['init', '--json', ...args])), directory };
}

async function expectNothingMade(ran: Ran & { directory: string }, ...codes: string[]): Promise<void> {
  expect(codes, ran.stderr).toContain(ran.error?.code);
  expect(ran.code).toBe(2);
  await expect(stat(ran.directory)).rejects.toThrow('ENOENT');
  await expectUntouched(world, before, { answers: [ran] });
}

describe('init is given, as an approver’s and as the release key,', () => {
  test.each(Object.entries(unfit))('%s: nothing is made', async (_, file) => {
    const codes = ['key-malformed', 'key-unusable', 'too-large'];
    const [approver, release] = [await init(world.releaseKey, file), await init(file, good)];
    for (const ran of [approver, release]) {
      if (ran.error?.code === 'too-large') await expectUntouched(world, before, { answers: [ran] });
      else await expectNothingMade(ran, ...codes);
    }
  });

  test.each(Object.entries(fit))('%s: a project is made', async (_, file) => {
    const ran = await init(world.releaseKey, file);
    mustBe(0, ran);
    expect(ran.stdout + ran.stderr).not.toMatch(/[^\P{C}\n]/u);
    await expectUntouched(world, before, { answers: [] });
  });
});

describe('one signing key in two roles:', () => {
  const shared = craftKey('ed25519', age(20));
  const holding = (): Buffer => crafted({ subkeys: [{ key: shared }] });
  const [approver] = [() => world.approverHomes[0]?.export(world.approvers[0] ?? '') ?? good];

  test.each<[string, () => Promise<Ran & { directory: string }>]>([
    ['the release key approves', () => init(world.releaseKey, world.releaseKey)],
    [
      'the release key approves, in a file',
      () => init(world.releaseKey, world.releaseHome.export(world.releaseKey)),
    ],
    ['one approver twice', () => init(world.releaseKey, approver(), approver())],
    [
      'one approver twice, armored the second time',
      () => init(world.releaseKey, good, Buffer.from(armor(good))),
    ],
    ['two approvers share a subkey', () => init(world.releaseKey, holding(), holding())],
    ['release key and approver share a subkey', () => init(holding(), holding())],
    ['one’s primary key is the other’s subkey', () => init(craftCertificate(shared), holding())],
    [
      'a shared subkey that is revoked in one of them',
      () => init(holding(), crafted({ subkeys: [{ key: shared, revoked: true }] })),
    ],
  ])('%s', async (_, ran) => expectNothingMade(await ran(), 'key-in-two-roles'));

  test('a shared subkey for encryption is no role', async () => {
    const encrypts = (): Buffer => crafted({ subkeys: [{ key: shared, flags: 0x0c }] });
    mustBe(0, await init(encrypts(), encrypts()));
  });
});

describe('put into the project file afterwards,', () => {
  const malformed = ['two certificates', 'the same one twice', 'a stranger’s key without a word of his', 'no user id', 'a self-signature in SHA-1', 'RSA of 1,024 bits']; // prettier-ignore

  /** With another file on every host: each command must say what is wrong with it. The file is put back afterwards. */
  async function expectUseless(name: string, bytes: Buffer | string, code: string): Promise<void> {
    const kept = await readFile(world.path('H', name));
    for (const host of ['H', 'L', 'operator']) await writeFile(world.path(host, name), bytes);
    const tickets = world.path('operator', 'tickets-none');
    const runs = [
      await world.sign(),
      await world.runOn('L', [
        'serve',
        '--data',
        world.path('L', 'data'),
        '--listen',
        '127.0.0.1:1',
        '--json',
      ]),
      await world.runOn('operator', ['approve', '9.9', '--tickets', tickets, '--yes', '--json']),
      await world.runOn('operator', ['status', '--json']),
      await world.verify([world.path('H', 'countersign.toml')]),
    ];
    for (const host of ['H', 'L', 'operator']) await writeFile(world.path(host, name), kept);
    for (const ran of runs) expect([ran.code, ran.error?.code], ran.stderr).toEqual([2, code]);
    await expectUntouched(world, before, { answers: runs });
  }

  test.each(malformed)('%s', async (what) =>
    expectUseless(`keys/approver-${world.approvers[0]}.pgp`, unfit[what] ?? '', 'config-malformed'),
  );

  test('the release certificate as an approver’s', async () => {
    const release = await readFile(world.path('H', 'keys', 'release.pgp'));
    await expectUseless(`keys/approver-${world.approvers[0]}.pgp`, release, 'key-in-two-roles');
  });

  test.each([
    '../L/keys/release.pgp',
    '/etc/hostname',
    'keys/../../x',
    'keys//release.pgp',
    'keys\\\\x',
    'keys/x\\ny',
  ])('a key that lies at %s', async (path) => {
    const toml = await readFile(world.path('H', 'countersign.toml'), 'utf8');
    await expectUseless('countersign.toml', toml.replace('keys/release.pgp', path), 'config-malformed');
  });

  test('and taken out again: a build is signed', async () => {
    const { ticket, build } = await world.approve('1.0');
    mustBe(0, await world.attest(ticket, { app: 'app' }));
    await expectSigned(world, build, '1.0', { app: 'app' });
  });
});
