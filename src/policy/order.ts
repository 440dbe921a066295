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

/** How far a build has come in the log. */
const STEP = { approved: 1, intended: 2, released: 4, refused: 8, revoked: 16 } as const;

interface Course {
  readonly project: ProjectName;
  readonly version: Version;
  /** Bits of `STEP`. */
  steps: number;
  /** Every enrolment, statement and conflict so far: path, digest, path, digest. */
  sealed: readonly string[];
}

interface Sealed {
  readonly path: string;
  readonly slot: Slot;
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
   * Throws RangeError if no log goes on with the entry: a build has at most one approval, one enrolment and then one
   * statement a slot, one intent and one release, in that order; a refusal, before the intent, ends it, and so does a
   * revocation before the release; after that a revocation, once, takes nothing of it back. After the intent each
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

  /** Whether the build's release was logged. */
  isReleased(build: BuildId): boolean {
    return ((this.#builds.get(build)?.steps ?? 0) & STEP.released) !== 0;
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
      course = { project, version, steps: 0, sealed: NONE };
      this.#builds.set(own(entry.build), course);
    }
    course.steps |= stepOf(entry);
    this.#note(course);
    for (const { path, sha256 } of sealedBy(entry))
      course.sealed = [...course.sealed, this.#share(path), own(sha256)];
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
    const builds = [...this.#builds].map(([build, { project, version, steps, sealed }]) => ({
      ...{ build, project, version, steps, sealed },
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
      const build = closedObject(value, where, ['build', 'project', 'version', 'steps', 'sealed']);
      const course = {
        project: toProjectName(build.project, where),
        version: toVersion(build.version, where),
        steps: integer(build.steps, where, { max: 31 }),
        sealed: listOf(build.sealed, where, bounds, (each, at) => text(each, at, 1024)),
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
    case 'revocation':
      return STEP.revoked;
    case 'enrolment':
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
  const { steps = 0, sealed = NONE } = before ?? {};
  const has = (step: keyof typeof STEP): boolean => (steps & STEP[step]) !== 0;
  const record = RECORDS[entry.type];
  const isOver = has('refused') || (has('revoked') && !has('released'));
  if (isOver || (record !== undefined && entry.records[record] === undefined)) return false;
  switch (entry.type) {
    case 'approval':
      return before === undefined;
    case 'statement':
      return has('approved') && !has('intended') && isFirst(sealed, entry, 'statement');
    case 'enrolment':
      return has('approved') && !has('intended') && isIntroduction(sealed, entry);
    case 'intent':
      return slotsWith(sealed, 'statement').size > 0 && !has('intended');
    case 'release':
      return has('intended') && !has('released');
    case 'conflict':
      return has('intended') && isDissent(sealed, sealedBy(entry));
    case 'refusal':
      return !has('intended');
    case 'revocation':
      return has('approved') && !has('revoked') && namesRevocation(entry);
  }
}

type SealedKind = 'enrolment' | 'statement';

/** Of slots that have none yet. */
function isFirst(sealed: readonly string[], entry: BuildEntry, kind: SealedKind): boolean {
  const slots = slotsWith(sealed, kind);
  const further = sealedBy(entry);
  return further.length > 0 && further.every(({ slot }) => !slots.has(slot));
}

/** One slot's, with the one key that it introduces, before the slot has sealed anything. */
function isIntroduction(sealed: readonly string[], entry: BuildEntry): boolean {
  const [introduced, ...more] = sealedBy(entry);
  if (introduced === undefined || more.length > 0 || entry.keys.length !== 1) return false;
  return isFirst(sealed, entry, 'enrolment') && !slotsWith(sealed, 'statement').has(introduced.slot);
}

/** Further statements, none of which the log has under their paths or others. */
function isDissent(sealed: readonly string[], further: readonly Sealed[]): boolean {
  const isNew = ({ path, sha256 }: Sealed): boolean => !sealed.includes(path) && !sealed.includes(sha256);
  return further.length > 0 && further.every(isNew);
}

function slotsWith(sealed: readonly string[], kind: SealedKind): Set<Slot> {
  const files = sealed.map((each) => parseBuildFile(each));
  return new Set(files.flatMap((file) => (file?.kind === kind ? [file.slot] : [])));
}

const namesRevocation = ({ records }: BuildEntry): boolean =>
  Object.keys(records).some((path) => parseBuildFile(path)?.kind === 'revocation');

/** The enrolments or statements that the entry is about. */
function sealedBy({ type, records }: BuildEntry): Sealed[] {
  const kind = type === 'conflict' ? 'statement' : type;
  const found: Sealed[] = [];
  if (kind !== 'statement' && kind !== 'enrolment') return found;
  for (const [path, sha256] of Object.entries(records)) {
    const file = parseBuildFile(path);
    if (file?.kind === kind) found.push({ path, slot: file.slot, sha256 });
  }
  return found;
}

/** A text of its own: a piece of another, which most of an entry's are, would keep all of that in memory. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same text
export const own = <Name extends string>(name: Name): Name =>
  Buffer.from(name, 'latin1').toString('latin1') as Name;
