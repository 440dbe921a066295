/**
 * Scheme `enrol`: a key that this builder makes, which the nonce of its ticket introduces (protocol §2, "enrolment").
 *
 * Key and enrolment are kept by one rename before anything is sent, and from then on the nonce is of no use here: however
 * often this is killed and run again, it is one key, and what is sent are the same bytes. Two would freeze the build.
 */
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { orNull, readFileBounded, syncDirectory } from '../host/files.ts';
import { makeEphemeral, parseEphemeralSecret } from '../openpgp/ephemeral.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import { ephemeralCertificate, ephemeralCreation } from '../policy/builder-key.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { encodeEnrolment, parseEnrolment } from '../records/enrolment.ts';
import { isMac, macOf } from '../records/mac.ts';
import { decodeBase64Strict, decodeBase64Url, timestampDate } from '../records/names.ts';
import type { Fingerprint } from '../records/names.ts';
import { enrolmentFile, enrolmentMacFile, enrolmentSignatureFile } from '../records/paths.ts';
import { formatTicket, parseTicket } from '../records/ticket.ts';
import type { Ticket } from '../records/ticket.ts';
import { drop, keep, takenBy } from './kept.ts';
import { TicketFile } from './ticket-source.ts';
import type { TicketSource } from './ticket-source.ts';

const RECORD = 'enrolment.json';
const SIGNATURE = 'enrolment.json.sig';
const MAC = 'enrolment.json.mac';
/** The ticket as it goes on: without the nonce, with the key. */
const TICKET = 'ticket';

/** A key that is kept here, and the record that introduces it. */
export interface Enrolled {
  /** A ticket with the key in the place of the nonce. */
  readonly key: TicketFile;
  readonly fingerprint: Fingerprint;
  /** Made by an earlier run. */
  readonly resumed: boolean;
  /** The enrolment's exact bytes. */
  readonly bytes: Buffer;
  /** It with its authenticators, as the depot has them. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/**
 * The key of this ticket: the one that an earlier run has made, else a new one, kept before it is returned.
 * Throws refused `ticket-used` where the key is gone, `pending-foreign` for what this ticket has not made, unable('disk').
 */
export async function ownKey(source: TicketSource, now: Date): Promise<Enrolled> {
  return (await readKept(source, now)) ?? (await makeKey(source, now));
}

/**
 * The key has signed, or its ticket is done: it goes, and then what introduced it. Throws unable('disk') if the key can't
 * be taken away.
 */
export async function dropKey({ enrolment }: TicketSource): Promise<void> {
  const key = join(enrolment, TICKET);
  await orNull(unlink(key), `remove ${key}`);
  // a power cut must not bring it back
  await orNull(syncDirectory(enrolment), `remove ${key}`);
  await drop(enrolment, [TICKET, RECORD, SIGNATURE, MAC]);
}

/** The ticket with the key in it, if this ticket has made one and it is here; else as it came. */
export async function withOwnKey({ enrolment, ticket }: TicketSource): Promise<Ticket> {
  const text =
    ticket.secret.scheme === 'enrol' ? await readFileBounded(join(enrolment, TICKET), RECORD_MAX) : null;
  return text === null ? ticket : parseTicket(text.toString('utf8'));
}

async function makeKey(source: TicketSource, now: Date): Promise<Enrolled> {
  const { ticket, enrolment } = source;
  const { build, slot, approval, secret } = ticket;
  if (secret.scheme !== 'enrol' || secret.nonce === null) throw used(ticket, enrolment);
  if (now >= timestampDate(secret.enrolBy))
    throw refused(
      'enrolment-late',
      `a key for build ${build} could be enrolled until ${secret.enrolBy}`,
      "check this host's clock; else ask for a new approval",
    );
  const userId = `${ticket.project} ${ticket.version} build ${build} slot ${slot}`;
  const pair = makeEphemeral({ userId, created: ephemeralCreation(ticket.notBefore) });
  const nonce = decodeBase64Url(secret.nonce, 'ticket: nonce');
  try {
    const key = parseEphemeralSecret(pair.secretKey);
    const certificate = pair.certificate.toString('base64');
    const bytes = encodeEnrolment({ build, slot, approval, certificate });
    const signature = key.sign(bytes, Math.floor(now.getTime() / 1000));
    const mac = macOf({ purpose: 'enrolment', nonce, build, slot }, bytes);
    const own: Ticket = {
      ...ticket,
      secret: { ...secret, nonce: null, secretKey: pair.secretKey.toString('base64') },
    };
    const files = new Map([
      [SIGNATURE, signature],
      [MAC, mac],
      [RECORD, bytes],
      [TICKET, Buffer.from(`${formatTicket(own)}\n`)],
    ]);
    await keep(enrolment, files, takenBy(enrolment, 'key'));
    return { ...enrolled(source, own, { bytes, signature, mac }), resumed: false };
  } finally {
    nonce.fill(0);
    pair.secretKey.fill(0);
  }
}

interface Parts {
  readonly bytes: Buffer;
  readonly signature: Buffer;
  readonly mac: Buffer;
}

function enrolled(
  { enrolment }: TicketSource,
  own: Ticket,
  { bytes, signature, mac }: Parts,
): Omit<Enrolled, 'resumed'> {
  return {
    key: new TicketFile(join(enrolment, TICKET), own),
    fingerprint: ephemeralCertificate(parseEnrolment(bytes)).primary.fingerprint,
    bytes,
    files: new Map([
      [enrolmentFile(own.slot), bytes],
      [enrolmentSignatureFile(own.slot), signature],
      [enrolmentMacFile(own.slot), mac],
    ]),
  };
}

async function readKept(source: TicketSource, now: Date): Promise<Enrolled | null> {
  const { ticket, enrolment } = source;
  const read = (name: string): Promise<Buffer | null> => readFileBounded(join(enrolment, name), RECORD_MAX);
  const [bytes, signature, mac, text] = [
    await read(RECORD),
    await read(SIGNATURE),
    await read(MAC),
    await read(TICKET),
  ];
  if (bytes === null) return null;
  if (signature === null || mac === null || text === null) throw used(ticket, enrolment);
  const own = parseTicket(text.toString('utf8'));
  if (!isOwn(ticket, own, { bytes, signature, mac }, now))
    throw refused(
      'pending-foreign',
      `${enrolment} holds a key that this ticket has not made`,
      'somebody else has laid it there: move it away, and see who may write to that directory',
    );
  return { ...enrolled(source, own, { bytes, signature, mac }), resumed: true };
}

/** The record names this build and the key that lies with it; while the nonce is here, it is the nonce that introduces it. */
function isOwn(ticket: Ticket, own: Ticket, { bytes, signature, mac }: Parts, now: Date): boolean {
  const { build, slot, approval, secret } = ticket;
  if (secret.scheme !== 'enrol' || own.secret.scheme !== 'enrol' || own.secret.secretKey === null)
    return false;
  if (own.build !== build || own.slot !== slot || own.approval !== approval) return false;
  const material = decodeBase64Strict(own.secret.secretKey, 'ticket: secretKey');
  const nonce = secret.nonce === null ? null : decodeBase64Url(secret.nonce, 'ticket: nonce');
  try {
    const certificate = parseEphemeralSecret(material).certificate.toString('base64');
    if (!encodeEnrolment({ build, slot, approval, certificate }).equals(bytes)) return false;
    const { ok } = verifyDetached(signature, bytes, ephemeralCertificate({ certificate }), now);
    return ok && (nonce === null || isMac(mac, { purpose: 'enrolment', nonce, build, slot }, bytes));
  } finally {
    material.fill(0);
    nonce?.fill(0);
  }
}

const used = ({ build }: Ticket, enrolment: string): Failure =>
  refused(
    'ticket-used',
    `the ticket for ${build} has made its key already, and that is not in ${enrolment}`,
    'it was moved, or attest was killed while --run ran: ask for a new approval',
  );
