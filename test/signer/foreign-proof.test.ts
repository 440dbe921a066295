/**
 * A release's proof, and a stranger who is faster: once the log is out everybody can prove its entries. Whatever comes
 * first, the signer's release is published.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Failure } from '../../src/failure.ts';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import {
  buildPath,
  refusalFile,
  refusalProofFile,
  releaseFile,
  releaseProofFile,
} from '../../src/records/paths.ts';
import { mergeCosignatures } from '../../src/tlog/cosignature.ts';
import { formatProof, unwitnessed } from '../../src/tlog/proof.ts';
import { LogReader, depotLog } from '../../src/tree/log/reader.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { WitnessHost } from '../witness/host.ts';
import { oddDepot } from './odd-depot.ts';
import { Scene } from './scene.ts';
import type { Build } from './scene.ts';

let scene: Scene;
let witness: WitnessHost;
beforeEach(async () => {
  scene = await Scene.make();
  witness = new WitnessHost();
  await witness.start([scene.project.log]);
});
afterEach(async () => {
  await witness.close();
  await scene.close();
});

async function ask(url: string, quorum: number): Promise<void> {
  const { key } = witness;
  const log = { ...scene.project.log, witnesses: [key], quorum };
  scene.project = { ...scene.project, witnesses: [{ key, url }], log };
  await scene.reopenDepot();
}

async function sealed(version: string): Promise<Build> {
  const build = await scene.approve(version);
  await scene.attest(build, { 'hello.txt': 'hello' });
  return build;
}

const JUNK = '— junk AAAAAAA=\n';

/** What anybody makes of the log that is shown: the leaf of the build's end, and a proof under this note. */
async function foreign(
  { build }: Build,
  bend: (note: string) => string,
): Promise<{ leaf: Buffer; proof: Buffer }> {
  const reader = new LogReader(depotLog(scene.depot.as(null)), unwitnessed(scene.project.log));
  const head = await reader.head();
  if (head === null) throw new Error('no log');
  for await (const { index, leaf } of reader.entries(head, 0)) {
    const { type, build: of } = parseLogEntry(leaf);
    if (of !== build || (type !== 'release' && type !== 'refusal')) continue;
    const hashes = await reader.inclusionProof(head, index);
    const extra = type === 'refusal' ? leaf : null;
    return { leaf, proof: formatProof({ extra, index, hashes, checkpoint: bend(head.note) }) };
  }
  throw new Error('not logged');
}

/** A stranger sends one, with what else of the files there is; what the gate said. */
async function offer(
  build: Build,
  bend: (note: string) => string,
  files: ReadonlyMap<string, Buffer> = new Map(),
): Promise<string> {
  const { leaf, proof } = await foreign(build, bend);
  const own = new Map(files.has(refusalFile) ? [[refusalProofFile, proof]] : [['log-entry.json', leaf], [releaseProofFile, proof]]); // prettier-ignore
  for (const name of [releaseFile, refusalFile]) {
    const bytes = files.get(name);
    if (bytes) own.set(name, bytes);
  }
  try {
    return await scene.depot.as(null).submit(build.build, own);
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
}

/** The depot of a signer that a stranger watches: before what it sends first with that name, `act` is done. */
async function watched(
  name: string,
  act: (files: ReadonlyMap<string, Buffer>) => Promise<void>,
): Promise<Depot> {
  const real = await scene.signerDepot();
  let acted = false;
  return oddDepot(real, {
    submit: async (id, files) => {
      if (files.has(name) && !acted) {
        acted = true;
        await act(files);
      }
      return real.submit(id, files);
    },
  });
}

const kept = ({ build }: Build, file: string): Promise<Buffer> =>
  readFile(scene.path(buildPath(build, file)));
const published = (): Promise<Buffer> => readFile(scene.path('releases/hello/1.0/countersign/release.proof'));

test('while the signer sends its own: it is not taken without release.json, which nobody else has yet', async () => {
  const build = await sealed('1.0');
  let answer = '';
  const depot = await watched(releaseProofFile, async () => {
    answer = await offer(build, (note) => note + JUNK);
  });
  expect((await scene.sign({ depot })).result?.outcome).toBe('published');
  expect(answer).toBe('write-needs-authenticator');
});

test('while it waits for a witness, whom the stranger asks himself', async () => {
  await ask('http://127.0.0.1:9', 1);
  const build = await sealed('1.0');
  expect((await scene.sign()).result?.code).toBe('witnesses-missing');
  const { body } = await witness.add(`old 0\n\n${await readFile(scene.path('log/checkpoint'), 'utf8')}`);
  expect(await offer(build, (note) => note + body.toString() + JUNK)).toBe('write-needs-authenticator');
  await ask(witness.url, 1);
  expect((await scene.sign()).result?.outcome).toBe('published');
});

test('with release.json, from another depot that has it: it stays, cleaned, and the release is published with it', async () => {
  await ask(witness.url, 0);
  const build = await sealed('1.0');
  let answer = '';
  const depot = await watched(releaseProofFile, async (files) => {
    answer = await offer(build, (note) => mergeCosignatures([note], scene.project.log.key, []) + JUNK, files);
  });
  expect((await scene.sign({ depot })).result?.outcome).toBe('published');
  expect(answer).toBe('new');
  const own = await readFile(join(scene.state, 'builds', build.build, releaseProofFile));
  expect(await published()).toEqual(await kept(build, releaseProofFile));
  expect(await published()).not.toEqual(own);
  expect((await published()).includes('junk')).toBe(false);
  // nor is it another release when it is read back later
  expect((await scene.sign({ named: [build.build] })).result?.outcome).toBe('published');
});

test('cosigned by too few for the signer, at a depot that asks for fewer: it says so before anything is published', async () => {
  await ask(witness.url, 0);
  const build = await sealed('1.0');
  const project = { ...scene.project, log: { ...scene.project.log, quorum: 1 } };
  const alone = (note: string) => mergeCosignatures([note], project.log.key, []);
  let answer = '';
  const depot = await watched(releaseProofFile, async (files) => {
    answer = await offer(build, alone, files);
  });
  scene.project = project;
  for (const odd of [{ depot }, {}])
    expect(await scene.sign(odd)).toMatchObject({
      exit: 1,
      result: { code: 'proof-insufficient', state: 'signed' },
    });
  expect(answer).toBe('new');
  await expect(published()).rejects.toThrow('ENOENT');
  // as its hint says
  await scene.reopenDepot();
  await scene.tamper(build, releaseProofFile, null);
  expect((await scene.sign()).result?.outcome).toBe('published');
});

test('of a refusal: it is heard all the same', async () => {
  await sealed('1.0');
  await scene.sign();
  const second = await scene.approve('1.0');
  let answer = '';
  const depot = await watched(refusalProofFile, async (files) => {
    answer = await offer(second, (note) => note + JUNK, files);
  });
  expect((await scene.sign({ depot })).result?.outcome).toBe('refused');
  expect(answer).toBe('new');
  expect((await kept(second, refusalProofFile)).includes('junk')).toBe(false);
  const again = await scene.sign({ named: [second.build] });
  expect([again.result?.outcome, again.events.map(({ kind }) => kind)]).toEqual(['decided', ['result']]);
});
