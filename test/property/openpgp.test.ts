/** Properties of OpenPGP: what is written is read back, and one bit turned over anywhere makes no good signature. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Failure, refused } from '../../src/failure.ts';
import { decodeArmor, encodeArmor } from '../../src/openpgp/armor.ts';
import { parseCertificate, signingKeys } from '../../src/openpgp/certificate.ts';
import {
  makeEphemeral,
  parseEphemeralCertificate,
  parseEphemeralSecret,
} from '../../src/openpgp/ephemeral.ts';
import {
  Reader,
  encodeLength,
  encodeMpi,
  encodePacket,
  parsePackets,
  withoutLeadingZeros,
} from '../../src/openpgp/packet.ts';
import { parseSignature } from '../../src/openpgp/signature.ts';
import { encodeSubpacket, parseSubpackets } from '../../src/openpgp/subpacket.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { seed } from '../fuzz/oracle.ts';

const fail = (text: string): Failure => refused('test', text);
const now = new Date('2026-11-22T12:00:00Z');
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((all) => Buffer.from(all));

/** What a reader that may only refuse makes of it; null for a refusal. */
function attempt<T>(call: () => T): T | null {
  try {
    return call();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return null;
    throw error;
  }
}

/** The bytes with each of their bits turned over, one after the other. */
function* flips(original: Buffer): Generator<Buffer> {
  for (let bit = 0; bit < original.length * 8; bit += 1) {
    const flipped = Buffer.from(original);
    flipped.writeUInt8(flipped.readUInt8(bit >>> 3) ^ (1 << (bit & 7)), bit >>> 3);
    yield flipped;
  }
}

describe('what is written is read back', () => {
  test('packets', () => {
    const packets = fc.array(fc.record({ tag: fc.nat(63), body: bytes(9000) }), { maxLength: 5 });
    fc.assert(
      fc.property(packets, (all) => {
        const written = Buffer.concat(all.map(({ tag, body }) => encodePacket(tag, body)));
        expect(parsePackets(written, fail)).toEqual(all);
      }),
    );
  });

  test('packets cut short are refused', () => {
    fc.assert(
      fc.property(fc.nat(63), bytes(9000), fc.nat(), (tag, body, place) => {
        const written = encodePacket(tag, body);
        const cut = written.subarray(0, place % written.length);
        if (cut.length > 0) expect(attempt(() => parsePackets(cut, fail))).toBeNull();
      }),
    );
  });

  test('lengths, each in one way', () => {
    for (const length of [0, 1, 191, 192, 193, 8383, 8384, 8385, 65_535, 65_536, 2 ** 32 - 1]) {
      const shown = encodeLength(length);
      expect(shown.length).toBe(length < 192 ? 1 : length < 8384 ? 2 : 5);
      const packet = Buffer.concat([Buffer.from([0xc2]), shown]);
      if (length > 0) expect(attempt(() => parsePackets(packet, fail))).toBeNull();
    }
  });

  test('numbers, without their leading zeros; with them they are refused', () => {
    fc.assert(
      fc.property(bytes(300), (number) => {
        const reader = new Reader(encodeMpi(number), fail);
        expect(reader.mpi()).toEqual(withoutLeadingZeros(number));
        reader.end();
        const [bits, body] = [encodeMpi(number).subarray(0, 2), encodeMpi(number).subarray(2)];
        for (const more of [1, 7, 8]) {
          const claimed = Buffer.alloc(2);
          claimed.writeUInt16BE(bits.readUInt16BE() + more);
          const padded = Buffer.concat([claimed, Buffer.alloc(1), body]);
          expect(attempt(() => new Reader(padded, fail).mpi())).toBeNull();
        }
      }),
    );
  });

  test('subpackets', () => {
    const subpackets = fc.array(fc.record({ type: fc.nat(127), data: bytes(9000) }), { maxLength: 5 });
    fc.assert(
      fc.property(subpackets, (all) => {
        const area = Buffer.concat(all.map(({ type, data }) => encodeSubpacket(type, data)));
        expect(parseSubpackets(area, fail)).toEqual(all.map((each) => ({ ...each, critical: false })));
      }),
    );
  });

  test('armor; and with anything around, between or inside it, it is refused or the same', () => {
    const place = fc.record({
      at: fc.nat(),
      what: fc.constantFrom('x', '\n', ' ', '\t', '=', '-', '-----BEGIN PGP SIGNATURE-----\n'),
    });
    fc.assert(
      fc.property(
        bytes(200).filter((all) => all.length > 0),
        place,
        (content, { at, what }) => {
          const armored = encodeArmor('PGP SIGNATURE', content);
          expect(decodeArmor(Buffer.from(armored), 'PGP SIGNATURE')).toEqual(content);
          const index = at % (armored.length + 1);
          const changed = Buffer.from(armored.slice(0, index) + what + armored.slice(index));
          const read = attempt(() => decodeArmor(changed, 'PGP SIGNATURE'));
          if (read !== null) expect(read).toEqual(content);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('one bit turned over', () => {
  const document = seed('document');
  const pairs = ['ed25519', 'rsa', 'nist'].map(
    (name) => [name, seed(`${name}.sig`), parseCertificate(seed(`${name}.pgp`))] as const,
  );
  const essence = (file: Buffer): Buffer => {
    const { hashedPart, mpis } = parseSignature(file);
    return Buffer.concat([hashedPart, ...mpis]);
  };

  test.each(pairs)(
    'anywhere in a signature (%s): it is bad, or the same signature',
    (_, signature, certificate) => {
      expect(verifyDetached(signature, document, certificate, now).ok).toBe(true);
      for (const flipped of flips(signature)) {
        if (!verifyDetached(flipped, document, certificate, now).ok) continue;
        // what nothing protects: the start of the digest, the unhashed key id's type
        expect(essence(flipped).equals(essence(signature))).toBe(true);
      }
    },
  );

  test.each(pairs)(
    'anywhere in the document (%s): it is not the one that was signed',
    (_, signature, certificate) => {
      for (const flipped of flips(document))
        expect(verifyDetached(signature, flipped, certificate, now).ok).toBe(false);
    },
  );

  test.each(pairs)(
    'in a certificate (%s): no new key may sign, and no key more than before',
    (_, __, certificate) => {
      const known = new Set(signingKeys(certificate, now).map(({ fingerprint }) => fingerprint));
      expect(known.size).toBeGreaterThan(0);
      fc.assert(
        fc.property(fc.nat(certificate.bytes.length * 8 - 1), (bit) => {
          const flipped = Buffer.from(certificate.bytes);
          flipped.writeUInt8(flipped.readUInt8(bit >>> 3) ^ (1 << (bit & 7)), bit >>> 3);
          const read = attempt(() => parseCertificate(flipped));
          for (const { fingerprint } of read === null ? [] : signingKeys(read, now))
            expect(known.has(fingerprint)).toBe(true);
        }),
        { numRuns: 300 },
      );
    },
  );

  test('anywhere in an ephemeral certificate, or in its secret half: there is one shape of it', () => {
    for (const flipped of flips(seed('ephemeral.pgp')))
      expect(attempt(() => parseEphemeralCertificate(flipped))).toBeNull();
    fc.assert(
      fc.property(fc.nat(seed('ephemeral-secret.pgp').length * 8 - 1), (bit) => {
        const flipped = seed('ephemeral-secret.pgp');
        flipped.writeUInt8(flipped.readUInt8(bit >>> 3) ^ (1 << (bit & 7)), bit >>> 3);
        expect(attempt(() => parseEphemeralSecret(flipped))).toBeNull();
      }),
      { numRuns: 300 },
    );
  });
});

test('a new ephemeral key signs what only its own certificate verifies', () => {
  fc.assert(
    fc.property(bytes(300), fc.stringMatching(/^[\x20-\x7e]{1,60}$/), (data, userId) => {
      const created = Date.parse('2026-11-22T11:00:00Z') / 1000;
      const [one, other] = [makeEphemeral({ userId, created }), makeEphemeral({ userId, created })];
      const signature = parseEphemeralSecret(one.secretKey).sign(data, created + 60);
      expect(verifyDetached(signature, data, parseEphemeralCertificate(one.certificate), now).ok).toBe(true);
      expect(verifyDetached(signature, data, parseEphemeralCertificate(other.certificate), now).ok).toBe(
        false,
      );
    }),
    { numRuns: 30 },
  );
});
