/**
 * Why GnuPG would not sign: libgpg-error numbers, as gpg-agent and gpg's status lines give them, into
 * failures with stable codes and the hint that helps.
 */
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';

/** libgpg-error keeps the source of an error above the lowest sixteen bits. */
const CODE_MASK = 0xffff;
const SYSTEM_ERROR = 0x8000;

interface Cause {
  readonly numbers: readonly number[];
  readonly code: string;
  readonly text: string;
  readonly hint: string;
}

const CAUSES: readonly Cause[] = [
  {
    numbers: [9, 17, 27], // NO_PUBKEY, NO_SECKEY, NOT_FOUND
    code: 'agent-no-key',
    text: 'the secret key is not here',
    hint: 'see gpg --list-secret-keys: is GNUPGHOME the right one, and the card inserted?',
  },
  {
    numbers: [99, 198], // CANCELED, FULLY_CANCELED
    code: 'agent-cancelled',
    text: 'cancelled at the passphrase prompt',
    hint: 'run the command again',
  },
  {
    numbers: [11], // BAD_PASSPHRASE
    code: 'agent-locked',
    text: 'wrong passphrase',
    hint: 'run the command again',
  },
  {
    // TIMEOUT, NO_PIN_ENTRY, NO_PASSPHRASE, WINDOW_TOO_SMALL, ENOTTY
    numbers: [62, 85, 177, 301, SYSTEM_ERROR | 102],
    code: 'agent-locked',
    text: 'the secret key is locked, and no passphrase came',
    hint: 'run `export GPG_TTY=$(tty)`, or unlock the key beforehand with gpg-preset-passphrase',
  },
  {
    // BAD_PIN, WRONG_CARD, CARD*, NO_SCDAEMON, CARD_NOT_INITIALIZED, PIN_BLOCKED, KEY_ON_CARD, ENODEV
    numbers: [87, 91, 108, 109, 110, 112, 119, 123, 130, 253, SYSTEM_ERROR | 80],
    code: 'agent-card',
    text: 'the card with the secret key did not sign',
    hint: 'see gpg --card-status: is the right card inserted, and its PIN not blocked?',
  },
  {
    numbers: [SYSTEM_ERROR | 86], // ENOMEM
    code: 'agent-memory',
    text: 'gpg-agent is out of secure memory',
    hint: 'put auto-expand-secmem into gpg-agent.conf, then gpgconf --kill gpg-agent',
  },
];

/** The failure for libgpg-error number `error`; `description` is GnuPG's own text for it. */
export function gpgFailure(error: number, description: string): Failure {
  const cause = CAUSES.find(({ numbers }) => numbers.includes(error & CODE_MASK));
  return cause
    ? unable(cause.code, `${cause.text} (${description})`, cause.hint)
    : unable(
        'agent-refused',
        `GnuPG did not sign: ${description}`,
        'see whether gpg --detach-sign works with this key',
      );
}
