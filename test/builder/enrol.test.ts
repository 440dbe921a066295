/** Scheme `enrol`: the builder makes a key, the nonce introduces it, and nothing happens before the log has it. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { ephemeralCertificate } from '../../src/policy/builder-key.ts';
import { parseEnrolment } from '../../src/records/enrolment.ts';
import { isMac } from '../../src/records/mac.ts';
import { enrolmentFile, enrolmentReceiptFile } from '../../src/records/paths.ts';
import { formatTicket } from '../../src/records/ticket.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { until } from '../harness/until.ts';
import { proofOf, refusalFiles } from '../policy/release-scene.ts';
import { b1, b2, build, logSigner, minutes, now, otherBuild } from '../policy/scene.ts';
import { enrolmentEntry, keptKey, receiptOf, takeEnrolment } from './enrolling.ts';
import { Site, instead } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await Site.make({}, 'enrol');
  site.put({ app: 'app' });
});
afterEach(() => site.close());

const nonce = (): Buffer => {
  if (site.ticket.secret.scheme !== 'enrol') throw new Error('does not enrol');
  return Buffer.from(site.ticket.secret.nonce ?? '', 'base64url');
};
const ran = (): string => join(site.directory, 'out.ran');
const run = (): string => `touch ${ran()}; echo built > ${site.base}/app`;
const kinds = (): string[] => [...new Set(site.events.map(({ kind }) => kind))];
const second = (): Promise<Buffer | null> => site.read(enrolmentFile(b1, 2));

describe('the signer takes the key', () => {
  test('only then the command runs, its artifacts are signed with that key, and nothing is left', async () => {
    const attested = site.attest({ run: run() });
    await until('the wait', () => kinds().includes('waiting'));
    expect(existsSync(ran())).toBe(false);
    expect(site.readTicket().secret).toMatchObject({ nonce: null, secretKey: null });
    const kept = ['enrolment.json', 'enrolment.json.mac', 'enrolment.json.sig', 'ticket'];
    expect(site.left()).toEqual(['b1.ticket 600', ...kept.map((name) => `b1.ticket.enrolment/${name} 600`)]);
    expect(statSync(`${site.ticketFile}.enrolment`).mode & 0o777).toBe(0o700);
    const key = Buffer.from(keptKey(site), 'base64');

    const bytes = await takeEnrolment(site);
    expect(await attested).toMatchObject({ scheme: 'enrol', artifacts: 1, ticketRemoved: true });
    expect(kinds().filter((kind) => kind !== 'uploading')).toEqual([
      ...['ticket', 'enrolling', 'waiting', 'enrolled'],
      ...['running', 'found', 'hashing', 'signed', 'sealed'],
    ]);
    const enrolment = parseEnrolment(bytes);
    expect(enrolment).toMatchObject({ build, slot: b1, approval: site.ticket.approval });
    const mac = (await site.read('enrolments/b1.json.mac')) ?? Buffer.alloc(0);
    expect(isMac(mac, { purpose: 'enrolment', nonce: nonce(), build, slot: b1 }, bytes)).toBe(true);
    const certificate = ephemeralCertificate(enrolment);
    expect(certificate.userIds).toEqual([`hello 1.0 build ${build} slot b1`]);
    for (const name of ['enrolments/b1.json', 'statements/b1.json']) {
      const signature = (await site.read(`${name}.sig`)) ?? Buffer.alloc(0);
      const data = (await site.read(name)) ?? Buffer.alloc(0);
      expect(verifyDetached(signature, data, certificate, now), name).toMatchObject({ ok: true });
    }
    expect(await site.read('statements/b1.dsse.json')).not.toBeNull();
    expect(await site.statement()).toMatchObject({ builderId: 'https://depot.example.org/builders/enrol' });
    expect(site.left()).toEqual([]);
    const left = readdirSync(site.directory, { recursive: true, encoding: 'utf8' });
    for (const name of left
      .map((each) => join(site.directory, each))
      .filter((path) => statSync(path).isFile()))
      expect(readFileSync(name).includes(key), name).toBe(false);
  });

  test('a ticket that stays where it is: the key waits in the state directory, used again it makes no other', async () => {
    const environment = { PATH: process.env['PATH'], STATE_DIRECTORY: join(site.directory, 'state') };
    const line = formatTicket(site.ticket);
    const again = (more = {}) =>
      site.attest({ ticket: '-', stdin: Readable.from([Buffer.from(line)]), environment, ...more });
    await expect(again({ timeout: 0 })).rejects.toMatchObject({ code: 'receipt-missing' });
    const directory = join(site.directory, 'state/countersign', `${build}-b1.enrolment`);
    expect(site.events).toContainEqual(expect.objectContaining({ kind: 'enrolling', directory }));
    await takeEnrolment(site);
    const first = await again();
    const keys = site.events.filter(({ kind }) => kind === 'enrolling');
    expect(keys).toMatchObject([{ resumed: false }, { resumed: true }]);
    expect(existsSync(directory)).toBe(false);
    expect(await again()).toMatchObject({ resumed: true, statement: first.statement });
    expect(await second()).toBeNull();
  });

  test('while the command runs key and ticket are out of its reach; when it fails they are back', async () => {
    const look = `ls -R ${site.directory}; cat ${site.ticketFile}*/*; env`;
    const attested = site.attest({ run: `(${look}) > ${site.base}/seen 2>&1; exit 3` });
    const failed = expect(attested).rejects.toMatchObject({ code: 'command-failed' });
    await until('a key', () => kinds().includes('waiting'));
    const key = keptKey(site);
    await takeEnrolment(site);
    await failed;
    const seen = readFileSync(join(site.base, 'seen'), 'utf8');
    expect(seen).toContain('enrolment.json');
    expect(seen).not.toMatch(/countersign-ticket|b1\.ticket$/m);
    expect(seen).not.toContain(key);
    expect(keptKey(site)).toBe(key);
    expect(await site.attest({ run: run() })).toMatchObject({ resumed: false });
    expect(site.left()).toEqual([]);
  });
});

describe('the receipt does not come', () => {
  test.each<[string, () => Promise<unknown> | void, object]>([
    ['in time', () => {}, { kind: 'unable', code: 'receipt-missing' }],
    [
      'for the build is refused',
      () => site.connect(Buffer.alloc(32)).submit(build, refusalFiles()),
      { kind: 'refused', code: 'build-refused' },
    ],
    ['until it could', () => void (site.now = minutes(16)), { kind: 'unable', code: 'receipt-missing' }],
    [
      'until the approval ends',
      () => void (site.now = minutes(211)),
      { kind: 'refused', code: 'ticket-expired' },
    ],
    [
      'for the build is revoked',
      () => {
        const { connect } = site;
        const revoked = () => Promise.resolve({ builds: [build], next: null });
        site.connect = (token) => instead(connect(token), 'revoked', revoked);
      },
      { kind: 'refused', code: 'build-revoked' },
    ],
  ])('%s: nothing is run or signed, and the same key waits', async (_, happens, failure) => {
    await expect(site.attest({ timeout: 0, run: run() })).rejects.toMatchObject({ code: 'receipt-missing' });
    const key = keptKey(site);
    await happens();
    await expect(site.attest({ timeout: 100, run: run() })).rejects.toMatchObject(failure);
    expect(existsSync(ran())).toBe(false);
    expect(await site.statement()).toBeNull();
    expect(keptKey(site)).toBe(key);
    expect(await second()).toBeNull();
  });

  test('for somebody stops it: the same command again goes on with the key', async () => {
    const attested = expect(site.attest()).rejects.toMatchObject({
      code: 'interrupted',
      hint: `the key is kept in ${site.ticketFile}.enrolment: run the same command again`,
    });
    await until('the wait', () => kinds().includes('waiting'));
    process.emit('SIGTERM', 'SIGTERM');
    await attested;
    expect(process.listenerCount('SIGTERM')).toBe(0);
    await takeEnrolment(site);
    expect(await site.attest()).toMatchObject({ artifacts: 1 });
  });

  test('and will not, as the depot is away from the start: no key is made', async () => {
    const { connect } = site;
    const away = () => Promise.reject(unable('network', 'the depot does not answer'));
    site.connect = (token) => instead(connect(token), 'read', away);
    await expect(site.attest()).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    expect(site.warnings).toEqual([]);
    expect(site.readTicket()).toEqual(site.ticket);
  });

  test('for now, as the network is away: that is said once and waited for', async () => {
    const { connect } = site;
    let broken = 0;
    site.connect = (token) => {
      const depot = connect(token);
      const read: Depot['read'] = (path, max) =>
        path.endsWith('.receipt') && broken++ < 2
          ? Promise.reject(unable('network', 'the depot does not answer'))
          : depot.read(path, max);
      return instead(depot, 'read', read);
    };
    const attested = site.attest();
    await takeEnrolment(site);
    expect(await attested).toMatchObject({ artifacts: 1 });
    expect(site.warnings).toEqual([expect.stringContaining('the depot does not answer; still waiting')]);
  });
});

describe('a receipt that is not the log’s word on this key: nothing is run or signed', () => {
  const other = parseSignerKey(generateNoteKey(logSigner.name).signer);
  const entries: [string, (bytes: Buffer) => Buffer][] = [
    ['of another build', (bytes) => proofOf(enrolmentEntry(bytes, { build: otherBuild }), { extra: true })],
    [
      'of another slot',
      (bytes) => {
        const { records } = JSON.parse(enrolmentEntry(bytes).toString()) as { records: object };
        const [digest] = Object.values(records) as never[];
        return proofOf(enrolmentEntry(bytes, { records: { [enrolmentFile(b2)]: digest as never } }), {
          extra: true,
        });
      },
    ],
    ['of another key', (bytes) => proofOf(enrolmentEntry(bytes, { keys: [] }), { extra: true })],
    ['under another log key', (bytes) => proofOf(enrolmentEntry(bytes), { extra: true, signer: other })],
    ['of a refusal', (bytes) => proofOf(enrolmentEntry(bytes, { type: 'refusal' }), { extra: true })],
    ['of a release', (bytes) => proofOf(enrolmentEntry(bytes, { type: 'release' }), { extra: true })],
    ['without its entry', (bytes) => proofOf(enrolmentEntry(bytes))],
    ['cut short', (bytes) => receiptOf(bytes).subarray(0, -20)],
    ['empty', () => Buffer.alloc(0)],
    [
      'for another’s enrolment',
      (bytes) => {
        const records = { [enrolmentFile(b1)]: 'ab'.repeat(32) as never };
        return proofOf(enrolmentEntry(bytes, { records }), { extra: true });
      },
    ],
  ];

  test('and that of its own is one', async () => {
    await expect(site.attest({ timeout: 0 })).rejects.toMatchObject({ code: 'receipt-missing' });
    const { connect } = site;
    const bytes = (await site.read('enrolments/b1.json')) ?? Buffer.alloc(0);
    for (const [what, make] of [...entries, ['its own', receiptOf] as const]) {
      site.connect = (token) => {
        const depot = connect(token);
        const read: Depot['read'] = async (path, max) =>
          path.endsWith(enrolmentReceiptFile(b1)) ? make(bytes) : depot.read(path, max);
        return instead(depot, 'read', read);
      };
      const attested = site.attest({ run: run() });
      if (what === 'its own') {
        expect(await attested).toMatchObject({ artifacts: 1 });
        continue;
      }
      await expect(attested, what).rejects.toMatchObject({ kind: 'refused', code: 'receipt-invalid' });
      expect(existsSync(ran()), what).toBe(false);
      expect(await site.statement(), what).toBeNull();
    }
    expect(existsSync(ran())).toBe(true);
  });
});

describe('a stolen ticket', () => {
  /** The thief has a copy of the ticket, on a host of its own. */
  const steal = () => {
    const elsewhere = join(site.directory, 'elsewhere');
    mkdirSync(elsewhere);
    return site.attest({
      ticket: '-',
      stdin: Readable.from([Buffer.from(formatTicket(site.ticket))]),
      environment: { STATE_DIRECTORY: elsewhere },
      timeout: 0,
    });
  };

  test('was used before: it is said, the depot keeps both for the signer, and nothing is run', async () => {
    await expect(steal()).rejects.toMatchObject({ code: 'receipt-missing' });
    for (const _ of ['once', 'again'])
      await expect(site.attest({ run: run() })).rejects.toMatchObject({
        kind: 'refused',
        code: 'enrolment-not-first',
      });
    expect(existsSync(ran())).toBe(false);
    expect(await second()).toEqual(readFileSync(`${site.ticketFile}.enrolment/enrolment.json`));
    expect(await site.read(enrolmentFile(b1, 3))).toBeNull();
  });

  test('was used before by who has no nonce, and the signer takes ours: then it goes on', async () => {
    const spoilt = {
      ...site.ticket,
      secret: { ...site.ticket.secret, nonce: Buffer.alloc(32).toString('base64url') },
    };
    const stdin = Readable.from([Buffer.from(formatTicket(spoilt as typeof site.ticket))]);
    const environment = { STATE_DIRECTORY: join(site.directory, 'elsewhere') };
    await expect(site.attest({ ticket: '-', stdin, environment, timeout: 0 })).rejects.toMatchObject({
      code: 'receipt-missing',
    });
    await expect(site.attest()).rejects.toMatchObject({ code: 'enrolment-not-first' });
    const receipt = receiptOf((await second()) ?? Buffer.alloc(0));
    await site.connect(Buffer.alloc(32)).submit(build, new Map([[enrolmentReceiptFile(b1), receipt]]));
    expect(await site.attest()).toMatchObject({ artifacts: 1 });
  });

  test('was used before, and it is too late for this key: that is what is said', async () => {
    const { connect } = site;
    site.connect = (token) =>
      instead(connect(token), 'submit', () => Promise.reject(unable('network', 'away')));
    await expect(site.attest()).rejects.toMatchObject({ code: 'network' });
    site.connect = connect;
    await expect(steal()).rejects.toMatchObject({ code: 'receipt-missing' });
    site.now = minutes(15);
    await expect(site.attest()).rejects.toMatchObject({
      code: 'enrolment-not-first',
      message: expect.stringMatching(/^too late: .* and another key was enrolled$/),
    });
  });

  test('is used after: the first goes on, the signer sees both', async () => {
    await expect(site.attest({ timeout: 0 })).rejects.toMatchObject({ code: 'receipt-missing' });
    await expect(steal()).rejects.toMatchObject({ code: 'enrolment-not-first' });
    expect(await second()).not.toBeNull();
  });
});

describe('a key that is not there or not ours', () => {
  test('is not made a second time', async () => {
    await expect(site.attest({ timeout: 0 })).rejects.toMatchObject({ code: 'receipt-missing' });
    rmSync(`${site.ticketFile}.enrolment`, { recursive: true });
    await expect(site.attest()).rejects.toMatchObject({ kind: 'refused', code: 'ticket-used' });
    expect(await second()).toBeNull();
  });

  test('somebody has laid another’s there while the nonce is still here', async () => {
    const thief = await Site.make({}, 'enrol');
    try {
      const attested = { ...site.ticket, secret: thief.ticket.secret };
      site.putTicket(attested);
      await expect(site.attest({ timeout: 0 })).rejects.toMatchObject({ code: 'receipt-missing' });
      site.putTicket(site.ticket);
      await expect(site.attest()).rejects.toMatchObject({ kind: 'refused', code: 'pending-foreign' });
      expect(site.readTicket()).toEqual(site.ticket);
    } finally {
      thief.close();
    }
  });

  test('is not made when it is too late to enrol it', async () => {
    site.now = minutes(15);
    await expect(site.attest()).rejects.toMatchObject({ kind: 'refused', code: 'enrolment-late' });
    expect(site.readTicket()).toEqual(site.ticket);
  });
});
