/** A compromised builder (protocol §2, quorum): enough must agree, one that does not freezes the build, whenever it speaks. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { parseRefusal } from '../../src/records/refusal.ts';
import { parseRelease } from '../../src/records/release.ts';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { SignerState } from '../../src/signer/state.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { approveMany, attestBy, statementBy } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Ran } from './scene.ts';

const contents = { 'hello.txt': 'hello', 'bin/app': 'app' };
const tampered = { 'hello.txt': 'hello', 'bin/app': 'app, and a back door' };
const DAY = 86_400;

let scene: Scene;
let build: ManyBuild;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

const ofThree = async (quorum = 2): Promise<ManyBuild> =>
  (build = await approveMany(scene, ['keypair', 'keypair', 'keypair'], quorum));
const attest = (slot: string, made = contents): Promise<void> => attestBy(scene, build, slot, made);
const once = (odd = {}): Promise<Ran> => scene.sign({ named: [build.build], ...odd });
const notes = ({ events }: Ran): string[] =>
  events.flatMap((event) => (event.kind === 'note' ? [event.text] : []));
const kept = (file: string): Promise<Buffer> => readFile(join(scene.state, 'builds', build.build, file));
const shown = async (file: string): Promise<Buffer> =>
  (await scene.tree.read(buildPath(build.build, file))) ?? Buffer.alloc(0);

async function expectFrozen(ran: Ran): Promise<void> {
  expect(ran).toMatchObject({ exit: 1, result: { outcome: 'refused', state: 'frozen', code: 'conflict' } });
  expect(scene.agent.signatures).toBe(0);
  expect(await scene.logged(build)).toMatch(/ refusal$/);
}

const ORDERS = [
  ['b1', 'b2', 'b3'], ['b1', 'b3', 'b2'], ['b2', 'b1', 'b3'], ['b2', 'b3', 'b1'], ['b3', 'b1', 'b2'], ['b3', 'b2', 'b1'],
] as const; // prettier-ignore

describe('two of three', () => {
  test.each(ORDERS)(
    '%s, %s, then %s: waits, each a run of its own; two that agree are signed',
    async (first, second, third) => {
      await ofThree();
      expect((await once()).result).toMatchObject({
        ...{ outcome: 'waiting', state: 'approved', code: 'statement-waits' },
        text: 'it waits for the statement of b1, b2, b3',
      });
      await attest(first);
      const rest = [second, third].sort().join(', ');
      expect(await once()).toMatchObject({
        exit: 0,
        result: {
          state: 'approved',
          text: `1 of 2 builders agree so far; it waits for the statement of ${rest}`,
        },
      });
      expect(await scene.logged(build)).toBe('approval statement');
      await attest(second);
      const ran = await once();
      expect(ran.result).toMatchObject({ outcome: 'published' });
      expect(ran.questions).toMatchObject([
        {
          assurance: '2-of-3',
          slots: 3,
          builders: [first, second].sort().map((slot) => ({ slot, scheme: 'keypair' })),
        },
      ]);
      const release = parseRelease(await kept('release.json'));
      expect({ ...release.builders }).toEqual({ [first]: 'keypair', [second]: 'keypair' });
      expect(release.assurance).toBe('2-of-3');
      await attest(third);
      expect(notes(await once()), 'a third that agrees is nothing').toEqual([]);
      expect(await scene.logged(build)).toBe('approval statement statement intent release');
    },
  );

  test.each(ORDERS)('all at once, and the tampered one is %s', async (odd, ...others) => {
    await ofThree();
    for (const slot of others) await attest(slot);
    await attest(odd, tampered);
    const ran = await once();
    await expectFrozen(ran);
    const { reasons } = parseRefusal(await shown('refusal.json'));
    const [app, back] = [contents, tampered].map((made) => sha256Hex(Buffer.from(made['bin/app'])));
    const agreeing = `${[...others].sort().join(' and ')} have ${app} (3 bytes)`;
    const dissent = `${odd} has ${back} (20 bytes)`;
    const said = odd === 'b1' ? [dissent, agreeing] : [agreeing, dissent];
    expect(reasons).toMatchObject([{ code: 'conflict', where: 'bin/app', text: said.join(', ') }]);
    for (const slot of ['b1', 'b2', 'b3'])
      for (const file of [`statements/${slot}.json`, `statements/${slot}.json.sig`])
        expect(await kept(file), 'all that was vouched for is kept').toEqual(await shown(file));
  });

  test.each([
    ['first', 'b3', 'b1'],
    ['in between', 'b1', 'b3'],
  ])('that differ, the tampered one %s: frozen though a third agrees later', async (_, first, second) => {
    await ofThree();
    await attest(first, first === 'b3' ? tampered : contents);
    await once();
    await attest(second, second === 'b3' ? tampered : contents);
    await expectFrozen(await once());
    await attest('b2');
    expect((await once()).result).toMatchObject({ outcome: 'decided', state: 'frozen' });
  });

  test('dissent while the question waits for its answer, and while artifacts are read, still freezes', async () => {
    await ofThree();
    await attest('b1');
    await attest('b2');
    const ask = async (): Promise<boolean> => {
      await attest('b3', tampered);
      return true;
    };
    await expectFrozen(await once({ ask }));
    expect(await scene.logged(build)).toBe('approval statement statement statement refusal');
  });

  test('a network that fails says how far the build is: built once enough have sealed it, not before', async () => {
    await ofThree();
    const real = await scene.signerDepot();
    const read: Depot['read'] = (path, maxBytes) =>
      path.endsWith('b3.json') ? Promise.reject(unable('network', 'gone')) : real.read(path, maxBytes);
    for (const [slot, state] of [
      ['b1', 'approved'],
      ['b2', 'built'],
    ] as const) {
      // prettier-ignore
      await attest(slot);
      expect((await once({ depot: oddDepot(real, { read }) })).result).toMatchObject({
        ...{ outcome: 'unfinished', state, code: 'network' },
      });
    }
  });

  test('one that agrees while artifacts are read is logged and counted', async () => {
    await ofThree();
    await attest('b3');
    await attest('b2');
    const real = await scene.signerDepot();
    const fetchBlobs: Depot['fetchBlobs'] = async function* (...wanted) {
      await attest('b1');
      yield* real.fetchBlobs(...wanted);
    };
    expect((await once({ depot: oddDepot(real, { fetchBlobs }) })).result).toMatchObject({
      outcome: 'published',
    });
    expect(await scene.logged(build)).toBe('approval statement statement statement intent release');
    expect(Object.keys(parseRelease(await kept('release.json')).builders).sort()).toEqual(['b1', 'b2', 'b3']);
  });

  test('dissent after the intent: one conflict, and what was decided is signed', async () => {
    await ofThree();
    await attest('b1');
    await attest('b2');
    const connectAgent = () => Promise.reject(unable('agent-locked', 'the card is not there'));
    expect((await once({ connectAgent })).result).toMatchObject({ state: 'verified' });
    await attest('b3', tampered);
    const ran = await once();
    expect(ran.result).toMatchObject({ outcome: 'published' });
    expect(notes(ran)).toEqual([
      'after it was decided what to sign, a builder vouched for other artifacts (statements/b3.json): logged as a conflict, and not signed',
    ]);
    expect(await scene.logged(build)).toBe('approval statement statement intent conflict release');
    await once();
    expect(await scene.logged(build), 'once').toBe('approval statement statement intent conflict release');
  });

  test('dissent of a third one, when the two were published and settled: the next plain run logs it', async () => {
    await ofThree();
    for (const slot of ['b1', 'b2']) await attest(slot);
    await once();
    const [session, reads] = [scene.newSession(), [] as string[]];
    const real = await scene.signerDepot();
    const read: Depot['read'] = (path, maxBytes) => (reads.push(path), real.read(path, maxBytes));
    const plain = (): Promise<Ran> => scene.sign({ session, depot: oddDepot(real, { read }) });
    expect((await plain()).results).toEqual([]);
    await attest('b3', tampered);
    scene.pass(59);
    expect((await plain()).results, 'looked at once a minute in a session').toEqual([]);
    scene.pass(1);
    expect((await plain()).results).toMatchObject([{ state: 'published', code: 'conflict' }]);
    expect(await scene.logged(build)).toBe('approval statement statement intent release conflict');
    scene.pass(60);
    expect((await plain()).results).toEqual([]);

    build = await approveMany(scene, ['keypair', 'keypair', 'keypair'], 2, { version: '2.0' });
    for (const slot of ['b1', 'b2']) await attest(slot);
    await once();
    await attest('b3');
    for (const file of ['read', 'not read again']) {
      reads.length = 0;
      scene.pass(60);
      expect((await plain()).results).toEqual([]);
      const third = reads.filter((path) => path === buildPath(build.build, 'statements/b3.json'));
      expect(third, `one that agrees, which may be large, is ${file}`).toHaveLength(file === 'read' ? 1 : 0);
    }
  });

  test('a statement of b1 offered as that of b2, a spoilt one, one that is not shown: reported, tried again', async () => {
    await ofThree();
    await attest('b1');
    const { secret } = build.tickets['b1'] ?? { secret: null };
    for (const [file, bytes] of statementBy(scene, build, 'b2', contents, { secret }))
      await scene.tamper(build, file, bytes);
    for (const run of [1, 2])
      expect(await once(), `run ${run}`).toMatchObject({
        exit: 1,
        result: { outcome: 'bad', state: 'approved', code: 'statement-invalid' },
      });
    expect(await scene.logged(build), 'the good one was logged').toBe('approval statement');
    for (const [file, bytes] of statementBy(scene, build, 'b2', contents))
      await scene.tamper(build, file, bytes);
    await scene.tamper(build, 'statements/b3.json', 'nonsense');
    expect(await once(), 'also that of a builder who is not needed').toMatchObject({
      exit: 1,
      result: { outcome: 'bad', state: 'built' },
    });
    await scene.tamper(build, 'statements/b3.json', null);
    const bytes = await shown('statements/b1.json');
    await scene.tamper(build, 'statements/b1.json', null);
    expect((await once()).result).toMatchObject({ outcome: 'bad', code: 'statement-missing' });
    await scene.tamper(build, 'statements/b1.json', bytes);
    expect((await once()).result).toMatchObject({ outcome: 'published' });
  });

  test('what b2 signed for b1 ends the build: it is its word', async () => {
    await ofThree();
    await attest('b2');
    const { slot } = build.tickets['b1'] ?? {};
    for (const [file, bytes] of statementBy(scene, build, 'b2', contents, slot && { slot }))
      await scene.tamper(build, file, bytes);
    expect((await once()).result).toMatchObject({ outcome: 'refused', code: 'statement-binding' });
  });

  test.each(['statement', 'intent', 'release'])(
    'a kill between the disk and the log, before %s: the next run goes on',
    async (type) => {
      await ofThree();
      for (const slot of ['b1', 'b3']) await attest(slot);
      let left = type === 'statement' ? 2 : 1;
      const meddle = ({ journal }: SignerState): void => {
        const append = journal.append.bind(journal);
        journal.append = async (entry) => {
          if (entry.type === type && --left === 0) throw unable('disk', 'killed');
          await append(entry);
        };
      };
      expect((await once({ meddle })).result).toMatchObject({ outcome: 'unfinished', code: 'disk' });
      expect((await once()).result).toMatchObject({ outcome: 'published' });
      expect(await scene.logged(build)).toBe('approval statement statement intent release');
    },
  );
});

describe('when the approval ends', () => {
  test('with too few: over, and the version is free again', async () => {
    await ofThree();
    await attest('b1');
    await once();
    scene.pass(DAY);
    expect(await once()).toMatchObject({ exit: 1, result: { state: 'refused', code: 'expired' } });
    const [reason] = parseRefusal(await shown('refusal.json')).reasons;
    expect(reason?.text).toBe(
      `1 of 2 builders agree when the approval ended at ${build.approval.expires}; b2, b3 had not sealed it`,
    );
    await ofThree();
    for (const slot of ['b1', 'b2']) await attest(slot);
    expect((await once()).result).toMatchObject({ outcome: 'published' });
  });

  test('a late one does not count, and where enough had come undoes nothing; dissent freezes still', async () => {
    for (const [version, made, outcome] of [
      ['1.0', contents, 'published'],
      ['2.0', tampered, 'refused'],
    ] as const) {
      build = await approveMany(scene, ['keypair', 'keypair', 'keypair'], 2, { version });
      for (const slot of ['b1', 'b2']) await attest(slot);
      await once({ ask: async () => false });
      await attest('b3', made);
      scene.pass(DAY);
      const ran = await once();
      expect(ran.result).toMatchObject({ outcome });
      if (outcome === 'published')
        expect(notes(ran)).toEqual([
          `statements/b3.json: it came after the approval ended at ${build.approval.expires}, and does not count`,
        ]);
    }
  });

  test('what the depot shows then for a builder that was not needed is nothing', async () => {
    await ofThree();
    for (const slot of ['b1', 'b2']) await attest(slot);
    await once({ ask: async () => false });
    scene.pass(DAY);
    await scene.tamper(build, 'statements/b3.json', 'nonsense');
    expect((await once()).result).toMatchObject({ outcome: 'published' });
  });
});

test('one of two is a single builder; the other one is held against it all the same', async () => {
  build = await approveMany(scene, ['keypair', 'keypair'], 1);
  await attest('b2');
  const ran = await once();
  expect(ran.questions).toMatchObject([{ assurance: 'single-builder', builders: [{ slot: 'b2' }] }]);
  expect(parseRelease(await kept('release.json')).assurance).toBe('single-builder');
  await attest('b1', tampered);
  await once();
  expect(await scene.logged(build)).toBe('approval statement intent release conflict');
});
