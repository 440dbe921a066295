/**
 * Where the ticket comes from, where the signed statement waits beside it, and how both go.
 *
 * A ticket in a file of our own is taken away step by step: out of reach while the build runs, without its
 * secret once that has done its one act, gone once the depot has the statement. What we cannot replace (standard
 * input, a variable, a credential, a read-only mount) only whoever provided it can take away.
 */
import { constants } from 'node:fs';
import { access, realpath, stat, unlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { refused, usage } from '../failure.ts';
import { orNull, readFileBounded, syncDirectory, writeFileDurably } from '../host/files.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { formatTicket, parseTicket } from '../records/ticket.ts';
import type { Ticket, TicketSecret } from '../records/ticket.ts';

export const TICKET_VARIABLE = 'COUNTERSIGN_TICKET';
export const CREDENTIALS_VARIABLE = 'CREDENTIALS_DIRECTORY';

export interface TicketSource {
  readonly ticket: Ticket;
  /** Directory of the pending statement. */
  readonly pending: string;
  /** Directory of the key that a builder of scheme `enrol` has made, and of its enrolment. */
  readonly enrolment: string;
  /** The file that is ours to replace and remove; null if there is none. */
  readonly file: TicketFile | null;
  /** What a person should know of how the ticket lies there. */
  readonly warnings: readonly string[];
}

type Environment = Readonly<NodeJS.ProcessEnv>;

/**
 * Finds and parses the ticket: `--ticket FILE`, `-` for standard input, else `$COUNTERSIGN_TICKET`, else
 * `$CREDENTIALS_DIRECTORY/ticket`. Throws usage `ticket-missing`, refused for what is no ticket; the message
 * never holds any of it.
 */
export async function findTicket(
  flag: string | null,
  environment: Environment,
  stdin: Readable,
): Promise<TicketSource> {
  if (flag === '-') return standing(await readAll(stdin), environment);
  if (flag !== null) return fromFile(flag, environment);

  const variable = environment[TICKET_VARIABLE];
  if (variable !== undefined && variable !== '') return standing(variable, environment);
  const credentials = environment[CREDENTIALS_VARIABLE];
  const credential = credentials === undefined ? null : await readTicketFile(join(credentials, 'ticket'));
  if (credential !== null) return standing(credential, environment);
  throw usage(
    'ticket-missing',
    'there is no ticket',
    `give --ticket FILE, --ticket - for standard input, or set ${TICKET_VARIABLE}`,
  );
}

async function fromFile(path: string, environment: Environment): Promise<TicketSource> {
  // a symlink would survive being replaced, and the secret behind it too
  const real = await orNull(realpath(path), `open ${path}`);
  const text = real === null ? null : await readTicketFile(real);
  if (real === null || text === null)
    throw usage(
      'ticket-missing',
      `${path} is not there`,
      'a ticket is removed once the depot has its statement, and is lost if attest was killed while --run ran: ' +
        'then ask for a new approval',
    );

  const warnings: string[] = [];
  const { mode, nlink } = await stat(real);
  if ((mode & 0o077) !== 0) warnings.push(`others on this host may read the ticket ${path}: chmod 600 it`);
  if (nlink > 1) warnings.push(`the ticket ${path} has another name that will stay: remove that too`);
  const replaceable = await access(dirname(real), constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!replaceable) {
    const source = standing(text, environment);
    return {
      ...source,
      warnings: [...warnings, `the ticket ${path} can't be removed here: do that yourself`],
    };
  }
  const ticket = parseTicket(text);
  const file = new TicketFile(real, ticket);
  return { ticket, pending: `${real}.pending`, enrolment: `${real}.enrolment`, file, warnings };
}

/** A ticket that stays where it is: its statement waits in the state directory. */
function standing(text: string, environment: Environment): TicketSource {
  const ticket = parseTicket(text);
  const pending = join(stateDirectory(environment), `${ticket.build}-${ticket.slot}`);
  return { ticket, pending, enrolment: `${pending}.enrolment`, file: null, warnings: [] };
}

function stateDirectory(environment: Environment): string {
  // systemd gives a list when a unit has several
  const systemd = environment['STATE_DIRECTORY']?.split(':')[0];
  const state =
    systemd || environment['XDG_STATE_HOME'] || join(environment['HOME'] || homedir(), '.local', 'state');
  return join(state, 'countersign');
}

async function readTicketFile(path: string): Promise<string | null> {
  return (await readFileBounded(path, RECORD_MAX))?.toString('utf8') ?? null;
}

async function readAll(stream: Readable): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    const bytes = Buffer.from(piece as Uint8Array);
    size += bytes.length;
    if (size > RECORD_MAX) throw refused('ticket-malformed', 'standard input is too long for a ticket');
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** Whether its secret still has its act to do. */
function isFresh({ secret }: Ticket): boolean {
  if (secret.scheme === 'keypair') return secret.secretKey !== null;
  return secret.nonce !== null || (secret.scheme === 'enrol' && secret.secretKey !== null);
}

function spent(secret: TicketSecret): TicketSecret {
  switch (secret.scheme) {
    case 'keypair':
      return { ...secret, secretKey: null };
    case 'mac':
      return { ...secret, nonce: null };
    case 'enrol':
      return { ...secret, nonce: null, secretKey: null };
  }
}

/** A ticket file that is ours: what happens to it, in order. */
export class TicketFile {
  /** Absolute, without symlinks. */
  readonly path: string;
  #ticket: Ticket;
  #withdrawn = false;

  constructor(path: string, ticket: Ticket) {
    this.path = path;
    this.#ticket = ticket;
  }

  /** As it is now. Secret. */
  get ticket(): Ticket {
    return this.#ticket;
  }

  /**
   * Takes the file away while a command runs that must not read it. One that is ours alone, mode 0600, is out of the
   * reach of another `user` where it lies: there it outlives a crash.
   */
  async withdraw(user: { readonly uid: number } | null): Promise<void> {
    const { mode, uid } = await stat(this.path);
    const ours = uid === process.geteuid?.() && (mode & 0o077) === 0;
    if (user !== null && user.uid !== uid && user.uid !== 0 && ours) return;
    await unlink(this.path);
    this.#withdrawn = true;
  }

  /** Puts it back if it was withdrawn: the build failed, and the ticket is still good. */
  async restore(): Promise<void> {
    if (this.#withdrawn) await this.#write(this.#ticket);
    this.#withdrawn = false;
  }

  /** Whether no other run that was given this ticket has used it meanwhile: it is here, with its secret. */
  async isUnused(): Promise<boolean> {
    if (this.#withdrawn) return true;
    const text = await readTicketFile(this.path);
    return text !== null && isFresh(parseTicket(text));
  }

  /** Replaces it by one without its secret, which has done its one act; `scratch` goes with the ticket. */
  async blank(scratch: string): Promise<void> {
    this.#ticket = { ...this.#ticket, secret: spent(this.#ticket.secret) };
    await this.#write(this.#ticket, scratch);
    this.#withdrawn = false;
  }

  /** The depot has the statement: nothing is left for the ticket to do. */
  async remove(): Promise<void> {
    await orNull(unlink(this.path), `remove ${this.path}`);
    // should a power cut bring it back, it is without its secret
    await syncDirectory(dirname(this.path)).catch(() => {});
  }

  async #write(ticket: Ticket, scratch = dirname(this.path)): Promise<void> {
    await writeFileDurably(this.path, Buffer.from(`${formatTicket(ticket)}\n`), 0o600, scratch);
  }
}
