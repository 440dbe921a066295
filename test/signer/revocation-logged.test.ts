/** What the log, and a depot, say of revocations, and what is believed of that. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refused, unable } from '../../src/failure.ts';
import { newBuildId, timestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { SignerState } from '../../src/signer/state.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { person } from '../policy/scene.ts';
import { oddDepot } from './odd-depot.ts';
import { revocationOf, revoke } from './revoking.ts';
import { Scene } from './scene.ts';
import type { Build } from './scene.ts';

let scene: Scene;
let build: Build;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

async function approved(): Promise<void> {
  build = await scene.approve();
  await scene.attest(build, { 'hello.txt': 'hello' });
}

test.each(['named', 'in a round'])(
  'a release that is closed can be withdrawn all the same: %s',
  async (how) => {
    const backup = join(scene.directory, 'backup');
    cpSync(scene.state, backup, { recursive: true });
    await approved();
    await scene.sign();
    rmSync(scene.state, { recursive: true });
    cpSync(backup, scene.state, { recursive: true });
    const real = await scene.signerDepot();
    const read: Depot['read'] = async (path, maxBytes) =>
      path.endsWith('.asc') ? null : real.read(path, maxBytes);
    const { recovered } = await scene.sign({ recovering: true, depot: oddDepot(real, { read }) });
    expect(recovered).toMatchObject({ closed: 1 });
    expect((await scene.sign({ named: [build.build] })).result?.code).toBe('closed');
    await revoke(scene, build, scene.ada);
    const named = how === 'named' ? [build.build] : [];
    expect((await scene.sign({ named })).result).toMatchObject({
      ...{ state: 'revoked', code: 'revoked' },
      text: 'hello 1.0 is withdrawn by Ada <ada@example.org>: the tarball has a hole',
    });
    expect(await scene.logged(build)).toBe('approval statement intent release revocation');
  },
);

test('one in the log that no approver signed is said to be that, in nobody’s name', async () => {
  await approved();
  await scene.sign();
  const mallory = person('Mallory <mallory@example.org>');
  const files = revocationOf(scene, build, mallory, { as: scene.ada, reason: 'install 2.0 of evil.example' });
  const meddle = (state: SignerState): void => {
    const lost = state.lost.bind(state);
    // the thief of the log key, before the signer looks
    state.lost = async (of) => {
      state.lost = lost;
      for (const [file, bytes] of files) await state.write(of, file, bytes);
      const records = Object.fromEntries([...files].map(([file, bytes]) => [file, sha256Hex(bytes)]));
      const { project, version } = build.approval;
      const time = timestamp(scene.now());
      await state.journal.append({
        type: 'revocation',
        time,
        build: of,
        project,
        version,
        records,
        keys: [],
      });
      return lost(of);
    };
  };
  await scene.sign({ named: [build.build], meddle });
  const { result } = await scene.sign({ named: [build.build] });
  expect(result).toMatchObject({
    ...{ state: 'revoked', code: 'revoked' },
    text: 'hello 1.0 is withdrawn: the log says so, and no approver of the project file has signed it',
  });
});

test.each<[string, (depot: Depot) => Depot['revoked']]>([
  ['does not know the question', () => () => Promise.reject(refused('path-malformed', 'no such path'))],
  ['does not answer it', () => () => Promise.reject(unable('network', 'the cable is out'))],
  [
    'answers without end',
    () => async (after) => ({ builds: [], next: after ?? newBuildId(scene.now(), Buffer.alloc(10)) }),
  ],
])('a depot that %s: it is said, and whatever waits is signed', async (_, revoked) => {
  await approved();
  const real = await scene.signerDepot();
  const { result, events } = await scene.sign({ depot: oddDepot(real, { revoked: revoked(real) }) });
  expect(result).toMatchObject({ outcome: 'published' });
  expect(events).toContainEqual({
    kind: 'note',
    build: null,
    text: expect.stringMatching(/^whether a release that is out was revoked is not known: /),
  });
});
