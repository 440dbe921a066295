/** Artifacts leave while others are hashed, before the statement is sealed; and what then keeps it from being sealed. */
import { appendFileSync, existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttestEvent } from '../../src/builder/attest.ts';
import { unable } from '../../src/failure.ts';
import type { Approval } from '../../src/records/approval.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { secretKeyOf } from '../harness/keypair.ts';
import { build } from '../policy/scene.ts';
import { Site, instead } from './site.ts';

const GIB = 2 ** 30;
const large = Buffer.alloc(100_000, 'large');
/** Of zeros that take no room: hashing them takes longer than anything that a test does meanwhile. */
const HUGE = 8 * GIB;

const offline = unable('network', 'the depot does not answer');

let site: Site;
const make = async (limits: Partial<Approval['artifacts']> = {}): Promise<void> => {
  site = await Site.make({ maxCount: 5000, maxBytes: HUGE, maxTotalBytes: 4 * HUGE, ...limits });
};
beforeEach(() => make());
afterEach(() => site.close());

const blobs = (): string => join(site.depotDirectory, 'builds', build, 'blobs');
const isThere = (bytes: Buffer | string): boolean => existsSync(join(blobs(), sha256Hex(bytes)));
const blobCount = (): number => (existsSync(blobs()) ? readdirSync(blobs()).length : 0);
const huge = (): string => join(site.base, 'z.img');
const putHuge = (): void => {
  writeFileSync(huge(), '');
  truncateSync(huge(), HUGE);
};
/** Time enough for whatever would leave: then the run ends, as the huge file is another. */
function endLater(): (event: AttestEvent) => void {
  let turns = 0;
  return ({ kind }) => {
    if (kind === 'hashing' && ++turns === 100) truncateSync(huge(), 1);
  };
}
/** Replaces a method of the depot, which is given its own. */
function meddle<Method extends keyof Depot>(
  method: Method,
  other: (own: Depot[Method]) => Depot[Method],
): void {
  const { connect } = site;
  site.connect = (token) => {
    const depot = connect(token);
    return instead(depot, method, other(depot[method].bind(depot) as Depot[Method]));
  };
}

describe('before the statement is sealed', () => {
  test('a file is on the depot while the next is still read', async () => {
    site.put({ 'a.bin': large });
    putHuge();
    let seen = false;
    // as soon as it is there the one that is read is made another: the run ends, and has sealed nothing
    const watch = (event: AttestEvent): void => {
      if (event.kind !== 'hashing' || seen || !isThere(large)) return;
      seen = true;
      truncateSync(huge(), 3 * 2 ** 20);
    };
    await expect(site.attest({}, watch)).rejects.toMatchObject({
      code: 'artifact-changed',
      message: expect.stringContaining('z.img'),
    });
    expect(seen).toBe(true);
    expect(await site.statement()).toBeNull();
    expect(site.readTicket()).toEqual(site.ticket);

    expect(await site.attest()).toMatchObject({ resumed: false, artifacts: 2, uploaded: 1 });
  });

  test('one that is another when it is sent ends the run at once, and the ticket is good for another', async () => {
    site.put({ 'a.bin': large });
    putHuge();
    meddle('hasBlob', (own) => (...asked) => {
      site.put({ 'a.bin': Buffer.alloc(100_000, 'other') });
      return own(...asked);
    });
    await expect(site.attest()).rejects.toMatchObject({
      code: 'artifact-changed',
      message: expect.stringContaining('a.bin'),
    });
    expect(await site.statement()).toBeNull();
    expect(site.readTicket()).toEqual(site.ticket);
  });

  test('of a small one that changes once it was read, what was read is sealed and sent', async () => {
    site.put({ 'a.txt': 'as it was', 'z.bin': Buffer.alloc(2 ** 21) });
    await site.attest({}, (event) => {
      if (event.kind === 'hashing' && event.name === 'z.bin') appendFileSync(join(site.base, 'a.txt'), '!');
    });
    expect((await site.statement())?.subjects[0]).toMatchObject({ sha256: sha256Hex('as it was') });
    expect(isThere('as it was')).toBe(true);
  });
});

describe('a depot that does not take them is no news before the statement is sent', () => {
  test.each(['putBlob', 'putBlobs', 'hasBlob'] as const)(
    'it is away, %s: and back in time',
    async (method) => {
      site.put({ 'a.txt': 'a', 'b.bin': large });
      let away = true;
      let refusals = 0;
      meddle(method, (own) => async (...args: never[]): Promise<never> => {
        if (away) {
          refusals += 1;
          throw offline;
        }
        return Reflect.apply(own, null, args) as Promise<never>;
      });
      // what comes first when it is sent
      meddle('read', (own) => (path, max) => {
        if (path.endsWith('statements/b1.json')) away = false;
        return own(path, max);
      });
      expect(await site.attest()).toMatchObject({ resumed: false, artifacts: 2 });
      expect(refusals).toBe(1);
      expect(site.warnings).toEqual([]);
      expect(site.left()).toEqual([]);
    },
  );

  test('it refuses the token: the statement is sealed, and it is said once that is sent', async () => {
    site.put({ 'a.txt': 'a', 'b.bin': large });
    site.putTicket({ ...site.ticket, uploadToken: randomBytes(32).toString('base64url') });
    const kinds: string[] = [];
    const said = site.attest({}, ({ kind }) => kinds.push(kind));
    await expect(said).rejects.toMatchObject({ kind: 'refused', code: 'token-unknown' });
    expect(kinds.at(-1)).toBe('signed');
    expect(blobCount()).toBe(0);
    expect(secretKeyOf(site.readTicket())).toBeNull();
  });
});

describe('nothing leaves', () => {
  test('to a depot that could not be asked whether this is approved', async () => {
    site.put({ 'a.bin': large });
    putHuge();
    let asked = 0;
    meddle(
      'read',
      (own) =>
        (...args) =>
          asked++ === 0 ? Promise.reject(offline) : own(...args),
    );
    await expect(site.attest({}, endLater())).rejects.toMatchObject({ code: 'artifact-changed' });
    expect(blobCount()).toBe(0);
    expect(asked).toBe(1);
    expect(await site.attest()).toMatchObject({ uploaded: 2 });
  });

  test('where one file is not within what was approved', async () => {
    site.put({ 'a.bin': large });
    putHuge();
    truncateSync(huge(), HUGE + 1);
    await expect(site.attest()).rejects.toMatchObject({ code: 'artifacts-refused' });
    expect(blobCount()).toBe(0);
  });

  test('where a run that comes to nothing would take the room of the next', async () => {
    site.close();
    await make({ maxCount: 2 });
    site.put({ 'a.bin': large });
    putHuge();
    await expect(site.attest({}, endLater())).rejects.toMatchObject({ code: 'artifact-changed' });
    expect(blobCount()).toBe(0);
    site.put({ 'a.bin': Buffer.alloc(100_000, 'other'), 'z.img': 'other' });
    expect(await site.attest()).toMatchObject({ uploaded: 2 });
  });
});

describe('cut off in the middle of many small files', () => {
  const COUNT = 160;
  // so that 69 of them travel together
  const content = (at: number): Buffer => Buffer.alloc(60_000, `content ${at}`);
  const cut = unable('network', 'the connection broke');

  test('the next run sends those that are not there, and asks for few', async () => {
    site.put(Object.fromEntries(Array.from({ length: COUNT }, (_, at) => [`f${at}`, content(at)])));
    const mended = site.connect;
    const sent: number[] = [];
    const count =
      (depot: Depot['putBlobs']): Depot['putBlobs'] =>
      async (which, files) => {
        const some = [...files];
        if (sent.length >= 2) throw cut;
        sent.push(some.length);
        await depot(which, some);
      };
    meddle('putBlobs', count);
    await expect(site.attest()).rejects.toMatchObject({ message: cut.message });
    expect(sent).toEqual([69, 69]);

    site.connect = mended;
    sent.length = 0;
    let asked = 0;
    meddle('hasBlob', (own) => (...args) => {
      asked += 1;
      return own(...args);
    });
    meddle('putBlobs', count);
    expect(await site.attest()).toMatchObject({ resumed: true, artifacts: COUNT, uploaded: 22 });
    expect(sent).toEqual([22]);
    expect(asked).toBeLessThanOrEqual(6);
  });

  test('a large one is asked for by what sends it, and no second time', async () => {
    const [three, four] = [Buffer.alloc(3 * 2 ** 20), Buffer.alloc(2 ** 20)];
    site.put({ 'a.bin': three, 'b.bin': large, 'c.bin': four });
    const token = Buffer.from(site.ticket.uploadToken, 'base64url');
    await site.connect(token).putBlob(build, sha256Hex(four), four.length, () => Readable.from([four]));
    const asked: string[] = [];
    meddle('hasBlob', (own) => (which, sha256) => {
      asked.push(sha256);
      return own(which, sha256);
    });
    expect(await site.attest()).toMatchObject({ artifacts: 3, uploaded: 2 });
    expect(asked).toEqual([sha256Hex(large)]);
  });

  test('what few do not show, one of many that is not there, the depot says, and then it is sent', async () => {
    site.put(Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`f${at}`, `content ${at}`])));
    const mended = site.connect;
    meddle('submit', () => () => Promise.reject(cut));
    await expect(site.attest()).rejects.toMatchObject({ message: cut.message });
    site.connect = mended;
    rmSync(join(blobs(), sha256Hex('content 12')));
    expect(await site.attest()).toMatchObject({ resumed: true });
    expect(isThere('content 12')).toBe(true);
  });
});
