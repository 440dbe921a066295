/**
 * An OpenPGP card without hardware: what scdaemon asks of the OpenPGP card application 3.4, with one Ed25519 key for
 * signatures, a PIN and its retry counter. `CardReader` puts it into a reader.
 */
import { generateKeyPairSync, sign } from 'node:crypto';

export const PIN = '123456';
const TRIES = 3;

export const ATR = Buffer.from('3bda18ff81b1fe751f030031f573c001600090001c', 'hex');
const HISTORICAL_BYTES = Buffer.from('0031f573c00160009000', 'hex');
const APPLICATION = 'd27600012401';
const ED25519 = '162b06010401da470f01';
const RSA2048 = '010800002000';
const EXTENDED_CAPABILITIES = '30000000080008000000';
const OK = '9000';

export class OpenpgpCard {
  /** Wrong PINs that are still allowed. */
  tries = TRIES;
  signatures = 0;
  #verified = false;
  readonly #key = generateKeyPairSync('ed25519');
  readonly serial: string;

  /** `serial`: eight hexadecimal digits, by which cards are told apart. */
  constructor(serial = '00000001') {
    this.serial = serial;
  }

  /** What a loss of power does. */
  reset(): void {
    this.#verified = false;
  }

  /** Answers one command: data and status word. ISO 7816-4; OpenPGP card 3.4, section 7.2. */
  answer(command: Buffer): Buffer {
    const [, instruction, p1 = 0, p2 = 0, length = 0] = command;
    const data = command.length > 5 ? command.subarray(5, 5 + length) : Buffer.alloc(0);
    const [bytes, status] = this.#perform(instruction, Buffer.of(p1, p2).toString('hex'), data);
    return Buffer.concat([bytes, Buffer.from(status, 'hex')]);
  }

  #perform(instruction: number | undefined, parameters: string, data: Buffer): [Buffer, string] {
    const nothing = Buffer.alloc(0);
    if (instruction === 0xa4) return [nothing, data.toString('hex') === APPLICATION ? OK : '6a82']; // SELECT
    if (instruction === 0xca) {
      const object = this.#object(parameters); // GET DATA
      return object ? [object, OK] : [nothing, '6a88'];
    }
    if (instruction === 0x20) return [nothing, this.#verify(data)]; // VERIFY
    // GENERATE ASYMMETRIC KEY PAIR, to read the public key for signatures
    if (instruction === 0x47) return data[0] === 0xb6 ? [this.#publicKey(), OK] : [nothing, '6a88'];
    if (instruction === 0x2a && parameters === '9e9a') {
      if (!this.#verified) return [nothing, '6982']; // PSO: COMPUTE DIGITAL SIGNATURE
      this.signatures += 1;
      return [sign(null, data, this.#key.privateKey), OK];
    }
    return [nothing, '6d00'];
  }

  #verify(pin: Buffer): string {
    if (this.tries === 0) return '6983';
    this.#verified = pin.toString() === PIN;
    this.tries = this.#verified ? TRIES : this.tries - 1;
    return this.#verified ? OK : this.tries === 0 ? '6983' : `63c${this.tries}`;
  }

  #publicKey(): Buffer {
    const der = this.#key.publicKey.export({ format: 'der', type: 'spki' });
    return object('7f49', object('86', der.subarray(-32)));
  }

  #object(tag: string): Buffer | null {
    const id = object('4f', Buffer.from(`${APPLICATION}03040006${this.serial}0000`, 'hex'));
    const history = object('5f52', HISTORICAL_BYTES);
    const pinStatus = Buffer.of(1, 64, 64, 64, this.tries, 0, TRIES); // one PIN for many signatures
    if (tag === '004f') return id.subarray(2);
    if (tag === '5f52') return HISTORICAL_BYTES;
    if (tag === '00c4') return pinStatus;
    if (tag === '007a') return object('7a', object('93', Buffer.of(0, 0, this.signatures)));
    if (tag === '005e' || tag === '5f50') return Buffer.alloc(0);
    if (tag === '0065')
      return object(
        '65',
        object('5b', ''),
        object('5f2d', Buffer.from('en')),
        object('5f35', Buffer.from('9')),
      );
    if (tag !== '006e') return null;
    const discretionary = object(
      '73',
      ...[object('c0', EXTENDED_CAPABILITIES), object('c1', ED25519)],
      ...[object('c2', RSA2048), object('c3', RSA2048), object('c4', pinStatus)],
      ...[object('c5', Buffer.alloc(60)), object('c6', Buffer.alloc(60)), object('cd', Buffer.alloc(12))],
    );
    return object('6e', id, history, discretionary);
  }
}

/** A BER-TLV data object; text is hexadecimal. */
function object(tag: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const value = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)),
  );
  const length = value.length < 0x80 ? Buffer.of(value.length) : Buffer.of(0x81, value.length);
  return Buffer.concat([Buffer.from(tag, 'hex'), length, value]);
}
