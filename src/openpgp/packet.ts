/**
 * OpenPGP packets and multiprecision integers (RFC 4880 §3.2, §4.2), definite lengths only.
 *
 * Nothing here knows what a packet means. Callers bound the input first and say, with `fail`, what a
 * malformed input is called.
 */
import type { Failure } from '../failure.ts';

export interface Packet {
  tag: number;
  body: Buffer;
}

export const TAG = {
  /** A session key, encrypted to a public key. */
  sessionKey: 1,
  signature: 2,
  secretKey: 5,
  publicKey: 6,
  userId: 13,
  publicSubkey: 14,
  userAttribute: 17,
  /** Symmetrically encrypted, with integrity protection. */
  protectedData: 18,
} as const;

/** Makes the failure that a malformed input is refused with; `text` says what is wrong with it. */
export type Fail = (text: string) => Failure;

/** Reads a buffer from the front; every read past its end throws what `fail` makes. */
export class Reader {
  readonly #bytes: Buffer;
  readonly #fail: Fail;
  #offset = 0;

  constructor(bytes: Buffer, fail: Fail) {
    this.#bytes = bytes;
    this.#fail = fail;
  }

  get offset(): number {
    return this.#offset;
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  take(length: number): Buffer {
    if (length > this.left) throw this.#fail('it ends too early');
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }

  uint8(): number {
    return this.take(1).readUInt8();
  }

  uint16(): number {
    return this.take(2).readUInt16BE();
  }

  uint32(): number {
    return this.take(4).readUInt32BE();
  }

  /** A multiprecision integer without its length; only the one canonical encoding of a number is taken. */
  mpi(): Buffer {
    const bits = this.uint16();
    const body = this.take((bits + 7) >>> 3);
    if (bitLength(body) !== bits) throw this.#fail('a number in it is not in its shortest form');
    return body;
  }

  end(): void {
    if (this.left !== 0) throw this.#fail(`it has ${this.left} bytes too many`);
  }
}

/** All packets in `bytes`, in order. Partial and indeterminate lengths are refused: nothing we read needs them. */
export function parsePackets(bytes: Buffer, fail: Fail): Packet[] {
  const packets: Packet[] = [];
  const reader = new Reader(bytes, fail);
  while (reader.left > 0) {
    const header = reader.uint8();
    if ((header & 0x80) === 0) throw fail('there is something in it that is not an OpenPGP packet');
    if ((header & 0x40) !== 0) {
      packets.push({ tag: header & 0x3f, body: reader.take(newFormatLength(reader, fail)) });
    } else {
      packets.push({
        tag: (header >>> 2) & 0x0f,
        body: reader.take(oldFormatLength(reader, header & 3, fail)),
      });
    }
  }
  return packets;
}

function newFormatLength(reader: Reader, fail: Fail): number {
  const first = reader.uint8();
  if (first < 192) return first;
  if (first < 224) return ((first - 192) << 8) + reader.uint8() + 192;
  if (first === 255) return reader.uint32();
  throw fail('it has a packet in parts');
}

function oldFormatLength(reader: Reader, lengthType: number, fail: Fail): number {
  if (lengthType === 0) return reader.uint8();
  if (lengthType === 1) return reader.uint16();
  if (lengthType === 2) return reader.uint32();
  throw fail('it has a packet without a length');
}

/** One packet with a new-format header. */
export function encodePacket(tag: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xc0 | tag]), encodeLength(body.length), body]);
}

/** The variable length of RFC 4880 §4.2.2 and §5.2.3.1. */
export function encodeLength(length: number): Buffer {
  if (length < 192) return Buffer.from([length]);
  if (length < 8384) return Buffer.from([((length - 192) >>> 8) + 192, (length - 192) & 0xff]);
  const long = Buffer.from([255, 0, 0, 0, 0]);
  long.writeUInt32BE(length, 1);
  return long;
}

/** A big-endian number as a multiprecision integer: leading zeros dropped, the bit count in front. */
export function encodeMpi(number: Buffer): Buffer {
  const body = withoutLeadingZeros(number);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bitLength(body));
  return Buffer.concat([length, body]);
}

/** `number` without its leading zero octets. */
export function withoutLeadingZeros(number: Buffer): Buffer {
  let start = 0;
  while (start < number.length && number[start] === 0) start += 1;
  return number.subarray(start);
}

/** `number` with zeros in front up to `length`; null where it is longer. */
export function leftPad(number: Buffer, length: number): Buffer | null {
  if (number.length > length) return null;
  if (number.length === length) return number;
  return Buffer.concat([Buffer.alloc(length - number.length), number]);
}

/** Bits from the first octet's top bit; a leading zero octet therefore never gives the announced count. */
function bitLength(number: Buffer): number {
  const first = number[0];
  return first === undefined ? 0 : number.length * 8 - Math.clz32(first) + 24;
}
