/** A builder's host and a depot that has approved its build: real keys, records and gate, a depot directory. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { attest } from '../../src/builder/attest.ts';
import type { AttestEvent, AttestOptions, AttestResult } from '../../src/builder/attest.ts';
import { makeEphemeral } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import type { Approval, Builder, Scheme } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import type { Sha256, Slot } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { parseStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import type { Ticket, TicketSecret } from '../../src/records/ticket.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { secretKeyOf } from '../harness/keypair.ts';
import {
  approval,
  approvalFiles,
  b1,
  b2,
  build,
  minutes,
  notBefore,
  now,
  project,
  releaseKey,
} from '../policy/scene.ts';

/** Until when a builder of scheme `enrol` can enrol: a quarter of an hour after `now`. */
export const enrolBy = timestamp(minutes(15));

/** What the build's other builder has. */
interface Other {
  readonly depot: GatedDepot;
  readonly slot: Slot;
  readonly token: Buffer;
  readonly secret: TicketSecret;
}

export class Site {
  readonly directory = mkdtempSync(join(tmpdir(), 'cs-site-'));
  /** Where the artifacts lie. */
  readonly base = join(this.directory, 'out');
  readonly ticketFile = join(this.directory, 'b1.ticket');
  readonly ticket: Ticket;
  readonly approval: Approval;
  /** What M believes the time to be. */
  now = now;
  /** What attest is connected to: may be replaced by a depot that fails. */
  connect: (token: Buffer) => Depot;
  readonly events: AttestEvent[] = [];

  readonly depotDirectory: string;
  readonly #other: Other;

  private constructor(
    depot: GatedDepot,
    depotDirectory: string,
    record: Approval,
    ticket: Ticket,
    other: Other,
  ) {
    this.#other = other;
    this.depotDirectory = depotDirectory;
    this.approval = record;
    this.ticket = ticket;
    this.connect = (token) => depot.as(token);
    mkdirSync(this.base);
    this.putTicket(ticket);
  }

  /** The host of the build's other builder, whose scheme is `mac`. */
  static beside(first: Site): Site {
    const { depot, slot, token, secret } = first.#other;
    const ticket = { ...first.ticket, slot, uploadToken: token.toString('base64url'), secret };
    return new Site(depot, mkdtempSync(join(tmpdir(), 'cs-beside-')), first.approval, ticket, first.#other);
  }

  static async make(limits: Partial<Approval['artifacts']> = {}, scheme: Scheme = 'keypair'): Promise<Site> {
    const [token, otherToken] = [randomBytes(32), randomBytes(32)];
    const { builder, secret } = makeBuilder(scheme, sha256Hex(token));
    const other = makeBuilder('mac', sha256Hex(otherToken));
    const record: Approval = {
      ...approval,
      artifacts: { ...approval.artifacts, maxBytes: 10_000_000, maxTotalBytes: 50_000_000, ...limits },
      builders: { [b1]: builder, ...(scheme === 'mac' && { [b2]: other.builder }) },
    };
    const ticket: Ticket = {
      build,
      slot: b1,
      project: record.project,
      version: record.version,
      depot: 'https://depot.example.org',
      insecureHttp: false,
      log: { origin: project.log.origin, key: project.log.key.text },
      secret,
      uploadToken: token.toString('base64url'),
      source: record.source,
      artifacts: record.artifacts,
      mode: record.mode,
      notBefore: record.notBefore,
      expires: record.expires,
      approval: sha256Hex(encodeApproval(record)),
    };
    const depotDirectory = mkdtempSync(join(tmpdir(), 'cs-depot-'));
    const tree = await DirectoryTree.make(depotDirectory);
    const rules = { ...project, encryption: releaseKey.certificate };
    const depot = GatedDepot.over({ tree, rules, now: () => now });
    await depot.submit(build, approvalFiles(record));
    const beside = { depot, slot: b2, token: otherToken, secret: other.secret };
    return new Site(depot, depotDirectory, record, ticket, beside);
  }

  putTicket(ticket: Ticket): void {
    writeFileSync(this.ticketFile, `${formatTicket(ticket)}\n`);
    chmodSync(this.ticketFile, 0o600);
  }

  /** The ticket as the file has it now. */
  readTicket(): Ticket {
    return parseTicket(readFileSync(this.ticketFile, 'utf8'));
  }

  put(files: Readonly<Record<string, string | Buffer>>): void {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.base, name)), { recursive: true });
      writeFileSync(join(this.base, name), content);
    }
  }

  /** `attest --ticket b1.ticket --base out out`, but for `more`. */
  attest(
    more: Partial<AttestOptions> = {},
    report = (event: AttestEvent): void => void this.events.push(event),
  ): Promise<AttestResult> {
    const options: AttestOptions = {
      ticket: this.ticketFile,
      paths: [this.base],
      base: this.base,
      exclude: [],
      run: null,
      runAs: null,
      timeout: 30_000,
      environment: { PATH: process.env['PATH'], HOME: this.directory },
      stdin: Readable.from([]),
      now: () => this.now,
      connect: ({ token }) => this.connect(token),
      ...more,
    };
    return attest(options, report);
  }

  /** What `attest` warned of. */
  get warnings(): string[] {
    return this.events.flatMap((event) => (event.kind === 'warning' ? [event.text] : []));
  }

  /** A file of the build, as anybody reads it from the depot. */
  read(name: string): Promise<Buffer | null> {
    return this.connect(Buffer.alloc(32)).read(`builds/${build}/${name}`, 10_000_000);
  }

  async statement(name = 'statements/b1.json'): Promise<Statement | null> {
    const bytes = await this.read(name);
    return bytes && parseStatement(bytes);
  }

  /** Every file on this host outside the artifacts, with its mode. */
  left(): string[] {
    const names = readdirSync(this.directory, { recursive: true, encoding: 'utf8' });
    return names
      .filter((name) => !name.startsWith('out') && statSync(join(this.directory, name)).isFile())
      .map((name) => `${name} ${(statSync(join(this.directory, name)).mode & 0o777).toString(8)}`)
      .sort();
  }

  /** Whether the private half can be found in any file of this host. */
  holdsSecret(): boolean {
    const secret = Buffer.from(secretKeyOf(this.ticket) ?? '', 'base64');
    // the ticket holds it in base64 inside base64url: whatever is there is read as a ticket first
    return readdirSync(this.directory, { recursive: true, encoding: 'utf8' })
      .map((name) => join(this.directory, name))
      .filter((path) => statSync(path).isFile())
      .map((path) => readFileSync(path))
      .some((bytes) => bytes.includes(secret) || inTicket(bytes)?.equals(secret) === true);
  }

  close(): void {
    for (const directory of [this.directory, this.depotDirectory])
      rmSync(directory, { recursive: true, force: true });
  }
}

/** What the approval and the ticket say of a builder. The sealed nonce is the signer's to open: here nobody does. */
function makeBuilder(scheme: Scheme, uploadTokenSha256: Sha256): { builder: Builder; secret: TicketSecret } {
  const nonce = randomBytes(32);
  const sealed = {
    uploadTokenSha256,
    sealedNonce: Buffer.from('sealed').toString('base64'),
    nonceSha256: sha256Hex(nonce),
  };
  switch (scheme) {
    case 'keypair': {
      const key = makeEphemeral({ userId: 'hello 1.0 b1', created: ephemeralCreation(notBefore) });
      return {
        builder: { scheme, uploadTokenSha256, certificate: key.certificate.toString('base64') },
        secret: { scheme, secretKey: key.secretKey.toString('base64') },
      };
    }
    case 'mac':
      return { builder: { scheme, ...sealed }, secret: { scheme, nonce: nonce.toString('base64url') } };
    case 'enrol':
      return {
        builder: { scheme, ...sealed, enrolBy },
        secret: { scheme, nonce: nonce.toString('base64url'), secretKey: null, enrolBy },
      };
  }
}

function inTicket(bytes: Buffer): Buffer | null {
  if (!bytes.includes('countersign-ticket-')) return null;
  const secretKey = secretKeyOf(parseTicket(bytes.toString()));
  return secretKey === null ? null : Buffer.from(secretKey, 'base64');
}

/** The depot with another method in place of its own. */
export const instead = (depot: Depot, method: keyof Depot, other: unknown): Depot =>
  new Proxy(depot, {
    get: (target, name) => {
      if (name === method) return other;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
