/**
 * With the log key somebody can log the approval of a build, signed by too weak terms or long ago; whatever the project file
 * does not allow is not signed all the same (protocol §5 step 1).
 */
import { cpSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import type { ProjectPolicy } from '../../src/policy/project.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import { approvalFile, buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { SignerState } from '../../src/signer/state.ts';
import { revoke } from './revoking.ts';
import { Scene } from './scene.ts';
import type { Build, Odd, Ran } from './scene.ts';

const contents = { 'hello.txt': 'hello' };

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

/** The project file says otherwise from now on, to signer and depot. */
async function change(policy: Partial<ProjectPolicy>, origin = scene.project.log.origin): Promise<void> {
  const { project } = scene;
  scene.project = { ...project, policy: { ...project.policy, ...policy }, log: { ...project.log, origin } };
  await scene.reopenDepot();
}

/** The thief of the log key writes the approval into the log before the signer looks at it. */
async function adopting({ build, approval }: Build): Promise<Odd> {
  const bytes = encodeApproval(approval);
  const signature = `approval.json.${scene.ada.certificate.primary.fingerprint}.sig`;
  const records = {
    [approvalFile]: sha256Hex(bytes),
    [signature]: sha256Hex(await readFile(scene.path(buildPath(build, signature)))),
  };
  let state: SignerState | null = null;
  return {
    meddle: (opened) => {
      state = opened;
    },
    loadProject: async () => {
      const opened = state;
      state = null;
      await opened?.write(build, approvalFile, bytes);
      const { project, version } = approval;
      const time = timestamp(scene.now());
      await opened?.journal.append({ type: 'approval', time, build, project, version, records, keys: [] });
      return scene.project;
    },
  };
}

function expectUnsigned({ exit, result }: Ran, code: string): void {
  expect({ exit, result }).toMatchObject({ exit: 1, result: { outcome: 'bad', code } });
  expect(result?.text).toMatch(/its (approval|intent) is logged, and not allowed/);
  expect(result?.hint).toMatch(/who else has the log key/);
  expect(scene.agent.signatures).toBe(0);
}

describe('an approval in the log is held against the project file', () => {
  test.each<[string, Partial<ProjectPolicy>]>([
    ['policy-quorum', { leastQuorum: 2 }],
    ['policy-scheme', { schemes: ['mac'] }],
    ['policy-lifetime', { maxLifetime: 60 }],
    ['policy-limits', { maxCount: 1 }],
  ])('%s', async (code, policy) => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    await change(policy);
    expectUnsigned(await scene.sign(await adopting(build)), code);
    expectUnsigned(await scene.sign(), code);
    expect(await scene.logged(build)).toBe('approval');
  });

  test('one that is meant for another signer', async () => {
    const { origin } = scene.project.log;
    await change({}, 'example.org/other');
    const build = await scene.approve();
    await scene.attest(build, contents);
    await change({}, origin);
    expectUnsigned(await scene.sign(await adopting(build)), 'signer');
    expect(await scene.logged(build)).toBe('approval');
  });

  test('it goes on when the project file allows it again; approvers can revoke it; with its end it is over', async () => {
    const builds = [
      await scene.approve('1.0'),
      await scene.approve('1.1'),
      await scene.approve('1.2'),
    ] as const;
    for (const build of builds) {
      await scene.attest(build, contents);
      await scene.sign({ named: [build.build], ask: async () => false });
    }
    await change({ leastQuorum: 2 });
    for (const build of builds) expectUnsigned(await scene.sign({ named: [build.build] }), 'policy-quorum');
    await revoke(scene, builds[0], scene.ada);
    expect((await scene.sign({ named: [builds[0].build] })).result).toMatchObject({ code: 'revoked' });
    await change({ leastQuorum: 1 });
    expect((await scene.sign({ named: [builds[1].build] })).result).toMatchObject({ outcome: 'published' });
    await change({ leastQuorum: 2 });
    scene.pass(5 * 3600);
    expect((await scene.sign({ named: [builds[2].build] })).result).toMatchObject({ code: 'expired' });
  });

  test('a project file that changes while the question waits', async () => {
    const build = await scene.approve();
    await scene.attest(build, contents);
    const ask = async (): Promise<boolean> => {
      await change({ leastQuorum: 2 });
      return true;
    };
    expectUnsigned(await scene.sign({ ask }), 'policy-quorum');
  });
});

test('so is what --recover takes over from a log that somebody else went on with', async () => {
  const build = await scene.approve();
  await scene.attest(build, contents);
  const before = join(scene.directory, 'backup');
  cpSync(scene.state, before, { recursive: true });
  await scene.sign({ ask: async () => false });
  rmSync(scene.state, { recursive: true });
  cpSync(before, scene.state, { recursive: true });
  await change({ leastQuorum: 2, schemes: ['enrol'] });
  expectUnsigned(await scene.sign({ recovering: true }), 'policy-quorum');
});

test('so is that of an intent, for as long as it takes', async () => {
  const build = await scene.approve();
  await scene.attest(build, contents);
  await scene.sign({ connectAgent: () => Promise.reject(unable('agent-locked', 'no key')) });
  expect(await scene.logged(build)).toBe('approval statement intent');
  await change({ leastQuorum: 2 });
  for (const seconds of [0, 5 * 3600]) {
    scene.pass(seconds);
    expectUnsigned(await scene.sign(), 'policy-quorum');
  }
  await change({ leastQuorum: 1 });
  expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
});
