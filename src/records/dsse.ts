/** The statement once more, in a DSSE envelope (secure-systems-lab/dsse v1.0), for in-toto and sigstore tools. */
import { encodeCanonical, LARGE_RECORD_MAX, parseCanonical, RECORD_MAX } from './canonical.ts';
import { closedObject, listOf, oneOf, text } from './fields.ts';
import { decodeBase64Strict } from './names.ts';

export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

export interface Envelope {
  readonly payload: Buffer;
  readonly payloadType: typeof PAYLOAD_TYPE;
  /** Exactly one. */
  readonly signatures: readonly [{ readonly keyid: string; readonly sig: Buffer }];
}

/** What a DSSE signature covers: `DSSEv1`, then type and payload, each after its length in bytes. */
export const paeBytes = (payloadType: string, payload: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload,
  ]);

/** The bytes of an envelope of an in-toto statement: canonical JSON. */
export const encodeEnvelope = (payload: Buffer, keyid: string, sig: Buffer): Buffer =>
  encodeCanonical({
    payload: payload.toString('base64'),
    payloadType: PAYLOAD_TYPE,
    signatures: [{ keyid, sig: sig.toString('base64') }],
  });

/** The largest statement in base64, and room for the rest. */
export const ENVELOPE_MAX = Math.ceil(LARGE_RECORD_MAX / 3) * 4 + 4096;

/** Reads an envelope of an in-toto statement, canonical JSON with one signature; checks no signature. Throws refused. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  const value = parseCanonical(bytes, { maxBytes: ENVELOPE_MAX, what: 'envelope' });
  const fields = closedObject(value, 'envelope', ['payload', 'payloadType', 'signatures']);
  const [signature] = listOf(fields.signatures, 'envelope.signatures', { min: 1, max: 1 }, (item, where) => {
    const { keyid, sig } = closedObject(item, where, ['keyid', 'sig']);
    return { keyid: text(keyid, `${where}.keyid`, 256), sig: toBytes(sig, `${where}.sig`) };
  });
  if (signature === undefined) throw new Error('unreachable: listOf asked for one');
  return {
    payload: decodeBase64Strict(fields.payload, 'envelope.payload'),
    payloadType: oneOf(fields.payloadType, 'envelope.payloadType', [PAYLOAD_TYPE]),
    signatures: [signature],
  };
}

const toBytes = (value: unknown, where: string): Buffer =>
  decodeBase64Strict(text(value, where, RECORD_MAX), where);
