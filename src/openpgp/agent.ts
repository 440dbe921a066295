/**
 * Signing through gpg-agent's own protocol: it holds the key (in software, on a card, in an HSM), we hand it
 * the digest of a packet that we wrote ourselves. See gpg-agent's manual, "Agent Protocol".
 */
import { readlinkSync } from 'node:fs';
import { isatty } from 'node:tty';
import { Failure, unable } from '../failure.ts';
import { run, withoutOurs } from '../host/process.ts';
import type { Environment } from '../host/process.ts';
import { AssuanConnection, escapeParameter } from './assuan.ts';
import type { Answer } from './assuan.ts';
import { agentLate, cardLocked, cardMissing, gpgFailure, isUnasked, passphraseUnfit } from './gpg-error.ts';
import { signatureIntegers } from './sexp.ts';

const ANSWER_MS = 30_000;
/** `ask`: a person may be looking for the passphrase; `error`: nobody is asked, but a key may be slow, or want a touch. */
const SIGNATURE_MS = { ask: 10 * 60_000, error: 60_000 } as const;
const KEYGRIP = /^[0-9A-F]{40}$/;
const DIGEST_LENGTH = { sha256: 32, sha512: 64 } as const;

/** What the passphrase prompt says above its field. */
const prompt = (what: string): string => `countersign wants to sign ${what} with this secret key.`;

/** What gpg passes on for pinentry: the agent's option, and where its value comes from. */
const PROMPT_OPTIONS: readonly (readonly [option: string, ...variables: string[]])[] = [
  ['ttytype', 'TERM'],
  ['display', 'DISPLAY'],
  ['xauthority', 'XAUTHORITY'],
  ['lc-ctype', 'LC_ALL', 'LC_CTYPE', 'LANG'],
  ['lc-messages', 'LC_ALL', 'LC_MESSAGES', 'LANG'],
  ['pinentry-user-data', 'PINENTRY_USER_DATA'],
];
const PROMPT_VARIABLES = [
  'WAYLAND_DISPLAY',
  'XDG_SESSION_TYPE',
  'DBUS_SESSION_BUS_ADDRESS',
  'INSIDE_EMACS',
] as const;

/** Whether the agent may `ask` a person for a passphrase or PIN, or is to say that it would have to. */
export type PinentryMode = 'ask' | 'error';

export class Agent {
  readonly #connection: AssuanConnection;
  #keygrip = '';
  #pinentry: PinentryMode = 'ask';
  /** The agent has said that it will not. */
  #asksNobody = false;
  /** The key that `signAlong` may use: it has signed, and the agent will not ask anybody. */
  #ready: string | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(connection: AssuanConnection) {
    this.#connection = connection;
  }

  /**
   * Connects to the gpg-agent of this user (GNUPGHOME), starting it as gpg would, and tells it where to ask
   * for a passphrase. Throws `unable` (`gpgconf-missing`, `agent-unreachable`).
   */
  static async connect(env: Environment = process.env): Promise<Agent> {
    const path = await gpgconf(['--list-dirs', 'agent-socket'], env);
    const connection = await AssuanConnection.open(path, ANSWER_MS).catch(async (error: unknown) => {
      // most often one runs: to have gpgconf look costs three processes
      if (!(error instanceof Failure) || error.code !== 'agent-unreachable') throw error;
      await gpgconf(['--launch', 'gpg-agent'], env);
      return AssuanConnection.open(path, ANSWER_MS);
    });
    const agent = new Agent(connection);
    // an agent that does not know an option can still sign
    for (const option of promptOptions(env)) await connection.command(`OPTION ${option}`, ANSWER_MS);
    return agent;
  }

  /**
   * Signs `digest`, which must be of our own packet: whoever could choose it freely could have anything
   * signed. `what` it is of stands in the passphrase prompt, if one may be shown. Calls are served one after the
   * other, over the one connection, which is never renewed in silence.
   *
   * Returns the integers of the signature packet in its order, big-endian, without their length; r and s of
   * Ed25519 are 32 bytes. Throws `unable` (`agent-no-key`, `agent-locked`, `agent-cancelled`, `agent-no-card`,
   * `agent-lost` and others); that the right key signed is for the caller to check, with the public key, and so
   * is what the key is for: the agent signs with an encryption key too.
   */
  async sign(
    keygrip: string,
    hash: 'sha256' | 'sha512',
    digest: Buffer,
    what: string,
    pinentry: PinentryMode = 'ask',
  ): Promise<Buffer[]> {
    requireDigest(keygrip, hash, digest);
    const signature = this.#turn.then(() => this.#sign(keygrip, hash, digest, what, pinentry));
    this.#turn = signature.catch(() => {});
    return signature;
  }

  /**
   * Signs as `sign`, with the key that it has signed with last while nobody could be asked. May be called many times at
   * once: no command waits for the answers to those before it, so that the agent is never idle. Returns null where it
   * is for `sign` to do or to say why not: the agent refuses, or this key has not signed yet. Throws unable
   * (`agent-lost`, `agent-timeout`, `agent-protocol`).
   */
  async signAlong(keygrip: string, hash: 'sha256' | 'sha512', digest: Buffer): Promise<Buffer[] | null> {
    requireDigest(keygrip, hash, digest);
    // behind a question to a person the agent would take our next lines for the answer
    if (this.#ready !== keygrip) return null;
    const [hashed, signed] = await Promise.all([
      this.#connection.command(setHash(hash, digest), ANSWER_MS),
      this.#connection.command('PKSIGN', SIGNATURE_MS.error),
    ]);
    if (hashed.ok && signed.ok) return signatureIntegers(signed.data);
    this.#ready = null;
    return null;
  }

  /** Hangs up. The agent stays, as it was. */
  close(): void {
    this.#connection.close();
  }

  async #sign(
    keygrip: string,
    hash: 'sha256' | 'sha512',
    digest: Buffer,
    what: string,
    pinentry: PinentryMode,
  ): Promise<Buffer[]> {
    this.#ready = null;
    if (this.#pinentry !== pinentry) {
      // one that does not know the option asks a person where it has to
      const { ok } = await this.#connection.command(`OPTION pinentry-mode=${pinentry}`, ANSWER_MS);
      this.#pinentry = pinentry;
      this.#asksNobody = ok && pinentry === 'error';
    }
    if (this.#keygrip !== keygrip) {
      await this.#ask(`SIGKEY ${keygrip}`, ANSWER_MS);
      this.#keygrip = keygrip;
    }
    // the agent forgets the prompt's text and the digest after each signature
    await this.#ask(`SETKEYDESC ${escapeParameter(prompt(what))}`, ANSWER_MS);
    await this.#ask(setHash(hash, digest), ANSWER_MS);
    const answer = await this.#connection.command('PKSIGN', SIGNATURE_MS[pinentry]);
    if (answer.ok) {
      if (this.#asksNobody) this.#ready = keygrip;
      return signatureIntegers(answer.data);
    }
    const why = isUnasked(answer.error) ? await this.#whyUnasked(keygrip) : null;
    throw why ?? gpgFailure(answer.error, answer.text);
  }

  /**
   * Why a person would have to be asked, where that is not just for the passphrase: the agent says the same when
   * the passphrase that it remembers is wrong, or it has no secure memory left to try it in, when a card is missing
   * and when it wants its PIN. Null if it is just for the passphrase.
   */
  async #whyUnasked(keygrip: string): Promise<Failure | null> {
    const info = await this.#connection.command(`KEYINFO ${keygrip}`, ANSWER_MS);
    const [type, serial, , cached] = statusFields(info, `KEYINFO ${keygrip}`);
    if (type !== 'T') return cached === '1' ? passphraseUnfit() : null;
    const card = await this.#connection.command('SCD SERIALNO', ANSWER_MS);
    if (!card.ok) return cardMissing(card.text);
    const [inserted] = statusFields(card, 'SERIALNO');
    return inserted === serial ? cardLocked() : cardMissing(`another is: ${inserted}`);
  }

  async #ask(command: string, timeoutMs: number): Promise<Buffer> {
    const answer = await this.#connection.command(command, timeoutMs);
    if (!answer.ok) throw gpgFailure(answer.error, answer.text);
    return answer.data;
  }
}

function requireDigest(keygrip: string, hash: 'sha256' | 'sha512', digest: Buffer): void {
  if (!KEYGRIP.test(keygrip) || digest.length !== DIGEST_LENGTH[hash])
    throw new Error('not a keygrip and a digest');
}

const setHash = (hash: string, digest: Buffer): string =>
  `SETHASH --hash=${hash} ${digest.toString('hex').toUpperCase()}`;

/** The fields that follow `keyword` in the status line of an answer; none if there is no such line. */
function statusFields(answer: Answer, keyword: string): string[] {
  const line = answer.ok && answer.status.find((status) => status.startsWith(`${keyword} `));
  return line ? line.slice(keyword.length + 1).split(' ') : [];
}

async function gpgconf(args: readonly string[], env: Environment): Promise<string> {
  const { code, killed, stdout, stderr } = await run('gpgconf', args, {
    env: withoutOurs(env),
    timeoutMs: ANSWER_MS,
    maxOutput: 64 * 1024,
  });
  if (code === 0) return stdout.toString().trimEnd();
  if (killed === 'deadline') throw agentLate();
  throw unable(
    'agent-unreachable',
    `gpgconf ${args[0]}: ${stderr.toString().trim()}`,
    'see gpgconf --check-programs',
  );
}

function promptOptions(env: Environment): string[] {
  const options = PROMPT_OPTIONS.map(([option, ...variables]) => [
    option,
    variables.map((name) => env[name]).find(Boolean),
  ]);
  options.unshift(['ttyname', env['GPG_TTY'] || terminal()]);
  return [
    ...options.filter(([, value]) => value).map(([option, value]) => `${option}=${value}`),
    ...PROMPT_VARIABLES.filter((name) => env[name]).map((name) => `putenv=${name}=${env[name]}`),
  ].filter((option) => !/[\r\n]/.test(option));
}

/** The terminal of standard input, as gpg looks for it where GPG_TTY is not set. */
function terminal(): string | undefined {
  try {
    return isatty(0) ? readlinkSync('/proc/self/fd/0') : undefined;
  } catch {
    return undefined;
  }
}
