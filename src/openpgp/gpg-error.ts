/**
 * Why GnuPG would not sign: libgpg-error numbers, as gpg-agent and gpg's status lines give them, into
 * failures with stable codes and the hint that helps.
 */
import { unable } from '../failure.ts';
import type { Failure } from '../failure.ts';

/** libgpg-error keeps the source of an error above the lowest sixteen bits. */
const CODE_MASK = 0xffff;
const SYSTEM_ERROR = 0x8000;
const NO_PIN_ENTRY = 85;

const UNLOCK =
  'unlock it beforehand with gpg-preset-passphrase (which takes a wrong one without a word), or run `export GPG_TTY=$(tty)` to be asked';
const GIVE = 'run it again and give the passphrase, or unlock the key beforehand with gpg-preset-passphrase';
const INSERT = 'insert it; gpg --card-status shows what gpg sees';

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
    hint: GIVE,
  },
  {
    numbers: [11], // BAD_PASSPHRASE
    code: 'agent-locked',
    text: 'wrong passphrase',
    hint: GIVE,
  },
  {
    // TIMEOUT, NO_PIN_ENTRY, NO_PASSPHRASE, WINDOW_TOO_SMALL, ENOTTY
    numbers: [62, NO_PIN_ENTRY, 177, 301, SYSTEM_ERROR | 102],
    code: 'agent-locked',
    text: 'the secret key is locked, and no passphrase came',
    hint: UNLOCK,
  },
  {
    numbers: [87], // BAD_PIN
    code: 'agent-wrong-pin',
    text: 'the card says that this is not its PIN',
    hint: 'the tries are counted, see gpg --card-status; enter the right PIN with the next run',
  },
  {
    numbers: [130], // PIN_BLOCKED
    code: 'agent-pin-blocked',
    text: 'the PIN of the card is blocked after too many wrong tries',
    hint: 'unblock it with the Admin PIN or the reset code: gpg --card-edit, then passwd',
  },
  {
    // WRONG_CARD, CARD_REMOVED, CARD_NOT_PRESENT, INV_ID, ENODEV
    numbers: [91, 110, 112, 118, SYSTEM_ERROR | 80],
    code: 'agent-no-card',
    text: 'the card with the secret key is not in the reader',
    hint: INSERT,
  },
  {
    // NO_SCDAEMON, ECONNREFUSED, ECONNRESET, EPIPE, EOF; ASS_ CONNECT_FAILED, INCOMPLETE_LINE, SERVER_START, READ_ERROR, WRITE_ERROR
    numbers: [119, SYSTEM_ERROR | 25, SYSTEM_ERROR | 26, SYSTEM_ERROR | 109, 16383, 259, 262, 269, 270, 271],
    code: 'agent-no-scdaemon',
    text: 'gpg-agent has lost scdaemon, which talks to the card',
    hint: 'wait some seconds, or gpgconf --kill gpg-agent; is scdaemon installed, and not disabled in gpg-agent.conf?',
  },
  {
    numbers: [108, 109, 111, 123, 253], // CARD, CARD_RESET, INV_CARD, CARD_NOT_INITIALIZED, KEY_ON_CARD
    code: 'agent-card',
    text: 'the card with the secret key did not sign',
    hint: 'see gpg --card-status: is it the right card, and whole?',
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

/** Whether nobody could be asked, or nobody was to be: the agent says the same of a locked key and a missing card. */
export const isUnasked = (error: number): boolean => (error & CODE_MASK) === NO_PIN_ENTRY;

/** The passphrase that the agent remembers does not open the key. */
export const passphraseUnfit = (): Failure =>
  unable(
    'agent-wrong-passphrase',
    'the passphrase that gpg-agent remembers is wrong, or it has no secure memory left to try it',
    'give it the right one with gpg-preset-passphrase, which takes a wrong one without a word; put auto-expand-secmem into gpg-agent.conf',
  );

/** A card key whose card is elsewhere, or in whose reader another is. */
export const cardMissing = (description: string): Failure =>
  unable('agent-no-card', `the card with the secret key is not in the reader (${description})`, INSERT);

/** A card that is there, and wants its PIN. */
export const cardLocked = (): Failure =>
  unable(
    'agent-locked',
    'the card wants its PIN, and nobody gave it',
    'give it once: `echo test | gpg --local-user KEY --detach-sign >/dev/null` asks for it',
  );

/** The agent, or who asks it for us, has not answered by the deadline. */
export const agentLate = (): Failure =>
  unable(
    'agent-timeout',
    'gpg-agent did not answer in time',
    'see whether a passphrase prompt waits somewhere; else gpgconf --kill gpg-agent',
  );
