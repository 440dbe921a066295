/** Signed notes and their Ed25519 keys (C2SP signed-note). */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { refused } from '../failure.ts';
import { decodeBase64 } from '../records/base64.ts';

/** The public half of a note key, "vkey". */
export interface VerifierKey {
  readonly name: string;
  /** Four bytes: SHA-256(name ‖ LF ‖ 0x01 ‖ public key), cut. */
  readonly id: Buffer;
  /** 32 bytes, Ed25519. */
  readonly publicKey: Buffer;
  /** `<name>+<id in hex>+<base64>`. */
  readonly text: string;
}

/** The private half, ready to sign. */
export interface NoteSigner {
  readonly name: string;
  readonly verifier: VerifierKey;
  /** The raw Ed25519 signature of the message. */
  sign(message: Buffer): Buffer;
}

const ED25519 = Buffer.of(1);
const SEED_BYTES = 32;
const NOTE_MAX = 256 * 1024;
const SIGNATURES_MAX = 100;
// The fixed DER around 32 bytes of Ed25519 (RFC 8410): Node reads no bare keys.
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A key name: not empty, no Unicode spaces, no plus, no control characters. */
const isKeyName = (name: string): boolean => /^[^\s\p{White_Space}\p{Cc}\p{Surrogate}+]+$/u.test(name);

const verifierKey = (name: string, publicKey: Buffer): VerifierKey => {
  const typed = Buffer.concat([ED25519, publicKey]);
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
  return { name, id, publicKey, text: `${name}+${id.toString('hex')}+${typed.toString('base64')}` };
};

/** Name, id and 32 bytes of key material of `<name>+<id>+<base64>`; null when it is not that. */
function splitKey(text: string): { name: string; id: string; material: Buffer } | null {
  const [, name = '', id = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/su.exec(text) ?? [];
  const typed = decodeBase64(encoded);
  if (!isKeyName(name) || typed?.length !== 1 + SEED_BYTES || typed[0] !== ED25519[0]) return null;
  return { name, id, material: typed.subarray(1) };
}

/** Reads a verifier key, Ed25519 only. Throws refused(`note-key-malformed`). */
export function parseVerifierKey(text: string): VerifierKey {
  const parts = splitKey(text);
  const key = parts && verifierKey(parts.name, parts.material);
  if (key?.text !== text)
    throw refused('note-key-malformed', 'not a verifier key of C2SP signed-note (name+id+base64, Ed25519)');
  return key;
}

const PRIVATE = 'PRIVATE+KEY+';

/**
 * A new key pair, in the text forms that Go's note package uses too. `signer` is secret. Throws RangeError
 * for a name that a key cannot have.
 */
export function generateNoteKey(name: string): { signer: string; verifier: string } {
  if (!isKeyName(name)) throw new RangeError('a key name has no spaces and no plus');
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const verifier = verifierKey(name, rawPublicKey(publicKey));
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length);
  const typed = Buffer.concat([ED25519, seed]).toString('base64');
  return { signer: `${PRIVATE}${name}+${verifier.id.toString('hex')}+${typed}`, verifier: verifier.text };
}

const rawPublicKey = (key: KeyObject): Buffer =>
  key.export({ format: 'der', type: 'spki' }).subarray(SPKI.length);

/** Reads the secret text of a key; throws refused(`note-key-malformed`) that quotes none of it. */
export function parseSignerKey(text: string): NoteSigner {
  const parts = text.startsWith(PRIVATE) ? splitKey(text.slice(PRIVATE.length)) : null;
  if (parts === null) throw notPrivate();
  const der = Buffer.concat([PKCS8, parts.material]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const verifier = verifierKey(parts.name, rawPublicKey(createPublicKey(privateKey)));
  if (verifier.id.toString('hex') !== parts.id) throw notPrivate();
  return { name: parts.name, verifier, sign: (message) => sign(null, message, privateKey) };
}

const notPrivate = () => refused('note-key-malformed', 'not a private key of C2SP signed-note');

/** Whether text may be that of a note: ends in a newline, no other control characters, valid UTF-8. */
function isNoteText(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) < 0x20 && text[at] !== '\n') return false;
  return text.endsWith('\n') && !/\p{Surrogate}/u.test(text);
}

/** The note of this text with one signature. Throws RangeError for a text that no note has. */
export function signNote(text: string, signer: NoteSigner): string {
  if (!isNoteText(text)) throw new RangeError('the text of a note is lines, each with its newline');
  const signature = Buffer.concat([signer.verifier.id, signer.sign(Buffer.from(text))]);
  return `${text}\n— ${signer.name} ${signature.toString('base64')}\n`;
}

/**
 * The text of a note that the key signed.
 *
 * Lines of other keys are ignored, as the specification asks. Throws refused(`note-invalid`) for a
 * malformed note, for one without a signature of the key, and for one with a line of the key (its name and
 * id) that does not verify.
 */
export function openNote(note: Uint8Array | string, key: VerifierKey): string {
  const invalid = (problem: string) => refused('note-invalid', `signed note of ${key.name}: ${problem}`);
  if (note.length > NOTE_MAX) throw invalid(`more than ${NOTE_MAX} bytes`);
  const whole = typeof note === 'string' ? note : decodeUtf8(note);
  if (whole === null || !isNoteText(whole)) throw invalid('not lines of UTF-8 without control characters');
  const end = whole.lastIndexOf('\n\n');
  if (end === -1) throw invalid('no signatures');
  const text = whole.slice(0, end + 1);
  const lines = whole.slice(end + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) throw invalid(`more than ${SIGNATURES_MAX} signatures`);
  const der = Buffer.concat([SPKI, key.publicKey]);
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
  let verified = false;
  for (const line of lines) {
    const [, name = '', encoded = ''] = /^— ([^ ]+) ([^ ]+)$/u.exec(line) ?? [];
    const bytes = decodeBase64(encoded);
    if (!isKeyName(name) || bytes === null || bytes.length < 5) throw invalid('a malformed signature line');
    if (name !== key.name || !bytes.subarray(0, 4).equals(key.id)) continue;
    if (!verify(null, Buffer.from(text), publicKey, bytes.subarray(4)))
      throw invalid('the signature is wrong');
    verified = true;
  }
  if (!verified) throw invalid('not signed by this key');
  return text;
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
