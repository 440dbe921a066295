/**
 * Every row of the table "gpgv 2.2.40: what it says" as a real case: keys and signatures made by gpg, and by hand
 * where gpg would not.
 */
import { readFileSync } from 'node:fs';
import { encodeArmor } from '../../src/openpgp/armor.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { craftCertificate } from './craft-certificate.ts';
import { compressed, craftKey, craftSignature, nowSeconds } from './craft.ts';
import type { GnupgHome } from './gnupg.ts';

/** What plain gpgv says: exit code, keywords, and what else its status lines must match. */
export type Said = readonly [code: number, keywords: string, detail?: RegExp];

export interface Row {
  /** As the table calls it. */
  readonly name: string;
  readonly signature: Buffer;
  /** The data files that plain gpgv is given. */
  readonly data: readonly Buffer[];
  /** The first of them is not there, and this is its name. */
  readonly missing?: string;
  readonly keyring: Buffer;
  readonly said: Said;
  /** What gpgv 2.4 says, where it is something else. */
  readonly said24?: Said;
  readonly wanted: 'accept' | 'refuse';
  /** What a wrapper is asked about, where it is not the first data file and the keyring. */
  readonly document?: Buffer;
  readonly certificate?: Buffer;
}

type RowOf = (name: string, said: Said, signature: Buffer, more?: Partial<Row>) => Row;

const YEAR = 365 * 24 * 3600;
const GOOD = 'GOODSIG VALIDSIG';
const ACCEPT = { wanted: 'accept' } as const;

export const DOCUMENT = Buffer.from('one line\nand another\n');

/** Builds all rows, with keys in `home`. */
export function tableRows(home: GnupgHome): Row[] {
  const ada = home.generate({ userId: 'Ada <ada@example.org>' });
  const row: RowOf = (name, said, signature, more = {}) => ({
    name,
    said,
    signature,
    data: [DOCUMENT],
    keyring: home.export(ada),
    wanted: 'refuse',
    ...more,
  });
  return [
    ...goodRows(home, ada, row),
    ...keyRows(home, row),
    ...packetRows(home, ada, row),
    ...formRows(home, ada, row),
    ...severalRows(home, ada, row),
  ];
}

function goodRows(home: GnupgHome, ada: Fingerprint, row: RowOf): Row[] {
  const rsa = home.generate({ userId: 'Rosa <rosa@example.org>', algorithm: 'rsa2048' });
  const p256 = home.generate({ userId: 'Pia <pia@example.org>', algorithm: 'nistp256' });
  const zoe = craftKey('ed25519', nowSeconds());
  const good = home.sign(ada, DOCUMENT);
  const annotated = 'GOODSIG POLICY_URL NOTATION_NAME NOTATION_FLAGS NOTATION_DATA VALIDSIG';
  const annotation = ['--set-notation', 'a@example.org=b', '--sig-policy-url', 'https://example.org/%0a'];
  return [
    row('good', [0, GOOD], good, ACCEPT),
    row('good, armored', [0, GOOD], Buffer.from(encodeArmor('PGP SIGNATURE', good)), ACCEPT),
    row('good, RSA', [0, GOOD], home.sign(rsa, DOCUMENT), { keyring: home.export(rsa), ...ACCEPT }),
    row('good, P-256', [0, GOOD], home.sign(p256, DOCUMENT), { keyring: home.export(p256), ...ACCEPT }),
    row('good, SHA-512', [0, GOOD], home.sign(ada, DOCUMENT, ['--digest-algo', 'SHA512']), ACCEPT),
    row('good, with notations', [0, annotated], home.sign(ada, DOCUMENT, annotation), ACCEPT),
    row('good, over an empty file', [0, GOOD], home.sign(ada, Buffer.alloc(0)), {
      data: [Buffer.alloc(0)],
      ...ACCEPT,
    }),
    ...['Zoë\n[GNUPG:] BADSIG x\r%', ''].map((text) =>
      row(`good, by ${JSON.stringify(text)}`, [0, GOOD], craftSignature(zoe, DOCUMENT), {
        keyring: craftCertificate(zoe, { userIds: [{ text }] }),
        ...ACCEPT,
      }),
    ),
    row('other bytes', [1, 'BADSIG'], home.sign(ada, Buffer.from('other bytes\n'))),
  ];
}

/** The key or a date is wrong. */
function keyRows(home: GnupgHome, row: RowOf): Row[] {
  const now = nowSeconds();
  const craftedExpired = craftKey('ed25519', now - 2 * YEAR);
  const old = home.generate({ userId: 'Old <old@example.org>', at: gpgTime(now - 2 * YEAR) });
  const expired = home.generate({
    userId: 'Expired <expired@example.org>',
    at: gpgTime(now - 2 * YEAR),
    expires: `seconds=${YEAR}`,
  });
  const revoked = home.generate({ userId: 'Revoked <revoked@example.org>' });
  const young = craftKey('ed25519', now);
  const revokedSignature = home.sign(revoked, DOCUMENT);
  home.revoke(revoked);
  const at = (seconds: number): string[] => ['--faked-system-time', `${gpgTime(seconds)}!`];
  const expiredSaid: Said = [0, 'KEYEXPIRED EXPKEYSIG VALIDSIG'];
  return [
    row('expired key, signed while valid', expiredSaid, home.sign(expired, DOCUMENT, at(now - 1.5 * YEAR)), {
      keyring: home.export(expired),
    }),
    row('expired key, signed even after', expiredSaid, craftSignature(craftedExpired, DOCUMENT), {
      keyring: craftCertificate(craftedExpired, { userIds: [{ text: 'Expired', keyLifetime: YEAR }] }),
    }),
    row('revoked key in the keyring', [0, 'REVKEYSIG VALIDSIG'], revokedSignature, {
      keyring: home.export(revoked),
    }),
    row('signature dated a year ahead', [0, GOOD], home.sign(old, DOCUMENT, at(now + YEAR)), {
      keyring: home.export(old),
    }),
    row('key without usage flags', [0, GOOD], craftSignature(young, DOCUMENT), {
      keyring: craftCertificate(young, { userIds: [{ text: 'No flags', flags: null }] }),
    }),
    row(
      'signature older than its key',
      [2, 'ERRSIG'],
      craftSignature(young, DOCUMENT, { created: now - YEAR }),
      {
        keyring: craftCertificate(young),
      },
    ),
    row(
      'expired signature',
      [1, 'EXPSIG VALIDSIG'],
      home.sign(old, DOCUMENT, [...at(now - YEAR), '--default-sig-expire', '7d']),
      {
        keyring: home.export(old),
      },
    ),
  ];
}

/** One packet, but not one that we want. */
function packetRows(home: GnupgHome, ada: Fingerprint, row: RowOf): Row[] {
  const rsa = craftKey('rsa2048', nowSeconds() - YEAR);
  const [one, other] = ['1', '2'].map((n) =>
    readFileSync(new URL(`../vectors/shattered/${n}.bin`, import.meta.url)),
  );
  if (!one || !other) throw new Error('no SHAttered files');
  const sha1 = home.sign(ada, one, ['--digest-algo', 'SHA1']);
  const sha1Said: Said = [0, GOOD, /^\[GNUPG:\] VALIDSIG .* 0 4 0 22 2 00 /m];
  return [
    row('SHA-1 digest', sha1Said, sha1, { data: [one] }),
    row('SHA-1 digest, the other file of the SHAttered pair', sha1Said, sha1, { data: [other] }),
    row(
      'v3 signature',
      [0, GOOD, /^\[GNUPG:\] VALIDSIG .* 0 3 0 1 8 00 /m],
      craftSignature(rsa, DOCUMENT, { version: 3 }),
      {
        keyring: craftCertificate(rsa),
      },
    ),
    row(
      'text mode, line endings changed',
      [0, GOOD, /^\[GNUPG:\] VALIDSIG .* 0 4 0 22 \d+ 01 /m],
      home.sign(ada, DOCUMENT, ['--textmode']),
      { data: [Buffer.from(DOCUMENT.toString().replaceAll('\n', '\r\n'))] },
    ),
    row(
      'unknown critical notation',
      [1, 'BADSIG'],
      home.sign(ada, DOCUMENT, ['--set-notation', '!a@example.org=b']),
    ),
  ];
}

/** A good signature in a form that is not a detached signature, or called as if it were not. */
function formRows(home: GnupgHome, ada: Fingerprint, row: RowOf): Row[] {
  const good = home.sign(ada, DOCUMENT);
  const armored = Buffer.from(encodeArmor('PGP SIGNATURE', good));
  const inline = home.gpg(
    ['--local-user', ada, '--output', '-', '--compress-algo', 'none', '--sign'],
    DOCUMENT,
  );
  const clear = home.gpg(['--local-user', ada, '--output', '-', '--clearsign'], DOCUMENT);
  const around = (middle: Buffer): Buffer =>
    Buffer.concat([Buffer.from('before\n'), middle, Buffer.from('after\n')]);
  const alone = { data: [], document: DOCUMENT };
  return [
    row('inline message, no data argument', [0, GOOD], inline, alone),
    row('inline message as detached', [2, ''], inline, { said24: [2, 'UNEXPECTED'] }),
    row('clearsigned inside other text', [0, GOOD], around(clear), alone),
    row('two clearsigned documents', [2, `${GOOD} ERROR`], Buffer.concat([clear, clear]), alone),
    row('one signature over a‖b, two data files', [0, GOOD], good, {
      data: [DOCUMENT.subarray(0, 5), DOCUMENT.subarray(5)],
      document: DOCUMENT.subarray(0, 5),
    }),
    row('armor with text around it', [0, GOOD], around(armored)),
    row('armor block twice', [0, `${GOOD} ${GOOD}`], Buffer.concat([armored, armored])),
    row('armor labelled PUBLIC KEY BLOCK', [0, GOOD], Buffer.from(encodeArmor('PGP PUBLIC KEY BLOCK', good))),
    row('wrapped in 30 levels of compression', [0, GOOD], compressed(good, 30), {
      said24: [2, 'UNEXPECTED'],
    }),
    row('trailing garbage', [2, `NODATA ${GOOD}`], Buffer.concat([good, Buffer.from('garbage')])),
    row('trailing zeros', [2, `NODATA ${GOOD}`], Buffer.concat([good, Buffer.alloc(16)])),
    row('empty file', [2, 'NODATA'], Buffer.alloc(0)),
    row('public key', [2, 'UNEXPECTED'], home.export(ada)),
  ];
}

/** Two signatures, or one by somebody else. */
function severalRows(home: GnupgHome, ada: Fingerprint, row: RowOf): Row[] {
  const ben = home.generate({ userId: 'Ben <ben@example.org>' });
  const [a, b] = [home.sign(ada, DOCUMENT), home.sign(ben, DOCUMENT)];
  const bad = home.sign(ada, Buffer.from('other bytes\n'));
  const ring = home.export(ada);
  return [
    row('two signatures A+B, both keys known', [0, `${GOOD} ${GOOD}`], Buffer.concat([a, b]), {
      keyring: Buffer.concat([ring, home.export(ben)]),
      certificate: ring,
    }),
    row('two signatures A+B, only A known', [2, `${GOOD} ERRSIG NO_PUBKEY`], Buffer.concat([a, b])),
    row('good then bad', [1, `${GOOD} BADSIG`], Buffer.concat([a, bad])),
    row('bad then good', [1, 'BADSIG'], Buffer.concat([bad, a])),
    row('a key that is not in the keyring', [2, 'ERRSIG NO_PUBKEY'], b),
    row('a missing file whose name is two status lines', [2, ''], a, { missing: `x\n${forgedLines(ada)}\n` }),
  ];
}

/** What a name would have to hold for those who read status lines among the messages for people. */
function forgedLines(key: Fingerprint): string {
  const validsig = `[GNUPG:] VALIDSIG ${key} 2026-01-01 1767225600 0 4 0 22 8 00 ${key}`;
  return `[GNUPG:] GOODSIG ${key.slice(-16)} Ada\n${validsig}`;
}

/** Unix seconds as --faked-system-time wants them. */
const gpgTime = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace(/[-:]/g, '').slice(0, 'yyyymmddThhmmss'.length);
