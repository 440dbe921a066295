/** What an approver should know before they approve: somebody else's build may have the version. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { versionTaken } from '../../src/operator/version-taken.ts';
import { newBuildId, timestamp } from '../../src/records/names.ts';
import { encodeRefusal, refusalOf } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { manifest, proofOf, refusalFiles, releaseFiles } from '../policy/release-scene.ts';
import {
  ada,
  approval as sample,
  approvalFiles,
  bob,
  mallory,
  minutes,
  now,
  project,
  statementFiles,
} from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';

/** Made when its approval begins, as `approve` makes them. */
const build = newBuildId(minutes(-10), Buffer.alloc(10, 7));
const approval = { ...sample, build };

let tree: DirectoryTree;
beforeEach(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cs-taken-'));
  tree = await DirectoryTree.make(directory);
  return () => rmSync(directory, { recursive: true, force: true });
});

async function put(files: Files, below = `builds/${build}`): Promise<void> {
  for (const [name, bytes] of files) await tree.write(`${below}/${name}`, bytes);
}

const taken = (version = approval.version, at = now) =>
  versionTaken(project, GatedDepot.over({ tree, rules: project, now: () => at }), version, at);

describe('a version is taken', () => {
  test('when it is released', async () => {
    await put(releaseFiles(), 'releases/hello/1.0/countersign');
    expect(await taken()).toMatch(
      /^the signer will refuse this: hello 1\.0 is released, by build .*: approve another version$/,
    );
  });

  test('as long as a build of it waits for its statement', async () => {
    await put(approvalFiles(approval));
    expect(await taken()).toBe(
      `the signer will refuse this: hello 1.0 is that of build ${build}, approved until ${approval.expires}: go on with it if you have its ticket, else approve again after that, or another version; or free it: countersign revoke ${build} --reason TEXT`,
    );
    expect(await taken(approval.version, minutes(300))).toBeNull();
  });

  test('when a build of it is sealed', async () => {
    await put(approvalFiles(approval));
    await put(statementFiles());
    expect(await taken()).toMatch(
      new RegExp(
        `which is sealed: .*; or free it: countersign revoke ${build} --reason TEXT, unless it is being signed$`,
      ),
    );
  });
});

test('a version will be taken when another build is allowed first, and not before: one approver has signed, of two', async () => {
  const two = { ...project, threshold: 2 };
  const depot = GatedDepot.over({ tree, rules: two, now: () => now });
  await put(approvalFiles(approval, [ada]));
  await put(statementFiles());
  expect(await versionTaken(two, depot, approval.version, now)).toMatch(
    new RegExp(
      `^the signer will refuse this if build ${build} is allowed first: 1 of 2 approvers have signed it, until `,
    ),
  );
  // one that is allowed counts for more, also when it comes later
  const later = newBuildId(minutes(-9), Buffer.alloc(10, 8));
  await put(approvalFiles({ ...approval, build: later }, [ada, bob]), `builds/${later}`);
  expect(await versionTaken(two, depot, approval.version, now)).toContain(
    `the signer will refuse this: hello 1.0 is that of build ${later}`,
  );
});

describe('a version is free', () => {
  test('on an empty depot, and when the builds are of other versions', async () => {
    expect(await taken()).toBeNull();
    await put(approvalFiles({ ...approval, version: '2.0' as typeof approval.version }));
    expect(await taken()).toBeNull();
  });

  test('when its build was refused', async () => {
    await put(approvalFiles(approval));
    const reasons = [{ code: 'expired', where: 'b1', text: 'too late' }] as const;
    const refusal = refusalOf({ build, approval: manifest.approval, reasons, time: timestamp(now) });
    const bytes = encodeRefusal(refusal);
    const files = refusalFiles({ entry: { build, records: { 'refusal.json': sha256Hex(bytes) } } });
    await put(files.set('refusal.json', bytes));
    expect(await taken()).toBeNull();
  });

  test('when nobody who counts has approved the other build', async () => {
    await put(approvalFiles(approval, [mallory]));
    expect(await taken()).toBeNull();
    await put(approvalFiles(approval, [ada]));
    expect(await taken()).not.toBeNull();
  });

  test('when its release is under another log key', async () => {
    const forger = parseSignerKey(generateNoteKey(project.log.origin).signer);
    const files = releaseFiles();
    const proof = proofOf(files.get('log-entry.json')!, { signer: forger });
    await put(files.set('release.proof', proof), 'releases/hello/1.0/countersign');
    expect(await taken()).toBeNull();
  });

  test('when its build is older than an approval may be', async () => {
    const old = newBuildId(minutes(-60 * 25), Buffer.alloc(10));
    await put(approvalFiles({ ...approval, build: old }), `builds/${old}`);
    expect(await taken()).toBeNull();
  });
});
