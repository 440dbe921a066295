/** The ticket is secret: one line, taken as people paste it, and never repeated in what is said about it. */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { canonicalize } from '../../src/records/canonical.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import { refusalOf } from '../harness/failure.ts';
import { secretKeyOf, spent } from '../harness/keypair.ts';
import { membersOf } from '../harness/json.ts';
import { enrolTicket, macTicket, ticket } from './samples.ts';

const line = formatTicket(ticket);
const json = Buffer.from(line.slice('countersign-ticket-v1.'.length), 'base64url').toString();
const lineOf = (text: string) => `countersign-ticket-v1.${Buffer.from(text).toString('base64url')}`;

describe('a good ticket', () => {
  test('is one line of plain characters', () => {
    expect(line).toMatch(/^countersign-ticket-v1\.[A-Za-z0-9_-]+$/);
    expect(parseTicket(line)).toEqual(ticket);
  });

  test.each([`${line}\n`, `${line}\r\n`, `  ${line}  `, `\n${line}\n\n`])(
    'comes with white space around it',
    (text) => {
      expect(parseTicket(text)).toEqual(ticket);
    },
  );

  test('has no private half any more once the statement is signed', () => {
    expect(parseTicket(formatTicket(spent(ticket)))).toEqual(spent(ticket));
  });
});

describe('what is said about a bad one', () => {
  const withField = (key: string, value: string | number | null) =>
    lineOf(canonicalize(Object.fromEntries([...membersOf(json), [key, value]])));
  const secretKey = secretKeyOf(ticket) ?? '';
  const secrets = [secretKey, ticket.uploadToken, Buffer.from(secretKey, 'base64').toString()];

  test.each([
    ['cut short', line.slice(0, -20)],
    ['cut to its head', line.slice(0, 40)],
    ['two lines', `${line.slice(0, 80)}\n${line.slice(80)}`],
    ['with quotes', `"${line}"`],
    ['twice', line + line],
    ['of another version', line.replace('v1', 'v2')],
    ['padded', `${line}=`],
    ['not JSON inside', lineOf(`${json.slice(0, -1)},`)],
    ['JSON in another form', lineOf(` ${json}`)],
    ['only its JSON', json],
    ['of another scheme', withField('scheme', secretKey)],
    ['with a wrong key', withField('secretKey', `${secretKey}!`)],
    ['with a short token', withField('uploadToken', ticket.uploadToken.slice(0, -2))],
    ['with a token of 31 bytes', withField('uploadToken', Buffer.alloc(31, 0xa5).toString('base64url'))],
    ['with a token of 33 bytes', withField('uploadToken', Buffer.alloc(33, 0xa5).toString('base64url'))],
    ['with an unknown field', withField('zzz', secretKey)],
    ['with a secret where another field belongs', withField('build', secretKey)],
    ['with a secret for a time', withField('expires', ticket.uploadToken)],
    ['nothing', ''],
    ['too long', `countersign-ticket-v1.${'A'.repeat(1_000_000)}`],
  ])('%s', (_, text) => {
    const error = refusalOf(() => parseTicket(text));
    expect(error.code).toBe('ticket-malformed');
    // Everything that a log or a stack trace could show, causes too.
    const shown = inspect(error, { depth: null, showHidden: true });
    for (const secret of secrets) expect(shown).not.toContain(secret);
    for (let at = 30; at + 24 < text.length; at += 24) expect(shown).not.toContain(text.slice(at, at + 24));
  });
});

describe('a ticket with a nonce', () => {
  const opened = (text: string) =>
    Buffer.from(text.slice('countersign-ticket-v1.'.length), 'base64url').toString();
  const bent = (of: typeof ticket, change: object) =>
    lineOf(
      canonicalize(Object.fromEntries([...membersOf(opened(formatTicket(of))), ...Object.entries(change)])),
    );

  test('has none any more once it was used; one that enrols has then a key instead', () => {
    const { secret } = enrolTicket;
    if (secret.scheme !== 'enrol') throw new Error('not of scheme enrol');
    for (const spent of [
      { ...macTicket, secret: { scheme: 'mac' as const, nonce: null } },
      { ...enrolTicket, secret: { ...secret, secretKey: null } },
      { ...enrolTicket, secret: { ...secret, nonce: null } },
      { ...enrolTicket, secret: { ...secret, nonce: null, secretKey: null } },
    ])
      expect(parseTicket(formatTicket(spent))).toEqual(spent);
  });

  test.each([
    ['of 31 bytes', { nonce: Buffer.alloc(31, 0x5a).toString('base64url') }],
    ['of 33 bytes', { nonce: Buffer.alloc(33, 0x5a).toString('base64url') }],
    ['in ordinary base64', { nonce: Buffer.alloc(32, 0xff).toString('base64') }],
    ['of a ticket that says it has a key pair', { scheme: 'keypair' }],
    ['and a key, as one that does not enrol', { secretKey: 'YQ==' }],
    ['under another name', { secret: 'YQ==' }],
  ])('not one %s', (_, change) => {
    const hostile = bent(macTicket, change);
    const error = refusalOf(() => parseTicket(hostile));
    expect(error.code).toBe('ticket-malformed');
    const shown = inspect(error, { depth: null, showHidden: true });
    for (const fill of [0x5a, 0xff]) {
      const nonce = Buffer.alloc(33, fill);
      for (const text of [nonce.toString('base64url'), nonce.toString('base64'), nonce.toString('hex')])
        expect(shown).not.toContain(text.slice(0, 24));
    }
  });

  test('that enrols says until when', () => {
    for (const enrolBy of [null, '', '2026-11-22T12:30:00', 'noon'])
      refusalOf(() => parseTicket(bent(enrolTicket, { enrolBy })));
  });
});
