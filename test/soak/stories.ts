/** What happens to one build, from its approval to its end, by its way. */
import { randomBytes } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../src/failure.ts';
import type { BuildId } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { blobFile, buildPath } from '../../src/records/paths.ts';
import type { Builders, Ended } from './builders.ts';
import type { Approved, People } from './people.ts';
import { stolen } from './plan.ts';
import type { Plan, Way } from './plan.ts';
import type { Site } from './site.ts';

/** How a build may end, as `outcomes.ts` names it. */
export type Outcome = string;

/** A build that has begun. */
export interface Begun {
  readonly build: BuildId;
  readonly plan: Plan;
  /** How it may end, and no other. */
  readonly may: readonly Outcome[];
  /** Another build, where one of the two is to be published, and not both. */
  readonly instead: BuildId | null;
  /** When as many builders as it takes had sealed it, and it was allowed: `performance.now()`. */
  sealedAt: number | null;
}

export interface Times {
  /** How long builds live that are to end unsealed, in seconds. */
  readonly short: number;
  /** How long builders may enrol, in seconds. */
  readonly enrolBy: number;
  /** How long a story waits for what H does; then the end of the run judges. In milliseconds. */
  readonly patience: number;
}

/** What stories are told with. */
export interface Stage {
  readonly site: Site;
  readonly people: People;
  readonly builders: Builders;
  readonly times: Times;
  /** All builds, as they begin. */
  readonly begun: Begun[];
}

const LONG = 4 * 3600;
/** Longer than H's project file allows, and no longer than L's. */
const TOO_LONG = 20 * 3600;
/** Of builders whose statement came when all was decided: by the freeze, a refusal, a revocation, a release of the other, or the end of its time. */
const TOO_LATE = [
  'build-decided',
  'build-refused',
  'build-revoked',
  'revoked',
  'expired',
  'statement-not-first',
];

/** One build, or the two of its way. */
export class Story {
  readonly #stage: Stage;
  readonly #plan: Plan;
  readonly #waits: () => void;

  /** `waits` is called when nothing but waiting is left. */
  constructor(stage: Stage, plan: Plan, waits: () => void) {
    this.#stage = stage;
    this.#plan = plan;
    this.#waits = waits;
  }

  /** Tells it. Throws where something is other than the story wants it. */
  tell(): Promise<void> {
    const { way } = this.#plan;
    const stories: Record<Way, () => Promise<void>> = {
      release: () => this.#release(),
      large: () => this.#release(),
      many: () => this.#release(),
      damaged: () => this.#damaged(),
      disagree: () => this.#disagree(),
      dissent: () => this.#dissent(),
      thief: () => this.#thief(),
      'enrol thief': () => this.#enrolThief(),
      unsealed: () => this.#unsealed(),
      'builder lost': () => this.#builderLost(),
      'one approver': () => this.#oneApprover(),
      'version twice': () => this.#versionTwice(),
      'revoked early': () => this.#revokedEarly(),
      'revoked meanwhile': () => this.#revokedMeanwhile(),
      withdrawn: () => this.#withdrawn(),
      'name refused': () => this.#refused('name-not-allowed', this.#lifetime),
      'lifetime refused': () => this.#refused('policy-lifetime', TOO_LONG),
    };
    return stories[way]();
  }

  get #enrols(): boolean {
    return this.#plan.scheme === 'enrol';
  }

  /** Builders that enrol may miss H: then nothing comes of it, soon. */
  get #lifetime(): number {
    const { enrolBy, short } = this.#stage.times;
    return this.#enrols ? enrolBy + 4 * short : LONG;
  }

  async #approve(may: readonly Outcome[], lifetime = this.#lifetime, instead: BuildId | null = null) {
    const { people, times, begun } = this.#stage;
    const approved = await people.approve(this.#plan, { lifetime, enrolBy: times.enrolBy });
    const also = this.#enrols ? ['expired', 'refused: expired'] : [];
    const build: Begun = {
      ...{ build: approved.build, plan: this.#plan, may: [...may, ...also], instead, sealedAt: null },
    };
    begun.push(build);
    return { ...approved, begun: build };
  }

  /** Both of them. */
  async #allow(may: readonly Outcome[], lifetime = this.#lifetime) {
    const approved = await this.#approve(may, lifetime);
    await this.#stage.people.endorse(this.#plan, approved).catch((error: unknown) => {
      // a short one, on a machine that is slow
      if (!(error instanceof Failure) || error.code !== 'expired' || !may.includes('expired')) throw error;
    });
    return approved;
  }

  /** The slots do their work at the same time. False where one was refused as `but` says; throws where one was otherwise. */
  async #seal(approved: Approved, slots = this.#plan.slots.map((_, at) => at), but: readonly string[] = []) {
    const ended = await Promise.all(slots.map((slot) => this.#work(approved, slot)));
    // the others wait for H as long as it may be away
    const more = this.#enrols ? ['ticket-expired', 'enrolment-late', 'receipt-missing', ...TOO_LATE] : [];
    for (const code of ended)
      if (code !== null && ![...but, ...more].includes(code))
        throw new Error(`a builder was refused: ${code}`);
    return ended.every((code) => code === null);
  }

  #work({ build, tickets }: Approved, slot: number, ticket = tickets[slot], isThief = false): Promise<Ended> {
    const { builders, times } = this.#stage;
    const plan = this.#plan.slots[slot];
    if (!plan || ticket === undefined) throw new RangeError(`no slot ${slot}`);
    const files = isThief ? stolen(plan.files()) : plan.files();
    if (this.#enrols) this.#waits();
    return builders.work({ build, slot, ticket, files, plan, timeout: times.enrolBy + 20 });
  }

  async #released({ build, begun }: { readonly build: BuildId; readonly begun: Begun }): Promise<void> {
    const { site, times } = this.#stage;
    begun.sealedAt ??= performance.now();
    await site.until(() => site.watcher.releases.has(build), times.patience);
  }

  #logged({ build }: Approved, type: 'refusal' | 'revocation'): Promise<boolean> {
    const { site, times } = this.#stage;
    return site.until(() => site.watcher.has(build, type), times.patience);
  }

  async #release(): Promise<void> {
    const approved = await this.#allow(['published']);
    if (await this.#seal(approved)) await this.#released(approved);
    // nothing comes of one whose builders were too late to enrol
    else await this.#expire(approved);
  }

  async #damaged(): Promise<void> {
    const { site, people, times } = this.#stage;
    const approved = await this.#approve(['published']);
    await this.#seal(approved);
    const [first = Buffer.alloc(0)] = Object.values(this.#plan.slots[0]?.files() ?? {});
    const blob = site.world.tree(buildPath(approved.build, blobFile(sha256Hex(Buffer.from(first)))));
    const away = site.world.path('cwd', `blob-${approved.build}`);
    await rename(blob, away);
    await writeFile(blob, randomBytes(first.length));
    // H acts from now on
    await people.endorse(this.#plan, approved);
    const heard = await site.until(
      () => site.said.get(approved.build)?.has('artifact-wrong') ?? false,
      times.patience,
    );
    await rename(away, blob);
    if (!heard) throw new Error(`H does not say that a blob of ${approved.build} is damaged`);
    await this.#released(approved);
  }

  async #disagree(): Promise<void> {
    // builders that enrol need H, which then may sign before all are there
    const approved = this.#enrols
      ? await this.#allow(['frozen', 'published'])
      : await this.#approve(['frozen']);
    await this.#seal(approved, undefined, TOO_LATE);
    if (!this.#enrols) await this.#stage.people.endorse(this.#plan, approved);
    this.#waits();
    if (!this.#enrols) await this.#logged(approved, 'refusal');
  }

  async #dissent(): Promise<void> {
    const approved = await this.#allow(['published']);
    await this.#seal(approved, [0, 1]);
    await this.#released(approved);
    await this.#seal(approved, [2]);
  }

  async #thief(): Promise<void> {
    const approved = await this.#approve(['frozen']);
    const copy = await this.#stage.builders.steal(approved.tickets[0] ?? '');
    await this.#seal(approved);
    const ended = await this.#work(approved, 0, copy, true);
    if (ended !== 'statement-not-first') throw new Error(`a thief of ${approved.build} is told: ${ended}`);
    await this.#stage.people.endorse(this.#plan, approved);
    await this.#logged(approved, 'refusal');
  }

  async #enrolThief(): Promise<void> {
    const approved = await this.#allow(['frozen', 'published']);
    const copy = await this.#stage.builders.steal(approved.tickets[0] ?? '');
    await Promise.all([this.#work(approved, 0), this.#work(approved, 0, copy, true)]);
  }

  async #unsealed(): Promise<void> {
    const approved = await this.#allow(['expired'], this.#stage.times.short);
    await this.#expire(approved);
  }

  async #builderLost(): Promise<void> {
    const { builders, times } = this.#stage;
    // it may be done before it dies, and H may look at it when its time is over
    const approved = await this.#allow(['expired', 'published', 'refused: expired'], times.short);
    const [plan] = this.#plan.slots;
    const { build, tickets } = approved;
    if (!plan) throw new RangeError('no slot');
    await builders.die({
      ...{ build, slot: 0, ticket: tickets[0] ?? '', files: plan.files(), plan, timeout: 1 },
    });
    await this.#expire(approved);
  }

  async #oneApprover(): Promise<void> {
    const approved = await this.#approve(['one approver', 'expired', 'dropped'], this.#stage.times.short);
    if (this.#plan.dice.roll(2) === 0) await this.#seal(approved, undefined, ['expired']);
    await this.#expire(approved);
  }

  async #expire({ expires }: Approved): Promise<void> {
    this.#waits();
    await sleep(Math.max(0, expires - Date.now()) + 1500);
  }

  async #versionTwice(): Promise<void> {
    const { people } = this.#stage;
    const may = ['published', 'refused: version-taken'];
    const first = await this.#allow(may);
    const second = await this.#approve(may, LONG, first.build);
    await people.endorse(this.#plan, second);
    await this.#seal(first);
    await this.#seal(second, undefined, TOO_LATE);
    const { watcher } = this.#stage.site;
    const both = [first.build, second.build];
    const decided = (build: BuildId): boolean => watcher.releases.has(build) || watcher.has(build, 'refusal');
    await this.#stage.site.until(() => both.every(decided), this.#stage.times.patience);
  }

  async #revokedEarly(): Promise<void> {
    const approved = await this.#allow(['revoked']);
    await this.#stage.people.revoke(this.#plan, approved, 1);
    await this.#seal(approved, undefined, TOO_LATE);
    await this.#logged(approved, 'revocation');
  }

  async #revokedMeanwhile(): Promise<void> {
    const approved = await this.#allow(['revoked', 'published']);
    await this.#seal(approved);
    await sleep(this.#plan.dice.roll(4000));
    await this.#stage.people.revoke(this.#plan, approved, this.#plan.dice.roll(2) === 0 ? 0 : 1);
    const { watcher } = this.#stage.site;
    const { build } = approved;
    const decided = (): boolean => watcher.releases.has(build) || watcher.has(build, 'revocation');
    await this.#stage.site.until(decided, this.#stage.times.patience);
  }

  async #withdrawn(): Promise<void> {
    const approved = await this.#allow(['withdrawn']);
    await this.#seal(approved);
    await this.#released(approved);
    for (const who of [0, 1] as const) await this.#stage.people.revoke(this.#plan, approved, who);
  }

  async #refused(code: string, lifetime: number): Promise<void> {
    const approved = await this.#allow([`refused: ${code}`], lifetime);
    await this.#seal(approved, undefined, TOO_LATE);
    await this.#logged(approved, 'refusal');
  }
}
