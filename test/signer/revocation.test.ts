/** Builds that approvers take back (protocol §2, §5 step 2): before, while and after they are signed. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { buildPath } from '../../src/records/paths.ts';
import type { SignerState } from '../../src/signer/state.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { person } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import { startWatch } from '../unattended/watching.ts';
import { oddDepot } from './odd-depot.ts';
import { revocationOf, revoke } from './revoking.ts';
import { Scene } from './scene.ts';
import type { Build, Contents } from './scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

const contents: Contents = { 'hello.txt': 'hello' };
const ADA = 'Ada <ada@example.org>: the tarball has a hole';
const over = { outcome: 'decided', state: 'revoked', code: 'revoked', text: `revoked by ${ADA}` };

async function sealed(version = '1.0'): Promise<Build> {
  const build = await scene.approve(version);
  await scene.attest(build, contents);
  return build;
}

/** Lays files into a build, past every gate. */
async function lay({ build }: Build, files: Files): Promise<void> {
  for (const [file, bytes] of files) {
    const path = scene.path(buildPath(build, file));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
}

/** Nothing is signed, now or later, and the version is free, or gone for good. */
async function expectOver(build: Build, entries: string): Promise<void> {
  expect(await scene.logged(build)).toBe(entries);
  const again = await scene.sign();
  expect([again.exit, again.results]).toEqual([0, []]);
  const { result, exit } = await scene.sign({ named: [build.build] });
  expect([result, exit]).toMatchObject([over, 1]);
  expect(await scene.logged(build)).toBe(entries);
  await expect(readFile(scene.path('releases/hello/1.0/SHA256SUMS'))).rejects.toThrow('ENOENT');
}

describe('a build that an approver takes back', () => {
  test('before the signer saw it: its approval is logged, then the end; a new approval has the version', async () => {
    const build = await sealed();
    await revoke(scene, build, scene.ada);
    const { result, exit } = await scene.sign();
    expect([result, exit]).toMatchObject([over, 0]);
    expect(result?.hint).toMatch(/^the way on is a new approval: countersign approve 1.0 .*--tickets DIR$/);
    await expectOver(build, 'approval revocation');
    expect(scene.agent.signatures).toBe(0);
    await sealed();
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('who did not ask for it, and had not signed it', async () => {
    const build = await sealed();
    await revoke(scene, build, scene.bob);
    expect((await scene.sign()).result?.text).toBe(
      'revoked by Bob <bob@example.org>: the tarball has a hole',
    );
    expect(await scene.logged(build)).toBe('approval revocation');
  });

  test('while a person is asked', async () => {
    const build = await sealed();
    const ask = async (): Promise<boolean> => {
      await revoke(scene, build, scene.ada);
      return true;
    };
    expect((await scene.sign({ ask })).result).toMatchObject(over);
    expect(scene.agent.signatures).toBe(0);
    await expectOver(build, 'approval statement revocation');
  });

  test('while it is signed: the signatures are dropped, and the version is this build’s for good', async () => {
    const build = await sealed();
    scene.agent.before = async (command) => {
      if (!command.startsWith('PKSIGN')) return;
      scene.agent.before = () => {};
      await revoke(scene, build, scene.ada);
    };
    const { result } = await scene.sign();
    expect(result).toMatchObject(over);
    expect(result?.hint).toBe(`build ${build.build} has hello 1.0 for good: approve another version`);
    await expectOver(build, 'approval statement intent revocation');
    await expect(readFile(`${scene.state}/builds/${build.build}/signatures`)).rejects.toThrow('ENOENT');
    const next = await sealed();
    expect((await scene.sign({ named: [next.build] })).result).toMatchObject({ code: 'version-taken' });
  });

  test.each(['statement', 'intent'])('after a power cut behind its %s', async (last) => {
    const build = await sealed();
    const meddle = ({ journal }: SignerState): void => {
      const append = journal.append.bind(journal);
      journal.append = async (entry) => {
        await append(entry);
        if (entry.type === last) throw new Error('power cut');
      };
    };
    await expect(scene.sign({ meddle })).rejects.toThrow('power cut');
    await revoke(scene, build, scene.ada);
    expect((await scene.sign()).result).toMatchObject(over);
    expect(await scene.logged(build)).toMatch(new RegExp(`${last} revocation$`));
    expect(scene.agent.signatures).toBe(0);
  });

  test('and that the depot does not show revoked any more: the log is believed', async () => {
    const build = await sealed();
    await revoke(scene, build, scene.ada);
    await scene.sign();
    await rm(scene.path(buildPath(build.build, 'revocations')), { recursive: true });
    await expectOver(build, 'approval revocation');
    expect(scene.agent.signatures).toBe(0);
  });

  describe('below the threshold of approvers', () => {
    let build: Build;
    beforeEach(async () => {
      scene.project = { ...scene.project, threshold: 2 };
      await scene.reopenDepot();
      build = await sealed();
    });

    test('is said to be revoked, round after round; the log has nothing of it, and the version is free', async () => {
      expect((await scene.sign()).result).toMatchObject({ outcome: 'waiting', code: 'approval-waits' });
      await revoke(scene, build, scene.ada);
      const text = `revoked by ${ADA}; it never had its 2 approvers, so the log has nothing of it`;
      for (const named of [[], [build.build]]) {
        const { result, exit } = await scene.sign({ named });
        expect([result, exit]).toMatchObject([{ ...over, text }, named.length]);
        expect(result?.hint).toMatch(/^the way on is a new approval: countersign approve 1.0 /);
      }
      expect(await scene.logged()).toBe('');
      scene.pass(1);
      const next = await sealed();
      await scene.endorse(next, scene.bob);
      expect((await scene.sign()).results).toMatchObject([{ state: 'revoked' }, { outcome: 'published' }]);
      expect(await scene.logged()).toBe('approval statement intent release');
      scene.pass(5 * 3600);
      expect((await scene.sign()).results, 'it is said until it would have expired').toEqual([]);
    });

    test('and the depot takes the revocation back: what was seen once counts, when a second approver signs', async () => {
      await revoke(scene, build, scene.bob);
      await scene.sign();
      await rm(scene.path(buildPath(build.build, 'revocations')), { recursive: true });
      expect((await scene.sign()).result).toMatchObject({ state: 'revoked' });
      await scene.endorse(build, scene.bob);
      expect((await scene.sign()).result).toMatchObject({ state: 'revoked' });
      expect(await scene.logged()).toBe('approval revocation');
      expect(scene.agent.signatures).toBe(0);
    });

    test('by somebody who is no approver: it waits as before', async () => {
      await lay(build, revocationOf(scene, build, person('Mallory <mallory@example.org>')));
      expect((await scene.sign()).result).toMatchObject({ outcome: 'waiting', code: 'approval-waits' });
    });
  });
});

describe('counts for nothing, and undoes nothing', () => {
  const mallory = person('Mallory <mallory@example.org>');

  test.each<[string, (build: Build, other: Build) => Files, string?]>([
    ['by a stranger in her own name', (build) => revocationOf(scene, build, mallory)],
    [
      'by a stranger in Ada’s',
      (build) => revocationOf(scene, build, mallory, { as: scene.ada }),
      'does not count: ',
    ],
    [
      'of another build',
      (build, { build: other }) => revocationOf(scene, build, scene.ada, { build: other }),
      'is of build ',
    ],
    [
      'of another approval of it',
      (build, { digest }) => revocationOf(scene, build, scene.ada, { approval: digest }),
      'is of approval ',
    ],
    [
      'without a signature',
      (build) => new Map([...revocationOf(scene, build, scene.ada)].slice(0, 1)),
      'does not count: it has no signature',
    ],
    [
      'altered after it was signed',
      (build) =>
        new Map(
          [...revocationOf(scene, build, scene.ada)].map(([file, bytes], at) => [
            file,
            at === 0 ? Buffer.from(bytes.toString().replace('hole', 'mole')) : bytes,
          ]),
        ),
      'does not count: ',
    ],
    [
      'of a megabyte',
      (build) =>
        new Map([...revocationOf(scene, build, scene.ada)].map(([file]) => [file, Buffer.alloc(2 ** 20)])),
      'does not count: ',
    ],
  ])('a revocation %s', async (_, forge, said) => {
    const build = await sealed();
    const other = await scene.approve('2.0');
    await lay(build, forge(build, other));
    const { results, events } = await scene.sign({ named: [build.build] });
    expect(results).toMatchObject([{ outcome: 'published' }]);
    expect(await scene.logged(build)).toBe('approval statement intent release');
    const notes = events.flatMap((event) => (event.kind === 'note' ? [event.text] : []));
    if (said !== undefined) expect(notes.join('\n')).toContain(said);
    else expect(notes).toEqual([]);
  });

  test('that of somebody who is no approver any more, though the file came before', async () => {
    const build = await sealed();
    await revoke(scene, build, scene.bob);
    scene.project = { ...scene.project, approvers: [scene.ada.certificate] };
    expect((await scene.sign()).result?.outcome).toBe('published');
  });

  test('that of somebody who is removed while a person is asked; who comes in by then counts', async () => {
    const build = await sealed();
    const carol = person('Carol <carol@example.org>');
    await lay(build, revocationOf(scene, build, carol));
    const ask = async (): Promise<boolean> => {
      scene.project = { ...scene.project, approvers: [scene.ada.certificate, carol.certificate] };
      return true;
    };
    expect((await scene.sign({ ask })).result).toMatchObject({ state: 'revoked' });
    expect(await scene.logged(build)).toBe('approval statement revocation');
  });
});

describe('a release', () => {
  const withdrawn = { outcome: 'decided', state: 'revoked', text: `hello 1.0 is withdrawn by ${ADA}` };

  test('is withdrawn by one approver where one may approve; nothing else changes', async () => {
    const build = await sealed();
    await scene.sign();
    const signed = await readFile(scene.path('releases/hello/1.0/hello.txt.asc'), 'utf8');
    await revoke(scene, build, scene.ada);
    const { result, exit } = await scene.sign();
    expect([result, exit]).toMatchObject([{ ...withdrawn, build: build.build }, 0]);
    expect(await scene.logged(build)).toBe('approval statement intent release revocation');
    expect((await scene.sign()).results).toEqual([]);
    const named = await scene.sign({ named: [build.build] });
    expect(named).toMatchObject({ result: withdrawn, exit: 1 });
    expect(named.result?.hint).toBe('hello 1.0 was released and withdrawn: approve another version');
    expect(await readFile(scene.path('releases/hello/1.0/hello.txt.asc'), 'utf8')).toBe(signed);
    expect((await scene.log()).at(-1)?.records).toEqual(
      expect.objectContaining({
        [`revocations/${scene.ada.certificate.primary.fingerprint}.json`]: expect.any(String),
      }),
    );
  });

  test('takes two where two must approve: until then it is said', async () => {
    scene.project = { ...scene.project, threshold: 2 };
    await scene.reopenDepot();
    const build = await sealed();
    await scene.endorse(build, scene.bob);
    await scene.sign();
    await revoke(scene, build, scene.ada);
    const first = await scene.sign();
    expect([first.results, first.exit]).toEqual([[], 0]);
    expect(first.events).toEqual([
      {
        ...{ kind: 'note', build: build.build },
        text: `its release is logged: to withdraw it takes 2 approvers, 1 revoked it (${ADA})`,
      },
    ]);
    await revoke(scene, build, scene.bob);
    const { result } = await scene.sign();
    expect(result?.text).toMatch(/^hello 1.0 is withdrawn by Ada .*hole; Bob .*hole$/);
    expect(await scene.logged(build)).toBe('approval statement intent release revocation');
  });

  test('that was logged, and not published yet, does not leave once it is withdrawn', async () => {
    const build = await sealed();
    await scene.sign({ depot: await failing('submit') });
    expect(await scene.logged(build)).toBe('approval statement intent release');
    await revoke(scene, build, scene.ada);
    expect((await scene.sign()).result).toMatchObject(withdrawn);
    await expect(readFile(scene.path('releases/hello/1.0/SHA256SUMS'))).rejects.toThrow('ENOENT');
  });

  test('is found withdrawn by a signer that watches, a minute later at most', async () => {
    const build = await sealed();
    const signer = await startWatch(scene);
    try {
      await signer.heard(`${build.build} published`);
      await revoke(scene, build, scene.ada);
      await signer.rounds(3);
      expect(await scene.logged(build)).toBe('approval statement intent release');
      scene.pass(60);
      await signer.heard(`${build.build} revoked`);
    } finally {
      await signer.close();
    }
  });

  test('of a state that was put back is as withdrawn as before', async () => {
    const build = await sealed();
    const taken = await sealed('2.0');
    await revoke(scene, taken, scene.bob);
    await scene.sign();
    await revoke(scene, build, scene.ada);
    await scene.sign();
    const { journal, builds } = { journal: `${scene.state}/journal`, builds: `${scene.state}/builds` };
    await writeFile(journal, '');
    await rm(builds, { recursive: true });
    const { recovered, results } = await scene.sign({ recovering: true, named: [build.build, taken.build] });
    expect(recovered).toMatchObject({ closed: 0 });
    expect(results).toMatchObject([withdrawn, { state: 'revoked' }]);
  });
});

/** The signer's depot, one of whose doings fails. */
async function failing(name: 'submit'): Promise<Depot> {
  return oddDepot(await scene.signerDepot(), {
    [name]: () => Promise.reject(unable('network', 'it is away')),
  });
}
