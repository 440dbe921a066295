/** The nonces that a session has opened: in memory alone, so that a person is asked once for the passphrase. */
import { Failure } from '../failure.ts';
import type { PinentryMode } from '../openpgp/agent.ts';
import { openNonce, sealedTo } from '../openpgp/sealed.ts';
import { decodeBase64Strict } from '../records/names.ts';

/** More than are open at a time; one that is not kept any more is opened again. */
const OPENED_MAX = 256;
/** Why a key of ours does not open anything now, whatever is sealed to it. Anything else is the nonce's own fault. */
const LOCKED = new Set([
  ...['agent-locked', 'agent-cancelled', 'agent-wrong-pin', 'agent-pin-blocked'],
  ...['agent-no-card', 'agent-no-scdaemon', 'agent-timeout'],
]);

export class Nonces {
  /** By what they were sealed as. */
  readonly #opened = new Map<string, Buffer>();
  /** Of this round, by `scopeOf`. */
  readonly #failed = new Map<string, Failure>();
  /** What came of asking a person, while the key is still locked; by `scopeOf`. */
  readonly #askedInVain = new Map<string, Failure>();

  /**
   * The nonce; a person is asked for a passphrase or PIN once, not in every round. Throws as `openNonce`. One that is
   * sealed to nobody here, or is none, stands in no other's way.
   */
  async open(sealed: string): Promise<Buffer> {
    const known = this.#opened.get(sealed);
    if (known !== undefined) return known;
    const bytes = decodeBase64Strict(sealed, 'sealedNonce');
    const scopes: Scopes = [sealedTo(bytes), sealed];
    const failed = find(this.#failed, scopes);
    if (failed) throw failed;
    try {
      const nonce = await this.#unlocked(bytes, scopes);
      this.#keep(sealed, nonce);
      for (const scope of scopes) this.#askedInVain.delete(scope);
      return nonce;
    } catch (error) {
      if (isNotNow(error)) this.#failed.set(scopeOf(error, scopes), error);
      throw error;
    }
  }

  /** The next round may try again. */
  endRound(): void {
    this.#failed.clear();
  }

  async #unlocked(sealed: Buffer, scopes: Scopes): Promise<Buffer> {
    const attempt = async (pinentry: PinentryMode): Promise<Buffer | Failure> => {
      try {
        return await openNonce(sealed, { pinentry });
      } catch (error) {
        if (isNotNow(error)) return error;
        throw error;
      }
    };
    const unasked = await attempt('error');
    if (!(unasked instanceof Failure)) return unasked;
    const inVain = find(this.#askedInVain, scopes);
    if (inVain) throw inVain;
    const asked = await attempt('ask');
    if (!(asked instanceof Failure)) return asked;
    this.#askedInVain.set(scopeOf(asked, scopes), asked);
    throw asked;
  }

  #keep(sealed: string, nonce: Buffer): void {
    const [oldest] = this.#opened.keys();
    if (oldest !== undefined && this.#opened.size >= OPENED_MAX) this.#opened.delete(oldest);
    this.#opened.set(sealed, nonce);
  }
}

/** The keys that it is sealed to, and the nonce itself. */
type Scopes = readonly [keys: string, nonce: string];

/** What else fails for the same reason: all that is sealed to a locked key, or this nonce alone. */
const scopeOf = ({ cause }: Failure, [keys, nonce]: Scopes): string =>
  cause instanceof Failure && LOCKED.has(cause.code) ? keys : nonce;

const find = (failures: ReadonlyMap<string, Failure>, scopes: Scopes): Failure | undefined =>
  scopes.map((scope) => failures.get(scope)).find((failure) => failure !== undefined);

const isNotNow = (error: unknown): error is Failure =>
  error instanceof Failure && error.code === 'nonce-locked';
