/** What is new in a round of `sign --watch`: what lasts from round to round is said once, and again every hour. */
import type { Signer, SignerEvent } from './signer.ts';

const AGAIN_MS = 3600 * 1000;

export class News {
  readonly #signer: Pick<Signer, 'report' | 'now'>;
  /** What was said and is still so, with its time: in the round before, and in this one. */
  #before = new Map<string, number>();
  #said = new Map<string, number>();

  constructor(signer: Pick<Signer, 'report' | 'now'>) {
    this.#signer = signer;
  }

  /** Passes on what is new, and how far it is. */
  readonly report = (event: SignerEvent): void => {
    if (event.kind === 'reading' || event.kind === 'signing' || event.kind === 'delivering')
      return this.#signer.report(event);
    const text = gist(event);
    const now = this.#signer.now().getTime();
    const said = this.#said.get(text) ?? this.#before.get(text);
    const isNew = said === undefined || now - said >= AGAIN_MS;
    this.#said.set(text, isNew ? now : said);
    if (isNew) this.#signer.report(event);
  };

  endRound(): void {
    this.#before = this.#said;
    this.#said = new Map();
  }
}

/** Two events with the same gist are the same news. */
function gist(event: Exclude<SignerEvent, { kind: 'reading' | 'signing' | 'delivering' }>): string {
  if (event.kind === 'continuing') return JSON.stringify([event.kind, event.decided.build]);
  if (event.kind === 'note') return JSON.stringify([event.kind, event.build, event.text]);
  const { build, state, code, text, hint } = event.result;
  return JSON.stringify([event.kind, build, state, code, text, hint]);
}
