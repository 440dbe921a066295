/**
 * Every reason for which a build ends is reached here, through the signer itself, past a gate that would have stopped
 * most of it: what lies at L is what somebody with the authority for it signed (docs/refusals.md).
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeEphemeral } from '../../src/openpgp/ephemeral.ts';
import { sealNonce } from '../../src/openpgp/sealed.ts';
import type { ProjectPolicy } from '../../src/policy/project.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import type { Approval, Builder } from '../../src/records/approval.ts';
import {
  toArtifactName,
  toFingerprint,
  toProjectName,
  toSha256,
  toSlot,
  toTimestamp,
} from '../../src/records/names.ts';
import { approvalFile, buildPath, refusalFile, statementFile } from '../../src/records/paths.ts';
import { parseRefusal } from '../../src/records/refusal.ts';
import type { ReasonCode } from '../../src/records/refusal.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement, parseStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { hashStateOf } from '../harness/hash-state.ts';
import { endorsement, sealed } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import { approveMany, attestBy, sealingScene } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import { enrol, enrolmentOf, newKey, withKey } from './enrolling.ts';
import type { Odd } from './enrolling.ts';
import type { Build, Scene } from './scene.ts';

const b1 = toSlot('b1', 'test');
const contents = { 'hello.txt': 'hello' };
const other = toSha256('ab'.repeat(32), 'test');

let scene: Scene;
beforeAll(async () => {
  scene = await sealingScene();
});
afterAll(() => scene.close());

let versions = 0;
const nextVersion = (): string => `1.${++versions}`;
const approve = (terms: Partial<Approval> = {}): Promise<Build> => scene.approve(nextVersion(), terms);

/** Lays files into the build, past every gate. */
async function put({ build }: Build, files: Files): Promise<void> {
  for (const [file, bytes] of files) {
    const path = scene.path(buildPath(build, file));
    await mkdir(dirname(path), { recursive: true });
    await rm(path, { force: true });
    await writeFile(path, bytes);
  }
}

/** An approval that says something else, which the approver signed all the same. */
async function approved(change: (approval: Approval) => Partial<Approval>): Promise<Build> {
  const build = await approve();
  const approval = { ...build.approval, ...change(build.approval) };
  const bytes = encodeApproval(approval);
  await put(build, new Map([[approvalFile, bytes], endorsement(bytes, scene.ada, scene.now())]));
  return { ...build, approval, digest: sha256Hex(bytes) };
}

/** An approval of another builder, which the approver signed all the same. */
const withBuilder = (made: (approval: Approval) => Builder): Promise<Build> =>
  approved((approval) => ({ builders: { [b1]: made(approval) } }));

const change = (policy: Partial<ProjectPolicy>): void => {
  scene.project = { ...scene.project, policy: { ...scene.project.policy, ...policy } };
};

/** An approval of which the project file has since thought better. */
async function thoughtBetter(policy: Partial<ProjectPolicy>, build = approve()): Promise<Build> {
  const made = await build;
  change(policy);
  return made;
}

/** A statement that says something else, which the builder signed all the same. */
async function stated(says: Partial<Statement>, build = approve(), at = scene.now()): Promise<Build> {
  const held = await build;
  const usual = parseStatement(scene.statement(held, contents).get(statementFile(b1)) ?? Buffer.alloc(0));
  await put(held, sealed(encodeStatement({ ...usual, ...says }), b1, held.secret, at));
  return held;
}

const subjects = (names: readonly string[], size = 1): Pick<Statement, 'subjects'> => ({
  subjects: names.map((name) => ({ name: toArtifactName(name, 'test'), sha256: other, size })),
});

/** hello.txt, with the hash state of these bytes. */
const withState = (bytes: string): Pick<Statement, 'subjects'> => ({
  subjects: [
    {
      ...{ name: toArtifactName('hello.txt', 'test'), sha256: sha256Hex('hello'), size: 5 },
      sha256State: hashStateOf(Buffer.from(bytes)),
    },
  ],
});

const allowing = (limits: Partial<Approval['artifacts']>): Promise<Build> =>
  approve({ artifacts: { patterns: ['**'], maxCount: 9, maxBytes: 99, maxTotalBytes: 99, ...limits } });

/** An enrolment that says something else, introduced by the nonce all the same. */
async function enrolled(odd: Odd): Promise<ManyBuild> {
  const build = await approveMany(scene, ['enrol'], 1, { version: nextVersion() });
  await put(build, enrolmentOf(scene, build, 'b1', newKey(build), odd));
  return build;
}

/** For each reason, how a build comes to have it. */
const REACHED: Readonly<Record<ReasonCode, () => Promise<Build>>> = {
  'version-taken': async () => {
    const { approval } = await approve();
    await scene.sign();
    return scene.approve(approval.version);
  },
  signer: () => approved(() => ({ signer: 'example.org/another' })),
  project: () => approved(() => ({ project: toProjectName('other', 'test') })),
  'release-key': () => approved(() => ({ releaseKey: toFingerprint('AB'.repeat(20), 'test') })),
  expired: async () => {
    const build = await approve();
    await scene.sign();
    await scene.attest(build, contents);
    scene.pass(5 * 3600);
    return build;
  },
  'policy-artifacts': () => thoughtBetter({ patterns: ['*.tar'] }, allowing({ patterns: ['hello.txt'] })),
  'policy-limits': () => thoughtBetter({ maxCount: 1 }),
  'policy-lifetime': () => thoughtBetter({ maxLifetime: 60 }),
  'policy-scheme': () => thoughtBetter({ schemes: ['mac'] }),
  'policy-mode': () => approved(() => ({ mode: 'digest' })),
  'policy-quorum': () => thoughtBetter({ leastQuorum: 2 }),
  'enrol-by': () =>
    withBuilder(({ expires }) => ({
      ...{ scheme: 'enrol', uploadTokenSha256: other, nonceSha256: other },
      ...{ sealedNonce: 'AAAA', enrolBy: toTimestamp(expires, 'test') },
    })),
  'nonce-unusable': async () => {
    // sealed to H, and not what the approval says
    const seal = () => sealNonce(Buffer.alloc(32, 7), scene.project.release.certificate);
    const build = await approveMany(scene, ['mac'], 1, { version: nextVersion(), seal });
    await attestBy(scene, build, 'b1', contents);
    return build;
  },
  'key-unusable': () =>
    withBuilder(() => {
      const { certificate } = makeEphemeral({ userId: 'too old', created: 1_700_000_000 });
      return { scheme: 'keypair', uploadTokenSha256: other, certificate: certificate.toString('base64') };
    }),
  'key-seen': async () => {
    const { approval } = await approve();
    await scene.sign();
    return approve({ builders: approval.builders });
  },
  'enrolment-malformed': () => enrolled({ bytes: Buffer.from('{"hello":"world"}') }),
  'enrolment-binding': () => enrolled({ record: { approval: other } }),
  'statement-malformed': async () => {
    const build = await approve();
    await put(build, sealed(Buffer.from('{"hello":"world"}'), b1, build.secret, scene.now()));
    return build;
  },
  'statement-binding': () => stated({ approval: other }),
  'statement-time': () => stated({}, approve(), new Date(scene.now().getTime() - 11 * 60_000)),
  'statement-mode': () => stated(withState('hello')),
  'state-mismatch': () => {
    change({ digestMode: true });
    return stated(
      withState('hullo'),
      approved(() => ({ mode: 'digest' })),
    );
  },
  'name-not-allowed': () => stated(subjects(['evil.exe']), allowing({ patterns: ['*.txt'] })),
  'pattern-missing': () => stated(subjects(['b.txt']), allowing({ patterns: ['a.txt', '*.txt'] })),
  'too-many': () => stated(subjects(['a', 'b']), allowing({ maxCount: 1 })),
  'too-large': () => stated(subjects(['a'], 51), allowing({ maxBytes: 50 })),
  'total-too-large': () => stated(subjects(['a', 'b'], 40), allowing({ maxTotalBytes: 79 })),
  conflict: async () => {
    const build = await approve();
    await scene.attest(build, contents);
    await scene.attest(build, { 'hello.txt': 'hullo' });
    return build;
  },
};

/** Where there is more than one. */
const REASONS: Readonly<Record<string, readonly string[]>> = { conflict: ['conflict', 'conflict'] };

test.each(Object.entries(REACHED))('%s is final, written down, and signs nothing', async (code, reach) => {
  const { project } = scene;
  try {
    const build = await reach();
    const ran = await scene.sign({ named: [build.build] });
    expect(ran).toMatchObject({ exit: 1, result: { outcome: 'refused', code } });
    expect(ran.result?.hint).not.toBe('');
    expect(await scene.logged(build)).toMatch(/refusal$/);
    const bytes = await scene.tree.read(buildPath(build.build, refusalFile), 65_536);
    // one of another project is not shown here: this depot has no place for it
    if (code !== 'project')
      expect(parseRefusal(bytes ?? Buffer.alloc(0)).reasons.map((reason) => reason.code)).toEqual(
        REASONS[code] ?? [code],
      );
    const again = await scene.sign({ named: [build.build] });
    expect(again).toMatchObject({ exit: 1, result: { outcome: 'decided', code } });
    expect(scene.agent.signatures).toBe(0);
  } finally {
    scene.project = project;
    await scene.newDepot();
  }
});

test('an enrolment that nobody introduced is no reason: enrolment-invalid, tried again until its time is over', async () => {
  const build = await approveMany(scene, ['enrol', 'enrol'], 1, { version: nextVersion() });
  const key = newKey(build);
  await enrol(scene, build, 'b1', key);
  await enrol(scene, build, 'b2', newKey(build), { nonce: Buffer.alloc(32, 9) });
  await scene.sign();
  await attestBy(scene, withKey(build, 'b1', key), 'b1', contents);
  for (const run of [1, 2]) {
    const { result, exit } = await scene.sign({ named: [build.build] });
    expect([result, exit], `run ${run}`).toMatchObject([{ outcome: 'bad', code: 'enrolment-invalid' }, 1]);
  }
  scene.pass(600);
  expect((await scene.sign({ named: [build.build] })).result).toMatchObject({ outcome: 'published' });
});
