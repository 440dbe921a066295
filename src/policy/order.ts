/**
 * The order that a log must have (§1 rule 4, §5): what may follow what. As little of each build as that takes, so that
 * a log of a quarter of a million builds can be gone through, and gone on with from where somebody stopped. Pure.
 */
import { closedObject, integer, listOf, text } from '../records/fields.ts';
import { timestampDate, toBuildId, toProjectName, toTimestamp, toVersion } from '../records/names.ts';
import type { BuildEntry, LogEntry } from '../records/log-entry.ts';
import type { BuildId, ProjectName, Sha256, Slot, Timestamp, Version } from '../records/names.ts';
import type { Json } from '../records/canonical.ts';
import { approvalFile, manifestFile, parseBuildFile, refusalFile, releaseFile } from '../records/paths.ts';
import type { BuildFile } from '../records/paths.ts';

/** How far a build has come in the log. */
const STEP = { approved: 1, intended: 2, released: 4, refused: 8 } as const;

interface Course {
  readonly project: ProjectName;
  readonly version: Version;
  /** Bits of `STEP`. */
  steps: number;
  /** Every statement and conflict so far: path, digest, path, digest. */
  statements: readonly string[];
}

interface Statement {
  readonly path: string;
  readonly slot: Slot;
  readonly variant: number;
  readonly sha256: Sha256;
}

/** A clock may be set right by so much, and nobody is told. */
const SET_BACK_MS = 10 * 60 * 1000;

export class Order {
  readonly #builds = new Map<BuildId, Course>();
  /** What an intent has been logged for: a version is one build's. */
  readonly #intended = new Map<ProjectName, Set<Version>>();
  /** Names that many builds share, once each. */
  readonly #shared = new Map<string, string>();
  /** The time of the newest entry since the clock was last set back. */
  #newest: Timestamp | null = null;

  /**
   * Throws RangeError if no log goes on with the entry: a build has at most one approval, one statement a
   * slot, one intent and one release, in that order; a refusal, before the intent, ends it; after the intent each
   * further statement is a conflict once. A version has at most one intent. Each names the record that it is about.
   * A heartbeat may come anywhere.
   */
  check(entry: LogEntry): void {
    if (entry.type === 'heartbeat') return;
    const before = this.#builds.get(entry.build);
    const same = !before || (before.project === entry.project && before.version === entry.version);
    const taken = entry.type === 'intent' && this.#intended.get(entry.project)?.has(entry.version) === true;
    if (!same || taken || !isPossible(before, entry))
      throw new RangeError(`no ${entry.type} of build ${entry.build} can come here`);
  }

  /**
   * Whether the entry is dated more than ten minutes before those before it: once for each time that the clock was set
   * back. For whoever reads a log; a signer goes on whatever its clock says.
   */
  isSetBack({ time }: LogEntry): boolean {
    if (this.#newest === null || time >= this.#newest) return false;
    return timestampDate(this.#newest).getTime() - timestampDate(time).getTime() > SET_BACK_MS;
  }

  /** As it was dated; null before the first entry. */
  get newest(): Timestamp | null {
    return this.#newest;
  }

  /** Takes in an entry that `check` has let pass. */
  take(entry: LogEntry): void {
    if (this.#newest === null || entry.time > this.#newest || this.isSetBack(entry))
      this.#newest = entry.time;
    if (entry.type === 'heartbeat') return;
    let course = this.#builds.get(entry.build);
    if (!course) {
      const [project, version] = [this.#share(entry.project), own(entry.version)];
      course = { project, version, steps: 0, statements: NONE };
      this.#builds.set(own(entry.build), course);
    }
    course.steps |= stepOf(entry);
    this.#note(course);
    for (const { path, sha256 } of statementsOf(entry))
      course.statements = [...course.statements, this.#share(path), own(sha256)];
  }

  #note({ project, version, steps }: Course): void {
    if ((steps & STEP.intended) === 0) return;
    const versions = this.#intended.get(project) ?? new Set();
    this.#intended.set(project, versions.add(version));
  }

  #share<Name extends string>(name: Name): Name {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same text
    const shared = (this.#shared.get(name) ?? own(name)) as Name;
    this.#shared.set(shared, shared);
    return shared;
  }

  /** As it is now, whatever the original goes on with. */
  copy(): Order {
    const copy = new Order();
    copy.#newest = this.#newest;
    for (const [build, course] of this.#builds) {
      copy.#builds.set(build, { ...course });
      copy.#note(course);
    }
    return copy;
  }

  /** All of it, for `Order.from`. */
  save(): Json {
    const builds = [...this.#builds].map(([build, { project, version, steps, statements }]) => ({
      ...{ build, project, version, steps, statements },
    }));
    return { newest: this.#newest, builds };
  }

  /** What `save` gave. Throws refused for anything else. */
  static from(saved: unknown): Order {
    const order = new Order();
    const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER };
    const { newest, builds } = closedObject(saved, 'order', ['newest', 'builds']);
    order.#newest = newest === null ? null : toTimestamp(newest, 'newest');
    listOf(builds, 'builds', bounds, (value, where) => {
      const build = closedObject(value, where, ['build', 'project', 'version', 'steps', 'statements']);
      const course = {
        project: toProjectName(build.project, where),
        version: toVersion(build.version, where),
        steps: integer(build.steps, where, { max: 15 }),
        statements: listOf(build.statements, where, bounds, (each, at) => text(each, at, 1024)),
      };
      order.#builds.set(toBuildId(build.build, where), course);
      order.#note(course);
    });
    return order;
  }
}

const NONE: readonly string[] = [];

function stepOf({ type }: BuildEntry): number {
  switch (type) {
    case 'approval':
      return STEP.approved;
    case 'intent':
      return STEP.intended;
    case 'release':
      return STEP.released;
    case 'refusal':
      return STEP.refused;
    case 'statement':
    case 'conflict':
      return 0;
  }
}

const RECORDS: Partial<Record<BuildEntry['type'], string>> = {
  approval: approvalFile,
  intent: manifestFile,
  release: releaseFile,
  refusal: refusalFile,
};

function isPossible(before: Course | undefined, entry: BuildEntry): boolean {
  const { steps = 0, statements = NONE } = before ?? {};
  const has = (step: keyof typeof STEP): boolean => (steps & STEP[step]) !== 0;
  const record = RECORDS[entry.type];
  if (has('refused') || (record !== undefined && entry.records[record] === undefined)) return false;
  switch (entry.type) {
    case 'approval':
      return before === undefined;
    case 'statement':
      return has('approved') && !has('intended') && isFirst(statements, statementsOf(entry));
    case 'intent':
      return statements.length > 0 && !has('intended');
    case 'release':
      return has('intended') && !has('released');
    case 'conflict':
      return has('intended') && isDissent(statements, statementsOf(entry));
    case 'refusal':
      return !has('intended');
  }
}

/** Of slots that have none yet. */
function isFirst(statements: readonly string[], further: readonly Statement[]): boolean {
  const slots = new Set(statements.map((each) => slotOf(parseBuildFile(each))));
  return further.length > 0 && further.every(({ slot }) => !slots.has(slot));
}

/** Further statements, none of which the log has under their paths or others. */
function isDissent(statements: readonly string[], further: readonly Statement[]): boolean {
  const isNew = ({ path, variant, sha256 }: Statement): boolean =>
    variant > 1 && !statements.includes(path) && !statements.includes(sha256);
  return further.length > 0 && further.every(isNew);
}

const slotOf = (file: BuildFile | null): string | null => (file?.kind === 'statement' ? file.slot : null);

function statementsOf({ type, records }: BuildEntry): Statement[] {
  const found: Statement[] = [];
  if (type !== 'statement' && type !== 'conflict') return found;
  for (const [path, sha256] of Object.entries(records)) {
    const file = parseBuildFile(path);
    if (file?.kind === 'statement') found.push({ path, slot: file.slot, variant: file.variant, sha256 });
  }
  return found;
}

/** A text of its own: a piece of another, which most of an entry's are, would keep all of that in memory. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same text
const own = <Name extends string>(name: Name): Name => Buffer.from(name, 'latin1').toString('latin1') as Name;
