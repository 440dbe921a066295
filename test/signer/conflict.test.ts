/**
 * Dissent after the intent: a builder's key, stolen, signs a second statement when the first one is being signed. It
 * is too late to freeze the build; that it happened is in the log for ever (protocol §2, quorum).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { SignerState } from '../../src/signer/state.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { startWatch } from '../unattended/watching.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Build, Ran } from './scene.ts';

const contents = { 'hello.txt': 'hello' };
const thiefs = { 'hello.txt': 'hullo' };
const SECOND = 'statements/b1.2.json';
const NOTE = `after it was decided what to sign, a builder vouched for other artifacts (${SECOND}): logged as a conflict, and not signed`;

let scene: Scene;
let build: Build;
beforeEach(async () => {
  scene = await Scene.make();
  build = await scene.approve();
  await scene.attest(build, contents);
});
afterEach(() => scene.close());

/** The build gets as far as its intent: the card is not there. */
async function intend(): Promise<void> {
  const connectAgent = () => Promise.reject(unable('agent-locked', 'the card is not there'));
  expect((await scene.sign({ connectAgent })).result).toMatchObject({ state: 'verified' });
}

const notes = ({ events }: Ran): string[] =>
  events.flatMap((event) => (event.kind === 'note' ? [event.text] : []));

const shown = async (file: string): Promise<Buffer> =>
  (await scene.tree.read(buildPath(build.build, file))) ?? Buffer.alloc(0);

const kept = (file: string): Promise<Buffer> => readFile(join(scene.state, 'builds', build.build, file));

/** Statement files where the depot keeps a second one, or a third. */
async function plant(files: ReadonlyMap<string, Buffer>, variant = 2): Promise<void> {
  for (const [file, bytes] of files)
    await scene.tamper(build, file.replace('/b1.', `/b1.${variant}.`), bytes);
}

const conflicts = async (): Promise<Readonly<Record<string, string>>[]> =>
  (await scene.log()).filter(({ type }) => type === 'conflict').map(({ records }) => ({ ...records }));

describe('a second statement of a stolen key', () => {
  test('after the intent: one conflict, before anything is signed, and what was decided is signed', async () => {
    await intend();
    await scene.attest(build, thiefs);
    const ran = await scene.sign();
    expect(ran).toMatchObject({ exit: 0, result: { outcome: 'published', code: null } });
    expect(notes(ran)).toEqual([NOTE]);
    expect(await scene.logged(build)).toBe('approval statement intent conflict release');
    expect(await conflicts()).toEqual([{ [SECOND]: sha256Hex(await shown(SECOND)) }]);
    for (const file of [SECOND, `${SECOND}.sig`]) expect(await kept(file)).toEqual(await shown(file));
    expect(await readFile(scene.path('releases/hello/1.0/hello.txt'), 'utf8')).toBe('hello');
    expect(scene.agent.signatures).toBe(2);

    const again = await scene.sign({ named: [build.build] });
    expect(again).toMatchObject({ exit: 0, result: { outcome: 'published' } });
    expect(notes(again), 'said again, of a build that is named').toEqual([NOTE]);
    expect(await conflicts(), 'logged once').toHaveLength(1);
  });

  test('while it is signed: logged before a signature leaves', async () => {
    let thief: Promise<void> | null = null;
    scene.agent.before = async (command) => {
      if (command === 'PKSIGN') await (thief ??= scene.attest(build, thiefs));
    };
    const real = await scene.signerDepot();
    const logged = new Set<string>();
    const submit: Depot['submit'] = async (...files) => {
      logged.add(await scene.logged());
      return real.submit(...files);
    };
    expect(notes(await scene.sign({ depot: oddDepot(real, { submit }) }))).toEqual([NOTE]);
    expect([...logged]).toEqual(['approval statement intent release conflict']);
  });

  test('after the release, and a third one: each is logged, when it is read back', async () => {
    await scene.sign();
    const signer = await startWatch(scene);
    try {
      await scene.attest(build, thiefs);
      await signer.rounds(3);
      expect(await conflicts()).toEqual([]);
      scene.pass(3601);
      await signer.heard(NOTE);
      await scene.attest(build, { ...contents, 'more.txt': 'more' });
      scene.pass(3601);
      await signer.heard(NOTE.replace(SECOND, `${SECOND}, statements/b1.3.json`));
      scene.pass(3601);
      await signer.rounds(3);
    } finally {
      await signer.close();
    }
    expect((await conflicts()).map((records) => Object.keys(records))).toEqual([
      [SECOND],
      ['statements/b1.3.json'],
    ]);
    expect(scene.agent.signatures).toBe(2);
  });

  test('after the release, which is settled: the next plain run logs it, once, and says so', async () => {
    await scene.sign();
    await scene.attest(build, thiefs);
    const ran = await scene.sign();
    expect(ran).toMatchObject({
      exit: 0,
      results: [{ outcome: 'decided', state: 'published', code: 'conflict', text: NOTE }],
    });
    expect(ran.result?.hint).toBe(`both versions: countersign status ${build.build} --fetch DIR`);
    expect(await scene.logged(build)).toBe('approval statement intent release conflict');
    expect((await scene.sign()).results).toEqual([]);
    expect(await conflicts()).toHaveLength(1);
    expect(scene.agent.signatures).toBe(2);
  });

  test('after the release, under --watch: within a minute, without the artifacts being read again', async () => {
    await scene.sign();
    const signer = await startWatch(scene);
    try {
      await signer.rounds(2);
      await scene.attest(build, thiefs);
      await signer.rounds(3);
      expect(await conflicts()).toEqual([]);
      scene.pass(60);
      await signer.heard(`${build.build} conflict`);
      expect(signer.did.reads).toBe(0);
    } finally {
      await signer.close();
    }
    expect(await conflicts()).toHaveLength(1);
  });

  test('after the release, and seen only when the approval has expired: nothing is looked for any more', async () => {
    await scene.sign();
    await scene.attest(build, thiefs);
    scene.pass(4 * 3600);
    expect((await scene.sign()).results).toEqual([]);
    expect(await conflicts()).toEqual([]);
  });

  test('that can not be written down holds the build up until it is', async () => {
    await intend();
    await scene.attest(build, thiefs);
    const meddle = ({ journal }: SignerState): void => {
      const append = journal.append.bind(journal);
      journal.append = async (entry) => {
        if (entry.type === 'conflict') throw unable('disk', 'no space left on device');
        await append(entry);
      };
    };
    expect(await scene.sign({ meddle })).toMatchObject({
      exit: 3,
      result: { outcome: 'unfinished', code: 'disk' },
    });
    expect(scene.agent.signatures).toBe(0);
    expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
    expect(await scene.logged(build)).toBe('approval statement intent conflict release');
  });

  test('that the depot replaces, or shows twice, is logged once: a depot that lies does not fill the log', async () => {
    await intend();
    await scene.attest(build, thiefs);
    await scene.sign();
    const [first] = await conflicts();
    await plant(scene.statement(build, thiefs), 3);
    await plant(scene.statement(build, { 'hello.txt': 'a third' }));
    await scene.sign({ named: [build.build] });
    expect(await conflicts()).toEqual([first]);
    expect(sha256Hex(await kept(SECOND))).toBe(first?.[SECOND]);
  });
});

describe('is no dissent', () => {
  const sign = (forged: Map<string, Buffer>, secret: Build['secret']): Map<string, Buffer> =>
    new Map(
      [...forged].map(([file, bytes]) => [
        file,
        file.endsWith('.sig')
          ? secret.sign(forged.get('statements/b1.json') ?? bytes, Math.floor(scene.now().getTime() / 1000))
          : bytes,
      ]),
    );

  test.each<[string, (other: Build) => Map<string, Buffer>]>([
    ['the same artifacts again', () => scene.statement(build, contents, 'urn:x:2')],
    ['a statement that a stranger signed', ({ secret }) => scene.statement({ ...build, secret }, thiefs)],
    ['the statement of another build', (other) => scene.statement(other, thiefs)],
    [
      'what the key signed for another build',
      (other) => scene.statement({ ...other, secret: build.secret }, thiefs),
    ],
    [
      'what the key signed for another build in name',
      (other) => scene.statement({ ...build, build: other.build }, thiefs),
    ],
    [
      'what the key signed for another approval of this build',
      ({ digest }) => scene.statement({ ...build, digest }, thiefs),
    ],
    [
      'what the key signed, but no statement',
      () => sign(new Map([['statements/b1.json', Buffer.from('{}')], ['statements/b1.json.sig', Buffer.alloc(0)]]), build.secret), // prettier-ignore
    ],
    [
      'a spoilt signature',
      () => scene.statement(build, thiefs).set('statements/b1.json.sig', Buffer.from('?')),
    ],
  ])('%s', async (_, forge) => {
    await intend();
    await plant(forge(await scene.approve('2.0')));
    const ran = await scene.sign({ named: [build.build] });
    expect(ran.result).toMatchObject({ outcome: 'published' });
    expect(notes(ran)).toEqual([]);
    expect(await scene.logged(build)).toBe('approval statement intent release');
    // what was spoilt on the way is none until it is whole
    await plant(scene.statement(build, thiefs));
    expect(notes(await scene.sign({ named: [build.build] }))).toEqual([NOTE]);
  });
});
