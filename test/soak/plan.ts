/** What is to become of each build, drawn from the seed before any of them begins. */
import { createCipheriv } from 'node:crypto';
import type { Scheme } from '../../src/records/approval.ts';
import { Dice } from '../fuzz/mutate.ts';
import type { Files } from '../harness/world.ts';

/** In so many builds of a thousand. Each is a story of `stories.ts`. */
const WAYS = {
  /** Approved, endorsed, sealed by as many as have to agree. */
  release: 560,
  /** The same with one artifact of 5 to 50 MiB. */
  large: 15,
  /** The same with 40 to 150 artifacts. */
  many: 20,
  /** A blob is damaged on L before H reads it, and comes back once H has said so. */
  damaged: 20,
  /** Two builders of 2 or 3 make different bytes before H has signed. */
  disagree: 50,
  /** A third one does, after the release. */
  dissent: 15,
  /** A ticket of keypair or mac is used twice, for different bytes. */
  thief: 20,
  /** A ticket of enrol is used twice: two keys. */
  'enrol thief': 10,
  /** Nobody builds it before its approval ends. */
  unsealed: 40,
  /** Its builder dies while it uploads, and never comes back. */
  'builder lost': 25,
  /** Sealed, and never allowed by a second person. */
  'one approver': 35,
  /** Two builds of one version, both allowed, both sealed. */
  'version twice': 30,
  /** Revoked before it is sealed. */
  'revoked early': 25,
  /** Revoked while H may be at it: either wins. */
  'revoked meanwhile': 60,
  /** Withdrawn by two persons, once it is out. */
  withdrawn: 25,
  /** Has an artifact of a name that H's project file does not allow. */
  'name refused': 25,
  /** Is approved for longer than H's project file allows. */
  'lifetime refused': 25,
} as const;

/** What happens to a build. */
export type Way = keyof typeof WAYS;

export const ALL_WAYS = Object.keys(WAYS) as Way[];

/** SIGKILL or SIGTERM, so many milliseconds after the start of a process. */
export interface Kill {
  readonly afterMs: number;
  readonly signal: 'SIGKILL' | 'SIGTERM';
}

/** How one builder does its work. */
export interface SlotPlan {
  /** Made anew each time: all of them together do not fit into memory. */
  readonly files: () => Files;
  /** `countersign attest` as a process, or the builder's library in this one. */
  readonly by: 'process' | 'library';
  /** Of its first runs, one each. */
  readonly kills: readonly Kill[];
  /** After how many bytes its first uploads are cut; empty: it talks to L itself. */
  readonly cuts: readonly number[];
}

export interface Plan {
  readonly index: number;
  readonly version: string;
  readonly way: Way;
  readonly scheme: Scheme;
  readonly builders: number;
  readonly quorum: number;
  readonly mode: 'fetch' | 'digest';
  /** `countersign approve` and `endorse` as processes, or the operator's library in this one. */
  readonly by: 'program' | 'library';
  readonly slots: readonly SlotPlan[];
  /** For whatever its story decides by chance. */
  readonly dice: Dice;
}

export interface PlanOptions {
  readonly seed: number;
  readonly builds: number;
  /** How many processes of M may be killed, in all. */
  readonly mKills: number;
}

/** Plans, in the order in which they begin. The same options make the same ones. */
export function makePlans({ seed, builds, mKills }: PlanOptions): Plan[] {
  const dice = new Dice(seed);
  const ways = waysOf(dice, builds);
  let kills = mKills;
  return ways.map((way, index) => {
    const plan = makePlan(new Dice(seed * 1_000_003 + index), way, index, kills);
    kills -= plan.slots.reduce((sum, slot) => sum + slot.kills.length, 0);
    return plan;
  });
}

/** Each way at least once where there is room, the rest by their weight; in any order. */
function waysOf(dice: Dice, builds: number): Way[] {
  const total = Object.values(WAYS).reduce((sum, weight) => sum + weight, 0);
  const ways: Way[] = ALL_WAYS.slice(0, builds);
  while (ways.length < builds) {
    let at = dice.roll(total);
    ways.push(ALL_WAYS.find((way) => (at -= WAYS[way]) < 0) ?? 'release');
  }
  for (let last = ways.length - 1; last > 0; last -= 1) {
    const other = dice.roll(last + 1);
    [ways[last], ways[other]] = [ways[other] ?? 'release', ways[last] ?? 'release'];
  }
  return ways;
}

const chance = (dice: Dice, percent: number): boolean => dice.roll(100) < percent;

function makePlan(dice: Dice, way: Way, index: number, killsLeft: number): Plan {
  const scheme = schemeOf(dice, way);
  const [builders, quorum] = quorumOf(dice, way);
  const mode = way === 'release' && scheme !== 'enrol' && chance(dice, 6) ? 'digest' : 'fetch';
  const version = `1.${index}`;
  const contents = dice.roll(2 ** 32);
  const files = (): Files => filesOf(new Dice(contents), way, version);
  let left = killsLeft;
  const slots = Array.from({ length: builders }, (_, at) => {
    const plan = slotPlan(dice, way, () => slotFiles(way, at, files()), left);
    left -= plan.kills.length;
    return plan;
  });
  const by = chance(dice, 5) ? 'program' : 'library';
  return { index, version, way, scheme, builders, quorum, mode, by, slots, dice };
}

function schemeOf(dice: Dice, way: Way): Scheme {
  if (way === 'enrol thief') return 'enrol';
  const scheme = dice.pick(['keypair', 'keypair', 'keypair', 'keypair', 'mac', 'mac', 'enrol'] as const);
  // enrolling takes its time; elsewhere what is to be seen comes after it
  return scheme === 'enrol' && way !== 'release' && way !== 'disagree' ? 'keypair' : scheme;
}

function quorumOf(dice: Dice, way: Way): readonly [builders: number, quorum: number] {
  if (way === 'dissent') return [3, 2];
  if (way === 'disagree')
    return dice.pick([
      [2, 2],
      [3, 2],
    ] as const);
  if (way !== 'release' && way !== 'revoked meanwhile') return [1, 1];
  return dice.pick([
    [1, 1],
    [1, 1],
    [1, 1],
    [1, 1],
    [2, 2],
    [3, 2],
  ] as const);
}

/** Contents that several builds have. */
const SHARED = Array.from({ length: 20 }, (_, at) =>
  Buffer.from(`the same in many builds, ${at}\n`.repeat(50)),
);

function filesOf(dice: Dice, way: Way, version: string): Files {
  const files: Record<string, Buffer> = { [`app-${version}.tgz`]: noise(dice, 200 + dice.roll(20_000)) };
  const more = way === 'many' ? 40 + dice.roll(110) : dice.roll(4);
  for (let at = 0; at < more; at += 1)
    files[`docs/page-${at}.txt`] = chance(dice, 30) ? dice.pick(SHARED) : noise(dice, 50 + dice.roll(4000));
  if (way === 'large') files['image.bin'] = noise(dice, (5 + dice.roll(46)) * 2 ** 20 + dice.roll(1000));
  if (way === 'builder lost') files['image.bin'] = noise(dice, (2 + dice.roll(6)) * 2 ** 20);
  if (way === 'name refused') files['tool.exe'] = noise(dice, 500);
  return files;
}

/** What the slot at this place makes: what all make, unless it is the one that does not. */
function slotFiles(way: Way, at: number, files: Files): Files {
  const odd = (way === 'disagree' && at === 1) || (way === 'dissent' && at === 2);
  return odd ? { ...files, 'docs/odd.txt': `made by builder ${at}` } : files;
}

/** The other bytes of who uses a ticket that was used. */
export const stolen = (files: Files): Files => ({ ...files, 'docs/back.txt': 'not what the builder made' });

function slotPlan(dice: Dice, way: Way, files: () => Files, killsLeft: number): SlotPlan {
  const by = way === 'builder lost' || chance(dice, 45) ? 'process' : 'library';
  const count = by === 'process' && chance(dice, 35) ? 1 + dice.roll(2) : 0;
  const kills = Array.from({ length: Math.max(0, Math.min(count, killsLeft)) }, () => killOf(dice));
  const large = way === 'large';
  const cuts = large && chance(dice, 60) ? [dice.roll(4 * 2 ** 20), dice.roll(8 * 2 ** 20)] : [];
  return { files, by, kills, cuts };
}

/** Some strike before it can do anything, most while it works. */
const killOf = (dice: Dice): Kill => ({
  afterMs: 20 + dice.roll(chance(dice, 70) ? 300 : 900),
  signal: chance(dice, 80) ? 'SIGKILL' : 'SIGTERM',
});

/** Bytes that nothing compresses, made as fast as a disk takes them. */
function noise(dice: Dice, size: number): Buffer {
  const key = Buffer.alloc(16);
  for (let at = 0; at < 16; at += 4) key.writeUInt32LE(dice.roll(2 ** 32), at);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}
