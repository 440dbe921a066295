/** The pending statement's way to the depot, and what is left behind: nothing. */
import { Failure, refused, unable } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { disagreementsOf } from '../policy/quorum.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import type { Sha256 } from '../records/names.ts';
import {
  VARIANTS,
  buildPath,
  statementEnvelopeFile,
  statementFile,
  statementMacFile,
  statementSignatureFile,
} from '../records/paths.ts';
import type { Variant } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseStatement } from '../records/statement.ts';
import type { Statement } from '../records/statement.ts';
import type { Ticket } from '../records/ticket.ts';
import type { Depot } from '../tree/tree.ts';
import type { AttestResult, Report } from './events.ts';
import { dropPending } from './pending.ts';
import type { Sealed } from './seal.ts';
import type { TicketSource } from './ticket-source.ts';
import { uploadArtifacts } from './upload.ts';
import type { Begun } from './upload.ts';

/**
 * Artifacts from below `base`, then the statement; then the ticket goes. Returns once the depot has it all.
 * Throws refused `statement-not-first`, `artifact-changed`, and what the depot throws: then the statement is kept.
 */
export async function send(
  depot: Depot,
  source: TicketSource,
  sealed: Sealed,
  base: string,
  begun: Begun,
  report: Report,
): Promise<AttestResult> {
  const { build, slot } = source.ticket;
  const statement = sha256Hex(sealed.bytes);
  const first = await firstStatement(depot, source.ticket);
  const upload = (all: boolean): Promise<number> =>
    uploadArtifacts(depot, sealed.statement, { base, begun, all }, report);
  let uploaded = 0;
  if (first !== null) {
    if (!begun.resumed) await begun.early?.stop();
    // where another was first, the depot keeps ours as a variant, for H to judge
    if (!first.equals(sealed.bytes)) await depot.submit(build, filesOf(sealed));
  } else {
    uploaded = await upload(false);
    try {
      await depot.submit(build, filesOf(sealed));
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'blobs-missing') throw error;
      uploaded += await upload(true);
      await depot.submit(build, filesOf(sealed));
    }
  }
  // a proxy that says yes to everything has not taken it: what only we have is not thrown away for a status
  const shown = await shownAs(depot, source.ticket, sealed.bytes);
  if (shown === null)
    throw unable(
      'statement-not-shown',
      `the depot does not show the statement that it took for slot ${slot} of build ${build}`,
      'is this the depot? run the same command again, it sends the same statement',
    );
  await source.file?.remove();
  await dropPending(source.pending, source.file === null ? statement : null);
  if (shown !== 1) {
    const other = first ?? (await firstStatement(depot, source.ticket));
    throw notFirst(source.ticket, isSame(other, sealed.statement));
  }
  report({ kind: 'sealed', statement });
  return result(source, sealed.statement, statement, uploaded, begun.resumed);
}

/** The statement and its authenticators, as the depot has them. */
function filesOf({ statement: { slot }, bytes, authenticators }: Sealed): Map<string, Buffer> {
  const files = new Map([[statementFile(slot), bytes]]);
  return 'mac' in authenticators
    ? files.set(statementMacFile(slot), authenticators.mac)
    : files
        .set(statementSignatureFile(slot), authenticators.signature)
        .set(statementEnvelopeFile(slot), authenticators.envelope);
}

/**
 * The statement of a ticket that could not be taken away and is used again after that was sent.
 * Throws refused `statement-not-first`.
 */
export async function sentBefore(depot: Depot, ticket: Ticket, statement: Sha256): Promise<Statement> {
  const stored = await firstStatement(depot, ticket);
  if (stored === null || sha256Hex(stored) !== statement) throw notFirst(ticket, false);
  return parseStatement(stored);
}

/** What `attest` returns then: nothing is left to do. */
export const sentResult = (source: TicketSource, statement: Statement, digest: Sha256): AttestResult =>
  result(source, statement, digest, 0, true);

const firstStatement = (depot: Depot, { build, slot }: Ticket): Promise<Buffer | null> =>
  depot.read(buildPath(build, statementFile(slot)), LARGE_RECORD_MAX);

/** Under which number the depot shows these bytes; null if it does not. */
async function shownAs(depot: Depot, { build, slot }: Ticket, bytes: Buffer): Promise<Variant | null> {
  for (const variant of VARIANTS) {
    const shown = await depot.read(buildPath(build, statementFile(slot, variant)), LARGE_RECORD_MAX);
    if (shown?.equals(bytes)) return variant;
  }
  return null;
}

/** `same`: both name the same artifacts, which is all that the signer compares. */
const notFirst = ({ build, slot }: Ticket, same: boolean): Failure =>
  refused(
    'statement-not-first',
    `another statement for slot ${slot} of build ${build} was on the depot before this one${same ? ', of the same artifacts' : ''}`,
    'someone else has used this ticket, or it was used on two machines: find out which; ' +
      (same
        ? 'the artifacts are the same, so the signer goes on'
        : 'the signer refuses a build whose statements differ, and the way on is a new approval'),
  );

/** Whether the depot's statement names the artifacts of ours, as the signer compares them. */
function isSame(first: Buffer | null, { subjects }: Statement): boolean {
  const other = first === null ? null : attempt(() => parseStatement(first));
  if (other === null || other instanceof Failure) return false;
  return disagreementsOf([other.subjects, subjects]).length === 0;
}

function result(
  { ticket, file }: TicketSource,
  statement: Statement,
  digest: Sha256,
  uploaded: number,
  resumed: boolean,
): AttestResult {
  const { build, slot, project, version, secret } = ticket;
  const artifacts = statement.subjects.length;
  return {
    build,
    slot,
    project,
    version,
    scheme: secret.scheme,
    statement: digest,
    artifacts,
    bytes: totalSize(statement),
    uploaded,
    resumed,
    ticketRemoved: file !== null,
  };
}

const totalSize = ({ subjects }: Statement): number => subjects.reduce((sum, { size }) => sum + size, 0);
