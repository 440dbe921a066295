/**
 * The signer's process ends at any moment. Every act that outlives it (a file, a log entry, a signature, a write to
 * the depot) is a step; it is killed before each of them in turn, started again, and must finish: with one entry
 * of each type, one set of signatures, and nothing lost.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { Agent } from '../../src/openpgp/agent.ts';
import type { SignerState } from '../../src/signer/state.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Odd } from './scene.ts';

const contents = { 'hello.txt': 'hello' };

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

class Killed extends Error {}

/** Counts steps, and ends the run at one of them. */
class Steps {
  readonly names: string[] = [];
  /** How many lines were. */
  kept = 0;
  readonly #last: number;

  constructor(last: number) {
    this.#last = last;
  }

  step = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
    if (this.names.length >= this.#last) throw new Killed(name);
    this.names.push(name);
    return act();
  };

  meddle = (state: SignerState): void => {
    const { journal } = state;
    const [write, append, lines, keepHead] = [
      state.write.bind(state),
      journal.append.bind(journal),
      state.lines.bind(state),
      state.keepHead.bind(state),
    ];
    state.keepHead = (head) => this.step('keep the checkpoint', () => keepHead(head));
    state.write = (build, file, bytes) => this.step(`keep ${file}`, () => write(build, file, bytes));
    journal.append = (entry) => this.step(`log ${entry.type}`, () => append(entry));
    state.lines = async (build, name) => {
      const opened = await lines(build, name);
      const { file } = opened;
      const [writeLine, sync] = [file.write.bind(file), file.sync.bind(file)];
      file.write = (...lines) =>
        this.step(`keep lines of ${name}`, async () => {
          await writeLine(...lines);
          this.kept += lines.length;
        });
      file.sync = () => this.step(`sync ${name}`, () => sync());
      return opened;
    };
  };

  depot = (depot: Depot): Depot =>
    oddDepot(depot, {
      pushLog: (push) => this.step('push log', () => depot.pushLog(push)),
      submit: (build, files) =>
        this.step(`submit ${[...files.keys()].join()}`, () => depot.submit(build, files)),
      putSignatures: (build, files) => this.step('put signatures', () => depot.putSignatures(build, files)),
      publish: (build) => this.step('publish', () => depot.publish(build)),
    });

  connectAgent = async () => {
    const agent = await Agent.connect();
    const sign: Agent['sign'] = (...signature) => this.step('sign', () => agent.sign(...signature));
    const signAlong: Agent['signAlong'] = (...signature) =>
      this.step('sign along', () => agent.signAlong(...signature));
    return { sign, signAlong, close: () => agent.close() };
  };

  async odd(): Promise<Odd> {
    const depot = this.depot(await scene.signerDepot());
    return { depot, meddle: this.meddle, connectAgent: this.connectAgent };
  }
}

test('killed before every step in turn, it finishes what it began', { timeout: 240_000 }, async () => {
  let names: readonly string[] = [];
  for (let last = 0, done = false; !done; last++) {
    const build = await scene.approve(`1.${last}`);
    await scene.attest(build, contents);
    const before = scene.agent.digests.length;
    const steps = new Steps(last);
    const first = await scene.sign(await steps.odd()).catch((error: unknown) => {
      if (error instanceof Killed) return null;
      throw error;
    });
    const intended = (await scene.logged(build)).includes('intent');
    scene.pass(1);
    const second = first ?? (await scene.sign());

    expect(second.result, `killed before ${steps.names.at(-1)}`).toMatchObject({ outcome: 'published' });
    expect(await scene.logged(build)).toBe('approval statement intent release');
    // Whatever was asked of the agent, by both runs, is one set: of the artifact and of SHA256SUMS.
    expect(new Set(scene.agent.digests.slice(before)).size).toBe(2);
    // and none of it is asked for again that was kept
    const made = steps.names.filter((step) => step.startsWith('sign')).length;
    const lost = first ? 0 : made - steps.kept;
    expect(scene.agent.digests.length - before).toBe(2 + lost);
    // Asked once; when the intent is logged, not again: then it is said what goes on.
    expect(second.questions).toHaveLength(first || !intended ? 1 : 0);
    const continued = second.events.flatMap((event) => (event.kind === 'continuing' ? [event.decided] : []));
    const released = steps.names.includes('log release');
    expect(continued).toMatchObject(
      !first && intended && !released
        ? [{ build: build.build, version: `1.${last}`, approvers: [{ userId: 'Ada <ada@example.org>' }] }]
        : [],
    );
    done = first !== null;
    names = steps.names;
  }
  // signatures are kept as they come: together, or one after the other
  const distinct = names.filter((name, at) => name !== names[at - 1]);
  expect(distinct.map((name) => name.replace(/[0-9A-F]{40}/, 'FPR'))).toMatchInlineSnapshot(`
    [
      "keep approval.json",
      "keep approval.json.FPR.sig",
      "log approval",
      "keep statements/b1.json",
      "keep statements/b1.json.sig",
      "log statement",
      "keep manifest.json",
      "log intent",
      "sign",
      "sign along",
      "keep lines of signatures",
      "sync signatures",
      "keep signatures.list",
      "keep release.json",
      "log release",
      "keep the checkpoint",
      "push log",
      "keep release.proof",
      "submit log-entry.json,release.proof,release.json,manifest.json,signatures.list",
      "put signatures",
      "publish",
      "keep settled",
    ]
  `);
});

test(
  'the network fails at every step in turn: exit 3, and the next run goes on',
  { timeout: 120_000 },
  async () => {
    const kinds = ['scan', 'fetchBlobs', 'submit', 'putSignatures', 'publish'] as const;
    for (const [number, kind] of kinds.entries()) {
      const build = await scene.approve(`1.${number}`);
      await scene.attest(build, { ...contents, 'large.bin': 'x'.repeat(100_000) });
      const real = await scene.signerDepot();
      const fail = () => {
        throw unable('network', 'the cable is out');
      };
      const broken = await scene.sign({ depot: oddDepot(real, { [kind]: fail }) });
      // Small artifacts that can't be had together are asked for one by one.
      const [exit, outcome] = kind === 'fetchBlobs' ? [0, 'published'] : [3, 'unfinished'];
      expect(broken, kind).toMatchObject({ exit, result: { outcome } });
      if (exit === 3) expect((await scene.sign()).result?.outcome).toBe('published');
      expect(await scene.logged(build)).toBe('approval statement intent release');
    }
    // Without a word from the depot about the log nothing is begun: it may be behind.
    const build = await scene.approve('2.0');
    await scene.attest(build, contents);
    const read = () => Promise.reject(unable('network', 'the cable is out'));
    const broken = scene.sign({ publicDepot: oddDepot(scene.depot.as(null), { read }) });
    await expect(broken).rejects.toMatchObject({ kind: 'unable', code: 'network' });
    expect(await scene.logged(build)).toBe('');
    expect((await scene.sign()).result?.outcome).toBe('published');
  },
);

test('a disk that fails stops everything: no entry is acted upon that may not be there', async () => {
  for (const version of ['1.0', '1.1']) await scene.attest(await scene.approve(version), contents);
  const meddle = ({ journal }: SignerState): void => void journal.close();
  const { results, exit } = await scene.sign({ meddle }).catch(() => ({ results: [], exit: 3 }));
  expect(results.every(({ outcome }) => outcome === 'unfinished')).toBe(true);
  expect(exit).toBe(3);
  expect(scene.agent.signatures).toBe(0);
  expect((await scene.sign()).results.map(({ outcome }) => outcome)).toEqual(['published', 'published']);
});

test('an agent without the key is tried again, with the same intent', async () => {
  const build = await scene.approve();
  await scene.attest(build, contents);
  const connectAgent = async () => {
    throw unable('agent-locked', 'the card is not there', 'put it in');
  };
  const first = await scene.sign({ connectAgent });
  expect(first).toMatchObject({
    exit: 3,
    result: { state: 'verified', code: 'agent-locked', hint: 'put it in' },
  });
  scene.pass(5 * 3600);
  expect((await scene.sign()).result?.outcome).toBe('published');
});
