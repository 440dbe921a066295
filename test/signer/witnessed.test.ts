/** Witnesses: a release waits until as many as the project asks for have cosigned its log (protocol §5.8, §7). */
import { cp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { releaseProofFile } from '../../src/records/paths.ts';
import { cosignaturesOf } from '../../src/tlog/cosignature.ts';
import { parseProof } from '../../src/tlog/proof.ts';
import { buildPath } from '../../src/records/paths.ts';
import { WitnessHost } from '../witness/host.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Build } from './scene.ts';

let scene: Scene;
let witnesses: WitnessHost[];
beforeEach(async () => {
  scene = await Scene.make();
  witnesses = [new WitnessHost(), new WitnessHost()];
});
afterEach(async () => {
  for (const witness of witnesses) await witness.close();
  await scene.close();
});

/** The project lists both, wherever they listen now. */
async function ask(quorum: number, running = witnesses): Promise<void> {
  for (const witness of running) if (witness.url === '') await witness.start([scene.project.log]);
  const listed = witnesses.flatMap((witness) =>
    witness.url === '' ? [] : [{ key: witness.key, url: witness.url }],
  );
  scene.project = {
    ...scene.project,
    witnesses: listed,
    log: { ...scene.project.log, witnesses: listed.map(({ key }) => key), quorum },
  };
  await scene.reopenDepot();
}

async function sealed(version: string): Promise<Build> {
  const build = await scene.approve(version);
  await scene.attest(build, { 'hello.txt': 'hello' });
  return build;
}

async function cosigners({ build }: Build): Promise<number> {
  const proof = parseProof(await readFile(scene.path(buildPath(build, releaseProofFile))));
  return cosignaturesOf(proof.checkpoint, scene.project.log.witnesses).length;
}

const places = (): [string, string][] => [
  ['state', scene.state],
  ['depot', scene.path('')],
];
const old = (name: string): string => join(scene.directory, `${name}.old`);

/** What H has, and L. */
async function backUp(): Promise<void> {
  for (const [name, at] of places()) await cp(at, old(name), { recursive: true });
}

async function putBack(): Promise<void> {
  for (const [name, at] of places()) {
    await rm(at, { recursive: true });
    await cp(old(name), at, { recursive: true });
  }
}

test('the proof of a release has the cosignatures of all that answered, and the log’s checkpoint too', async () => {
  await ask(2);
  const build = await sealed('1.0');
  expect((await scene.sign()).result?.outcome).toBe('published');
  expect(await cosigners(build)).toBe(2);
  const shown = await readFile(scene.path('log/checkpoint'));
  expect(cosignaturesOf(shown, scene.project.log.witnesses)).toHaveLength(2);
  // a log that has grown since continues what they cosigned
  const next = await sealed('1.1');
  expect((await scene.sign()).result?.outcome).toBe('published');
  expect(await cosigners(next)).toBe(2);
});

test('one that is away holds up nothing while the others are enough', async () => {
  await ask(1);
  await witnesses[0]?.stop();
  const build = await sealed('1.0');
  const ran = await scene.sign();
  expect(ran).toMatchObject({ exit: 0, result: { outcome: 'published' } });
  expect(await cosigners(build)).toBe(1);
  expect(ran.events).toContainEqual(
    expect.objectContaining({ kind: 'note', text: expect.stringContaining('witness') as string }),
  );
});

test('too few: signed and logged, but nothing leaves; the log does, and the release when they are back', async () => {
  await ask(2);
  const [first] = witnesses;
  await first?.stop();
  const build = await sealed('1.0');
  const calls: string[] = [];
  const real = await scene.signerDepot();
  const depot = oddDepot(real, { submit: (id, files) => (calls.push('submit'), real.submit(id, files)) });
  const ran = await scene.sign({ depot });
  expect(ran).toMatchObject({
    exit: 3,
    result: { outcome: 'unfinished', code: 'witnesses-missing', state: 'signed' },
  });
  expect(calls).toEqual([]);
  expect((await readFile(scene.path('log/checkpoint'), 'utf8')).split('\n')[1]).toBe('4');

  const signatures = scene.agent.signatures;
  await ask(2);
  expect((await scene.sign()).result?.outcome).toBe('published');
  expect(scene.agent.signatures).toBe(signatures);
  expect(await cosigners(build)).toBe(2);
});

test.each([
  ['a text before its line', 'x\n\n— x AAAAAAA=\n'],
  ['nothing', ''],
  ['a line of its key that is wrong', null],
  ['no line of its key', '— x AAAAAAA=\n'],
])('a witness that answers %s is away, and no more', async (_, answer) => {
  await ask(1);
  const [first] = witnesses;
  const line = `— ${first?.key.name} ${Buffer.concat([first?.key.id ?? Buffer.alloc(4), Buffer.alloc(72, 1)]).toString('base64')}\n`;
  const liar = createServer((request, response) => {
    request.resume().once('end', () => response.end(answer ?? line));
  });
  await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
  const address = liar.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  try {
    const [honest, lying] = [scene.project.witnesses[1], scene.project.witnesses[0]];
    if (!honest || !lying) throw new Error('two witnesses');
    scene.project = { ...scene.project, witnesses: [{ ...lying, url }, honest] };
    const build = await sealed('1.0');
    expect((await scene.sign()).result?.outcome).toBe('published');
    expect(await cosigners(build)).toBe(1);
  } finally {
    liar.close();
    liar.closeAllConnections();
  }
});

test('one that was away when the signer started is asked when it is back: a fork is noticed then', async () => {
  await ask(1);
  await sealed('1.0');
  await scene.sign();
  await backUp();
  await witnesses[1]?.stop();
  await sealed('1.1');
  await scene.sign();
  await putBack();
  // both of yesterday, and the one witness that knows better cannot be reached
  const [knows, other] = [witnesses[0], witnesses[1]];
  await other?.start([scene.project.log]);
  const listed = scene.project.witnesses;
  scene.project = {
    ...scene.project,
    witnesses: listed.map((each, at) => ({
      ...each,
      url: at === 1 ? (other?.url ?? '') : 'http://127.0.0.1:9',
    })),
  };
  await scene.reopenDepot();
  scene.pass(60);
  await sealed('1.2');
  const session = scene.newSession();
  expect((await scene.sign({ session })).result?.outcome).toBe('published');
  scene.project = {
    ...scene.project,
    witnesses: scene.project.witnesses.map((each, at) =>
      at === 0 ? { ...each, url: knows?.url ?? '' } : each,
    ),
  };
  await expect(scene.sign({ session })).rejects.toMatchObject({ kind: 'refused', code: 'log-fork' });
});

test('a release from before the witnesses stays what it is when the state is rebuilt', async () => {
  const build = await sealed('1.0');
  await scene.sign();
  await ask(2);
  for (const name of ['journal', 'checkpoint', 'builds'])
    await rm(join(scene.state, name), { recursive: true });
  const ran = await scene.sign({ recovering: true });
  expect(ran).toMatchObject({ exit: 0, recovered: { entries: 4, closed: 0 }, results: [] });
  expect(await scene.sign({ named: [build.build] })).toMatchObject({
    exit: 0,
    result: { outcome: 'published' },
  });
  expect(await cosigners(build)).toBe(0);
});

test('a refusal waits for no witness: it must be heard', async () => {
  await ask(2);
  await sealed('1.0');
  await scene.sign();
  for (const witness of witnesses) await witness.stop();
  const build = await scene.approve('1.0');
  const ran = await scene.sign();
  expect(ran.result?.outcome).toBe('refused');
  expect(await scene.depot.size(buildPath(build.build, 'refusal.proof'))).not.toBeNull();
});

test('a project that asks for more witnesses before the release has left gets a proof with more', async () => {
  const build = await sealed('1.0');
  const real = await scene.signerDepot();
  const submit = () => Promise.reject(new Error('killed'));
  await expect(scene.sign({ depot: oddDepot(real, { submit }) })).rejects.toThrow('killed');
  await ask(2);
  expect((await scene.sign()).result?.outcome).toBe('published');
  expect(await cosigners(build)).toBe(2);
});

test("yesterday's state, and a depot of yesterday that plays along: the witnesses know better", async () => {
  await ask(1);
  await sealed('1.0');
  await scene.sign();
  await backUp();
  await sealed('1.1');
  await scene.sign();
  await putBack();
  await scene.reopenDepot();
  const [signatures, build] = [scene.agent.signatures, await sealed('1.1')];
  await expect(scene.sign()).rejects.toMatchObject({ kind: 'refused', code: 'log-behind' });
  expect(await scene.logged(build)).toBe('');
  expect(scene.agent.signatures).toBe(signatures);
  // what the witnesses saw is nowhere: nothing is made up
  await expect(scene.sign({ recovering: true })).rejects.toMatchObject({ code: 'log-behind' });
});
