/** SHA-256 gone on with from a state is SHA-256 of the whole (FIPS 180-4), whatever was before and whatever comes after. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { mayBeStateOf, sha256From } from '../../src/openpgp/hash-state.ts';
import { toHashState } from '../../src/records/subject.ts';
import { hashStateOf, stateText } from '../harness/hash-state.ts';

const bytesOf = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, at) => (at * 131) & 0xff));
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const goneOn = (bytes: Buffer, at: number): string =>
  sha256From(hashStateOf(bytes.subarray(0, at)), at, bytes.subarray(at)).toString('hex');

test('every length of up to four blocks and a bit, finished as it is and with a trailer behind it', () => {
  const trailer = bytesOf(41);
  for (let size = 0; size <= 260; size += 1) {
    const bytes = bytesOf(size);
    const state = hashStateOf(bytes);
    expect(sha256From(state, size, Buffer.alloc(0)).toString('hex'), `${size}`).toBe(sha256(bytes));
    const signed = sha256From(state, size, trailer).toString('hex');
    expect(signed, `${size} and a trailer`).toBe(sha256(Buffer.concat([bytes, trailer])));
  }
});

test('taken over at every octet of a message', () => {
  const bytes = bytesOf(200);
  for (let at = 0; at <= bytes.length; at += 1) expect(goneOn(bytes, at), `at ${at}`).toBe(sha256(bytes));
});

describe('the examples that NIST gives (FIPS 180-4, SHA256.pdf and SHA2_Additional.pdf)', () => {
  test.each<[string, Buffer, string]>([
    ['abc', Buffer.from('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'two blocks',
      Buffer.from('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
    [
      'one octet bd',
      Buffer.from('bd', 'hex'),
      '68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b',
    ],
    [
      'c98c8e55',
      Buffer.from('c98c8e55', 'hex'),
      '7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504',
    ],
    ['55 zeros', Buffer.alloc(55), '02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7'],
    ['56 zeros', Buffer.alloc(56), 'd4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb'],
    ['57 zeros', Buffer.alloc(57), '65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785'],
    ['64 zeros', Buffer.alloc(64), 'f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b'],
    ['1000 zeros', Buffer.alloc(1000), '541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53'],
    [
      '1000 octets 41',
      Buffer.alloc(1000, 0x41),
      'c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4',
    ],
    [
      '1005 octets 55',
      Buffer.alloc(1005, 0x55),
      'f4d62ddec0f3dd90ea1380fa16a5ff8dc4c54b21740650f24afc4120903552b0',
    ],
  ])('%s', (_, message, digest) => {
    const middle = message.length >> 1;
    expect(goneOn(message, middle)).toBe(digest);
    expect(goneOn(message, message.length)).toBe(digest);
  });
});

test('four gigabytes of zeros and one more: as sha256sum says of them, and of them with a trailer', () => {
  const state = toHashState(
    '8ffe48e8fe68159506d4999ee2b1ac4c3e5b953cd5f8bb95e8082d4e8df5e99a00',
    'test',
    2 ** 32 + 1,
  );
  const digest = (more: string) => sha256From(state, 2 ** 32 + 1, Buffer.from(more)).toString('hex');
  // head -c 4294967297 /dev/zero | sha256sum
  expect(digest('')).toBe('fbb82f7b353676bb562eb82157fcf0ea42c36492ca13ee56dbf82c08b6802c5c');
  // (head -c 4294967297 /dev/zero; printf trailer) | sha256sum
  expect(digest('trailer')).toBe('2d184386b8955331c73d9e88e1df64c1a7f2a3dbce347f69e0d3c86c48d27a86');
});

test('a length of more bits than 32 hold is counted whole', () => {
  // what is hashed at the end is the state and the length: two sizes that differ above bit 32 alone differ
  const state = hashStateOf(Buffer.alloc(0));
  const [near, far] = [2 ** 20, 2 ** 52].map((size) =>
    sha256From(state, size, Buffer.alloc(0)).toString('hex'),
  );
  expect(near).not.toBe(far);
  // an independent padding: eight octets of big-endian bits
  const bits = Buffer.alloc(64);
  bits[0] = 0x80;
  bits.writeBigUInt64BE(8n * BigInt(2 ** 52), 56);
  expect(stateText(bits)).toBe(far);
});

test('and to the octet, where size and trailer together are more than a number holds', () => {
  const size = 2 ** 53 - 1;
  const [tail, more] = [Buffer.alloc(63, 1), Buffer.from('ab')];
  const state = toHashState(stateText(Buffer.alloc(0)) + tail.toString('hex'), 'test', size);
  const end = Buffer.alloc(128);
  Buffer.concat([tail, more, Buffer.of(0x80)]).copy(end);
  end.writeBigUInt64BE(8n * (2n ** 53n + 1n), 120);
  expect(sha256From(state, size, more).toString('hex')).toBe(stateText(end));
});

test('before the first whole block there is one state of so many octets', () => {
  for (const size of [0, 1, 63, 64, 65]) {
    expect(mayBeStateOf(hashStateOf(bytesOf(size)), size), `${size}`).toBe(true);
    const others = toHashState(stateText(bytesOf(64)) + bytesOf(size % 64).toString('hex'), 'test', size);
    expect(mayBeStateOf(others, size), `${size}, of other words`).toBe(size >= 64);
  }
});

test('a state of another number of octets is a fault of ours', () => {
  const state = hashStateOf(bytesOf(70));
  expect(() => sha256From(state, 71, Buffer.alloc(0))).toThrow(RangeError);
  expect(() => sha256From(state, 64, Buffer.alloc(0))).toThrow(RangeError);
});

describe('in a record a state has one spelling', () => {
  const good = stateText(bytesOf(70));
  test('as many digits as the size says', () => {
    expect(toHashState(good, 'test', 70)).toBe(good);
    expect(toHashState(good, 'test', 6)).toBe(good);
  });
  test.each<[string, unknown, number]>([
    ['for one octet more', good, 71],
    ['for a whole block', good, 64],
    ['in upper case', good.toUpperCase(), 70],
    ['half an octet short', good.slice(0, -1), 70],
    ['with half an octet more', `${good}0`, 70],
    ['with a line feed in the place of a digit', `${good.slice(0, -1)}\n`, 70],
    ['with a space', ` ${good.slice(1)}`, 70],
    ['in full-width digits', good.replaceAll('0', '０'), 70],
    ['without words', good.slice(64), 70],
    ['empty', '', 0],
    ['null', null, 70],
    ['a list', [good], 70],
    ['a number', 0, 70],
  ])('and is refused %s', (_, value, size) => {
    expect(() => toHashState(value, 'test', size)).toThrow(/^test: not \d+ digits of lower-case hex/);
  });
});
