/**
 * The signature values in a canonical S-expression of libgcrypt, as gpg-agent's PKSIGN returns it:
 * `(7:sig-val(5:eddsa(1:r32:…)(1:s32:…)))`, `(7:sig-val(3:rsa(1:s384:…)))`.
 */
import { unable } from '../failure.ts';

type Sexp = Buffer | Sexp[];

const ED25519_LENGTH = 32;
const MAX_DEPTH = 4;

/**
 * Takes the S-expression; returns the integers of an OpenPGP v4 signature in the packet's order: s for RSA,
 * r and s for ECDSA, without leading zeros; for EdDSA always 32 bytes each, padded on the left (RFC 4880bis
 * writes the octets as an integer, so a zero in front may be missing). Throws `unable` on anything else.
 */
export function signatureIntegers(sexp: Buffer): Buffer[] {
  const [name, value, ...rest] = list(parseSexp(sexp));
  if (!isAtom(name, 'sig-val') || rest.length > 0) throw malformed();
  const [algorithm, ...parameters] = list(value);
  if (isAtom(algorithm, 'rsa')) return [integer(parameters, 's')];
  if (isAtom(algorithm, 'ecdsa')) return [integer(parameters, 'r'), integer(parameters, 's')];
  if (isAtom(algorithm, 'eddsa')) return [padded(integer(parameters, 'r')), padded(integer(parameters, 's'))];
  throw malformed();
}

function integer(parameters: readonly Sexp[], name: string): Buffer {
  const found = parameters.map(list).filter(([key]) => isAtom(key, name));
  const value = found.length === 1 && found[0]?.length === 2 ? found[0][1] : undefined;
  if (!Buffer.isBuffer(value)) throw malformed();
  const first = value.findIndex((byte) => byte !== 0);
  if (first === -1) throw malformed();
  return value.subarray(first);
}

function padded(value: Buffer): Buffer {
  if (value.length > ED25519_LENGTH) throw malformed();
  return Buffer.concat([Buffer.alloc(ED25519_LENGTH - value.length), value]);
}

function parseSexp(bytes: Buffer): Sexp {
  let at = 0;
  const next = (depth: number): Sexp => {
    if (bytes[at] !== 0x28) return atom();
    if (depth === MAX_DEPTH) throw malformed();
    const items: Sexp[] = [];
    for (at++; bytes[at] !== 0x29;) items.push(next(depth + 1));
    at++;
    return items;
  };
  const atom = (): Buffer => {
    const length = /^(0|[1-9]\d{0,3}):/.exec(bytes.toString('latin1', at, at + 5))?.[1];
    if (length === undefined) throw malformed();
    const start = at + length.length + 1;
    at = start + Number(length);
    if (at > bytes.length) throw malformed();
    return bytes.subarray(start, at);
  };
  const value = next(0);
  // gpg-agent may end what it sends with zero bytes
  if (bytes.subarray(at).some((byte) => byte !== 0)) throw malformed();
  return value;
}

const list = (value: Sexp | undefined): Sexp[] => (Array.isArray(value) ? value : []);

const isAtom = (value: Sexp | undefined, text: string): boolean =>
  Buffer.isBuffer(value) && value.toString('latin1') === text;

const malformed = (): Error =>
  unable(
    'agent-protocol',
    'gpg-agent answered with something that is not a signature',
    'see gpg-agent --version',
  );
