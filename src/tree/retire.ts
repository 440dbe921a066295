/**
 * Takes away what need not be kept any longer: policy/retention.ts says what. Each time all builds are looked at of which
 * there may be news; of most there never is, and that is remembered.
 *
 * It goes under the build's lock, while nothing of the build is being received and no other process holds `replacing`, and
 * after another look. What goes is of builds that take nothing more but revocations, and statements from whoever copies them
 * here: those are judged and written by whoever holds `replacing`.
 */
import { setImmediate } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import { countApprovers, missingApprovers } from '../policy/approval-verdict.ts';
import { attempt } from '../policy/attempt.ts';
import { slotsOf } from '../policy/builder-key.ts';
import { isProject } from '../policy/gate/rules.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import type { Project } from '../policy/project.ts';
import { retention, retentionTime } from '../policy/retention.ts';
import type { BuildFacts, Retention, Retired } from '../policy/retention.ts';
import { parseApproval } from '../records/approval.ts';
import type { Approval } from '../records/approval.ts';
import { timestampDate } from '../records/names.ts';
import type { BuildId, Fingerprint } from '../records/names.ts';
import { approvalFile, approvalSignatureFile, buildPath, statementFile } from '../records/paths.ts';
import { isBegun, publishedBuild, tallyOf } from './begun.ts';
import type { Blobs } from './blobs.ts';
import { tellDropped } from './happening.ts';
import type { Heard } from './happening.ts';
import { LoggedBuildsReader } from './logged-builds.ts';
import type { KeyedMutex } from './mutex.ts';
import { inParallel } from './parallel.ts';
import type { Tree } from './tree.ts';
import { unnamedBlobs } from './unnamed.ts';

/** How many builds are looked at together, and in one turn. */
const LOOKS = 4;
const TURN = 64;
/** How long what is not understood is left alone before it is looked at again. */
const LEFT_ALONE_MS = 24 * 3600 * 1000;

export interface RetentionTimes {
  /** How long the blobs of a build that was refused are kept. */
  readonly keepRefusedMs: number;
}

interface Where {
  readonly tree: Tree;
  readonly locks: KeyedMutex;
  readonly blobs: Blobs;
  readonly now: () => Date;
  readonly heard: Heard;
}

type RetireOptions = Where & RetentionTimes & { readonly project: Project };

export class Retire {
  readonly #with: RetireOptions;
  readonly #log: LoggedBuildsReader;
  /** When a build is to be looked at again; one that is not in here at once. */
  readonly #again = new Map<BuildId, number>();
  #running: Promise<void> | null = null;
  #stopped = false;

  private constructor(options: RetireOptions) {
    this.#with = options;
    this.#log = new LoggedBuildsReader(options.tree, options.project.log);
  }

  /** Null where nothing is to go, or whoever keeps the tree does not know the project. */
  static of(where: Where & { readonly rules: GateRules }, times: RetentionTimes | undefined): Retire | null {
    const { rules, tree, locks, blobs, now, heard } = where;
    if (!times || !isProject(rules)) return null;
    return new Retire({ ...times, project: rules, tree, locks, blobs, now, heard });
  }

  /**
   * Once through all builds; who asks meanwhile waits for that. One that can't be looked at keeps no other from it. Throws
   * what kept it from the first of those, and what `LoggedBuildsReader` throws: then nothing goes.
   */
  sweep(): Promise<void> {
    this.#running ??= this.#sweep().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** What is under way ends soon, wherever it is; what is left goes next time. */
  stop(): void {
    this.#stopped = true;
  }

  async #sweep(): Promise<void> {
    const { tree } = this.#with;
    await this.#log.readOn((build) => this.#again.delete(build));
    const time = this.#time();
    if (time === null) return;
    const failed: unknown[] = [];
    let [due, looked]: [BuildId[], number] = [[], 0];
    const turn = async (): Promise<void> => {
      await this.#lookAt(due, time, (error) => failed.push(error));
      [due, looked] = [[], 0];
      await setImmediate();
    };
    for (const build of await tree.builds(null, Infinity)) {
      if (this.#stopped) return;
      if ((this.#again.get(build) ?? 0) <= time.getTime()) due.push(build);
      looked += 1;
      if (due.length === TURN || looked === TURN * TURN) await turn();
    }
    await turn();
    if (failed.length > 0) throw failed[0];
  }

  /** Null: nothing goes. */
  #time(): Date | null {
    return retentionTime(this.#with.now(), this.#log.builds.newest);
  }

  async #lookAt(builds: readonly BuildId[], time: Date, failed: (error: unknown) => void): Promise<void> {
    const going: [BuildId, Retired][] = [];
    await inParallel(builds, LOOKS, async (build) => {
      try {
        const found = await this.#judge(build, time);
        // most often there is nothing of what may go
        if (found.drop !== null && (await this.#chosen(build, found.drop)).length > 0)
          going.push([build, found.drop]);
        else this.#lookAgain(build, found);
      } catch (error) {
        this.#lookAgain(build, leftAlone(time));
        failed(error);
      }
    });
    for (const [build, why] of going) {
      try {
        await this.#with.tree.replacing(() => this.#drop(build, why));
      } catch (error) {
        failed(error);
      }
    }
  }

  /** What of the build goes, and when, by what is there now. */
  async #judge(build: BuildId, time: Date): Promise<Retention> {
    const facts = await this.#facts(build);
    return facts ? retention(facts, time) : leftAlone(time);
  }

  /** Null for a build that is not understood. */
  async #facts(build: BuildId): Promise<BuildFacts | null> {
    const { tree, project, keepRefusedMs } = this.#with;
    const bytes = await tree.read(buildPath(build, approvalFile));
    const approval = bytes && attempt(() => parseApproval(bytes));
    if (!bytes || !approval || approval instanceof Failure || approval.build !== build) return null;
    const logged = this.#log.builds.of(build);
    const statements = new Set(await tree.list(buildPath(build, 'statements')));
    const slots = slotsOf(approval).filter((slot) =>
      statements.has(statementFile(slot).slice('statements/'.length)),
    );
    const approvers = logged === null ? await this.#approvers(approval, bytes) : null;
    if (approvers?.length === 0) return null; // the gate would not have taken it
    return {
      ...{ project, approval, logged, keepRefusedMs },
      approved: approvers === null || missingApprovers(project, approval, approvers) === null,
      sealed: slots.length,
      published: (await publishedBuild(tree, approval)) === build,
      begun: logged === null && (await isBegun(tree, approval)),
    };
  }

  /** Who has signed it, by keys that were good at its end at the latest. */
  async #approvers(approval: Approval, bytes: Buffer): Promise<Fingerprint[]> {
    const { tree, project } = this.#with;
    const verdicts = new Map<Fingerprint, SignatureVerdict>();
    for (const certificate of project.approvers) {
      const { fingerprint } = certificate.primary;
      const signature = await tree.read(buildPath(approval.build, approvalSignatureFile(fingerprint)));
      const at = timestampDate(approval.expires);
      if (signature) verdicts.set(fingerprint, verifyDetached(signature, bytes, certificate, at));
    }
    return countApprovers(project, verdicts);
  }

  /** Those that go for this reason: a build's blobs, or its files. */
  async #chosen(build: BuildId, why: Retired, present?: readonly string[]): Promise<readonly string[]> {
    const { tree } = this.#with;
    if (why === 'unapproved') return tree.list(buildPath(build));
    const blobs = present ?? (await tree.list(buildPath(build, 'blobs')));
    return why === 'unnamed' && blobs.length > 0 ? unnamedBlobs(tree, build, blobs) : blobs;
  }

  /** What is being received of the build lets it wait until the next time, and so does what has come since it was judged. */
  async #drop(build: BuildId, why: Retired): Promise<void> {
    const { tree, locks, blobs, heard, now } = this.#with;
    const judge = async (): Promise<Retention> => this.#judge(build, this.#time() ?? now());
    if (why !== 'unapproved') {
      const dropped = await blobs.drop(build, async (present) => {
        const found = await judge();
        return found.drop === why ? this.#chosen(build, why, present) : [];
      });
      return tellDropped(heard, why, dropped, build);
    }
    // with its records, its approval among them, at once
    const gone = await locks.run(build, async () => {
      if (blobs.isReceiving(build) || (await judge()).drop !== why) return null;
      const tally = await tallyOf(tree, buildPath(build));
      await tree.remove(buildPath(build));
      blobs.forget(build);
      return tally;
    });
    tellDropped(heard, why, gone, build);
  }

  #lookAgain(build: BuildId, { again }: Retention): void {
    this.#again.set(build, again?.getTime() ?? Infinity);
  }
}

const leftAlone = (time: Date): Retention => ({
  drop: null,
  again: new Date(time.getTime() + LEFT_ALONE_MS),
});
