/**
 * The signed statement on its way: written before anything leaves, kept until the depot has it, so that a slot
 * signs once however often the network fails. Protocol §2 ("Sent again it must be the same bytes").
 */
import { lstat, mkdir, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { refused, unable } from '../failure.ts';
import {
  diskFailure,
  errorCode,
  isTemporaryName,
  makeDirectory,
  readFileBounded,
  syncDirectory,
  temporaryName,
  writeFileDurably,
} from '../host/files.ts';
import { parseEphemeralCertificate, parseEphemeralSecret } from '../openpgp/ephemeral.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import { envelopeProblem } from '../policy/envelope.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import { decodeBase64Strict, timestampDate, toSha256 } from '../records/names.ts';
import type { Sha256 } from '../records/names.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { Ticket } from '../records/ticket.ts';
import type { Sealed } from './seal.ts';

const STATEMENT = 'statement.json';
const SIGNATURE = 'statement.json.sig';
const ENVELOPE = 'statement.dsse.json';
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

  const signature = await readFileBounded(join(directory, SIGNATURE), LARGE_RECORD_MAX);
  const envelope = await readFileBounded(join(directory, ENVELOPE), 2 * LARGE_RECORD_MAX);
  if (signature === null || envelope === null)
    throw unable(
      'pending-damaged',
      `${directory} has lost a part of the signed statement`,
      'ask for a new approval',
    );
  const statement: Statement = parseStatement(bytes);
  if (statement.build !== ticket.build || statement.slot !== ticket.slot)
    throw refused('pending-foreign', `${directory} holds a statement of another build`, 'move it away');
  const sealed = { statement, bytes, signature, envelope };
  if (
    ticket.secret.scheme === 'keypair' &&
    ticket.secret.secretKey !== null &&
    !isSealedBy(sealed, ticket.secret.secretKey)
  )
    throw refused(
      'pending-foreign',
      `${directory} holds a statement that the key of this ticket has not signed`,
      'somebody else has laid it there: move it away, and see who may write to that directory',
    );
  return { kind: 'ready', sealed };
}

/** While the key is here: what goes out in its name is what it signed, or the key would be given up for nothing. */
function isSealedBy({ statement, bytes, signature, envelope }: Sealed, secretKey: string): boolean {
  const material = decodeBase64Strict(secretKey, 'ticket: secretKey');
  try {
    const certificate = parseEphemeralCertificate(parseEphemeralSecret(material).certificate);
    const { ok } = verifyDetached(signature, bytes, certificate, timestampDate(statement.finishedOn));
    return ok && envelopeProblem(envelope, bytes, certificate.primary) === null;
  } finally {
    material.fill(0);
  }
}

/** Writes it whole or not at all. Throws unable: `pending-taken`, `disk`; nothing has left then, and the key may sign again. */
export async function savePending(directory: string, sealed: Sealed): Promise<void> {
  const fresh = `${directory}${temporaryName()}`;
  try {
    await makeDirectory(dirname(directory), 0o700);
    await mkdir(fresh, { mode: 0o700 });
    await writeFileDurably(join(fresh, SIGNATURE), sealed.signature, 0o600);
    await writeFileDurably(join(fresh, ENVELOPE), sealed.envelope, 0o600);
    await writeFileDurably(join(fresh, STATEMENT), sealed.bytes, 0o600);
    await rename(fresh, directory);
    await syncDirectory(dirname(directory));
  } catch (error) {
    await remove(fresh);
    if (['ENOTEMPTY', 'EEXIST'].includes(errorCode(error)))
      throw unable(
        'pending-taken',
        `another run with this ticket has just put its statement into ${directory}`,
        'run again: it sends what that one has signed',
      );
    throw diskFailure(error, `keep the signed statement in ${directory}`);
  }
}

/**
 * The depot has it: it goes, and what killed runs left half-written. With `remember` the digest stays, for a ticket that
 * can't be taken away. What can't be removed is no secret and stays. Throws unable('disk') if the digest can't be kept.
 */
export async function dropPending(directory: string, remember: Sha256 | null): Promise<void> {
  const [above, own] = [dirname(directory), basename(directory)];
  for (const name of await readdir(above).catch(() => [])) {
    if (name.startsWith(own) && isTemporaryName(name.slice(own.length))) await remove(join(above, name));
  }
  if (remember === null) {
    await remove(directory);
    return;
  }
  await writeFileDurably(join(directory, SENT), Buffer.from(`${remember}\n`), 0o600);
  await removeKnown(directory, [STATEMENT, SIGNATURE, ENVELOPE]);
}

async function remove(directory: string): Promise<void> {
  await removeKnown(directory, [STATEMENT, SIGNATURE, ENVELOPE, SENT]);
  await rmdir(directory).catch(() => {});
}

/**
 * In a directory of ours, and never below it. Who else can write beside it, the build for one, must not have us, perhaps
 * root, remove what they name: another user's directory stays, and so does a link or one with more in it.
 */
async function removeKnown(directory: string, known: readonly string[]): Promise<void> {
  const status = await lstat(directory).catch(() => null);
  if (status === null || !status.isDirectory() || status.uid !== process.geteuid?.()) return;
  for (const name of await readdir(directory).catch(() => [])) {
    if (known.includes(name) || isTemporaryName(name)) await unlink(join(directory, name)).catch(() => {});
  }
}
