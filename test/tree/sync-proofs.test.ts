/** A release on its way to mirrors whose project file names other witnesses than the signer's did: older ones, newer ones. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Project } from '../../src/policy/project.ts';
import { verifyReleaseEntry } from '../../src/policy/release-chain.ts';
import { cosign, generateWitnessKey, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import type { CosignatureSigner } from '../../src/tlog/cosignature.ts';
import { splitNote } from '../../src/tlog/note.ts';
import { formatProof, parseProof } from '../../src/tlog/proof.ts';
import { sync } from '../../src/tree/sync.ts';
import type { SyncResult } from '../../src/tree/sync.ts';
import { build, now, project } from '../policy/scene.ts';
import { kept, outcome } from './carry.ts';
import { Directories } from './copies.ts';
import { chainOf, makeDepot, releaseSignatures, seal } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const directories = new Directories();
const sources: DepotOnDisk[] = [];
afterEach(async () => {
  await directories.remove();
  for (const source of sources.splice(0)) await source.remove();
});

const witness = (name: string): CosignatureSigner =>
  parseWitnessSigner(generateWitnessKey(`witness.example/${name}`).signer);
const [first, second, third] = [witness('first'), witness('second'), witness('third')];
const asking = (quorum: number, ...of: CosignatureSigner[]): Project => ({
  ...project,
  log: { ...project.log, witnesses: of.map(({ verifier }) => verifier), quorum },
});

/** A depot with a release whose proof the first two have cosigned. */
async function released(): Promise<DepotOnDisk> {
  const { log } = asking(2, first, second);
  const source = await makeDepot({ log });
  sources.push(source);
  await seal(source);
  const signatures = releaseSignatures();
  const chain = chainOf(signatures);
  const proof = parseProof(chain.get('release.proof') ?? Buffer.alloc(0));
  const { text } = splitNote(proof.checkpoint);
  const lines = [first, second].map((each) => cosign(text, each, 9)).join('');
  chain.set('release.proof', formatProof({ ...proof, checkpoint: proof.checkpoint + lines }));
  await source.depot.submit(build, chain);
  await source.depot.putSignatures(build, signatures);
  await source.depot.publish(build);
  return source;
}

/** `token`: of whoever sends to a depot that somebody else keeps. */
async function mirror(from: string, to: string, rules: Project, token?: null): Promise<SyncResult[]> {
  const depot = await kept(from, asking(2, first, second));
  return sync({
    ...{
      project: rules,
      from: { depot, quarantine: true },
      to: token === null ? (await kept(to, rules)).as(token) : await kept(to, rules),
    },
    ...{ now: () => now, report: () => {}, progress: () => {} },
  });
}

test.each<readonly [string, Project, number]>([
  ['none yet', asking(0), 0],
  ['one of them', asking(1, second), 1],
  ['both, in another order, and one that came later', asking(2, third, second, first), 2],
  ['another instead of one', asking(1, first, third), 1],
])('to one that knows %s: it has the proof as far as it can check it', async (_, rules, cosigned) => {
  const source = await released();
  const to = await directories.make();
  expect(outcome(await mirror(source.directory, to, rules))).toBe('carried');
  expect(outcome(await mirror(source.directory, to, rules))).toBe('same');
  const directory = join(to, 'releases/hello/1.0/countersign');
  const [proof, entry] = await Promise.all(
    ['release.proof', 'log-entry.json'].map((file) => readFile(join(directory, file))),
  );
  if (!proof || !entry) throw new Error('not there');
  const { signatures } = splitNote(parseProof(proof).checkpoint);
  expect(signatures.map(({ name }) => name)).toEqual([
    project.log.key.name,
    ...rules.log.witnesses.map(({ name }) => name).filter((name) => name !== third.name),
  ]);
  expect(verifyReleaseEntry(proof, entry, rules.log).cosignatures).toHaveLength(cosigned);
});

test('to one that asks for more than it has, as for a release from before: a keeper copies it, a stranger does not', async () => {
  const source = await released();
  const [to, served] = [await directories.make(), await directories.make()];
  const rules = asking(2, first, third);
  expect(outcome(await mirror(source.directory, to, rules))).toBe('carried');
  expect(outcome(await mirror(source.directory, served, rules, null))).toBe('refused witnesses-missing');
});
