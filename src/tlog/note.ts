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

/** What a key signs: notes themselves, or cosignatures of them. The byte is its type in key ids and key texts. */
const TYPES = { note: 1, cosignature: 4 } as const;
export type KeyType = keyof typeof TYPES;

/** The public half of a note key, "vkey". */
export interface PublicNoteKey<Type extends KeyType> {
  readonly type: Type;
  readonly name: string;
  /** Four bytes: SHA-256(name ‖ LF ‖ type ‖ public key), cut. */
  readonly id: Buffer;
  /** 32 bytes, Ed25519. */
  readonly publicKey: Buffer;
  /** `<name>+<id in hex>+<base64>`. */
  readonly text: string;
}

/** The key of a log. */
export type VerifierKey = PublicNoteKey<'note'>;

/** The private half, ready to sign. */
export interface PrivateNoteKey<Type extends KeyType> {
  readonly name: string;
  readonly verifier: PublicNoteKey<Type>;
  /** The raw Ed25519 signature of the message. */
  sign(message: Buffer): Buffer;
}

export type NoteSigner = PrivateNoteKey<'note'>;

const SEED_BYTES = 32;
export const NOTE_MAX = 256 * 1024;
const SIGNATURES_MAX = 100;
// The fixed DER around 32 bytes of Ed25519 (RFC 8410): Node reads no bare keys.
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A key name: not empty, no Unicode spaces, no plus, no control characters. */
const isKeyName = (name: string): boolean => /^[^\s\p{White_Space}\p{Cc}\p{Surrogate}+]+$/u.test(name);

const publicNoteKey = <Type extends KeyType>(
  type: Type,
  name: string,
  publicKey: Buffer,
): PublicNoteKey<Type> => {
  const typed = Buffer.concat([Buffer.of(TYPES[type]), publicKey]);
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
  return { type, name, id, publicKey, text: `${name}+${id.toString('hex')}+${typed.toString('base64')}` };
};

/** Name, id and 32 bytes of key material of `<name>+<id>+<base64>`; null when it is not that. */
function splitKey(type: KeyType, text: string): { name: string; id: string; material: Buffer } | null {
  const [, name = '', id = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/su.exec(text) ?? [];
  const typed = decodeBase64(encoded);
  if (!isKeyName(name) || typed?.length !== 1 + SEED_BYTES || typed[0] !== TYPES[type]) return null;
  return { name, id, material: typed.subarray(1) };
}

/** Reads the public text of a key of that type. Throws refused(`note-key-malformed`). */
export function parsePublicKey<Type extends KeyType>(type: Type, text: string): PublicNoteKey<Type> {
  const parts = splitKey(type, text);
  const key = parts && publicNoteKey(type, parts.name, parts.material);
  if (key?.text !== text)
    throw refused(
      'note-key-malformed',
      `not a ${type === 'note' ? 'verifier key of C2SP signed-note' : 'witness key of C2SP tlog-cosignature'} (name+id+base64, Ed25519)`,
    );
  return key;
}

/** Reads a log's verifier key, Ed25519 only. Throws refused(`note-key-malformed`). */
export const parseVerifierKey = (text: string): VerifierKey => parsePublicKey('note', text);

const PRIVATE = 'PRIVATE+KEY+';

/** The two halves of a new key, as text. */
export interface NewKey {
  /** Secret. */
  readonly signer: string;
  readonly verifier: string;
}

/** A new key pair, in the text forms that Go's note package uses too. Throws RangeError for a name that a key cannot have. */
export function generateKey(type: KeyType, name: string): NewKey {
  if (!isKeyName(name)) throw new RangeError('a key name has no spaces and no plus');
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const verifier = publicNoteKey(type, name, rawPublicKey(publicKey));
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length);
  const typed = Buffer.concat([Buffer.of(TYPES[type]), seed]).toString('base64');
  return { signer: `${PRIVATE}${name}+${verifier.id.toString('hex')}+${typed}`, verifier: verifier.text };
}

/** A new key of a log. */
export const generateNoteKey = (name: string): NewKey => generateKey('note', name);

const rawPublicKey = (key: KeyObject): Buffer =>
  key.export({ format: 'der', type: 'spki' }).subarray(SPKI.length);

/** Reads the secret text of a key; throws refused(`note-key-malformed`) that quotes none of it. */
export function parsePrivateKey<Type extends KeyType>(type: Type, text: string): PrivateNoteKey<Type> {
  const parts = text.startsWith(PRIVATE) ? splitKey(type, text.slice(PRIVATE.length)) : null;
  if (parts === null) throw notPrivate();
  const der = Buffer.concat([PKCS8, parts.material]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const verifier = publicNoteKey(type, parts.name, rawPublicKey(createPublicKey(privateKey)));
  if (verifier.id.toString('hex') !== parts.id) throw notPrivate();
  return { name: parts.name, verifier, sign: (message) => sign(null, message, privateKey) };
}

/** Reads the secret text of a log's key, likewise. */
export const parseSignerKey = (text: string): NoteSigner => parsePrivateKey('note', text);

const notPrivate = () => refused('note-key-malformed', 'not a private key of C2SP signed-note');

/** Whether `signature` is the raw Ed25519 signature of the message by the key. */
export function verifyRaw(
  { publicKey }: PublicNoteKey<KeyType>,
  message: Buffer,
  signature: Buffer,
): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}

/** Whether text may be that of a note: ends in a newline, no other control characters, valid UTF-8. */
function isNoteText(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) < 0x20 && text[at] !== '\n') return false;
  return text.endsWith('\n') && !/\p{Surrogate}/u.test(text);
}

/** One signature line of a note, with its newline. */
export const signatureLine = ({ name, id }: PublicNoteKey<KeyType>, signature: Buffer): string =>
  `— ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;

/** The note of this text with one signature. Throws RangeError for a text that no note has. */
export function signNote(text: string, signer: NoteSigner): string {
  if (!isNoteText(text)) throw new RangeError('the text of a note is lines, each with its newline');
  return `${text}\n${signatureLine(signer.verifier, signer.sign(Buffer.from(text)))}`;
}

/** A signature line, read and not verified. */
export interface NoteSignature {
  readonly name: string;
  /** Four bytes. */
  readonly id: Buffer;
  readonly signature: Buffer;
  /** The line, with its newline. */
  readonly line: string;
}

/** A note's text, and its signature lines, of which there is at least one. Throws refused(`note-invalid`). */
export function splitNote(note: Uint8Array | string): { text: string; signatures: NoteSignature[] } {
  if (note.length > NOTE_MAX) throw invalid(`more than ${NOTE_MAX} bytes`);
  const whole = typeof note === 'string' ? note : decodeUtf8(note);
  if (whole === null || !isNoteText(whole)) throw invalid('not lines of UTF-8 without control characters');
  const end = whole.lastIndexOf('\n\n');
  if (end === -1) throw invalid('no signatures');
  return { text: whole.slice(0, end + 1), signatures: parseSignatureLines(whole.slice(end + 2)) };
}

/** Reads signature lines, at least one. Throws refused(`note-invalid`). */
export function parseSignatureLines(text: string): NoteSignature[] {
  const lines = text.slice(0, -1).split('\n');
  if (!text.endsWith('\n')) throw invalid('no signatures');
  if (lines.length > SIGNATURES_MAX) throw invalid(`more than ${SIGNATURES_MAX} signatures`);
  return lines.map((line) => {
    const [, name = '', encoded = ''] = /^\u2014 ([^ ]+) ([^ ]+)$/u.exec(line) ?? [];
    const bytes = decodeBase64(encoded);
    if (!isKeyName(name) || bytes === null || bytes.length < 5) throw invalid('a malformed signature line');
    return { name, id: bytes.subarray(0, 4), signature: bytes.subarray(4), line: `${line}\n` };
  });
}

/** The lines that say to be of the key: of its name and its id. */
export const signaturesBy = (
  signatures: readonly NoteSignature[],
  { name, id }: PublicNoteKey<KeyType>,
): NoteSignature[] => signatures.filter((each) => each.name === name && each.id.equals(id));

/**
 * The text of a note that the key signed.
 *
 * Lines of other keys are ignored, as the specification asks. Throws refused(`note-invalid`) for a
 * malformed note, for one without a signature of the key, and for one with a line of the key (its name and
 * id) that does not verify.
 */
export function openNote(note: Uint8Array | string, key: VerifierKey): string {
  const { text, signatures } = splitNote(note);
  const ours = signaturesBy(signatures, key);
  if (ours.length === 0) throw invalid(`not signed by ${key.name}`);
  for (const { signature } of ours)
    if (!verifyRaw(key, Buffer.from(text), signature)) throw invalid(`the signature of ${key.name} is wrong`);
  return text;
}

const invalid = (problem: string) => refused('note-invalid', `signed note: ${problem}`);

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
