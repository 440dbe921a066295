/** The nonces that a session has opened: in memory alone, so that a person is asked once for the passphrase. */
import { Failure } from '../failure.ts';
import type { PinentryMode } from '../openpgp/agent.ts';
import { openNonce } from '../openpgp/sealed.ts';
import { decodeBase64Strict } from '../records/names.ts';

export class Nonces {
  /** By what they were sealed as. */
  readonly #opened = new Map<string, Buffer>();
  /** Of this round. */
  #failure: Failure | null = null;
  /** What came of asking a person, while the key is still locked. */
  #askedInVain: Failure | null = null;

  /**
   * The nonce; a person is asked for a passphrase or PIN once, not in every round. Throws as `openNonce`.
   */
  async open(sealed: string): Promise<Buffer> {
    const known = this.#opened.get(sealed);
    if (known !== undefined) return known;
    if (this.#failure !== null) throw this.#failure;
    try {
      const nonce = await this.#unlocked(decodeBase64Strict(sealed, 'sealedNonce'));
      this.#opened.set(sealed, nonce);
      this.#askedInVain = null;
      return nonce;
    } catch (error) {
      if (error instanceof Failure && error.code === 'nonce-locked') this.#failure = error;
      throw error;
    }
  }

  /** The next round may try again. */
  endRound(): void {
    this.#failure = null;
  }

  async #unlocked(sealed: Buffer): Promise<Buffer> {
    const attempt = async (pinentry: PinentryMode): Promise<Buffer | Failure> => {
      try {
        return await openNonce(sealed, { pinentry });
      } catch (error) {
        if (error instanceof Failure && error.code === 'nonce-locked') return error;
        throw error;
      }
    };
    const unasked = await attempt('error');
    if (!(unasked instanceof Failure)) return unasked;
    if (this.#askedInVain !== null) throw this.#askedInVain;
    const asked = await attempt('ask');
    if (!(asked instanceof Failure)) return asked;
    this.#askedInVain = asked;
    throw asked;
  }
}
