import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { refused } from '../../src/failure.ts';
import { Reader, encodeMpi, encodePacket, leftPad, parsePackets } from '../../src/openpgp/packet.ts';
import { encodeSubpacket, onlyUint32, parseSubpackets, uint32 } from '../../src/openpgp/subpacket.ts';

const fail = (text: string) => refused('test-malformed', text);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));

describe('packets', () => {
  test('what is written is read back, of any length', () => {
    const packet = fc.record({ tag: fc.integer({ min: 1, max: 63 }), body: bytes(10_000) });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 4 }), (packets) => {
        const written = Buffer.concat(packets.map(({ tag, body }) => encodePacket(tag, body)));
        expect(parsePackets(written, fail)).toEqual(packets);
      }),
    );
  });

  test.each([0, 191, 192, 8383, 8384, 70_000])('a body of %i bytes', (length) => {
    const body = Buffer.alloc(length, 7);
    expect(parsePackets(encodePacket(2, body), fail)).toEqual([{ tag: 2, body }]);
  });

  test('old headers, as gpg writes them, with each kind of length', () => {
    const packets = parsePackets(hex('88 01 aa 89 0001 bb 8a 00000001 cc'), fail);
    expect(packets.map(({ tag, body }) => [tag, body.toString('hex')])).toEqual([
      [2, 'aa'],
      [2, 'bb'],
      [2, 'cc'],
    ]);
  });

  test.each([
    ['a length that runs to the end of the file', '8b aa'],
    ['a packet in parts', 'c2 e1 aabb 01 cc'],
    ['a body cut short', 'c2 05 aa'],
    ['a header cut short', 'c2'],
    ['a length cut short', 'c2 ff 0000'],
    ['something else after a packet', 'c2 01 aa 00'],
    ['text', '2d2d2d2d2d'],
  ])('refused: %s', (_, text) => {
    expect(() => parsePackets(hex(text), fail)).toThrow(/it |packet/);
  });
});

describe('numbers', () => {
  test('are written in their shortest form and read back', () => {
    fc.assert(
      fc.property(bytes(300), (number) => {
        const reader = new Reader(encodeMpi(number), fail);
        const read = reader.mpi();
        reader.end();
        expect(leftPad(read, number.length)).toEqual(number);
      }),
    );
  });

  test.each([
    ['one with a leading zero octet', '0010 0001'],
    ['one that announces too many bits', '0008 01'],
    ['one that announces too few', '0001 ff'],
    ['one cut short', '0010 ff'],
  ])('refused: %s', (_, text) => {
    expect(() => new Reader(hex(text), fail).mpi()).toThrow(/it ends too early|shortest form/);
  });
});

describe('subpackets', () => {
  test.each([0, 1, 190, 191, 8382, 8383, 9000])('%i bytes of data are read back', (length) => {
    const data = Buffer.alloc(length, 1);
    expect(parseSubpackets(encodeSubpacket(20, data), fail)).toEqual([{ type: 20, critical: false, data }]);
  });

  test('the top bit of the type says critical', () => {
    expect(parseSubpackets(hex('02 94 00'), fail)).toEqual([{ type: 20, critical: true, data: hex('00') }]);
  });

  test('refused: an empty one, one that is too long', () => {
    expect(() => parseSubpackets(hex('00'), fail)).toThrow('an empty subpacket');
    expect(() => parseSubpackets(hex('05 02 00'), fail)).toThrow('it ends too early');
  });

  test('a time there twice is no time', () => {
    const once = encodeSubpacket(2, uint32(5));
    expect(onlyUint32(parseSubpackets(once, fail), 2, fail)).toBe(5);
    expect(onlyUint32([], 2, fail)).toBeNull();
    expect(() => onlyUint32(parseSubpackets(Buffer.concat([once, once]), fail), 2, fail)).toThrow(
      'there twice',
    );
  });
});
