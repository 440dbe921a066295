/** What the depot's own log says of its builds, read on from where it was read before. */
import { Failure, unable } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { LoggedBuilds } from '../policy/retention.ts';
import { parseLogEntry } from '../records/log-entry.ts';
import { scanLogEntry } from '../records/log-entry-scan.ts';
import type { BuildId } from '../records/names.ts';
import type { LogTrust } from '../tlog/proof.ts';
import { LogReader, depotLog } from './log/reader.ts';
import type { Tree } from './tree.ts';

export class LoggedBuildsReader {
  readonly #tree: Tree;
  readonly #log: LogReader;
  /** As far as the log was read. */
  readonly builds = new LoggedBuilds();
  #read = 0;

  constructor(tree: Tree, trust: LogTrust) {
    this.#tree = tree;
    this.#log = new LogReader(depotLog(tree), trust);
  }

  /**
   * Reads what is new; `told` hears of which builds that is. Throws refused and unable where the log can't be read, is not
   * understood, or is not all there: then nothing is known of any build.
   */
  async readOn(told: (build: BuildId) => void): Promise<void> {
    const head = await this.#log.head();
    const size = head?.checkpoint.size ?? 0;
    if (size < this.#read || (size === 0 && (await this.#hadOne())))
      throw unable('log-incomplete', 'the log here is shorter than it was', 'copy it back: sync, or recover');
    if (head === null) return;
    for await (const { index, leaf } of this.#log.entries(head, this.#read)) {
      const entry = scanLogEntry(leaf) ?? attempt(() => parseLogEntry(leaf));
      if (entry instanceof Failure)
        throw unable('log-unreadable', `entry ${index} of the log is not understood`, 'a newer countersign?');
      this.builds.add(entry);
      if (entry.build !== null) told(entry.build);
      this.#read = index + 1;
    }
  }

  /** Without its log a tree that has releases has lost it. */
  async #hadOne(): Promise<boolean> {
    for (const directory of ['log', 'releases'])
      if ((await this.#tree.list(directory)).length > 0) return true;
    return false;
  }
}
