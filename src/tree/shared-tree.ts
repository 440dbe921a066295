/** What all that write to one tree in this process share: its locks, its counts, and what is known of its builds. */
import { refused } from '../failure.ts';
import { isProject } from '../policy/gate/rules.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import type { BuildId } from '../records/names.ts';
import { Approvals } from './approvals.ts';
import { Blobs } from './blobs.ts';
import { Decisions } from './decisions.ts';
import type { Heard } from './happening.ts';
import { KeyedMutex } from './mutex.ts';
import { publish } from './publish.ts';
import type { Reserve } from './reserve.ts';
import { SharedWork } from './shared-work.ts';
import { Submissions } from './submissions.ts';
import type { Tree } from './tree.ts';
import { Uploads } from './uploads.ts';

export interface SharedTreeOptions {
  readonly tree: Tree;
  readonly rules: GateRules;
  readonly now: () => Date;
  /** The URL that it is served at, beside the one in the project file; asked for each time, as it is known late. */
  readonly url?: () => string | null;
  readonly heard?: Heard;
  /** Room that uploads leave free on the disk; without it they take what there is. */
  readonly reserve?: Reserve;
}

export class SharedTree {
  readonly tree: Tree;
  readonly rules: GateRules;
  readonly now: () => Date;
  readonly url: () => string | null;
  readonly heard: Heard;
  readonly locks = new KeyedMutex();
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly decisions: Decisions;
  readonly approvals: Approvals;
  readonly submissions: Submissions;
  /** Verifying takes minutes: however many ask, there is one run, and one that waits. */
  readonly publishing = new SharedWork<BuildId>((build) => this.#publish(build));

  constructor({ tree, rules, now, url = () => null, heard = () => {}, reserve }: SharedTreeOptions) {
    this.tree = tree;
    this.rules = rules;
    this.now = now;
    this.url = url;
    this.heard = heard;
    this.blobs = new Blobs(tree, this.locks, heard, reserve);
    this.uploads = new Uploads(tree, this.blobs, now);
    this.decisions = new Decisions(rules, tree);
    this.approvals = new Approvals(rules, tree, now);
    const { locks, decisions, approvals } = this;
    const changed: Heard = (happening) => {
      // it may be stopped by that, and nobody waits a minute
      if (happening.kind === 'changed') approvals.forget(happening.build);
      heard(happening);
    };
    this.submissions = new Submissions({ tree, rules, now, heard: changed, locks, decisions, reserve });
  }

  async #publish(build: BuildId): Promise<void> {
    const { tree, rules, now, heard } = this;
    if (!isProject(rules)) throw refused('publish-refused', 'a ticket publishes nothing');
    const started = performance.now();
    let ok = false;
    try {
      const written = await publish({ tree, project: rules, build, now: now() });
      ok = true;
      if (written === 'new') heard({ kind: 'changed', build });
    } finally {
      heard({ kind: 'published', build, seconds: (performance.now() - started) / 1000, ok });
    }
  }
}
