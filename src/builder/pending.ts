/**
 * The signed statement on its way: written before anything leaves, kept until the depot has it, so that a slot
 * signs once however often the network fails. Protocol §2 ("Sent again it must be the same bytes").
 */
import { join } from 'node:path';
import { refused, unable } from '../failure.ts';
import { readFileBounded, writeFileDurably } from '../host/files.ts';
import { parseEphemeralCertificate, parseEphemeralSecret } from '../openpgp/ephemeral.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import { envelopeProblem } from '../policy/envelope.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import { decodeBase64Strict, timestampDate, toSha256 } from '../records/names.ts';
import type { Sha256 } from '../records/names.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { Ticket } from '../records/ticket.ts';
import { drop, dropFiles, dropLitter, keep, takenBy } from './kept.ts';
import { statementMac } from './seal.ts';
import type { Authenticators, Sealed } from './seal.ts';

const STATEMENT = 'statement.json';
const SIGNATURE = 'statement.json.sig';
const ENVELOPE = 'statement.dsse.json';
const MAC = 'statement.json.mac';
/** Left where the ticket itself can't be taken away, so that it does not sign twice: the statement's digest. */
const SENT = 'sent';

export type Pending =
  | { readonly kind: 'none' }
  | { readonly kind: 'ready'; readonly sealed: Sealed }
  | { readonly kind: 'sent'; readonly statement: Sha256 };

/**
 * What an earlier run left in `directory`.
 * Throws refused `pending-foreign` for a statement of another build, slot or key, unable for files that are damaged.
 */
export async function readPending(directory: string, ticket: Ticket): Promise<Pending> {
  const sent = await readFileBounded(join(directory, SENT), 128);
  if (sent !== null)
    return { kind: 'sent', statement: toSha256(sent.toString('latin1').trim(), join(directory, SENT)) };
  const bytes = await readFileBounded(join(directory, STATEMENT), LARGE_RECORD_MAX);
  if (bytes === null) return { kind: 'none' };

  const authenticators = await readAuthenticators(directory);
  if (authenticators === null)
    throw unable(
      'pending-damaged',
      `${directory} has lost a part of the signed statement`,
      'ask for a new approval',
    );
  const statement: Statement = parseStatement(bytes);
  if (statement.build !== ticket.build || statement.slot !== ticket.slot)
    throw refused('pending-foreign', `${directory} holds a statement of another build`, 'move it away');
  const sealed = { statement, bytes, authenticators };
  if (!isSealedBy(sealed, ticket))
    throw refused(
      'pending-foreign',
      `${directory} holds a statement that the key of this ticket has not signed`,
      'somebody else has laid it there: move it away, and see who may write to that directory',
    );
  return { kind: 'ready', sealed };
}

async function readAuthenticators(directory: string): Promise<Authenticators | null> {
  const mac = await readFileBounded(join(directory, MAC), LARGE_RECORD_MAX);
  if (mac !== null) return { mac };
  const signature = await readFileBounded(join(directory, SIGNATURE), LARGE_RECORD_MAX);
  const envelope = await readFileBounded(join(directory, ENVELOPE), 2 * LARGE_RECORD_MAX);
  return signature === null || envelope === null ? null : { signature, envelope };
}

/** While the secret is here: what goes out in its name is what it made, or it would be given up for nothing. */
function isSealedBy({ statement, bytes, authenticators }: Sealed, ticket: Ticket): boolean {
  const { secret } = ticket;
  if (secret.scheme === 'mac') {
    if (secret.nonce === null) return true;
    return 'mac' in authenticators && authenticators.mac.equals(statementMac(ticket, secret.nonce, bytes));
  }
  if (secret.secretKey === null) return true;
  if ('mac' in authenticators) return false;
  const { signature, envelope } = authenticators;
  const material = decodeBase64Strict(secret.secretKey, 'ticket: secretKey');
  try {
    const certificate = parseEphemeralCertificate(parseEphemeralSecret(material).certificate);
    const { ok } = verifyDetached(signature, bytes, certificate, timestampDate(statement.finishedOn));
    return ok && envelopeProblem(envelope, bytes, certificate.primary) === null;
  } finally {
    material.fill(0);
  }
}

/** Writes it whole or not at all. Throws unable: `pending-taken`, `disk`; nothing has left then, and the key may sign again. */
export async function savePending(directory: string, { bytes, authenticators }: Sealed): Promise<void> {
  const beside: [string, Buffer][] =
    'mac' in authenticators
      ? [[MAC, authenticators.mac]]
      : [
          [SIGNATURE, authenticators.signature],
          [ENVELOPE, authenticators.envelope],
        ];
  await keep(directory, new Map([...beside, [STATEMENT, bytes]]), takenBy(directory, 'statement'));
}

/**
 * The depot has it: it goes, and what killed runs left half-written. With `remember` the digest stays, for a ticket that
 * can't be taken away. What can't be removed is no secret and stays. Throws unable('disk') if the digest can't be kept.
 */
export async function dropPending(directory: string, remember: Sha256 | null): Promise<void> {
  const files = [STATEMENT, SIGNATURE, ENVELOPE, MAC];
  if (remember === null) return drop(directory, [...files, SENT]);
  await dropLitter(directory, files);
  await writeFileDurably(join(directory, SENT), Buffer.from(`${remember}\n`), 0o600);
  await dropFiles(directory, files);
}
