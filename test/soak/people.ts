/** The operator and the second approver, by the real commands or by the library that these call. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../src/failure.ts';
import { prepareApproval } from '../../src/operator/approve.ts';
import { chooseApprover } from '../../src/operator/approver.ts';
import { prepareEndorsement, submitEndorsement } from '../../src/operator/endorse.ts';
import { sendRevocation } from '../../src/operator/revoke.ts';
import { submitApproval } from '../../src/operator/submit.ts';
import type { ApprovalRequest } from '../../src/operator/approve.ts';
import type { BuildId } from '../../src/records/names.ts';
import { toBuildId } from '../../src/records/names.ts';
import { approvalFile, buildPath } from '../../src/records/paths.ts';
import type { Ran } from '../harness/program.ts';
import type { Plan } from './plan.ts';
import type { Site } from './site.ts';

const SOURCE = 'https://example.org/soak@0123456789012345678901234567890123456789';
/** L is away for seconds. */
const PATIENCE_MS = 120_000;
const AGAIN_MS = 500;

export interface Approved {
  readonly build: BuildId;
  /** Path of each slot's ticket, in the order of the slots. */
  readonly tickets: readonly string[];
  /** When it ends, `Date.now()`. */
  readonly expires: number;
}

export interface Terms {
  /** Seconds. */
  readonly lifetime: number;
  /** Seconds, for builders that enrol. */
  readonly enrolBy: number;
}

export class People {
  readonly #site: Site;
  #batches = 0;
  /** How often each command ran as a process of its own. */
  programs = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  /** The first of the two approves. */
  async approve(plan: Plan, terms: Terms): Promise<Approved> {
    return plan.by === 'program' ? this.#approveByProgram(plan, terms) : this.#approveHere(plan, terms);
  }

  async #approveHere(plan: Plan, { lifetime, enrolBy }: Terms): Promise<Approved> {
    const { project, depot, world } = this.#site;
    const request = (): ApprovalRequest => ({
      ...{ version: plan.version, source: SOURCE, directory: '/', patterns: null, maxCount: null },
      ...{ maxBytes: null, maxTotalBytes: null, builders: plan.builders, quorum: plan.quorum },
      ...{
        scheme: plan.scheme,
        enrolBy: plan.scheme === 'enrol' ? enrolBy : null,
        mode: plan.mode,
        lifetime,
      },
      ...{ approver: world.approvers[0] ?? null, expect: null, depot: world.url, now: new Date() },
    });
    // a person types it again: another build, and the one before is nobody's
    const { build, tickets, expires } = await patiently(async () => {
      const prepared = await prepareApproval(project, request());
      const directory = world.path('operator', `soak-${++this.#batches}`);
      return submitApproval(project, prepared, { depot, directory });
    });
    return { build, tickets: Object.values(tickets), expires: Date.parse(expires) };
  }

  async #approveByProgram(plan: Plan, { lifetime, enrolBy }: Terms): Promise<Approved> {
    const { world } = this.#site;
    const { version, scheme, builders, quorum, mode } = plan;
    const more = scheme === 'enrol' ? ['--enrol-by', `${enrolBy}s`] : [];
    const ran = await this.#run(() =>
      world.approve(version, [
        ...['--approver', world.approvers[0] ?? '', '--source', SOURCE, '--scheme', scheme, '--mode', mode],
        ...['--builders', `${builders}`, '--quorum', `${quorum}`, '--expires', `${lifetime}s`, ...more],
      ]),
    );
    const { build, tickets, expires } = ran.json[0] ?? {};
    const paths = Object.values(tickets as Record<string, string>);
    return { build: toBuildId(build, 'approve'), tickets: paths, expires: Date.parse(String(expires)) };
  }

  /** The second one allows it, too. */
  async endorse(plan: Plan, { build }: Approved): Promise<void> {
    const { project, depot, world } = this.#site;
    const approver = world.approvers[1] ?? '';
    if (plan.by === 'program') {
      await this.#run(() =>
        world.runOn('operator', ['endorse', build, '--approver', approver, '--yes', '--json']),
      );
      return;
    }
    await patiently(async () => {
      const asked = { build, approver, expect: null, now: new Date() };
      const prepared = await prepareEndorsement(project, depot, asked);
      if (!prepared.already) await submitEndorsement(project, depot, prepared, new Date());
    });
  }

  /** One of the two stops it. */
  async revoke(plan: Plan, { build }: Approved, who: 0 | 1): Promise<void> {
    const { project, depot, world } = this.#site;
    const key = world.approvers[who] ?? '';
    const reason = 'soaked too long';
    if (plan.by === 'program') {
      const args = ['revoke', build, '--approver', key, '--reason', reason, '--yes', '--json'];
      await this.#run(() => world.runOn('operator', args));
      return;
    }
    const approver = await chooseApprover(project, key);
    const approval = readFileSync(world.tree(buildPath(build, approvalFile)));
    await patiently(() =>
      sendRevocation(project, depot, { approval, approver, reason, now: new Date() }).catch(
        (error: unknown) => {
          // an answer was lost, and the record was not: the one there is theirs, and of another second
          if (!(error instanceof Failure) || error.code !== 'conflict') throw error;
        },
      ),
    );
  }

  async #run(command: () => Promise<Ran>): Promise<Ran> {
    return patiently(async () => {
      this.programs += 1;
      const ran = await command();
      if (ran.code === 0) return ran;
      const { code = 'no code', message = ran.stderr } = ran.error ?? {};
      throw new Failure(ran.code === 3 ? 'unable' : 'refused', code, message, '');
    });
  }
}

/** Does it again while L is away. */
async function patiently<T>(act: () => Promise<T>): Promise<T> {
  for (const end = performance.now() + PATIENCE_MS; ; await sleep(AGAIN_MS)) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'unable' || performance.now() > end) throw error;
    }
  }
}
