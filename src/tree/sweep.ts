/** Takes away what nobody needs any longer, beside whoever writes to the same tree. */
import { tellDropped } from './happening.ts';
import { Retire } from './retire.ts';
import type { RetentionTimes } from './retire.ts';
import type { SharedTree } from './shared-tree.ts';

export class Sweep {
  readonly #shared: SharedTree;
  readonly #retire: Retire | null;

  /** Without `times` only what was left half-way goes, and of a tree whose keeper does not know the project. */
  constructor(shared: SharedTree, times?: RetentionTimes) {
    this.#shared = shared;
    this.#retire = Retire.of(shared, times);
  }

  /** Drops what is left half-way, and of uploads that nobody goes on with; then what need not be kept any longer. */
  async run(): Promise<void> {
    const { tree, uploads, heard } = this.#shared;
    for (const some of [tree, uploads]) tellDropped(heard, 'abandoned', await some.sweep());
    await this.#retire?.sweep();
  }

  /** What is under way ends soon, wherever it is; what is left goes next time. */
  stop(): void {
    this.#retire?.stop();
  }
}
