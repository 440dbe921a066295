/** What must be so at the end: of L's tree, H's log and state, and of every signature. */
import { readdirSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/host/process.ts';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { isTreePath } from '../../src/records/paths.ts';
import { inParallel } from '../../src/tree/parallel.ts';
import type { Dice } from '../fuzz/mutate.ts';
import type { Ended } from './outcomes.ts';
import type { Site } from './site.ts';
import { digestsBelow } from './watcher.ts';
import type { Seen } from './watcher.ts';

/** So many signatures H has in the agent's hands at a time: what a kill may lose. */
const AT_ONCE = 32;

/** A sentence of what was looked at, and what was wrong. */
export interface Check {
  readonly what: string;
  readonly problems: readonly string[];
}

export interface World {
  readonly site: Site;
  readonly ended: readonly Ended[];
  /** How many releases are verified by `countersign verify`. */
  readonly verified: number;
  readonly dice: Dice;
}

/** All of them; L still runs, H does not. */
export async function allChecks(world: World): Promise<Check[]> {
  return [
    logChecks(world),
    await unchanged(world),
    await releasesVerify(world),
    await sampleVerifies(world),
    await programSucceeds(world, 'log verify', ['log', 'verify', '--json']),
    signatureCount(world),
    await nothingForeign(world),
    await checkSucceeds(world),
    logsAreClean(world),
  ];
}

const entriesOf = ({ site }: World): BuildEntry[] =>
  readFileSync(site.world.journal, 'latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => parseLogEntry(Buffer.from(line, 'latin1')))
    .flatMap((entry) => (entry.type === 'heartbeat' ? [] : [entry]));

/** Of a build one approval, intent, release; of a version one intent. */
function logChecks(world: World): Check {
  const seen = new Set<string>();
  const problems: string[] = [];
  for (const { type, build, version } of entriesOf(world)) {
    if (!['approval', 'intent', 'release', 'refusal', 'revocation'].includes(type)) continue;
    for (const key of [
      `${type} of ${build}`,
      ...(type === 'intent' ? [`intent of version ${version}`] : []),
    ]) {
      if (seen.has(key)) problems.push(`twice in the log: ${key}`);
      seen.add(key);
    }
  }
  return {
    what: 'a build has one approval, one intent and one release in the log, a version one intent',
    problems,
  };
}

/** What was ever seen of a release is what is there: the signatures, too. */
async function unchanged({ site }: World): Promise<Check> {
  const problems: string[] = [];
  await inParallel([...site.watcher.releases.values()], 4, async ({ build, version, files }) => {
    const now = await digestsBelow(site.world.tree('releases', site.world.project, version));
    for (const path of new Set([...files.keys(), ...now.keys()]))
      if (files.get(path) !== now.get(path) && !isLater(path)) problems.push(`${build}: ${path} has changed`);
  });
  return { what: 'every file of every release is what it was when the release was first seen', problems };
}

/** What a release gets after it is out. */
const isLater = (path: string): boolean => path.startsWith('countersign/revocations/');

async function releasesVerify({ site }: World): Promise<Check> {
  const keyring = site.world.path('cwd', 'release.pgp');
  await writeFile(keyring, site.world.releaseHome.export(site.world.releaseKey));
  const problems: string[] = [];
  const verify = async ({ build, version, files }: Seen): Promise<void> => {
    const directory = site.world.tree('releases', site.world.project, version);
    const sums = join(directory, 'SHA256SUMS');
    const gpgv = await run('gpgv', ['--keyring', keyring, `${sums}.asc`, sums], {
      timeoutMs: 60_000,
      maxOutput: 65_536,
    });
    if (gpgv.code !== 0) problems.push(`${build}: gpgv: ${gpgv.stderr.toString()}`);
    const listed = new Map(
      (await readFile(sums, 'utf8'))
        .split('\n')
        .slice(0, -1)
        .map((line) => [line.slice(66), line.slice(0, 64)]),
    );
    for (const [path, digest] of listed) {
      if (files.get(path) !== digest) problems.push(`${build}: ${path} is not what SHA256SUMS says`);
      if (!files.has(`${path}.asc`)) problems.push(`${build}: ${path} has no signature`);
    }
  };
  await inParallel([...site.watcher.releases.values()], 2, verify);
  return { what: 'gpgv accepts SHA256SUMS of every release, and every artifact is what that says', problems };
}

async function sampleVerifies({ site, verified, dice }: World): Promise<Check> {
  const all = [...site.watcher.releases.values()];
  const problems: string[] = [];
  let count = 0;
  for (; count < verified && all.length > 0; count += 1) {
    const [seen] = all.splice(dice.roll(all.length), 1);
    if (!seen) break;
    const directory = site.world.tree('releases', site.world.project, seen.version);
    const ran = await site.world.verify([directory]);
    const withdrawn = site.watcher.has(seen.build, 'revocation');
    if ((ran.code === 0) === withdrawn)
      problems.push(
        `${seen.build}${withdrawn ? ', withdrawn' : ''}: verify ends with ${ran.code}: ${ran.stderr}`,
      );
  }
  return { what: `countersign verify accepts ${count} of them, but for those that are withdrawn`, problems };
}

async function programSucceeds({ site }: World, what: string, args: readonly string[]): Promise<Check> {
  const ran = await site.world.runOn('operator', args);
  const problems =
    ran.code === 0 ? [] : [`exit ${ran.code}: ${ran.stdout.slice(-1000)} ${ran.stderr.slice(-1000)}`];
  return { what: `countersign ${what} succeeds`, problems };
}

/** Nothing is signed twice, but for what a killed H had asked for and not kept. */
function signatureCount(world: World): Check {
  const { site, ended } = world;
  const { agent } = site.world;
  let wanted = 0;
  for (const { begun } of ended)
    if (site.watcher.has(begun.build, 'release') || site.watcher.has(begun.build, 'intent'))
      wanted += Object.keys(begun.plan.slots[0]?.files() ?? {}).length + 1;
  const kills = site.h.kills.SIGKILL + site.h.kills.SIGTERM;
  const most = wanted + AT_ONCE * kills;
  const problems: string[] = [];
  if (agent.signatures > most)
    problems.push(`the agent signed ${agent.signatures} times, and ${most} is the most`);
  const different = new Set(agent.digests).size;
  if (different > wanted) problems.push(`${different} different digests were signed, of ${wanted} files`);
  return {
    what: `the agent signed ${agent.signatures} times, for ${wanted} files, ${different} different digests: of what was asked for again after a kill (at most ${AT_ONCE} each) nothing is another signature`,
    problems,
  };
}

/** All that L has beside what is half-written is a file of the tree. */
async function nothingForeign({ site }: World): Promise<Check> {
  const problems: string[] = [];
  for (const entry of readdirSync(site.world.tree(), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(site.world.tree().length + 1);
    if (path.startsWith('.') || entry.isDirectory()) continue;
    if (!isTreePath(path)) problems.push(`L has ${path}`);
  }
  const scratch = readdirSync(site.world.path('H', 'signer', 'tmp'));
  problems.push(...scratch.map((name) => `H has left tmp/${name}`));
  return {
    what: 'L has no file that is none of the tree, outside .tmp; H has left nothing half-written',
    problems,
  };
}

/** Each file of thousands of builds is read, and each signature verified. */
const CHECK_MS = 1_800_000;

/** `countersign check`. */
async function checkSucceeds({ site }: World): Promise<Check> {
  const began = performance.now();
  const args = ['check', '--data', site.world.tree(), '--json'];
  const ran = await site.world.runOn('L', args, { timeoutMs: CHECK_MS });
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  const problems =
    ran.code === 0 ? [] : [`exit ${ran.code}: ${ran.stdout.slice(-2000)} ${ran.stderr.slice(-1000)}`];
  return { what: `countersign check finds nothing, in ${seconds} s`, problems };
}

/** No bug of ours in what they said. */
function logsAreClean({ site }: World): Check {
  const problems = (['L', 'H'] as const).flatMap((name) =>
    site
      .log(name)
      .split('\n')
      .filter((line) => /unexpected:|^ +at .+:\d+:\d+\)?$|Warning:/.test(line))
      .slice(0, 10)
      .map((line) => `${name} said: ${line}`),
  );
  return { what: 'neither L nor H said anything unexpected', problems };
}
