/**
 * Cosignatures: a witness says that a checkpoint continues what it saw of the log before (C2SP tlog-cosignature,
 * Ed25519, `cosignature/v1`).
 */
import { refused } from '../failure.ts';
import {
  generateKey,
  parsePrivateKey,
  parsePublicKey,
  signatureLine,
  signaturesBy,
  splitNote,
  verifyRaw,
} from './note.ts';
import type { NewKey, NoteSignature, PrivateNoteKey, PublicNoteKey } from './note.ts';

/** The public key of a witness. */
export type WitnessKey = PublicNoteKey<'cosignature'>;
export type CosignatureSigner = PrivateNoteKey<'cosignature'>;

/** A verified one. */
export interface Cosignature {
  readonly key: WitnessKey;
  /** When the witness had seen no larger tree of the log, by its own clock, in seconds since 1970. */
  readonly time: number;
}

const TIME_BYTES = 8;
/** The end of the year 9999, the last that a timestamp can say; the specification has 2^63 seconds. */
const TIME_MAX = 253_402_300_799;

/** A new key of a witness. Throws RangeError for a name that a key cannot have. */
export const generateWitnessKey = (name: string): NewKey => generateKey('cosignature', name);

/** Reads a witness's public key. Throws refused(`note-key-malformed`). */
export const parseWitnessKey = (text: string): WitnessKey => parsePublicKey('cosignature', text);

/** Reads the secret text of a witness's key; throws refused(`note-key-malformed`) that quotes none of it. */
export const parseWitnessSigner = (text: string): CosignatureSigner => parsePrivateKey('cosignature', text);

const message = (text: string, time: number): Buffer => Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);

/** The signature line, with its newline, of a checkpoint's note text at a time in seconds since 1970. */
export function cosign(text: string, signer: CosignatureSigner, time: number): string {
  const stamp = Buffer.alloc(TIME_BYTES);
  stamp.writeBigUInt64BE(BigInt(time));
  return signatureLine(signer.verifier, Buffer.concat([stamp, signer.sign(message(text, time))]));
}

/**
 * The cosignatures of the note by these witnesses, at most one each, in their order; lines of others are ignored.
 * Throws refused(`note-invalid`) for a malformed note, and for one with a line of such a witness that does not verify.
 */
export function cosignaturesOf(note: Uint8Array | string, keys: readonly WitnessKey[]): Cosignature[] {
  const { text, signatures } = splitNote(note);
  return keys.flatMap((key) => {
    const [newest] = signaturesBy(signatures, key)
      .map((each) => verified(text, key, each))
      .sort((one, other) => other - one);
    return newest === undefined ? [] : [{ key, time: newest }];
  });
}

/** The time that the signature says. Throws refused(`note-invalid`) unless it verifies. */
function verified(text: string, key: WitnessKey, { signature }: NoteSignature): number {
  const time = signature.length > TIME_BYTES ? Number(signature.readBigUInt64BE()) : NaN;
  if (time > 0 && time <= TIME_MAX)
    if (verifyRaw(key, message(text, time), signature.subarray(TIME_BYTES))) return time;
  throw refused('note-invalid', `signed note: the cosignature of ${key.name} is wrong`);
}

/** The note with its first signature, which is the log's, and of each of these witnesses the newest in any of the notes. */
export function mergeCosignatures(
  notes: readonly [Uint8Array | string, ...(Uint8Array | string)[]],
  log: PublicNoteKey<'note'>,
  keys: readonly WitnessKey[],
): string {
  const read = notes.map((note) => splitNote(note));
  const [{ text, signatures } = { text: '', signatures: [] }] = read;
  if (read.some((other) => other.text !== text)) throw new RangeError('notes of different texts');
  const lines = keys.flatMap((key) => {
    const [newest] = read
      .flatMap((each) => signaturesBy(each.signatures, key))
      .map((each) => ({ line: each.line, time: verified(text, key, each) }))
      .sort((one, other) => other.time - one.time);
    return newest === undefined ? [] : [newest.line];
  });
  return `${text}\n${signaturesBy(signatures, log)[0]?.line ?? ''}${lines.join('')}`;
}
