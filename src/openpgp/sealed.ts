/**
 * A nonce that only the signer can read: encrypted by gpg to its encryption certificate, opened by its own gpg-agent
 * (protocol §2, `sealedNonce`).
 *
 * What is opened came through the depot, in an approval: gpg sees nothing but session keys and one encrypted packet
 * with integrity protection, and what it decrypts counts only where gpg says that all of it is whole.
 */
import { refused, unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { run, withoutOurs } from '../host/process.ts';
import type { Environment, RunResult } from '../host/process.ts';
import { NONCE_BYTES } from '../records/mac.ts';
import type { PinentryMode } from './agent.ts';
import type { Certificate } from './certificate.ts';
import { lastLine } from './gpg.ts';
import { agentLate, gpgFailure } from './gpg-error.ts';
import { encryptionPurposeProblem, lifeProblem } from './key-status.ts';
import type { KeyStatus } from './key-status.ts';
import { TAG, parsePackets } from './packet.ts';
import type { Fail } from './packet.ts';

/** Of a sealed nonce: a session key for RSA-16384 takes 2 KiB. */
const SEALED_MAX = 8 * 1024;
const OUTPUT_MAX = 64 * 1024;
const SEAL_MS = 60_000;
/** A person may be looking for the card, or for the passphrase. */
const OPEN_MS = 10 * 60_000;
/** Nothing is there: no configuration, no keyring of somebody else's. */
const NO_HOME = '/proc/self/fd/6/no-home';

/** Null, or why nothing can be sealed to the certificate at `now`. */
export function encryptionProblem({ primary, keys }: Certificate, now: Date): string | null {
  const problemOf = (status: KeyStatus): string | null => lifeProblem(status, now)?.reason ?? null;
  const own = keys.filter(({ isPrimary }) => isPrimary).map(problemOf)[0] ?? null;
  if (own !== null) return own;
  const problems = keys.filter((status) => encryptionPurposeProblem(status, now) === null).map(problemOf);
  if (problems.includes(null)) return null; // one is enough
  return problems[0] ?? `key ${primary.fingerprint} has no subkey for encryption`;
}

/**
 * The nonce, encrypted to the certificate's newest encryption key, binary. Reads and leaves nothing on the disk. Throws
 * unable(`gpg-failed`), for a certificate that gpg does not encrypt to too; `gpg-missing`.
 */
export async function sealNonce(nonce: Buffer, { primary, bytes }: Certificate): Promise<Buffer> {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce of ${nonce.length} bytes`);
  const nobody = [
    '--homedir',
    NO_HOME,
    '--no-options',
    '--no-autostart',
    '--no-keyring',
    '--no-random-seed-file',
  ];
  // gpg from 2.4 on would write OCB, which RFC 4880 has not, to a key that announces it: openNonce takes one form alone
  const form = ['--rfc4880', '--cipher-algo', 'AES256', '--compress-algo', 'none', '--no-armor'];
  const how = [...form, '--trust-model', 'always', '--recipient-file', '-&5'];
  const what = ['--enable-special-filenames', '--output', '-', '--encrypt', '--', '-&4'];
  const result = await run('gpg', ['--batch', '--no-tty', '--status-fd', '3', ...nobody, ...how, ...what], {
    fds: [nonce, bytes],
    timeoutMs: SEAL_MS,
    maxOutput: OUTPUT_MAX,
  });
  const failed: Fail = (text) =>
    unable(
      'gpg-failed',
      `gpg could not encrypt to ${primary.fingerprint}: ${text}`,
      'see countersign doctor',
    );
  const ended = result.killed === null && result.code === 0 && keywordsOf(result).includes('END_ENCRYPTION');
  if (!ended) throw failed(lastLine(result));
  // A gpg that writes what the signer would not take is found out here, not there.
  requireSealed(result.stdout, failed);
  return result.stdout;
}

/**
 * The nonce, decrypted by the caller's own gpg and agent; `pinentry`: whether a person may be asked for the passphrase.
 * Throws unable(`nonce-locked`, whose cause says why, or `gpg-missing`) where the key can't be used now; refused(`nonce-unusable`) for what is no sealed nonce.
 */
export async function openNonce(
  sealed: Buffer,
  { pinentry = 'ask', env = process.env }: { pinentry?: PinentryMode; env?: Environment } = {},
): Promise<Buffer> {
  requireSealed(sealed, unusable);
  const how = pinentry === 'error' ? ['--pinentry-mode', 'error'] : [];
  const what = ['--enable-special-filenames', '--output', '-', '--decrypt', '--', '-&4'];
  const result = await run(
    'gpg',
    ['--batch', '--no-auto-check-trustdb', '--status-fd', '3', ...how, ...what],
    {
      input: 0, // ours: gpg looks there for the terminal that pinentry shall use
      fds: [sealed],
      env: withoutOurs(env),
      timeoutMs: OPEN_MS,
      maxOutput: OUTPUT_MAX,
    },
  );
  const said = keywordsOf(result);
  if (isNonce(result, said)) return result.stdout;
  result.stdout.fill(0);
  throw isOpened(result, said) ? unusable('it opens to something else') : locked(result);
}

/** The keys that a sealed nonce says it is for, by their ids; whatever it says. Throws refused(`nonce-unusable`). */
export function sealedTo(sealed: Buffer): string {
  const keys = parsePackets(sealed, unusable).filter(({ tag }) => tag === TAG.sessionKey);
  return keys.map(({ body }) => body.toString('hex', 1, 9)).join(' ');
}

const unusable: Fail = (text) => refused('nonce-unusable', `the sealed nonce is not acceptable: ${text}`);

/** Session keys and one packet encrypted with integrity protection: nothing signed or compressed outside, no passphrase. */
function requireSealed(bytes: Buffer, fail: Fail): void {
  if (bytes.length > SEALED_MAX) throw fail(`it is larger than ${SEALED_MAX} bytes`);
  const packets = parsePackets(bytes, fail);
  const data = packets.pop();
  if (data?.tag !== TAG.protectedData || data.body[0] !== 1 || packets.length === 0)
    throw fail('it is not a message encrypted to a key');
  if (packets.some(({ tag, body }) => tag !== TAG.sessionKey || body[0] !== 3))
    throw fail('there is something else in it than session keys for keys');
}

/** The keywords of gpg's status lines (GnuPG's doc/DETAILS), in their order. */
function keywordsOf({ status }: RunResult): string[] {
  const lines = status.toString('latin1').split('\n');
  return lines.map((line) => /^\[GNUPG:\] ([A-Z_]+)/.exec(line)?.[1] ?? '');
}

/** Decrypted, one text, whole, by nobody signed: what else gpg has to say about keys and cards is no part of that. */
function isNonce({ code, killed, stdout }: RunResult, said: readonly string[]): boolean {
  const isOnce = (keyword: string): boolean => said.filter((each) => each === keyword).length === 1;
  const isWhole = ['PLAINTEXT', 'DECRYPTION_OKAY', 'GOODMDC'].every(isOnce);
  const isSigned = said.some((keyword) => keyword.endsWith('SIG'));
  return killed === null && code === 0 && isWhole && !isSigned && stdout.length === NONCE_BYTES;
}

/** libgpg-error's CHECKSUM and WRONG_SECKEY: our key was used, and there is no session key in what came out. */
const NO_SESSION_KEY = [10, 18];

/** Whether our key was used, so that another time nothing else will come out. Anything less sure is tried again. */
function isOpened(result: RunResult, said: readonly string[]): boolean {
  if (said.includes('DECRYPTION_KEY'))
    return (
      result.killed === 'output' || said.includes('DECRYPTION_OKAY') || said.includes('DECRYPTION_FAILED')
    );
  const errors = errorsOf(result);
  return errors.length > 0 && errors.every((error) => NO_SESSION_KEY.includes(error & 0xffff));
}

/** Why our own keys among those that it is sealed to failed, numbers of libgpg-error; empty where none of them is ours. */
function errorsOf({ status }: RunResult): number[] {
  const lines = status.toString('latin1').matchAll(/^\[GNUPG:\] ERROR pkdecrypt_failed (\d+)/gm);
  return [...lines].map(([, error]) => Number(error));
}

const NO_SECRET_KEY = 17;

/** Whatever it was, a person may mend it: the key is another's, locked, or on a card that is not here. */
function locked(result: RunResult): Failure {
  const [error = NO_SECRET_KEY] = errorsOf(result);
  const why = result.killed === 'deadline' ? agentLate() : gpgFailure(error, lastLine(result));
  const key = /^\[GNUPG:\] ENC_TO ([0-9A-F]{16}) /m.exec(result.status.toString('latin1'))?.[1] ?? 'unknown';
  return unable(
    'nonce-locked',
    `the nonce that is sealed to key ${key} can't be opened: ${why.message}`,
    why.hint,
    why,
  );
}
