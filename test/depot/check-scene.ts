/** A depot in which every kind of file lies, as a real signer left it; and copies of it to be spoilt. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyLog } from '../../src/audit/verify.ts';
import { checkDepot } from '../../src/depot/check/check.ts';
import type { CheckQuestion, CheckResult } from '../../src/depot/check/check.ts';
import type { Outcome } from '../../src/depot/check/finding.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { depotLog } from '../../src/tree/log/reader.ts';
import { approveMany, attestBy, sealingScene } from '../signer/builders.ts';
import { enrol, newKey, withKey } from '../signer/enrolling.ts';
import { revoke } from '../signer/revoking.ts';
import type { Scene } from '../signer/scene.ts';

/** Builds by what has become of them. */
export interface Builds {
  readonly [name: string]: string;
}

export interface Kept {
  readonly scene: Scene;
  readonly directory: string;
  readonly builds: Builds;
}

const HOUR = 3600;

/** Released by each scheme, revoked since, frozen, sealed, enrolling, approved: all of it through gate and signer. */
export async function keptDepot(): Promise<Kept> {
  const scene = await sealingScene();
  const files = {
    'hello.txt': 'hello',
    'docs/same.txt': 'hello',
    'docs/large.bin': Buffer.alloc(300_000, 7),
  };

  const released = await scene.approve('1.0');
  await scene.attest(released, files);
  const pair = await approveMany(scene, ['mac', 'keypair'], 2, { version: '1.1' });
  for (const slot of ['b1', 'b2']) await attestBy(scene, pair, slot, { 'pair.txt': 'the same' });
  const enrolled = await approveMany(scene, ['enrol'], 1, { version: '1.2' });
  const key = newKey(enrolled);
  await enrol(scene, enrolled, 'b1', key);
  const frozen = await approveMany(scene, ['keypair', 'keypair'], 2, { version: '1.3' });
  await attestBy(scene, frozen, 'b1', { 'odd.txt': 'one' });
  await attestBy(scene, frozen, 'b2', { 'odd.txt': 'other' });
  const revoked = await scene.approve('1.4');
  await scene.attest(revoked, { 'bad.txt': 'with a hole' });
  await scene.sign();
  await attestBy(scene, withKey(enrolled, 'b1', key), 'b1', { 'mine.txt': 'by a key of my own' });
  scene.pass(660);
  await scene.sign();
  await revoke(scene, revoked, scene.ada);
  await scene.sign();

  const sealed = await approveMany(scene, ['keypair', 'mac'], 2, { version: '2.0' });
  await attestBy(scene, sealed, 'b1', { 'new.txt': 'not signed yet' });
  const enrolling = await approveMany(scene, ['enrol'], 1, { version: '2.1' });
  await enrol(scene, enrolling, 'b1', newKey(enrolling));
  await scene.sign();
  const approved = await scene.approve('2.2');
  const { build } = released;
  return {
    scene,
    directory: join(scene.directory, 'depot'),
    builds: {
      ...{
        released: build,
        pair: pair.build,
        enrolled: enrolled.build,
        frozen: frozen.build,
        revoked: revoked.build,
      },
      ...{ sealed: sealed.build, enrolling: enrolling.build, approved: approved.build },
    },
  };
}

const MADE_IN = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A copy of the depot, each name a file of its own; `end` takes it away. */
export function copyOf(directory: string): { readonly directory: string; readonly end: () => void } {
  const copy = mkdtempSync(join(MADE_IN, 'cs-check-'));
  cpSync(directory, copy, { recursive: true });
  return { directory: copy, end: () => rmSync(copy, { recursive: true, force: true }) };
}

/** `check`, in this process, an hour later than the signer's last work. */
export async function check(
  { scene }: Kept,
  directory: string,
  options: Partial<CheckQuestion> = {},
): Promise<CheckResult> {
  const tree = await DirectoryTree.open(directory);
  const { project } = scene;
  return checkDepot({
    ...{ tree, project, repair: false, gpgv: false, pauseMs: 0, progress: () => {} },
    now: () => new Date(scene.now().getTime() + HOUR * 1000),
    audit: async () => {
      const { head, findings, leftovers } = await verifyLog({
        ...{ files: depotLog(tree), trust: project.log, ours: true, progress: () => {} },
        list: (path) => tree.list(path === '.' ? 'log' : `log/${path}`),
      });
      return { findings: findings.listed, size: head.checkpoint.size, beyond: leftovers?.beyond ?? 0 };
    },
    ...options,
  });
}

/** `damaged builds/…`, without what is no fault. */
export const faults = (outcomes: readonly Outcome[]): string[] =>
  outcomes
    .filter(({ what, repaired, aside }) => what !== 'leftover' && !repaired && !aside)
    .map(({ what, path }) => `${what} ${path}`);
