import {
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { secretKeyOf } from '../harness/keypair.ts';
import { Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await Site.make();
  site.put({ 'small.txt': 'small', 'large.bin': Buffer.alloc(100_000, 'l') });
});
afterEach(() => site.close());

const FAULT = unable('network', 'the connection broke');
const KEPT = { cause: FAULT, hint: expect.stringContaining('the signed statement is kept') as string };
const PENDING = [
  'b1.ticket 600',
  'b1.ticket.pending/statement.dsse.json 600',
  'b1.ticket.pending/statement.json 600',
  'b1.ticket.pending/statement.json.sig 600',
];

type Write = 'hasBlob' | 'putBlob' | 'putBlobs' | 'submit';

/** Breaks one operation of the depot, before or after it is done. Returns how to mend it. */
function breakAt(operation: Write, when: 'before' | 'after'): () => void {
  const { connect } = site;
  site.connect = (token) => {
    const depot = connect(token);
    const broken = async (...args: unknown[]): Promise<never> => {
      if (when === 'after') await Reflect.apply(depot[operation], depot, args);
      throw FAULT;
    };
    return new Proxy(depot, {
      get: (target: Depot, name) => {
        if (name === operation) return broken;
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  };
  return () => (site.connect = connect);
}

const pendingStatement = (): Buffer => readFileSync(`${site.ticketFile}.pending/statement.json`);

describe('the network breaks: the statement is kept, the key is gone, and the next run sends the same', () => {
  test.each<[Write, 'before' | 'after']>([
    ['putBlob', 'before'],
    ['putBlobs', 'before'],
    ['putBlobs', 'after'],
    ['submit', 'before'],
    ['submit', 'after'],
  ])('%s fails, %s it was done', async (operation, when) => {
    const mend = breakAt(operation, when);
    await expect(site.attest()).rejects.toMatchObject(KEPT);
    expect(site.left()).toEqual(PENDING);
    expect(site.holdsSecret()).toBe(false);
    const bytes = pendingStatement();

    mend();
    site.events.length = 0;
    expect(await site.attest()).toMatchObject({ resumed: true });
    expect(site.events.map(({ kind }) => kind)).not.toContain('signed');
    expect((await site.read('statements/b1.json'))?.equals(bytes)).toBe(true);
    expect(site.left()).toEqual([]);
  });

  test('an answer that was lost needs no further run: what is there is asked for before it is sent again', async () => {
    breakAt('putBlob', 'after');
    expect(await site.attest()).toMatchObject({ resumed: false, artifacts: 2 });
  });

  test('what had arrived is not sent again', async () => {
    const mend = breakAt('submit', 'before');
    await expect(site.attest()).rejects.toMatchObject(KEPT);
    mend();
    expect(await site.attest()).toMatchObject({ resumed: true, uploaded: 0 });
  });

  test('a crash between keeping the statement and blanking the ticket: the private half goes at the next run', async () => {
    const mend = breakAt('submit', 'before');
    await expect(site.attest()).rejects.toMatchObject(KEPT);
    site.putTicket(site.ticket);
    await expect(site.attest()).rejects.toMatchObject(KEPT);
    expect(secretKeyOf(site.readTicket())).toBeNull();
    mend();
    expect(await site.attest()).toMatchObject({ resumed: true });
  });
});

describe('files that changed after the statement was signed', () => {
  test('can not be sent, and nothing is signed again; the same bytes put back can', async () => {
    const mend = breakAt('putBlobs', 'before');
    await expect(site.attest()).rejects.toMatchObject(KEPT);
    mend();
    const bytes = pendingStatement();
    site.put({ 'large.bin': Buffer.alloc(100_000, 'L') });
    await expect(site.attest()).rejects.toMatchObject({
      kind: 'refused',
      code: 'artifacts-differ',
      message: expect.stringContaining('large.bin'),
    });
    rmSync(join(site.base, 'small.txt'));
    site.put({ 'large.bin': Buffer.alloc(100_000, 'l') });
    await expect(site.attest()).rejects.toMatchObject({
      code: 'artifact-changed',
      message: expect.stringContaining('small.txt'),
      hint: expect.stringContaining('new approval'),
    });
    expect(pendingStatement().equals(bytes)).toBe(true);

    site.put({ 'small.txt': 'small' });
    expect(await site.attest()).toMatchObject({ resumed: true });
    expect((await site.read('statements/b1.json'))?.equals(bytes)).toBe(true);
  });

  test('or are gone are a warning where the depot has what was signed', async () => {
    const mend = breakAt('submit', 'before');
    await expect(site.attest()).rejects.toMatchObject(KEPT);
    mend();
    rmSync(site.base, { recursive: true });
    expect(await site.attest()).toMatchObject({ resumed: true, uploaded: 0 });
    expect(site.warnings).toEqual([
      expect.stringContaining('large.bin has changed since the statement was signed'),
      expect.stringContaining('small.txt has changed'),
    ]);
  });
});

test('the ticket and the pending statement among the artifacts are no other files', async () => {
  const mend = breakAt('submit', 'before');
  const here = { base: site.directory, paths: [site.directory], exclude: ['b1.ticket'] };
  await expect(site.attest(here)).rejects.toMatchObject(KEPT);
  mend();
  expect(await site.attest({ ...here, exclude: [] })).toMatchObject({ resumed: true });
});

describe('a pending statement that is not whole or not ours', () => {
  const leave = async (): Promise<void> => {
    breakAt('submit', 'before');
    await expect(site.attest()).rejects.toMatchObject(KEPT);
  };

  test('a part is lost: said, and not signed again', async () => {
    await leave();
    rmSync(`${site.ticketFile}.pending/statement.json.sig`);
    await expect(site.attest()).rejects.toMatchObject({ kind: 'unable', code: 'pending-damaged' });
  });

  test('all of it is lost: the ticket has no key to sign with', async () => {
    await leave();
    rmSync(`${site.ticketFile}.pending`, { recursive: true });
    await expect(site.attest()).rejects.toMatchObject({ kind: 'refused', code: 'ticket-used' });
  });

  test('altered on disk', async () => {
    await leave();
    const path = `${site.ticketFile}.pending/statement.json`;
    writeFileSync(path, readFileSync(path, 'utf8').replace('small.txt', 'SMALL.txt'));
    await expect(site.attest()).rejects.toMatchObject({ kind: 'refused' });
  });

  test('that of another build under this name', async () => {
    await leave();
    const other = { ...site.ticket, slot: 'b2' } as typeof site.ticket;
    site.putTicket(other);
    await expect(site.attest()).rejects.toMatchObject({ kind: 'refused', code: 'pending-foreign' });
  });

  test('nothing half-written stays behind', async () => {
    await leave();
    expect(readdirSync(site.directory).filter((name) => name.includes('tmp'))).toEqual([]);
  });
});

describe('what killed runs left half-written goes with the ticket', () => {
  const litter = (at: number): string => `${site.ticketFile}.pending.${String(at).padStart(24, '0')}.tmp`;

  test('but only what a run lays there: more than that, a link, or another’s stays as it is', async () => {
    for (const at of [1, 2, 3, 4]) {
      mkdirSync(litter(at));
      writeFileSync(join(litter(at), 'statement.json'), 'x');
    }
    writeFileSync(join(litter(1), `.${'a'.repeat(24)}.tmp`), 'x');
    writeFileSync(join(litter(2), 'precious'), 'x');
    mkdirSync(join(litter(3), 'statement.json.sig'));
    const victim = join(site.directory, 'victim');
    renameSync(litter(4), victim);
    symlinkSync(victim, litter(4));
    const others = [litter(2), litter(3), litter(4)];
    if (process.getuid?.() === 0) {
      mkdirSync(litter(5));
      writeFileSync(join(litter(5), 'statement.json'), 'x');
      chownSync(litter(5), 65534, 65534);
      others.push(litter(5));
    }

    await site.attest();
    const left = readdirSync(site.directory).filter((name) => name.endsWith('.tmp'));
    expect(left.sort()).toEqual(others.map((path) => basename(path)));
    expect(readdirSync(litter(2))).toEqual(['precious']);
    expect(readdirSync(victim)).toEqual(['statement.json']);
    for (const path of others.slice(3)) expect(readdirSync(path)).toEqual(['statement.json']);
  });
});
