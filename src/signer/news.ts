/** What is new in a round of `sign --watch`: what lasts from round to round is said once, and again every hour. */
import type { BuildId } from '../records/names.ts';
import type { Signer, SignerEvent } from './signer.ts';

const AGAIN_MS = 3600 * 1000;
const AWAY = 'the depot is away';

type Said = Exclude<SignerEvent, { kind: 'reading' | 'signing' | 'delivering' }>;

interface Spoken {
  readonly build: BuildId | null;
  /** In milliseconds. */
  readonly time: number;
}

export class News {
  readonly #signer: Pick<Signer, 'report' | 'now'>;
  /** What was said and is still so, by its gist: in the round before, and in this one. */
  #before = new Map<string, Spoken>();
  #said = new Map<string, Spoken>();
  /** Whether the depot was away, in the round before and in this one. */
  #wasAway = false;
  #isAway = false;

  constructor(signer: Pick<Signer, 'report' | 'now'>) {
    this.#signer = signer;
  }

  /** Passes on what is new, and how far it is. */
  readonly report = (event: SignerEvent): void => {
    if (event.kind === 'reading' || event.kind === 'signing' || event.kind === 'delivering')
      return this.#signer.report(event);
    // a depot that is away is one thing to a person, and not one for each build
    if (event.kind === 'result' && event.result.code === 'network') {
      this.away(event.result.text);
      return this.#tell({ kind: 'unreached', result: event.result });
    }
    // a round begins with a look at the log there
    if (!this.#isAway) this.#back();
    this.#tell(event);
  };

  /** The depot can't be reached, or takes nothing now: `why` may change while that lasts. */
  away(why: string): void {
    this.#isAway = true;
    this.#tell({ kind: 'note', build: null, text: `${AWAY}: ${why}; tried again in each round` });
  }

  /** Whether it was, in this round. */
  get isAway(): boolean {
    return this.#isAway;
  }

  #back(): void {
    if (this.#wasAway) this.#signer.report({ kind: 'note', build: null, text: 'the depot is back' });
    this.#wasAway = false;
  }

  #tell(event: Said): void {
    const text = gist(event);
    const now = this.#signer.now().getTime();
    const said = this.#said.get(text) ?? this.#before.get(text);
    const isNew = said === undefined || now - said.time >= AGAIN_MS;
    this.#said.set(text, isNew ? { build: buildOf(event), time: now } : said);
    if (isNew) this.#signer.report(event);
  }

  /** `only`: the round was over these builds alone, and what was said of others is still so. */
  endRound(only: readonly BuildId[] | null = null): void {
    if (!this.#isAway) this.#back();
    [this.#wasAway, this.#isAway] = [this.#isAway, false];
    const isStill = ({ build }: Spoken): boolean =>
      only !== null && (build === null || !only.includes(build));
    this.#before = new Map([...[...this.#before].filter(([, spoken]) => isStill(spoken)), ...this.#said]);
    this.#said = new Map();
  }
}

function buildOf(event: Said): BuildId | null {
  if (event.kind === 'note') return event.build;
  return event.kind === 'continuing' ? event.decided.build : event.result.build;
}

/** Two events with the same gist are the same news. */
function gist(event: Said): string {
  if (event.kind === 'continuing') return JSON.stringify([event.kind, event.decided.build]);
  if (event.kind === 'note')
    return event.text.startsWith(AWAY) ? AWAY : JSON.stringify([event.kind, event.build, event.text]);
  const { build, state, code, text, hint } = event.result;
  // why may change while it lasts, as with the note
  if (event.kind === 'unreached') return JSON.stringify([event.kind, build, state, code]);
  return JSON.stringify([event.kind, build, state, code, text, hint]);
}
