/** Every file of a real depot spoilt in turn: `check` names it and nothing else, and mends what the rest can give back. */
import { existsSync, linkSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer } from '../../src/depot/server.ts';
import type { DepotServer } from '../../src/depot/server.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { carryLog, sync } from '../../src/tree/sync.ts';
import { contentsOf, copyFiles, filesOf } from '../tree/copies.ts';
import { check, copyOf, faults, keptDepot } from './check-scene.ts';
import type { Kept } from './check-scene.ts';

let kept: Kept;
let files: string[];
/** By build, with its release; and those of the log: what is spoilt in one is no matter of another. */
let groups: string[][];
beforeAll(async () => {
  kept = await keptDepot();
  files = await filesOf(kept.directory);
  groups = groupsOf(files);
});
afterAll(() => kept.scene.close());

function groupsOf(paths: readonly string[]): string[][] {
  const { builds } = kept;
  const versions: Record<string, string | undefined> = {
    ...{
      '1.0': builds['released'],
      '1.1': builds['pair'],
      '1.2': builds['enrolled'],
      '1.4': builds['revoked'],
    },
  };
  const grouped = new Map<string, string[]>();
  for (const path of paths) {
    const [top = '', second = '', third = ''] = path.split('/');
    const group = top === 'builds' ? second : top === 'releases' ? (versions[third] ?? third) : top;
    grouped.set(group, [...(grouped.get(group) ?? []), path]);
  }
  return [...grouped.values()];
}

type Spoil = 'flip' | 'cut' | 'remove' | 'grow';

function spoil(directory: string, path: string, how: Spoil, seed: number): void {
  const place = join(directory, path);
  const bytes = readFileSync(place);
  if (how === 'remove') rmSync(place);
  else if (how === 'cut') truncateSync(place, Math.floor(bytes.length / 2));
  else if (how === 'grow') writeFileSync(place, Buffer.concat([bytes, Buffer.from('\n')]));
  else {
    const at = (seed * 7919) % bytes.length;
    bytes[at] = (bytes[at] ?? 0) ^ (1 + (seed % 127));
    writeFileSync(place, bytes);
  }
}

/** Of a log, what its checkpoint does not need any more. */
const isOld = (path: string): boolean => {
  const width = Number(/\.p\/([0-9]+)$/.exec(path)?.[1] ?? Infinity);
  const widths = files.map((each) => Number(/\.p\/([0-9]+)$/.exec(each)?.[1] ?? 0));
  return width < Math.max(...widths);
};

/** Gone, it can't be missed: nothing names it, and there is no other copy. */
const isUnnamed = (path: string): boolean =>
  path.startsWith(`builds/${kept.builds['frozen']}/statements/`) ||
  (path.startsWith('log/') && isOld(path)) ||
  (path.endsWith('.dsse.json') &&
    ['sealed', 'frozen'].some((name) => path.includes(kept.builds[name] ?? '-')));

/** Neither is logged yet, so which of the two is wrong nobody knows. */
const isPair = (path: string): boolean => path.startsWith(`builds/${kept.builds['approved']}/`);

/** That check says of the spoilt files what it should, and nothing of others. */
function expectNamed(found: readonly string[], spoilt: readonly string[], how: Spoil): void {
  const what = how === 'remove' ? 'missing' : 'damaged';
  const sure = spoilt.filter((path) => !isPair(path) && !(how === 'remove' && isUnnamed(path)));
  const rest = found.filter((line) => !isPair(line.slice(line.indexOf(' ') + 1)));
  expect(rest).toEqual(sure.map((path) => `${what} ${path}`).sort(byPath));
  if (spoilt.some(isPair))
    expect(found.some((line) => line.includes(kept.builds['approved'] ?? '-'))).toBe(true);
}
const byPath = (one: string, other: string): number =>
  one.slice(one.indexOf(' ')) < other.slice(other.indexOf(' ')) ? -1 : 1;

/** What the file is, whatever build, builder, approver or artifact it is of. */
const kindOf = (path: string): string =>
  path
    .replace(/^builds\/[^/]+|^releases\/hello\/[^/]+/, (place) => place.slice(0, place.indexOf('/')))
    .replace(/[0-9a-f]{64}/, 'SHA256')
    .replace(/[0-9A-F]{40}/, 'KEY')
    .replace(/\bb[12]\b/, 'SLOT')
    .replace(/(?<=^builds\/signatures\/|^releases\/).*\.(txt|bin)/, 'ARTIFACT');

/**
 * One file of each build at a time: every kind of file is in one of them, of the build that has least so far, which then
 * takes more of its own. Then those of the log: without it less is known of the others.
 */
function rounds(): string[][] {
  const builds = groups.filter(([first]) => !first?.startsWith('log/'));
  const shares = builds.map((): string[] => []);
  for (const kind of new Set(builds.flat().map(kindOf))) {
    const having = builds.flatMap((group, at) => {
      const path = group.find((each) => kindOf(each) === kind);
      return path === undefined ? [] : [{ path, share: shares[at] ?? [] }];
    });
    const { path, share } = having.reduce((least, each) =>
      each.share.length < least.share.length ? each : least,
    );
    share.push(path);
  }
  const most = Math.max(...shares.map((share) => share.length));
  for (const [at, share] of shares.entries()) {
    const rest = builds[at]?.filter((path) => !share.includes(path)) ?? [];
    share.push(...rest.slice(0, most - share.length));
  }
  const together = Array.from({ length: most }, (_, at) => shares.flatMap((share) => share[at] ?? []));
  const log = files.filter((path) => path.startsWith('log/'));
  // nothing is asked of the old ones
  const last = [...(together.pop() ?? []), ...log.filter(isOld)];
  return [...together, last, ...log.filter((path) => !isOld(path)).map((path) => [path])];
}

/** `sync` from what was never spoilt, into the copy. */
async function fromMirror(directory: string): Promise<void> {
  const { scene } = kept;
  const to = GatedDepot.over({
    ...{ tree: await DirectoryTree.open(directory), rules: scene.project, now: scene.now },
  }).asCarrier();
  const from = scene.depot.asCarrier();
  await carryLog(from, to, scene.project.log);
  const nothing = { report: () => {}, progress: () => {} };
  const sender = { depot: from, quarantine: true };
  await sync({ project: scene.project, from: sender, to, now: scene.now, ...nothing });
}

describe('a depot that is well', () => {
  test('has nothing to say, and is not touched; nor by --repair', async () => {
    const before = await contentsOf(kept.directory);
    const result = await check(kept, kept.directory);
    expect(result).toMatchObject({ outcomes: [], builds: Object.keys(kept.builds).length });
    expect(result.bytes).toBeGreaterThan(300_000);
    const copy = copyOf(kept.directory);
    expect((await check(kept, copy.directory, { repair: true, gpgv: true })).outcomes).toEqual([]);
    expect(await contentsOf(copy.directory)).toEqual(before);
    copy.end();
  });
});

describe('a file that is spoilt', () => {
  test('by one bit or byte anywhere is named, and no other', async () => {
    for (const [at, spoilt] of rounds().entries()) {
      const copy = copyOf(kept.directory);
      for (const path of spoilt) spoil(copy.directory, path, 'flip', at + path.length);
      expectNamed(faults((await check(kept, copy.directory)).outcomes), spoilt, 'flip');
      copy.end();
    }
  }, 60_000);

  test('is named, made again of the rest or moved aside, and comes back from a mirror', async () => {
    const whole = await contentsOf(kept.directory);
    for (const [at, spoilt] of rounds().entries()) {
      // mending takes three times as long as looking: of the kinds every second one
      if (at % 2 !== 0) continue;
      const copy = copyOf(kept.directory);
      const how = (['remove', 'cut', 'grow'] as const)[(at / 2) % 3] ?? 'cut';
      for (const path of spoilt) spoil(copy.directory, path, how, at);
      const { outcomes } = await check(kept, copy.directory, { repair: true });
      // what remains is what it moved aside, or what is not there
      const again = faults((await check(kept, copy.directory)).outcomes);
      expect(faults(outcomes)).toEqual(again);
      for (const path of spoilt.filter((each) => each.startsWith('releases/')))
        expect(again.join()).not.toContain(path);
      for (const line of again) expect(line).toMatch(/^missing /);
      // a mirror has the rest
      await fromMirror(copy.directory);
      // and what sync passes over of a build that is refused: its plain copy
      const left = faults((await check(kept, copy.directory)).outcomes);
      for (const line of left) {
        const path = line.replace('missing ', '');
        expect(path).toContain(`builds/${kept.builds['frozen']}/`);
        await copyFiles(kept.directory, copy.directory, [path]);
      }
      if (left.length > 0) expect(faults((await check(kept, copy.directory)).outcomes)).toEqual([]);
      copy.end();
    }
    expect(await contentsOf(kept.directory)).toEqual(whole);
  }, 120_000);
});

describe('what does not belong there', () => {
  test('is named, wherever it lies, and moved aside; nothing else is touched', async () => {
    const copy = copyOf(kept.directory);
    const { directory } = copy;
    const at = (path: string): string => join(directory, path);
    const release = `builds/${kept.builds['released']}`;
    const strays = [
      ...[`${release}/blobs/short`, `${release}/note.txt`, `${release}/statements/b9.json`, 'builds/readme'],
      ...['log/tile/0/stray', 'notes', 'releases/hello/1.0/extra.bin', 'releases/other', '.tmp/mine'],
    ];
    for (const path of strays.filter((each) => each !== 'releases/other')) await writeFile(at(path), 'x');
    await mkdir(at('releases/other/1.0'), { recursive: true });
    await mkdir(at('releases/hello/9.9'), { recursive: true });
    await writeFile(at('releases/hello/9.9/evil'), 'x');
    await symlink('/etc/hostname', at(`${release}/link`));
    await writeFile(at('.tmp/.0123456789abcdef01234567.tmp'), 'a crash left this');
    const named = [...strays, 'releases/hello/9.9', `${release}/link`];
    // it may be another project's, of which nobody here knows anything
    const others = 'releases/other';
    const found = await check(kept, directory);
    expect(faults(found.outcomes)).toEqual(named.sort().map((path) => `foreign ${path}`));
    expect(found.outcomes.filter(({ what }) => what === 'leftover')).toMatchObject([{ code: 'temporary' }]);
    const { outcomes } = await check(kept, directory, { repair: true });
    expect(faults(outcomes)).toEqual([`foreign ${others}`]);
    expect(existsSync(at(`${others}/1.0`))).toBe(true);
    // moved, and not mended
    expect(outcomes.filter(({ repaired }) => repaired)).toEqual([]);
    const aside = outcomes.filter((each) => each.aside);
    expect(aside.map(({ path }) => path)).toEqual(named.filter((path) => path !== others));
    expect(aside[0]?.how).toMatch(/^moved to \.aside\//);
    const whole = await contentsOf(kept.directory);
    expect(Object.keys(await contentsOf(directory)).filter((path) => !path.startsWith('.aside/'))).toEqual(
      Object.keys(whole),
    );
    copy.end();
  });

  test('two files that changed places are named both', async () => {
    const copy = copyOf(kept.directory);
    const one = `releases/hello/1.0/hello.txt`;
    const other = `releases/hello/1.1/pair.txt`;
    const [a, b] = [readFileSync(join(copy.directory, one)), readFileSync(join(copy.directory, other))];
    writeFileSync(join(copy.directory, one), b);
    writeFileSync(join(copy.directory, other), a);
    expect(faults((await check(kept, copy.directory)).outcomes)).toEqual([
      `damaged ${one}`,
      `damaged ${other}`,
    ]);
    expect(faults((await check(kept, copy.directory, { repair: true })).outcomes)).toEqual([]);
    expect(readFileSync(join(copy.directory, one))).toEqual(a);
    copy.end();
  });
});

describe('--repair', () => {
  test('by a project file that is not the depot’s moves nothing', async () => {
    const copy = copyOf(kept.directory);
    const before = await contentsOf(copy.directory);
    const { project } = kept.scene;
    const wrong = [
      { ...project, name: 'gadget' as typeof project.name },
      { ...project, log: { ...project.log, origin: 'example.org/another' } },
    ];
    for (const each of wrong) {
      const mending = check(kept, copy.directory, { repair: true, project: each });
      await expect(mending).rejects.toMatchObject({ kind: 'usage', code: 'wrong-project' });
      // looking at it is free, and says so
      const { outcomes } = await check(kept, copy.directory, { project: each });
      expect(outcomes).toContainEqual(expect.objectContaining({ code: 'wrong-project', path: '.' }));
    }
    // without its checkpoint, and with one that is damaged, it is known by its proofs
    rmSync(join(copy.directory, 'log'), { recursive: true });
    for (const each of wrong) {
      const mending = check(kept, copy.directory, { repair: true, project: each });
      await expect(mending).rejects.toMatchObject({ code: 'wrong-project' });
    }
    expect(Object.keys(await contentsOf(copy.directory))).toEqual(
      Object.keys(before).filter((path) => !path.startsWith('log/')),
    );
    const { outcomes } = await check(kept, copy.directory, { repair: true });
    expect(outcomes.map(({ code }) => code)).not.toContain('wrong-project');
    copy.end();
  });

  test('and a server keep each other out, whichever comes first', async () => {
    const copy = copyOf(kept.directory);
    const lines: string[] = [];
    const serve = (): Promise<DepotServer> =>
      startServer({
        ...{ project: kept.scene.project, data: copy.directory },
        listen: { host: '127.0.0.1', port: 0 },
        log: (_, line) => lines.push(line),
      });
    const tree = await DirectoryTree.open(copy.directory);
    const repair = await tree.lockRepair('mend');
    await expect(serve()).rejects.toMatchObject({ kind: 'unable', code: 'depot-repaired' });
    await repair.release();
    const server = await serve();
    const mending = check(kept, copy.directory, { repair: true });
    await expect(mending).rejects.toMatchObject({ code: 'depot-served' });
    // another one beside it has no uploads to go on with, and says so
    const other = await serve();
    expect(lines.join()).toContain('another process keeps the uploads');
    await other.close();
    await server.close();
    copy.end();
  });

  test('makes all builds that were published again from releases/ and log/ alone', async () => {
    const copy = copyOf(kept.directory);
    rmSync(join(copy.directory, 'builds'), { recursive: true });
    const { outcomes } = await check(kept, copy.directory, { repair: true });
    const { builds } = kept;
    const lost = ['frozen', 'sealed', 'enrolling', 'approved'].map((name) => builds[name] ?? '-');
    // the withdrawal is in the log, which names what is no file of a release
    const remain = faults(outcomes).filter((line) => !lost.some((build) => line.includes(build)));
    expect(remain).toHaveLength(2);
    for (const line of remain) expect(line).toContain(`missing builds/${builds['revoked']}/revocations/`);
    await fromMirror(copy.directory);
    expect(faults((await check(kept, copy.directory)).outcomes)).toEqual([]);
    copy.end();
  });

  test('publishes what is not published, and both names of one damaged file are given up', async () => {
    const copy = copyOf(kept.directory);
    const { directory } = copy;
    rmSync(join(directory, 'releases/hello/1.1'), { recursive: true });
    const name = (await filesOf(kept.directory, `builds/${kept.builds['enrolled']}/blobs`))[0] ?? '';
    const release = join(directory, 'releases/hello/1.2/mine.txt');
    rmSync(release);
    writeFileSync(join(directory, name), 'rotten');
    linkSync(join(directory, name), release);
    const { outcomes } = await check(kept, directory, { repair: true, now: later });
    expect(outcomes.find(({ path }) => path === 'releases/hello/1.1')).toMatchObject({ repaired: true });
    // a release that is not whole is none
    expect(existsSync(join(directory, 'releases/hello/1.2'))).toBe(false);
    expect(faults(outcomes)).toContain(`missing ${name}`);
    await fromMirror(directory);
    expect(faults((await check(kept, directory, { now: later })).outcomes)).toEqual([]);
    copy.end();
  });

  test('that is killed at any step goes on the next time, and ends the same', async () => {
    const ends = new Set<string>();
    // test/faults/repair.test.ts kills it at system calls
    for (const steps of [0, 1, 3, 6, Infinity]) {
      const copy = copyOf(kept.directory);
      const { directory } = copy;
      const [released, pair] = [kept.builds['released'], kept.builds['pair']];
      for (const path of [`builds/${released}/manifest.json`, `builds/${pair}/signatures/pair.txt.asc`])
        spoil(directory, path, 'flip', 5);
      spoil(directory, 'releases/hello/1.4/bad.txt', 'remove', 0);
      spoil(directory, 'log/tile/0/000.p/27', 'cut', 0);
      await writeFile(join(directory, 'stray'), 'x');
      let left = steps;
      const tree = await DirectoryTree.open(directory);
      // each file that is written is a step
      const dying = new Proxy(tree, {
        get(target, key) {
          if (['write', 'replacing', 'size'].includes(String(key)) && left-- <= 0) throw new Error('killed');
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      await check(kept, directory, { repair: true, tree: dying }).catch(() => {});
      // the lock is this process's
      await check(kept, directory, { repair: true, tree });
      expect(faults((await check(kept, directory)).outcomes)).toEqual([]);
      const all = Object.entries(await contentsOf(directory)).filter(([path]) => !path.startsWith('.aside/'));
      ends.add(JSON.stringify(all));
      copy.end();
    }
    expect(ends.size).toBe(1);
  });
});

/** When nothing of it can be under way any more. */
const later = (): Date => new Date(Date.now() + 24 * 3600_000);
