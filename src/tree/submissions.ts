/** Records and their authenticators on their way into a tree: judged whole, then written. Protocol §4. */
import { Failure } from '../failure.ts';
import { judgeRecords } from '../policy/gate.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import { CARRIER } from '../policy/gate/token.ts';
import type { Bearer } from '../policy/gate/token.ts';
import type { BuildId } from '../records/names.ts';
import { VARIANTS, buildPath, parseBuildFile } from '../records/paths.ts';
import type { Decisions } from './decisions.ts';
import { DeniedFailure } from './denied.ts';
import type { Heard } from './happening.ts';
import type { KeyedMutex } from './mutex.ts';
import type { Reserve } from './reserve.ts';
import type { Tree, Written } from './tree.ts';

type Files = Iterable<readonly [string, Buffer]>;
type Write = Tree['writeAll'];

interface SubmissionsOptions {
  readonly tree: Tree;
  readonly rules: GateRules;
  readonly now: () => Date;
  readonly heard: Heard;
  /** Those of the tree's builds. */
  readonly locks: KeyedMutex;
  readonly decisions: Decisions;
  readonly reserve: Reserve | undefined;
}

export class Submissions {
  readonly #with: SubmissionsOptions;

  constructor(options: SubmissionsOptions) {
    this.#with = options;
  }

  /** One after another: what a record rests on lasts before it is there. Throws the gate's denial. */
  async records(build: BuildId, bearer: Bearer, files: ReadonlyMap<string, Buffer>): Promise<Written> {
    const { tree } = this.#with;
    const write: Write = async (judged) => {
      const written: Written[] = [];
      for (const [path, bytes] of judged) written.push(await tree.write(path, bytes));
      return written;
    };
    const work = (): Promise<Written> => this.#submit(build, bearer, files, write);
    // of two processes neither takes away what the other is about to complete: see Retire
    const kinds = new Set([...files.keys()].map((name) => parseBuildFile(name)?.kind));
    const completes = kinds.has('revocation') || (bearer === CARRIER && kinds.has('statement'));
    return completes ? tree.replacing(work) : work();
  }

  /** Many, all at a time. Throws as `records`. */
  async authenticators(build: BuildId, bearer: Bearer, files: Files): Promise<Written> {
    return this.#submit(build, bearer, files, (judged) => this.#with.tree.writeAll(judged));
  }

  /**
   * Judged and written before the next write of this process to the build is judged. Where another process was faster they
   * are judged again, in the presence of what it wrote.
   */
  #submit(build: BuildId, bearer: Bearer, files: Files, write: Write): Promise<Written> {
    return this.#with.locks.run(build, async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#judgeAndWrite(build, bearer, files, write);
        } catch (error) {
          const lost =
            error instanceof Failure && !(error instanceof DeniedFailure) && error.code === 'conflict';
          if (!lost || attempt > VARIANTS.length) throw error;
        }
      }
    });
  }

  async #judgeAndWrite(build: BuildId, bearer: Bearer, files: Files, write: Write): Promise<Written> {
    const { tree, rules, now, decisions, reserve, heard } = this.#with;
    const decided = await decisions.of(build);
    const verdict = await judgeRecords({ rules, build, files, bearer, view: tree, decided, now: now() });
    if (!verdict.allow) throw new DeniedFailure(verdict);
    for (const file of verdict.abandoned) await tree.remove(buildPath(build, file));
    const judged = [...verdict.files].map(([file, bytes]) => [buildPath(build, file), bytes] as const);
    const promised = await reserve?.promiseRecords(verdict.files);
    if (!(await write(judged).finally(promised?.end)).includes('new')) return 'same';
    heard({ kind: 'changed', build });
    return 'new';
  }
}
