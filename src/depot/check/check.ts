/**
 * Every file of a depot's directory, held against the log and against one another; and mended from what else there is.
 *
 * What is found is looked at twice: a server that runs may be writing. Mending is for a depot that nobody serves.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isTemporaryName } from '../../host/files.ts';
import type { Lock } from '../../host/lock.ts';
import type { Project } from '../../policy/project.ts';
import { isBuildId, isSha256 } from '../../records/names.ts';
import type { BuildId } from '../../records/names.ts';
import { logEntryFile, refusalProofFile, releaseProofFile } from '../../records/paths.ts';
import { parseLogEntry } from '../../records/log-entry.ts';
import { attempt } from '../../policy/attempt.ts';
import { Failure, unable } from '../../failure.ts';
import type { DirectoryTree } from '../../tree/directory.ts';
import { inParallel } from '../../tree/parallel.ts';
import { ASIDE, Aside } from './aside.ts';
import { checkBuild } from './build.ts';
import type { Checked } from './build.ts';
import { isOfProject, wrongProject } from './evidence.ts';
import { readable } from './facts.ts';
import { Findings, isFault } from './finding.ts';
import type { Finding, Outcome } from './finding.ts';
import { Ledger } from './ledger.ts';
import { checkLog } from './log.ts';
import type { AuditLog } from './log.ts';
import { OTHER_PROJECT, mendBuild, mendLog, mendStrays } from './repair.ts';
import type { Done, Repair } from './repair.ts';
import { list } from './walk.ts';
import type { Lying } from './walk.ts';

export interface CheckQuestion {
  readonly tree: DirectoryTree;
  readonly project: Project;
  readonly audit: AuditLog;
  readonly repair: boolean;
  /** Ask gpgv, too. */
  readonly gpgv: boolean;
  readonly now: () => Date;
  readonly progress: (builds: number, of: number, bytes: number) => void;
  /** How long until what was found is looked at again. */
  readonly pauseMs?: number;
}

export interface CheckResult {
  readonly outcomes: readonly Outcome[];
  readonly builds: number;
  /** Bytes that were read. */
  readonly bytes: number;
}

/** What is not there yet may be, a moment later. */
const PAUSE_MS = 2_000;
const BUILDS_AT_ONCE = 4;

/**
 * Looks at all of it, and mends what it can if it is asked to.
 * Throws unable: `disk`, `depot-served` to mend while a server runs; usage: `depot-shared`, `wrong-project` to mend by a
 * project file that is not the depot's.
 */
export async function checkDepot(question: CheckQuestion): Promise<CheckResult> {
  const check = new Check(question);
  if (!question.repair) return check.result(await check.twice(null));
  await question.tree.requireOwn();
  const { tree, project } = question;
  if (!(await isOfProject(tree, project, await Ledger.open(tree, project.log))))
    throw wrongProject(tree.directory, project);
  const lock = await lockOf(tree);
  try {
    return await check.mend(await check.twice(null));
  } finally {
    await lock.release();
  }
}

/** Held to the end: no server starts meanwhile. */
async function lockOf(tree: DirectoryTree): Promise<Lock> {
  const lock = await tree.lockRepair('mend').catch((error: unknown) => {
    throw error instanceof Failure && error.code === 'locked' ? served(tree) : error;
  });
  // one of an earlier version holds but these
  const isFree = await tree.pieces.kept().catch(async (error: unknown) => {
    await lock.release();
    throw error;
  });
  if (isFree) return lock;
  await lock.release();
  throw served(tree);
}

const served = ({ directory }: DirectoryTree): Failure =>
  unable(
    'depot-served',
    `a server, or another repair, is at work in ${directory}`,
    'stop countersign serve, repair, and start it again; without --repair the check may run beside it',
  );

/** Everything that was found in one look. */
interface Look {
  readonly strays: Findings;
  readonly log: Findings;
  /** Those with findings. */
  readonly builds: readonly Checked[];
}

class Check {
  readonly #question: CheckQuestion;
  #builds = 0;
  #bytes = 0;
  /** Releases that no build had, the first time. */
  #strangers: ReadonlySet<string> = new Set();

  constructor(question: CheckQuestion) {
    this.#question = question;
  }

  /** What is found both times. */
  async twice(only: ReadonlySet<BuildId> | null): Promise<Look> {
    const first = await this.#look(only);
    if (faultsOf(first).length === 0) return first;
    await sleep(this.#question.pauseMs ?? PAUSE_MS);
    return this.#look(new Set(first.builds.map(({ build }) => build)));
  }

  result(look: Look, done: ReadonlyMap<string, Done> = new Map()): CheckResult {
    const outcomes = findingsOf(look).map((finding) => {
      const how = done.get(finding.path)?.how;
      return { ...finding, repaired: false, aside: false, ...(how !== undefined && { how }) };
    });
    return { outcomes: outcomes.sort(byPath), builds: this.#builds, bytes: this.#bytes };
  }

  /** Mends what was found, and looks at that again. */
  async mend(before: Look): Promise<CheckResult> {
    const { tree, project, now } = this.#question;
    const done = new Map<string, Done>();
    const repair: Repair = {
      ...{ tree, project, now: now(), aside: new Aside(tree.directory, now()) },
      did: (path, how, isMade) => done.set(path, { how, isMade }),
    };
    const affected = new Set(before.builds.map(({ build }) => build));
    await mendStrays(repair, before.strays.all());
    await mendLog(repair, before.log.all());
    // proofs are made of the log, which may be whole only now
    const look = faultsOf(before).length === 0 ? before : await this.#look(affected);
    for (const checked of look.builds) await mendBuild(repair, checked);
    const after = done.size === 0 ? before : await this.#look(affected);
    const { outcomes, ...counts } = this.result(after, done);
    const remain = new Set(outcomes.map(({ path }) => path));
    const mended = [...findingsOf(before), ...findingsOf(look)]
      .filter(
        (finding, at, all) =>
          isFault(finding) &&
          !remain.has(finding.path) &&
          all.findIndex(({ path }) => path === finding.path) === at,
      )
      .map((finding) => {
        const { how, isMade } = doneAbout(finding.path, done);
        return { ...finding, repaired: isMade, aside: !isMade, how };
      });
    return { ...counts, outcomes: [...outcomes, ...mended].sort(byPath) };
  }

  /** `only` these builds, or all. Throws unable('disk'). */
  async #look(only: ReadonlySet<BuildId> | null): Promise<Look> {
    const { tree, project, audit, gpgv, now } = this.#question;
    const strays = new Findings();
    await this.#topLevel(strays);
    const ledger = await Ledger.open(tree, project.log);
    if (!(await isOfProject(tree, project, ledger)))
      strays.add(
        'foreign',
        'wrong-project',
        '.',
        `nothing here is signed by the log of project ${project.name}`,
      );
    const releases = await this.#releases(strays);
    const names = new Set<BuildId>(ledger?.builds() ?? []);
    for (const { path, kind } of (await list(tree.directory, 'builds')) ?? []) {
      const name = path.slice('builds/'.length);
      if (kind === 'directory' && isBuildId(name)) names.add(name);
      else strays.add('foreign', 'foreign', path, 'it is no build');
    }
    for (const build of releases.values()) if (build !== null) names.add(build);
    const found: Checked[] = [];
    const places = new Map(
      [...releases].flatMap(([path, build]) => (build === null ? [] : [[build, path] as const])),
    );
    const wanted = [...names].filter((build) => only?.has(build) ?? true).sort();
    if (only === null) this.#builds = wanted.length;
    let done = 0;
    const claimed = new Set<string>();
    await inParallel(wanted, BUILDS_AT_ONCE, async (build) => {
      const progress = (bytes: number): void => {
        this.#bytes += bytes;
        this.#question.progress(done, wanted.length, this.#bytes);
      };
      const options = { tree, project, ledger, now: now(), gpgv, progress };
      const checked = await checkBuild(options, build, places.get(build) ?? null);
      if (checked.target !== null) claimed.add(checked.target);
      if (checked.findings.size > 0) found.push(checked);
      done += 1;
      progress(0);
    });
    const strange = [...releases.keys()].filter((path) => !claimed.has(path));
    // of builds that are not looked at this time nobody claims anything
    if (only === null) this.#strangers = new Set(strange);
    for (const path of strange)
      if (this.#strangers.has(path))
        strays.add('foreign', 'foreign', path, 'it is no release that the log, or a proof, knows');
    const rests = async (): Promise<boolean> => {
      for (const name of names)
        for (const file of [releaseProofFile, refusalProofFile])
          if ((await tree.size(`builds/${name}/${file}`)) !== null) return true;
      return releases.size > 0;
    };
    return { strays, log: await checkLog(tree, audit, rests), builds: found };
  }

  /** What lies beside the four directories of a depot, and in `.tmp`. */
  async #topLevel(strays: Findings): Promise<void> {
    const { tree, now } = this.#question;
    for (const { path, kind } of (await list(tree.directory, '.')) ?? []) {
      const known = ['builds', 'releases', 'log', '.tmp', ASIDE].includes(path);
      if (known && kind === 'directory') continue;
      if (path === 'lost+found') continue; // of the file system
      strays.add('foreign', 'foreign', path, known ? 'it is no directory' : 'no depot has such a file');
    }
    for (const lying of (await list(tree.directory, '.tmp')) ?? []) lookAtTemporary(lying, now(), strays);
  }

  /** Each directory of a release, and of which build it says it is; null where it does not say. */
  async #releases(strays: Findings): Promise<Map<string, BuildId | null>> {
    const { tree, project } = this.#question;
    const found = new Map<string, BuildId | null>();
    for (const above of (await list(tree.directory, 'releases')) ?? []) {
      if (above.path !== `releases/${project.name}`) {
        // whose it is nobody here knows: it is named, and left
        strays.add('foreign', OTHER_PROJECT, above.path, 'it is of another project than the project file’s');
        continue;
      }
      if (above.kind !== 'directory') {
        strays.add('foreign', 'foreign', above.path, 'it is no directory');
        continue;
      }
      for (const { path, kind } of (await list(tree.directory, above.path)) ?? [])
        if (kind === 'directory') found.set(path, await this.#buildOf(path));
        else strays.add('foreign', 'foreign', path, 'it is no release');
    }
    return found;
  }

  async #buildOf(release: string): Promise<BuildId | null> {
    const bytes = await readable(this.#question.tree, `${release}/countersign/${logEntryFile}`);
    const entry = bytes && attempt(() => parseLogEntry(bytes));
    return entry === null || entry instanceof Failure || entry.type === 'heartbeat' ? null : entry.build;
  }
}

/** What became of a path: of itself, else of what it lay in, or rested on. */
function doneAbout(path: string, done: ReadonlyMap<string, Done>): Done {
  const own = done.get(path);
  if (own !== undefined) return own;
  for (const [above, { how, isMade }] of done)
    if (path.startsWith(`${above}/`) && !isMade) return { how: `with ${above}: ${how}`, isMade };
  return { how: 'right again with what it rested on', isMade: true };
}

/** What is being written, or was when a crash came. */
function lookAtTemporary({ path, kind, written }: Lying, now: Date, strays: Findings): void {
  const name = path.slice('.tmp/'.length);
  if (['replacing', 'pieces', 'lock', 'repair'].includes(name) && kind === 'file') return;
  const [build = '', holder = '', sha256 = '', ...rest] = name.split('.');
  const isPiece = isBuildId(build) && /^[0-9a-f]{32}$/.test(holder) && isSha256(sha256) && rest.length === 0;
  const hours = Math.floor((now.getTime() - written) / 3600_000);
  const age =
    hours < 1
      ? 'less than an hour old'
      : hours < 24
        ? `${hours} h old`
        : `${Math.floor(hours / 24)} d old: serve drops it`;
  if (isTemporaryName(name))
    strays.add('leftover', 'temporary', path, `it is being written, or a crash left it: ${age}`);
  else if (isPiece && kind === 'file')
    strays.add('leftover', 'upload', path, `an upload that was cut: ${age}`);
  else strays.add('foreign', 'foreign', path, 'nothing of ours is called so');
}

const byPath = (one: Finding, other: Finding): number =>
  one.path < other.path ? -1 : Number(one.path > other.path);

const findingsOf = ({ strays, log, builds }: Look): Finding[] => [
  ...strays.all(),
  ...log.all(),
  ...builds.flatMap(({ findings }) => findings.all()),
];

const faultsOf = (look: Look): Finding[] => findingsOf(look).filter(isFault);
