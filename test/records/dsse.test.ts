/** The envelope: the example of DSSE's protocol.md, and ours. */
import { createPublicKey, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodeEnvelope, paeBytes, parseEnvelope, PAYLOAD_TYPE } from '../../src/records/dsse.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { ownVector } from '../harness/vectors.ts';
import { textOf } from '../harness/json.ts';
import { statement } from './samples.ts';

test('the example of the specification', () => {
  const field = (name: string) => textOf(ownVector('dsse.json'), name);
  const pae = paeBytes(field('payloadType'), Buffer.from(field('payload')));
  expect(pae.toString()).toBe(field('pae'));
  const jwk = { kty: 'EC', crv: 'P-256', x: field('x'), y: field('y') };
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const signature = Buffer.from(field('sig'), 'base64');
  expect(verify('sha256', pae, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true);
});

test('lengths are of bytes, not of characters', () => {
  expect(paeBytes('é', Buffer.from('😀')).toString()).toBe('DSSEv1 2 é 4 😀');
});

test('an envelope holds the statement whole', () => {
  const payload = encodeStatement(statement);
  const signature = Buffer.alloc(64, 1);
  const envelope = parseEnvelope(encodeEnvelope(payload, 'ABCD', signature));
  expect(envelope).toEqual({
    payload,
    payloadType: PAYLOAD_TYPE,
    signatures: [{ keyid: 'ABCD', sig: signature }],
  });
});
