/** The other side of an enrolment: a signer that takes it, and a log that says so. */
import { readFileSync } from 'node:fs';
import { ephemeralCertificate } from '../../src/policy/builder-key.ts';
import { parseEnrolment } from '../../src/records/enrolment.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { enrolmentFile, enrolmentReceiptFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { until } from '../harness/until.ts';
import { proofOf } from '../policy/release-scene.ts';
import { approval, b1, build, now } from '../policy/scene.ts';
import type { Site } from './site.ts';

/** What the log says of these bytes when it takes them; `changes` is what another entry would say. */
export function enrolmentEntry(bytes: Buffer, changes: Partial<BuildEntry> = {}): Buffer {
  const { fingerprint } = ephemeralCertificate(parseEnrolment(bytes)).primary;
  return encodeLogEntry({
    type: 'enrolment',
    time: timestamp(now),
    build,
    project: approval.project,
    version: approval.version,
    records: { [enrolmentFile(b1)]: sha256Hex(bytes) },
    keys: [fingerprint],
    ...changes,
  });
}

export const receiptOf = (bytes: Buffer): Buffer => proofOf(enrolmentEntry(bytes), { extra: true });

/** Waits for the enrolment and answers it as the signer does. Returns its bytes. */
export async function takeEnrolment(site: Site): Promise<Buffer> {
  await until('an enrolment', async () => (await site.read(enrolmentFile(b1))) !== null);
  const bytes = (await site.read(enrolmentFile(b1))) ?? Buffer.alloc(0);
  await site.connect(Buffer.alloc(32)).submit(build, new Map([[enrolmentReceiptFile(b1), receiptOf(bytes)]]));
  return bytes;
}

/** The key that waits on the builder's host. */
export function keptKey(site: Site): string {
  const { secret } = parseTicket(readFileSync(`${site.ticketFile}.enrolment/ticket`, 'utf8'));
  if (secret.scheme !== 'enrol' || secret.secretKey === null) throw new Error('no key is kept');
  return secret.secretKey;
}
