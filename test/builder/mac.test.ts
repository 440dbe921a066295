/** Scheme `mac`: the ticket's nonce makes one MAC over the statement, and goes. */
import { createHmac, hkdfSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { formatTicket } from '../../src/records/ticket.ts';
import { build } from '../policy/scene.ts';
import { Site, instead } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await Site.make({}, 'mac');
  site.put({ app: 'app' });
});
afterEach(() => site.close());

const nonce = (): string => {
  if (site.ticket.secret.scheme !== 'mac') throw new Error('not a MAC');
  return site.ticket.secret.nonce ?? '';
};

/** By the letter of the protocol, without the product's own code. */
function expectedMac(bytes: Buffer): string {
  const counted = (text: string) => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)]);
  const info = Buffer.concat(['countersign/statement-mac/v1', build, 'b1'].map(counted));
  const key = hkdfSync('sha256', Buffer.from(nonce(), 'base64url'), Buffer.alloc(0), info, 32);
  return `${createHmac('sha256', Buffer.from(key)).update(bytes).digest('base64')}\n`;
}

/** The connection breaks before the statement is there. */
function cut(): () => void {
  const { connect } = site;
  const fail = () => Promise.reject(unable('network', 'the connection broke'));
  site.connect = (token) => instead(connect(token), 'submit', fail);
  return () => (site.connect = connect);
}

test('the statement, its MAC and nothing else; no nonce is left on this host', async () => {
  expect(await site.attest()).toMatchObject({ scheme: 'mac', artifacts: 1, ticketRemoved: true });
  const bytes = (await site.read('statements/b1.json')) ?? Buffer.alloc(0);
  expect((await site.read('statements/b1.json.mac'))?.toString()).toBe(expectedMac(bytes));
  for (const other of ['statements/b1.json.sig', 'statements/b1.dsse.json'])
    expect(await site.read(other)).toBeNull();
  expect(await site.statement()).toMatchObject({ builderId: 'https://depot.example.org/builders/mac' });
  expect(site.left()).toEqual([]);
  expect(site.events).toContainEqual(expect.objectContaining({ kind: 'signed', scheme: 'mac' }));
});

describe('the connection breaks', () => {
  test('statement and MAC wait, the nonce is gone, and the next run sends the same', async () => {
    const mend = cut();
    await expect(site.attest()).rejects.toMatchObject({ code: 'network' });
    expect(site.left()).toEqual([
      'b1.ticket 600',
      'b1.ticket.pending/statement.json 600',
      'b1.ticket.pending/statement.json.mac 600',
    ]);
    expect(readFileSync(site.ticketFile, 'utf8')).not.toBe(`${formatTicket(site.ticket)}\n`);
    expect(site.readTicket().secret).toEqual({ scheme: 'mac', nonce: null });
    const bytes = readFileSync(join(`${site.ticketFile}.pending`, 'statement.json'));
    mend();
    expect(await site.attest()).toMatchObject({ resumed: true });
    expect((await site.read('statements/b1.json'))?.equals(bytes)).toBe(true);
    expect(site.left()).toEqual([]);
  });

  test('a statement that somebody has laid there is not sent in the name of a nonce that is still here', async () => {
    const mend = cut();
    await expect(site.attest()).rejects.toMatchObject({ code: 'network' });
    mend();
    const forged = join(`${site.ticketFile}.pending`, 'statement.json.mac');
    writeFileSync(forged, `${Buffer.alloc(32).toString('base64')}\n`);
    site.putTicket(site.ticket);
    await expect(site.attest()).rejects.toMatchObject({ code: 'pending-foreign' });
    expect(await site.statement()).toBeNull();
    expect(site.readTicket()).toEqual(site.ticket);
  });
});

test('a ticket that stays where it is: used again it makes no second MAC', async () => {
  const again = () =>
    site.attest({
      ticket: '-',
      stdin: Readable.from([Buffer.from(formatTicket(site.ticket))]),
      environment: { STATE_DIRECTORY: join(site.directory, 'state') },
    });
  const first = await again();
  expect(await again()).toMatchObject({ resumed: true, statement: first.statement });
  site.put({ app: 'other' });
  await expect(again()).rejects.toMatchObject({ code: 'artifacts-differ' });
  expect(await site.read('statements/b1.2.json')).toBeNull();
});

test('while the build runs there is no nonce in its reach; when it fails the ticket is back as it was', async () => {
  const run = `ls ${site.directory} > ${site.base}/seen; env >> ${site.base}/seen; cat ${site.ticketFile}* >> ${site.base}/seen; exit 3`;
  await expect(site.attest({ run })).rejects.toMatchObject({ code: 'command-failed' });
  const seen = readFileSync(join(site.base, 'seen'), 'utf8');
  expect(seen).toContain('out');
  expect(seen).not.toMatch(/ticket/);
  expect(seen).not.toContain(nonce());
  expect(existsSync(`${site.ticketFile}.pending`)).toBe(false);
  expect(site.readTicket()).toEqual(site.ticket);
});

test('a ticket whose nonce is used up', async () => {
  site.putTicket({ ...site.ticket, secret: { scheme: 'mac', nonce: null } });
  await expect(site.attest()).rejects.toMatchObject({ kind: 'refused', code: 'ticket-used' });
});

test('of several builders each sends only what the depot lacks', async () => {
  const small = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`f${i}`, `content ${i}`]));
  const second = Site.beside(site);
  try {
    site.put({ ...small, large: Buffer.alloc(200_000, 'l') });
    second.put({ ...small, app: 'app', large: Buffer.alloc(200_000, 'l'), own: 'own' });
    expect(await site.attest()).toMatchObject({ uploaded: 7 });
    expect(await second.attest()).toMatchObject({ slot: 'b2', artifacts: 8, uploaded: 1 });
  } finally {
    second.close();
  }
});
