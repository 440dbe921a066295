/** Packets, signatures, certificates; what gpg, gpgv and gpg-agent answer. */
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refused } from '../../src/failure.ts';
import { dearmorKey, decodeArmor, encodeArmor } from '../../src/openpgp/armor.ts';
import { AssuanConnection } from '../../src/openpgp/assuan.ts';
import { keyProblem, parseCertificate, signingKeys } from '../../src/openpgp/certificate.ts';
import { parseColons } from '../../src/openpgp/colons.ts';
import { parseEphemeralCertificate, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { verifyWithGpgv } from '../../src/openpgp/gpgv.ts';
import { encodePacket, parsePackets } from '../../src/openpgp/packet.ts';
import { signatureIntegers } from '../../src/openpgp/sexp.ts';
import { parseSignature } from '../../src/openpgp/signature.ts';
import { parseSubpackets } from '../../src/openpgp/subpacket.ts';
import { transcriptProblem } from '../../src/openpgp/transcript.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { rawGpgv } from '../harness/gpgv.ts';
import type { Target } from './fuzz.ts';
import { holds, same, seed } from './oracle.ts';

const fail = (text: string) => refused('fuzz', text);
const now = new Date('2026-11-22T12:00:00Z');
const document = seed('document');
const SIGNATURES = ['ed25519.sig', 'rsa.sig', 'nist.sig', 'rsa.asc'].map(seed);
const KEYRINGS = ['ed25519.pgp', 'rsa.pgp', 'nist.pgp'].map(seed);
const certificates = KEYRINGS.map(parseCertificate);
const [release] = certificates;
if (release === undefined) throw new Error('no certificate');

/** What a signature covers, and its numbers: the rest of its file is covered by nothing. */
const essence = (signature: Buffer): string => {
  const { hashedPart, mpis } = parseSignature(signature);
  return Buffer.concat([hashedPart, ...mpis]).toString('hex');
};
const MADE = new Set(SIGNATURES.map(essence));

/** Whether one of the three keys has made this signature over the document, as we see it. */
const verified = (signature: Buffer): boolean =>
  certificates.some((certificate) => verifyDetached(signature, document, certificate, now).ok);

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const eddsa = Buffer.alloc(32, 0xa5).toString('latin1');

/** A socket on which somebody says `input` to the first command, and hangs up. */
async function answerOfAgent(input: Buffer): Promise<unknown> {
  const path = join(tmpdir(), `cs-fuzz-${process.pid}-agent`);
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write('OK at your service\n');
    socket.once('data', () => socket.end(input));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    const connection = await AssuanConnection.open(path, 5000);
    try {
      return await connection.command('PKSIGN', 5000);
    } finally {
      connection.close();
    }
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

export const openpgpTargets: readonly Target[] = [
  {
    name: 'packets',
    seeds: [...SIGNATURES.slice(0, 3), ...KEYRINGS],
    read: (input) => {
      const packets = parsePackets(input, fail);
      const written = Buffer.concat(packets.map(({ tag, body }) => encodePacket(tag, body)));
      holds(JSON.stringify(parsePackets(written, fail)) === JSON.stringify(packets), 'other packets');
    },
  },
  {
    name: 'armor',
    seeds: [seed('rsa.asc'), latin1(encodeArmor('PGP SIGNATURE', seed('ed25519.sig')))],
    words: [
      '\n',
      '\r\n',
      '-----BEGIN PGP SIGNATURE-----',
      '-----END PGP SIGNATURE-----',
      'Version: 1',
      '=',
      '\n\n',
    ],
    read: (input) => {
      const bytes = decodeArmor(input, 'PGP SIGNATURE');
      same(decodeArmor(latin1(encodeArmor('PGP SIGNATURE', bytes)), 'PGP SIGNATURE'), bytes);
    },
  },
  {
    name: 'key-file',
    seeds: [seed('nist.asc'), seed('nist.pgp')],
    words: ['\n', ' ', '-----BEGIN PGP PUBLIC KEY BLOCK-----', 'Comment: x', '='],
    read: (input) => parseCertificate(dearmorKey(input)),
  },
  {
    name: 'subpackets',
    seeds: SIGNATURES.slice(0, 3).map((bytes) => parseSignature(bytes).hashedPart.subarray(6)),
    read: (input) => parseSubpackets(input, fail),
  },
  {
    name: 'signature',
    seeds: SIGNATURES,
    read: (input) => {
      const { rewritten } = parseSignature(input);
      same(parseSignature(rewritten).rewritten, rewritten);
      if (verified(input)) holds(MADE.has(essence(input)), 'a signature that nobody made verifies');
      holds(verified(rewritten) === verified(input), 're-written, it is another signature');
    },
  },
  {
    name: 'gpgv-agrees',
    seeds: SIGNATURES,
    slow: true,
    read: async (input) => {
      let refusal = refused('no-signature', 'by none of them');
      for (const [at, certificate] of certificates.entries()) {
        const own = verifyDetached(input, document, certificate, now);
        const asked = await verifyWithGpgv({ signature: input, data: document, certificate, now });
        holds(own.ok === asked.ok, `we say ${own.ok}, gpgv ${JSON.stringify(asked)}`);
        if (!own.ok) {
          if (own.code !== 'signature-of-other-key') refusal = refused(own.code, own.reason);
          continue;
        }
        const keyring = KEYRINGS[at] ?? Buffer.alloc(0);
        const { code, keywords } = await rawGpgv({ keyring, signature: input, data: [document] });
        const said = keywords.replaceAll(/NOTATION_[A-Z]+ /g, '');
        return holds(code === 0 && said === 'GOODSIG VALIDSIG', `gpgv by hand says ${keywords}`);
      }
      throw refusal;
    },
  },
  {
    name: 'certificate',
    seeds: KEYRINGS,
    read: (input) => {
      const certificate = parseCertificate(input);
      for (const { key } of certificate.keys) keyProblem(certificate, key, now);
      const own = new Set(certificates.flatMap(({ keys }) => keys.map(({ key }) => key.fingerprint)));
      for (const key of signingKeys(certificate, now))
        holds(own.has(key.fingerprint), 'a key that nobody has bound may sign');
    },
  },
  {
    name: 'ephemeral-certificate',
    seeds: [seed('ephemeral.pgp')],
    read: (input) => {
      parseEphemeralCertificate(input);
      same(input, seed('ephemeral.pgp'), 'a certificate that nobody made');
    },
  },
  {
    name: 'ephemeral-secret',
    seeds: [seed('ephemeral-secret.pgp')],
    read: (input) => {
      parseEphemeralSecret(input);
      same(input, seed('ephemeral-secret.pgp'), 'a secret key that nobody made');
    },
  },
  {
    name: 'gpgv-transcript',
    seeds: [seed('ed25519.status')],
    words: [
      '[GNUPG:] ',
      'GOODSIG',
      'BADSIG',
      'EXPKEYSIG',
      'REVKEYSIG',
      'NEWSIG\n',
      '\r',
      '\n[GNUPG:] ',
      ' 00 ',
      ' 01 ',
    ],
    read: (status) => {
      const expected = {
        primary: release.primary.fingerprint,
        signingKey: parseSignature(seed('ed25519.sig')).issuerFingerprint ?? release.primary.fingerprint,
        ...{
          created: Date.parse('2026-06-01T12:00:00Z') / 1000,
          algorithmId: 22,
          hashId: 8,
          annotated: false,
        },
      };
      const problem = transcriptProblem({ code: 0, killed: null, status }, expected);
      if (problem !== null) throw refused('fuzz', problem);
      const verdict = (text: string): string[] =>
        text.split('\n').filter((line) => / (GOOD|VALID)SIG /.test(line));
      const [good, ...valid] = verdict(status.toString());
      const [wanted, ...validWanted] = verdict(seed('ed25519.status').toString());
      // the user id is anybody's
      same(good?.split(' ', 3).join(' ') ?? '', wanted?.split(' ', 3).join(' ') ?? '', 'another GOODSIG');
      same(valid.join(), validWanted.join(), 'another VALIDSIG');
    },
  },
  {
    name: 'gpg-listing',
    seeds: [seed('listing.colons')],
    words: [':', '\n', 'sec', 'fpr', 'grp'],
    read: (input) => parseColons(input.toString()),
  },
  {
    name: 'agent-signature',
    seeds: [
      latin1(`(7:sig-val(5:eddsa(1:r32:${eddsa})(1:s32:${eddsa})))`),
      latin1(`(7:sig-val(3:rsa(1:s32:${eddsa})))`),
      latin1(`(7:sig-val(5:ecdsa(1:r32:${eddsa})(1:s32:${eddsa})))`),
    ],
    words: ['(', ')', '1:r', '1:s', '0:', '32:', '9999:', '7:sig-val'],
    read: (input) => signatureIntegers(input),
  },
  {
    name: 'agent-answer',
    seeds: [
      'D %28data%29\nOK\n',
      'S PROGRESS\n# x\nOK done\n',
      'ERR 67108881 No key <x>\n',
      'INQUIRE X\nOK\n',
    ].map(latin1),
    words: ['OK\n', 'ERR ', 'D ', 'INQUIRE X\n', 'S \n', '%0A', '%', '\n', 'x'.repeat(1100)],
    slow: true,
    read: answerOfAgent,
  },
];
