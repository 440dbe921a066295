/**
 * With H's log key and L's disk a thief can log an intent that no approver ever allowed, and wait for a person who types
 * `sign --recover`. What is adopted is judged as what is new: H signs none of it.
 */
import { cp, readFile, rename, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntryType } from '../../src/records/log-entry.ts';
import { encodeManifest } from '../../src/records/manifest.ts';
import { timestamp, toArtifactName, toVersion } from '../../src/records/names.ts';
import type { Sha256 } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import { b1, blobs, forgeApproval, plant, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { HeldLog, postLog } from './held-log.ts';
import { verdicts } from './outcome.ts';

let world: World;
let honest: Held;
beforeAll(async () => {
  world = await World.make();
  const approved = await world.approve('1.0');
  honest = await steal(world, approved);
  mustBe(0, await world.attest(approved.ticket, { app: 'honest' }));
  mustBe(0, await world.sign());
});
afterAll(() => world.close());

const evil = { app: 'evil' };

interface Forgery {
  readonly files: Map<string, Buffer>;
  readonly manifest: Buffer;
  readonly held: Held;
}

/** All of a build that H would be about to sign, its files in L's tree. */
async function forge(
  version: string,
  change: (files: Map<string, Buffer>) => Map<string, Buffer> = (files) => files,
  contents: Record<string, string> = evil,
): Promise<Forgery> {
  const held = forgeApproval(world, honest.approval, { version: toVersion(version, 'attack') });
  const statement = statementOf(held, contents);
  const { approval } = held;
  const files = change(new Map([...held.files, ...sign(held, statement)]));
  const journal = await readFile(world.tree('builds', honest.build, 'manifest.json'), 'utf8');
  const { releaseKey, signingKey, hash } = JSON.parse(journal) as {
    releaseKey: typeof approval.releaseKey;
    signingKey: typeof approval.releaseKey;
    hash: 'sha256';
  };
  const manifest = encodeManifest({
    ...{ build: approval.build, project: approval.project, version: approval.version },
    approval: sha256Hex(files.get('approval.json') ?? Buffer.alloc(0)),
    statements: { [b1]: sha256Hex(encodeStatement(statement)) },
    subjects: Object.entries(evil).map(([name, content]) => ({
      name: toArtifactName(name, 'attack'),
      sha256: sha256Hex(Buffer.from(content)),
      size: content.length,
    })),
    ...{ releaseKey, signingKey, hash, signedAt: timestamp(new Date()) },
  });
  await plant(world, held.build, new Map([...files, ...blobs(evil), ['manifest.json', manifest]]));
  return { files, manifest, held };
}

/** The thief logs it, up to its intent, and L takes that. */
async function log({ files, manifest, held }: Forgery): Promise<void> {
  const { build, project, version } = held.approval;
  const records = (names: (name: string) => boolean): Record<string, Sha256> =>
    Object.fromEntries(
      [...files]
        .filter(([name]) => names(name))
        .map(([name, bytes]) => [name, sha256Hex(bytes)])
        .sort(),
    );
  const entry = (type: BuildEntryType, named: Record<string, Sha256>, keys: never[] = []): Buffer =>
    encodeLogEntry({ type, time: timestamp(new Date()), build, project, version, records: named, keys });
  const signatures = records((name) => /^approval\.json\..*\.sig$/.test(name));
  const log = await HeldLog.of(world);
  const more = [
    entry(
      'approval',
      records((name) => name.startsWith('approval.json')),
    ),
    entry(
      'statement',
      records((name) => /b1\.json(\.sig)?$/.test(name)),
    ),
    entry('intent', { ...signatures, 'manifest.json': sha256Hex(manifest) }),
  ];
  expect((await postLog(world.url, log.with(more).push(log.size))).status).toBe(201);
}

/** `sign --recover` takes it for its own log, and signs nothing, then or later, whatever L shows or withholds. */
async function expectUnsigned({ held, files }: Forgery, verdict: string): Promise<void> {
  const before = await snapshot(world);
  expect((await world.sign()).error?.code).toBe('log-behind');
  // what is withheld while H recovers is shown when it is done
  const withheld = await plant(world, held.build, new Map([...files].map(([name]) => [name, null])));
  const halfway = await world.sign(['--recover']);
  expect(halfway.code, halfway.stderr).not.toBe(0);
  await plant(world, held.build, withheld);
  expect((await world.sign()).code).not.toBe(0);

  const ran = await world.sign([held.build, '--recover']);
  expect(ran.json[0], ran.stderr).toMatchObject({ closed: 0 });
  expect(verdicts({ json: ran.json.slice(1) })).toEqual([verdict]);
  const again = await world.sign([held.build]);
  expect(verdicts(again)).toEqual([verdict]);
  await expectUntouched(world, before, { answers: [halfway] });
  // it stands in nobody else's way
  if (verdict.endsWith('waits')) return;
  expectRefusal(again);
}

const signatureOf = (files: Map<string, Buffer>): string =>
  [...files.keys()].find((name) => /^approval\.json\..*\.sig$/.test(name)) ?? '';

describe('an intent in the log of a build', () => {
  test('that nobody has allowed', async () => {
    const forged = await forge('2.0', (files) => files.set(signatureOf(files), Buffer.from('none')));
    await log(forged);
    await expectUnsigned(forged, 'verified approval-waits');
  });

  test('that somebody has allowed, and whose builder vouches for other artifacts', async () => {
    const forged = await forge('2.1', undefined, { app: 'what was built' });
    await log(forged);
    await expectUnsigned(forged, 'verified intent-invalid');
  });

  test('that somebody has allowed, and whose statement nobody signed', async () => {
    const forged = await forge('2.2', (files) => files.set('statements/b1.json.sig', Buffer.from('none')));
    await log(forged);
    await expectUnsigned(forged, 'verified statement-invalid');
  });
});

test('an intent that H has logged and lost, with all that it rests on, is finished', async () => {
  const forged = await forge('3.0');
  await log(forged);
  const made = world.agent.signatures;
  const ran = await world.sign([forged.held.build, '--recover']);
  mustBe(0, ran);
  expect(verdicts({ json: ran.json.slice(1) })).toEqual(['published undefined']);
  expect(world.agent.signatures - made).toBe(2);
});

describe('entries that H never writes are no entries to it, whoever has signed the log', () => {
  test.each<[string, () => Buffer]>([
    ['of a build that has a release', () => honestEntry('intent')],
    ['in other bytes', () => Buffer.from(`${String(honestEntry('refusal'))} `)],
    ['as long as a bundle can hold', () => Buffer.alloc(65_535, '{')],
    ['of nothing', () => Buffer.alloc(0)],
  ])('%s', async (_, make) => {
    const before = await snapshot(world);
    const saved = world.path('cwd', 'log');
    await cp(world.tree('log'), saved, { recursive: true });
    const log = await HeldLog.of(world);
    expect((await postLog(world.url, log.with([make()]).push(log.size))).status).toBe(201);
    const ran = await world.sign(['--recover']);
    await rm(world.tree('log'), { recursive: true });
    await rename(saved, world.tree('log'));
    expect(`${ran.code} ${ran.error?.code}`, ran.stderr).toBe('1 log-impossible');
    expect(await readFile(world.journal, 'utf8')).toBe(before.journal.toString());
    await expectUntouched(world, before, { answers: [ran] });
  });

  const honestEntry = (type: BuildEntryType): Buffer => {
    const { build, project, version } = honest.approval;
    const file = type === 'refusal' ? 'refusal.json' : 'manifest.json';
    const records = { [file]: sha256Hex(Buffer.from('x')) };
    return encodeLogEntry({ type, time: timestamp(new Date()), build, project, version, records, keys: [] });
  };
});
