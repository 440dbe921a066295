/** `sync` between directories: nothing of the sending end is believed, nothing partial is ever taken for whole. */
import { readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeApproval } from '../../src/records/approval.ts';
import { toProjectName } from '../../src/records/names.ts';
import { syncStatus } from '../../src/tree/sync.ts';
import { refusalFiles } from '../policy/release-scene.ts';
import {
  ada,
  approval,
  approvalFiles,
  bob,
  build,
  builderSecrets,
  endorsement,
  mallory,
  minutes,
  now,
  project,
  statement,
  statementFiles,
} from '../policy/scene.ts';
import { carry, kept, outcome } from './carry.ts';
import { Directories, contentsOf, copyFiles, filesOf, replace, timesOf } from './copies.ts';
import { blobs, makeDepot, releaseSignatures, seal, sendRelease } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const directories = new Directories();
let time: { now: Date };
let source: DepotOnDisk;
beforeEach(async () => {
  time = { now };
  source = await makeDepot({}, time);
});
afterEach(async () => {
  await source.remove();
  await directories.remove();
});

async function release(depot: DepotOnDisk = source): Promise<void> {
  await seal(depot);
  await sendRelease(depot, releaseSignatures());
  await depot.depot.publish(build);
}

const at = (file: string): string => `builds/${build}/${file}`;

describe('a build that waits', () => {
  test('travels whole, and the second time there is nothing to do', async () => {
    await seal(source);
    const before = await timesOf(source.directory);
    const to = await directories.make();
    const first = await carry(source.directory, to, time);
    expect(first).toMatchObject([{ build, state: 'carried', code: null, files: 7 }]);
    expect(await contentsOf(to)).toEqual(await contentsOf(source.directory));
    const times = await timesOf(to);
    expect(await carry(source.directory, to, time)).toMatchObject([{ state: 'same', files: 0, bytes: 0 }]);
    expect(await timesOf(to)).toEqual(times);
    // what is read may lie on a medium that can't be written
    expect(await timesOf(source.directory)).toEqual(before);
  });

  test('takes no blobs along that no statement names', async () => {
    await source.depot.submit(build, approvalFiles());
    await source.builder.putBlobs(build, blobs);
    const to = await directories.make();
    expect(outcome(await carry(source.directory, to, time))).toBe('carried');
    expect(await filesOf(to)).toEqual(
      (await filesOf(source.directory)).filter((path) => !path.includes('blobs')),
    );
  });

  test('costs no blobs when its statement is no good', async () => {
    await seal(source);
    await replace(source.directory, at('statements/b1.json.sig'), 'junk');
    const to = await directories.make();
    expect(outcome(await carry(source.directory, to, time))).toBe('refused signature-invalid');
    expect((await filesOf(to)).filter((path) => path.includes('blobs'))).toEqual([]);
  });

  test('may be endorsed later: the signature follows', async () => {
    await source.depot.submit(build, approvalFiles());
    const to = await directories.make();
    await carry(source.directory, to, time);
    await source.depot.submit(build, new Map([endorsement(encodeApproval(approval), bob)]));
    expect(await carry(source.directory, to, time)).toMatchObject([{ state: 'carried', files: 1 }]);
    expect(await contentsOf(to)).toEqual(await contentsOf(source.directory));
  });

  test('keeps one approver’s good signature where another’s is bad', async () => {
    await source.depot.submit(build, approvalFiles(approval, [ada, bob]));
    const [bobs] = endorsement(encodeApproval(approval), bob);
    await replace(source.directory, at(bobs), mallory.secret.sign(encodeApproval(approval), 1));
    const to = await directories.make();
    expect(outcome(await carry(source.directory, to, time))).toBe('refused signature-invalid');
    expect(await filesOf(to)).toEqual(
      (await filesOf(source.directory)).filter((path) => !path.endsWith(bobs)),
    );
  });

  test('with a second statement travels with both: the signer decides', async () => {
    await seal(source);
    const other = { ...statement, subjects: statement.subjects.slice(1) };
    await source.builder.submit(build, statementFiles(other, builderSecrets.b1));
    expect(await filesOf(source.directory)).toContain(at('statements/b1.2.json'));
    const to = await directories.make();
    expect(outcome(await carry(source.directory, to, time))).toBe('carried');
    expect(await contentsOf(to)).toEqual(await contentsOf(source.directory));
  });

  test.each([
    ['and was never sealed is left where it is', false, 'left expired', ''],
    [
      'and was sealed is left too, and its operator hears what to do',
      true,
      'left too-late',
      'countersign approve 1.0 --expires 1d --tickets DIR',
    ],
  ])('that has expired %s', async (_what, sealed, left, hint) => {
    if (sealed) await seal(source);
    else await source.depot.submit(build, approvalFiles());
    time.now = minutes(24 * 60);
    const to = await directories.make();
    const results = await carry(source.directory, to, time);
    expect(outcome(results)).toBe(left);
    expect(results[0]?.hint).toContain(hint);
    expect(syncStatus(results)).toBe(0);
    expect(await filesOf(to)).toEqual([]);
  });

  test('of another project is refused once, and where to look is said', async () => {
    await seal(source);
    const other = {
      ...project,
      name: toProjectName('other', 'test'),
      log: { ...project.log, origin: 'example.org/other' },
    };
    const [result] = await carry(source.directory, await directories.make(), time, other);
    expect(result).toMatchObject({ state: 'refused', code: 'signer' });
    expect(result?.text.match(/more/g)).toHaveLength(1);
    expect(result?.hint).toBe('this depot serves another project or signer: check the depot and -c');
  });

  test('and whose approval the other end has as a broken copy is refused: which file that is, and how to get on', async () => {
    await seal(source);
    const to = await directories.make();
    await replace(to, at('approval.json'), '');
    const [result] = await carry(source.directory, to, time);
    expect(result).toMatchObject({ state: 'refused', code: 'conflict' });
    expect(result?.text).toContain(at('approval.json'));
    expect(result?.hint).toContain('if that file is a broken copy, remove it there');
    await rm(join(to, at('approval.json')));
    expect(outcome(await carry(source.directory, to, time))).toBe('carried');
  });
});

describe('what the log has decided', () => {
  test('travels long after everything has expired, and is published there, byte for byte', async () => {
    await release();
    time.now = minutes(365 * 24 * 60);
    const to = await directories.make();
    expect(outcome(await carry(source.directory, to, time))).toBe('carried');
    expect(await contentsOf(to)).toEqual(await contentsOf(source.directory));
  });

  test('goes from hand to hand as it goes directly', async () => {
    await release();
    const [b, c, direct] = [await directories.make(), await directories.make(), await directories.make()];
    for (const [from, to] of [
      [source.directory, b],
      [b, c],
      [source.directory, direct],
    ] as const)
      expect(outcome(await carry(from, to))).toBe('carried');
    expect(await contentsOf(c)).toEqual(await contentsOf(direct));
  });

  test('is not asked about again where its end is known', async () => {
    await release();
    const [from, to] = [await directories.make(), await directories.make()];
    await carry(source.directory, to, time);
    for (const path of await filesOf(source.directory, 'builds')) await replace(from, path, 'junk');
    expect(outcome(await carry(from, to, time))).toBe('same');
  });

  test('is added to what the other depot has of the build', async () => {
    await seal(source);
    const to = await directories.make();
    await carry(source.directory, to, time);
    await sendRelease(source, releaseSignatures());
    expect(await carry(source.directory, to, time)).toMatchObject([{ state: 'carried', files: 8 }]);
    await source.depot.publish(build);
    expect(await contentsOf(to)).toEqual(await contentsOf(source.directory));
  });

  test('a refusal too, with the approval that it is of', async () => {
    await source.depot.submit(build, approvalFiles());
    await source.depot.submit(build, refusalFiles());
    time.now = minutes(24 * 60);
    const to = await directories.make();
    expect(outcome(await carry(source.directory, to, time))).toBe('carried');
    expect(await contentsOf(to)).toEqual(await contentsOf(source.directory));
    expect(outcome(await carry(source.directory, to, time))).toBe('same');
  });

  test('is not undone by a depot that has not heard of it', async () => {
    await seal(source);
    const to = await directories.make();
    await carry(source.directory, to, time);
    await (await kept(to)).submit(build, refusalFiles());
    const times = await timesOf(to);
    expect(outcome(await carry(source.directory, to, time))).toBe('same');
    expect(await timesOf(to)).toEqual(times);
  });
});

describe('a copy that broke off', () => {
  let whole: Record<string, string>;
  let paths: string[];
  beforeEach(async () => {
    await release();
    whole = await contentsOf(source.directory);
    paths = await filesOf(source.directory, 'builds');
    expect(paths.length).toBeGreaterThan(14);
  });
  /** The first files of the copy, and of the next one a half. */
  async function broken(length: number, cut: boolean): Promise<string> {
    const copy = await directories.make();
    await copyFiles(source.directory, copy, paths.slice(0, length + Number(cut)));
    const last = paths[length] ?? '';
    if (cut) await truncate(join(copy, last), Math.floor((whole[last] ?? '').length / 2));
    return copy;
  }

  test('after any file, or in one, is never taken for whole; the next one completes it', async () => {
    for (const [length, last] of paths.entries()) {
      const to = await directories.make();
      for (const cut of [false, true]) {
        const results = await carry(await broken(length, cut), to, time);
        expect(await filesOf(to, 'releases'), last).toEqual([]);
        // before there is anything of a release nobody can tell that there was to be one
        const begun = paths.indexOf(at('log-entry.json')) < length + Number(cut);
        if (begun) expect(outcome(results), last).toMatch(/^refused /);
      }
      expect(outcome(await carry(source.directory, to, time)), last).toBe('carried');
      expect(await contentsOf(to)).toEqual(whole);
      await directories.remove();
    }
  });

  test('at the receiving end is completed', async () => {
    for (const length of paths.keys()) {
      const to = await broken(length, false);
      expect(outcome(await carry(source.directory, to, time))).toBe('carried');
      expect(await contentsOf(to)).toEqual(whole);
      await directories.remove();
    }
  });

  test('in a file at the receiving end is said to be broken, not published; nothing is replaced', async () => {
    for (const [length, last] of paths.entries()) {
      const to = await broken(length, true);
      const half = await readFile(join(to, last));
      const results = await carry(source.directory, to, time);
      expect(await readFile(join(to, last))).toEqual(half);
      if (/b1(\.dsse)?\.json$/.test(last)) {
        // another statement, as far as the gate can tell: the true one is kept beside it, and the release is whole
        expect(outcome(results)).toBe('carried');
        expect(await contentsOf(to, 'releases')).toEqual(await contentsOf(source.directory, 'releases'));
      } else {
        expect(outcome(results), last).toMatch(/^(refused|unfinished) /);
        expect(await filesOf(to, 'releases'), last).toEqual([]);
        await rm(join(to, last));
        expect(outcome(await carry(source.directory, to, time)), last).toBe('carried');
        expect(await contentsOf(to)).toEqual(whole);
      }
      await directories.remove();
    }
  });
});
