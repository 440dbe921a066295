/** The whole soak: builds through all states, kills, the quiet part, the end, what must be so then. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { Dice } from '../fuzz/mutate.ts';
import { Builders } from './builders.ts';
import { harass } from './chaos.ts';
import { allChecks } from './checks.ts';
import type { Check } from './checks.ts';
import { endsOf } from './outcomes.ts';
import type { Ended } from './outcomes.ts';
import { People } from './people.ts';
import { makePlans } from './plan.ts';
import type { Plan } from './plan.ts';
import { IDLE_FDS, Sampler, descriptors, sample, slopeProblem } from './samples.ts';
import type { Sample } from './samples.ts';
import { Site } from './site.ts';
import { Story } from './stories.ts';
import type { Begun, Stage, Times } from './stories.ts';

export interface SoakOptions {
  readonly seed: number;
  readonly builds: number;
  /** None begins after so many minutes. */
  readonly minutes: number;
  readonly kills: { readonly L: number; readonly H: number; readonly M: number };
  /** The part of the builds, at the end, that L and H live through. */
  readonly calm: number;
  /** How many are under way at a time. */
  readonly atOnce: number;
  readonly times: Times;
  readonly sampleMs: number;
  readonly verified: number;
  /** How long H may take at the end for what is sealed, in milliseconds. */
  readonly drainMs: number;
  /** How long descriptors at rest are looked at. */
  readonly restMs: number;
  /** Whether memory is judged: not of a run that is too short for it. */
  readonly judgeMemory: boolean;
  readonly say: (line: string) => void;
}

export interface Soaked {
  readonly options: SoakOptions;
  readonly seconds: number;
  readonly ended: readonly Ended[];
  readonly begun: number;
  readonly strays: number;
  readonly kills: Readonly<Record<'L' | 'H' | 'M', { readonly SIGKILL: number; readonly SIGTERM: number }>>;
  readonly starts: { readonly L: number; readonly H: number };
  readonly cuts: number;
  readonly processes: number;
  readonly inProcess: number;
  readonly programs: number;
  readonly entries: number;
  /** Seconds from the seal, or the second approval, to the release, by when they were sealed. */
  readonly waits: { readonly chaos: readonly number[]; readonly calm: readonly number[] };
  readonly samples: Readonly<Record<'L' | 'H', readonly Sample[]>>;
  /** After the start, and at the end. */
  readonly idleFds: Readonly<Record<'L' | 'H', readonly [before: number, after: number]>>;
  readonly checks: readonly Check[];
}

/** Runs it. What is wrong in the end stands in `checks`. */
export async function soak(options: SoakOptions): Promise<Soaked> {
  const began = performance.now();
  const site = await Site.make();
  try {
    return await new Soak(site, options, began).run();
  } finally {
    await site.close();
  }
}

class Soak {
  readonly #site: Site;
  readonly #options: SoakOptions;
  readonly #began: number;
  readonly #stage: Stage;
  readonly #people: People;
  readonly #builders: Builders;
  readonly #begun: Begun[] = [];
  readonly #faults: string[] = [];
  readonly #open = new Set<Promise<void>>();
  #busy = 0;
  #calmAt = Infinity;

  constructor(site: Site, options: SoakOptions, began: number) {
    this.#site = site;
    this.#options = options;
    this.#began = began;
    this.#people = new People(site);
    this.#builders = new Builders(site);
    const { times } = options;
    this.#stage = { site, people: this.#people, builders: this.#builders, times, begun: this.#begun };
  }

  async run(): Promise<Soaked> {
    const { seed, builds, kills, calm } = this.#options;
    const plans = makePlans({ seed, builds, mKills: kills.M });
    const rough = Math.ceil(builds * (1 - calm));
    const before = await this.#idle();
    await this.#rough(plans.slice(0, rough));
    this.#calmAt = performance.now();
    const sampler = new Sampler([this.#site.l, this.#site.h], this.#options.sampleMs);
    await this.#live(plans.slice(rough));
    await sampler.stop();
    this.#say('no more builds; waiting for those under way');
    await Promise.all(this.#open);
    await this.#drain();
    const after = await this.#idle();
    return this.#judge(sampler.of, { L: [before.L, after.L], H: [before.H, after.H] });
  }

  /** L and H are killed until the last of these has begun. */
  async #rough(plans: readonly Plan[]): Promise<void> {
    const { seed, kills } = this.#options;
    let done = 0;
    const total = Math.max(1, plans.length);
    const chaos = (
      [
        ['l', kills.L],
        ['h', kills.H],
      ] as const
    ).map(([name, count], at) =>
      harass({
        daemon: this.#site[name],
        count,
        dice: new Dice(seed * 31 + at),
        progress: () => done / total,
      }),
    );
    await this.#live(plans, () => (done += 1));
    done = total;
    await Promise.all(chaos);
  }

  /** Begins them one after the other, so many at a time. */
  async #live(plans: readonly Plan[], begun: () => void = () => {}): Promise<void> {
    const { atOnce, minutes } = this.#options;
    for (const plan of plans) {
      while (this.#busy >= atOnce) await sleep(20);
      begun();
      if (performance.now() - this.#began > minutes * 60_000) continue;
      this.#tell(plan);
      if (plan.index % 50 === 49) this.#say(`${plan.index + 1} builds begun, ${this.#open.size} under way`);
    }
  }

  #tell(plan: Plan): void {
    this.#busy += 1;
    let busy = true;
    const waits = (): void => {
      if (busy) this.#busy -= 1;
      busy = false;
    };
    const telling = new Story(this.#stage, plan, waits)
      .tell()
      .catch((error: unknown) => {
        this.#faults.push(
          `1.${plan.index} (${plan.way}): ${error instanceof Error ? error.message : String(error)}`,
        );
      })
      .finally(() => {
        waits();
        this.#open.delete(telling);
      });
    this.#open.add(telling);
  }

  /** H gets its time for what is sealed. */
  async #drain(): Promise<void> {
    const { watcher } = this.#site;
    const isOpen = ({ build, may }: Begun): boolean =>
      may.includes('published') &&
      !watcher.releases.has(build) &&
      !watcher.has(build, 'refusal') &&
      !watcher.has(build, 'revocation');
    // of some nothing comes, and that is judged
    const left = (): Begun[] => this.#begun.filter((each) => each.sealedAt !== null && isOpen(each));
    await this.#site.until(() => left().length === 0, this.#options.drainMs);
  }

  /** Descriptors of L and H when nothing happens: the fewest in some seconds. */
  async #idle(): Promise<Record<'L' | 'H', number>> {
    const fewest = { L: Infinity, H: Infinity };
    for (const end = performance.now() + this.#options.restMs; performance.now() < end;) {
      await sleep(250);
      for (const { name, pid } of [this.#site.l, this.#site.h])
        fewest[name] = Math.min(fewest[name], (pid === null ? null : sample(pid, 0))?.fds ?? Infinity);
    }
    return fewest;
  }

  async #judge(samples: Soaked['samples'], idleFds: Soaked['idleFds']): Promise<Soaked> {
    const { seed, verified, judgeMemory } = this.#options;
    const site = this.#site;
    const services = [site.l, site.h] as const;
    const held = { L: descriptors(site.l.pid), H: descriptors(site.h.pid) };
    await site.h.stop();
    // what the watch would have looked at in its next minute; and a restart that is clean
    const again = await site.world.sign();
    await site.watcher.look();
    this.#say('looking at all that there is');
    const tree = await DirectoryTree.open(site.world.tree());
    const depot = GatedDepot.over({ tree, rules: site.project, now: () => new Date() });
    const { ended, strays, problems } = await endsOf(site, depot.as(null), this.#begun);
    const names = ['L', 'H'] as const;
    const checks: Check[] = [
      { what: 'every build has ended in a way that it may, with a reason; none is half published', problems },
      { what: 'each story went as it is told', problems: this.#faults },
      {
        what: 'L and H ended when they were told to, and never otherwise',
        problems: services.flatMap(({ faults }) => faults),
      },
      {
        what: 'H opens its state again, and has nothing to do',
        problems:
          again.code === 0 ? [] : [`sign --once: exit ${again.code}: ${again.stdout} ${again.stderr}`],
      },
      {
        what: `at rest each has no more than ${IDLE_FDS} descriptors more than it began with`,
        problems: names.flatMap((name) => {
          const [before, after] = idleFds[name];
          if (after <= before + IDLE_FDS) return [];
          return [`${name}: ${before}, then ${after}: ${held[name]}`];
        }),
      },
      ...(judgeMemory
        ? [
            {
              what: 'the memory of L and H is flat',
              problems: names.flatMap((name) => slopeProblem(name, samples[name]) ?? []),
            },
          ]
        : []),
      ...(await allChecks({ site, ended, verified, dice: new Dice(seed + 1) })),
    ];
    return {
      options: this.#options,
      seconds: (performance.now() - this.#began) / 1000,
      ...{ ended, strays: strays.length, samples, idleFds, checks },
      begun: this.#begun.length,
      kills: { L: site.l.kills, H: site.h.kills, M: this.#builders.kills },
      starts: { L: site.l.starts, H: site.h.starts },
      cuts: site.proxy.cuts,
      processes: this.#builders.processes,
      inProcess: this.#builders.inProcess,
      programs: this.#people.programs,
      entries: site.watcher.entries,
      waits: this.#waits(),
    };
  }

  #waits(): Soaked['waits'] {
    const waits: { chaos: number[]; calm: number[] } = { chaos: [], calm: [] };
    for (const { build, sealedAt } of this.#begun) {
      const at = this.#site.watcher.releases.get(build)?.at;
      if (sealedAt === null || at === undefined) continue;
      waits[sealedAt < this.#calmAt ? 'chaos' : 'calm'].push(Math.max(0, at - sealedAt) / 1000);
    }
    return waits;
  }

  #say(line: string): void {
    this.#options.say(`${((performance.now() - this.#began) / 1000).toFixed(0).padStart(5)} s  ${line}`);
  }
}
