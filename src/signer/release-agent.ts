/**
 * gpg-agent as a signer uses it, round after round: whatever happens to it, no build of a round is tried with a key
 * that has failed in that round, and no person is asked twice in vain.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import type { PinentryMode } from '../openpgp/agent.ts';
import type { SignedDigest } from '../openpgp/pass.ts';

/** The part of gpg-agent that signing needs; `Agent` of openpgp/agent.ts is one. */
export interface SigningAgent {
  /** The MPIs of a signature over the digest; `what` is told to whoever is asked for the passphrase. */
  sign(
    keygrip: string,
    hash: 'sha256' | 'sha512',
    digest: SignedDigest,
    what: string,
    pinentry: PinentryMode,
  ): Promise<Buffer[]>;
  /** As `sign`, many at a time, once the key has signed; null where `sign` must do it. See `Agent.signAlong`. */
  signAlong(keygrip: string, hash: 'sha256' | 'sha512', digest: SignedDigest): Promise<Buffer[] | null>;
  close(): void;
}

/** What is to be signed with which key; see `Agent.sign`. */
interface SigningRequest {
  readonly keygrip: string;
  readonly hash: 'sha256' | 'sha512';
  readonly digest: SignedDigest;
  readonly what: string;
}

/** The connection is of no more use. */
const BROKEN = new Set(['agent-lost', 'agent-timeout', 'agent-protocol']);
/** A person can help. */
const LOCKED = new Set(['agent-locked', 'agent-wrong-passphrase']);
/** Others may be using up the agent's secure memory at this moment: tried again after so long, by itself. */
const CROWDED = new Set(['agent-memory', 'agent-wrong-passphrase']);
const CROWD_WAITS_MS = [100, 400, 1600];

export class ReleaseAgent {
  readonly #connect: () => Promise<SigningAgent>;
  /** One for all builds of a round, made when the first asks. */
  #agent: SigningAgent | null = null;
  /** Of this round, by keygrip. */
  readonly #failures = new Map<string, Failure>();
  /** What came of asking a person to unlock a key, by keygrip, while it is still locked. */
  readonly #askedInVain = new Map<string, Failure>();
  /** What is asked for by itself, for as long as it is. */
  #alone: Promise<Buffer[]> | null = null;

  constructor(connect: () => Promise<SigningAgent>) {
    this.#connect = connect;
  }

  /** Throws what the key failed with in this round: to read artifacts for it, or to ask a person, would be in vain. */
  requireUsable(keygrip: string): void {
    const failure = this.#failures.get(keygrip);
    if (failure) throw failure;
  }

  /**
   * Signs a digest (`Agent.sign`). Of many calls at once the agent has the next ones in its hands already, as long as
   * it says yes; what it refuses is asked for again by itself, one after the other. A connection that was lost is made
   * again, once a signature: a signature that the agent made and could not deliver is nowhere. Throws unable
   * (`agent-lost` and others).
   */
  async sign(request: SigningRequest): Promise<Buffer[]> {
    for (;;) {
      const along = await this.#along(request);
      if (along !== null) return along;
      if (this.#alone === null) {
        this.#alone = this.#byItself(request).finally(() => (this.#alone = null));
        return this.#alone;
      }
      // perhaps all go along behind that one
      await this.#alone.catch(() => {});
    }
  }

  /** Ends a round: hangs up, and the next one may try again. */
  endRound(): void {
    this.#hangUp();
    this.#failures.clear();
  }

  /** Null where it needs more: to be asked for by itself, another connection, a person. */
  async #along({ keygrip, hash, digest }: SigningRequest): Promise<Buffer[] | null> {
    this.requireUsable(keygrip);
    try {
      return (await this.#agent?.signAlong(keygrip, hash, digest)) ?? null;
    } catch (error) {
      if (error instanceof Failure) return null;
      throw error;
    }
  }

  async #byItself(request: SigningRequest): Promise<Buffer[]> {
    const { keygrip } = request;
    try {
      const mpis = await this.#unlocked(request);
      this.#askedInVain.delete(keygrip);
      return mpis;
    } catch (error) {
      // one that went away is back, perhaps, when the next build asks
      if (error instanceof Failure && error.code !== 'agent-lost') this.#failures.set(keygrip, error);
      throw error;
    }
  }

  /** Nobody is asked for a passphrase or PIN where none is needed, and once each time that the key gets locked. */
  async #unlocked(request: SigningRequest): Promise<Buffer[]> {
    const { keygrip } = request;
    let unasked: Failure;
    try {
      return await this.#attempt(request, 'error');
    } catch (error) {
      if (!(error instanceof Failure) || !LOCKED.has(error.code)) {
        this.#askedInVain.delete(keygrip); // its card is out, say: when that is back, the PIN may be asked for
        throw error;
      }
      const before = this.#askedInVain.get(keygrip);
      if (before) throw before;
      unasked = error;
    }
    try {
      return await this.#attempt(request, 'ask');
    } catch (error) {
      if (!(error instanceof Failure) || BROKEN.has(error.code)) throw error;
      // that nobody gave another passphrase is not what is wrong
      const failure =
        error.code === 'agent-locked' && unasked.code === 'agent-wrong-passphrase' ? unasked : error;
      this.#askedInVain.set(keygrip, failure);
      throw failure;
    }
  }

  async #attempt({ keygrip, hash, digest, what }: SigningRequest, pinentry: PinentryMode): Promise<Buffer[]> {
    const waits = [...CROWD_WAITS_MS];
    for (let lost = false; ;) {
      try {
        this.#agent ??= await this.#connect();
        return await this.#agent.sign(keygrip, hash, digest, what, pinentry);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        if (BROKEN.has(error.code)) this.#hangUp();
        const wait = CROWDED.has(error.code) ? waits.shift() : undefined;
        if (wait !== undefined) await sleep(wait);
        else if (error.code === 'agent-lost' && !lost) lost = true;
        else throw error;
      }
    }
  }

  #hangUp(): void {
    this.#agent?.close();
    this.#agent = null;
  }
}
