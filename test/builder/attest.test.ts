import {
  chmodSync,
  existsSync,
  linkSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { verify } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttestOptions } from '../../src/builder/attest.ts';
import { unable } from '../../src/failure.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { builderCertificate } from '../../src/policy/builder-key.ts';
import { PAYLOAD_TYPE, paeBytes, parseEnvelope } from '../../src/records/dsse.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { formatTicket } from '../../src/records/ticket.ts';
import { secretKeyOf, spent } from '../harness/keypair.ts';
import { b1, minutes, now } from '../policy/scene.ts';
import { Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await Site.make();
});
afterEach(() => site.close());

describe('attest seals a build', () => {
  test('one statement that names all, signed with the key of the ticket, and everything gone from this host', async () => {
    const large = Buffer.alloc(3_000_000, 'large');
    site.put({ 'z.iso': large, 'a.txt': 'a', 'sub/same.txt': 'a', empty: '' });
    const result = await site.attest();
    expect(result).toMatchObject({
      slot: 'b1',
      project: 'hello',
      version: '1.0',
      artifacts: 4,
      bytes: 3_000_002,
      uploaded: 3,
      resumed: false,
      ticketRemoved: true,
    });

    const statement = await site.statement();
    expect(statement?.subjects.map(({ name, size }) => [name, size])).toEqual([
      ['a.txt', 1],
      ['empty', 0],
      ['sub/same.txt', 1],
      ['z.iso', 3_000_000],
    ]);
    expect(statement).toMatchObject({
      approval: site.ticket.approval,
      source: site.ticket.source,
      command: null,
      builderId: 'https://depot.example.org/builders/keypair',
      finishedOn: '2026-11-22T12:30:00Z',
    });
    expect(site.left()).toEqual([]);
    expect(site.holdsSecret()).toBe(false);
  });

  test('both signatures are by that key over the same bytes', async () => {
    site.put({ app: 'x' });
    await site.attest();
    const certificate = builderCertificate(site.approval, b1);
    const bytes = (await site.read('statements/b1.json')) ?? Buffer.alloc(0);
    const signature = (await site.read('statements/b1.json.sig')) ?? Buffer.alloc(0);
    expect(verifyDetached(signature, bytes, certificate, now)).toMatchObject({ ok: true });

    const envelope = parseEnvelope((await site.read('statements/b1.dsse.json')) ?? Buffer.alloc(0));
    expect(envelope.payload.equals(bytes)).toBe(true);
    const [{ keyid, sig }] = envelope.signatures;
    expect(keyid).toBe(certificate.primary.fingerprint);
    expect(verify(null, paeBytes(PAYLOAD_TYPE, bytes), certificate.primary.keyObject!, sig)).toBe(true);
  });

  test('it tells what it does, in order', async () => {
    site.put({ app: 'x' });
    await site.attest();
    const kinds = site.events.map(({ kind }) => kind);
    // what is hashed leaves while the statement is made
    expect(new Set(kinds)).toContain('uploading');
    const others = kinds.filter((kind) => kind !== 'uploading');
    expect([...new Set(others)]).toEqual(['ticket', 'found', 'hashing', 'signed', 'sealed']);
  });

  test('many small files', async () => {
    site.close();
    site = await Site.make({ maxCount: 2000 });
    site.put(Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [`f${i}`, `content ${i}`])));
    expect(await site.attest()).toMatchObject({ artifacts: 1200, uploaded: 1200 });
  });
});

describe('where the ticket comes from', () => {
  const line = (): string => `${formatTicket(site.ticket)}\n`;
  const state = (): string => join(site.directory, 'state');

  test.each<[string, () => Parameters<Site['attest']>[0]]>([
    ['standard input', () => ({ ticket: '-', stdin: Readable.from([Buffer.from(line())]) })],
    [
      '$COUNTERSIGN_TICKET',
      () => ({ ticket: null, environment: { COUNTERSIGN_TICKET: line(), STATE_DIRECTORY: state() } }),
    ],
    [
      'a systemd credential',
      () => {
        writeFileSync(join(site.directory, 'ticket'), line());
        return {
          ticket: null,
          environment: { CREDENTIALS_DIRECTORY: site.directory, XDG_STATE_HOME: state() },
        };
      },
    ],
  ])('%s; used again it signs nothing, and says that all is done', async (_, more) => {
    site.put({ app: 'x' });
    const first = await site.attest({ environment: { XDG_STATE_HOME: state() }, ...more() });
    expect(first).toMatchObject({ resumed: false, ticketRemoved: false });
    const again = await site.attest({ environment: { XDG_STATE_HOME: state() }, ...more() });
    expect(again).toMatchObject({
      resumed: true,
      uploaded: 0,
      statement: first.statement,
      artifacts: 1,
      bytes: 1,
    });
    expect(await site.read('statements/b1.2.json')).toBeNull();
  });

  test('a symlink to it: the file behind is the one that goes', async () => {
    site.put({ app: 'x' });
    symlinkSync(site.ticketFile, join(site.directory, 'link'));
    await site.attest({ ticket: join(site.directory, 'link') });
    expect(() => statSync(site.ticketFile)).toThrow('ENOENT');
  });

  test('readable for others, or with a second name: a warning', async () => {
    site.put({ app: 'x' });
    chmodSync(site.ticketFile, 0o644);
    linkSync(site.ticketFile, join(site.directory, 'second'));
    await site.attest();
    expect(site.warnings).toEqual([
      expect.stringContaining('chmod 600'),
      expect.stringContaining('another name'),
    ]);
  });

  test('nowhere', async () => {
    await expect(site.attest({ ticket: null })).rejects.toMatchObject({
      kind: 'usage',
      code: 'ticket-missing',
    });
    await expect(site.attest({ ticket: join(site.directory, 'x') })).rejects.toMatchObject({
      code: 'ticket-missing',
      hint: expect.stringMatching(/once the depot has its statement.*killed while --run ran.*new approval/),
    });
  });
});

describe('a ticket that is no good here is refused before anything is signed, and not repeated', () => {
  test.each<[string, (site: Site) => void, string]>([
    ['expired', (site) => (site.now = minutes(211)), 'ticket-expired'],
    ['used too early, by this clock', (site) => (site.now = minutes(-41)), 'ticket-not-yet-valid'],
    ['used before', (site) => site.putTicket(spent(site.ticket)), 'ticket-used'],
    [
      'of an approval that the depot has in other words',
      (site) => site.putTicket({ ...site.ticket, approval: sha256Hex('x') }),
      'approval-mismatch',
    ],
    [
      'cut short',
      (site) => writeFileSync(site.ticketFile, formatTicket(site.ticket).slice(0, -20)),
      'ticket-malformed',
    ],
    ['none at all', (site) => writeFileSync(site.ticketFile, 'hunter2'), 'ticket-malformed'],
  ])('%s', async (_, spoil, code) => {
    site.put({ app: 'x' });
    spoil(site);
    const failure = await site.attest().catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: 'refused', code });
    const secretKey = secretKeyOf(site.ticket);
    const { uploadToken } = site.ticket;
    const said = JSON.stringify(failure, Object.getOwnPropertyNames(failure)) + JSON.stringify(site.events);
    for (const secret of [secretKey ?? '', uploadToken, formatTicket(site.ticket).slice(30, 60), 'hunter2'])
      expect(said).not.toContain(secret);
    expect(await site.statement()).toBeNull();
  });

  test('within ten minutes the clocks may differ', async () => {
    site.put({ app: 'x' });
    site.now = minutes(-39);
    await site.attest();
    expect(await site.statement()).not.toBeNull();
  });
});

describe('what is not signed', () => {
  test('the ticket itself, lying among the artifacts', async () => {
    site.put({ app: 'x' });
    await expect(site.attest({ base: site.directory, paths: [site.directory] })).rejects.toMatchObject({
      code: 'artifacts-refused',
      message: 'b1.ticket is the ticket itself',
    });
    expect(site.readTicket()).toEqual(site.ticket);
  });

  const standing = (): Partial<AttestOptions> => ({
    ticket: '-',
    stdin: Readable.from([Buffer.from(formatTicket(site.ticket))]),
  });
  const copy = (): string => readFileSync(site.ticketFile, 'utf8');
  test.each<[string, () => void, () => Partial<AttestOptions>]>([
    ['by another name', () => linkSync(site.ticketFile, join(site.base, 'my.txt')), () => ({})],
    ['a copy, while the build runs', () => site.put({ 'my.txt': copy() }), () => ({ run: 'true' })],
    ['a copy of one from standard input', () => site.put({ 'my.txt': copy() }), standing],
    ['a copy with white space in front', () => site.put({ 'my.txt': `\ufeff\r\n ${copy()}` }), () => ({})],
    ['a large file that begins with it', () => site.put({ 'my.txt': copy().padEnd(2 ** 21) }), () => ({})],
    [
      'one of several large files, in threads',
      () => site.put({ 'my.txt': copy().padEnd(2 ** 21), 'z.bin': Buffer.alloc(2 ** 26) }),
      () => ({}),
    ],
  ])('the ticket, %s, which never leaves', async (_, lay, more) => {
    site.close();
    site = await Site.make({ maxBytes: 2 ** 27, maxTotalBytes: 2 ** 28 });
    site.put({ app: 'x' });
    lay();
    await expect(site.attest(more())).rejects.toMatchObject({
      code: 'artifacts-refused',
      message: expect.stringMatching(/^my\.txt is a ticket/),
      hint: expect.stringContaining('--exclude'),
    });
    expect(await site.statement()).toBeNull();
    const blobs = join(site.depotDirectory, 'builds', site.ticket.build, 'blobs');
    const sent = existsSync(blobs) ? readdirSync(blobs) : [];
    expect(sent).not.toContain(sha256Hex(readFileSync(join(site.base, 'my.txt'))));
    expect(await site.attest({ exclude: ['my.txt'] })).toMatchObject({ resumed: false });
  });

  test('a bad name: the ticket stays as it was', async () => {
    site.put({ app: 'x', '.env': 'x' });
    await expect(site.attest()).rejects.toMatchObject({ code: 'artifacts-refused' });
    expect(site.readTicket()).toEqual(site.ticket);
  });

  test('a file that did not last: the pending statement could not be kept', async () => {
    site.put({ app: 'x' });
    writeFileSync(`${site.ticketFile}.pending`, 'a file in its place');
    await expect(site.attest()).rejects.toMatchObject({ kind: 'unable', code: 'disk' });
    expect(site.readTicket()).toEqual(site.ticket);
    expect(await site.statement()).toBeNull();
  });

  test('another statement was on the depot first, of the same artifacts: said, and that the signer goes on', async () => {
    site.put({ app: 'x' });
    const twin = { ticket: '-', stdin: Readable.from([Buffer.from(formatTicket(site.ticket))]) };
    await site.attest({ ...twin, environment: { XDG_STATE_HOME: join(site.directory, 'other') } });
    site.now = new Date(site.now.getTime() + 60_000);
    await expect(site.attest()).rejects.toMatchObject({
      code: 'statement-not-first',
      message: expect.stringMatching(/, of the same artifacts$/),
      hint: expect.stringMatching(/the artifacts are the same, so the signer goes on$/),
    });
  });

  test('another statement was on the depot first: ours is kept there as a variant, and it is said', async () => {
    site.put({ app: 'x' });
    const twin = { ticket: '-', stdin: Readable.from([Buffer.from(formatTicket(site.ticket))]) };
    await site.attest({ ...twin, environment: { XDG_STATE_HOME: join(site.directory, 'thief') } });
    site.put({ app: 'other' });
    await expect(site.attest()).rejects.toMatchObject({
      kind: 'refused',
      code: 'statement-not-first',
      hint: expect.stringContaining('whose statements differ'),
    });
    expect((await site.statement('statements/b1.2.json'))?.subjects[0]?.sha256).toBe(sha256Hex('other'));
    expect(site.left().filter((name) => !name.startsWith('thief'))).toEqual([]);
  });
});

describe('a depot that is away', () => {
  test('is said, and the work goes on until it must be sent', async () => {
    site.put({ app: 'x' });
    const { connect } = site;
    site.connect = (token) =>
      Object.assign(connect(token), {
        read: () => Promise.reject(unable('network', 'the depot does not answer')),
      });
    await expect(site.attest()).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    expect(site.warnings).toEqual([expect.stringContaining('the depot does not answer; the work goes on')]);
    expect(secretKeyOf(site.readTicket())).toBeNull();
  });
});
