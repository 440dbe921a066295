/**
 * With the log key somebody can log an intent, a statement or an enrolment; what builders never vouched for is not signed
 * all the same (protocol §1 rule 1), whether they vouch with a key or with a nonce.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { ENROLMENT_TYPE, encodeEnrolment } from '../../src/records/enrolment.ts';
import { encodeManifest, parseManifest } from '../../src/records/manifest.ts';
import type { Manifest } from '../../src/records/manifest.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { SignerState } from '../../src/signer/state.ts';
import { approveMany, attestBy, sealingScene, statementBy } from './builders.ts';
import type { ManyBuild } from './builders.ts';
import type { Ran, Scene } from './scene.ts';

const contents = { 'hello.txt': 'hello' };

let scene: Scene;
let build: ManyBuild;
beforeEach(async () => {
  scene = await sealingScene();
});
afterEach(() => scene.close());

const once = (odd = {}): Promise<Ran> => scene.sign({ named: [build.build], ...odd });
const connectAgent = () => Promise.reject(unable('agent-locked', 'the card is not there'));

/** The build gets as far as its intent, whose manifest is another. */
async function intend(change: (manifest: Manifest) => Manifest = (manifest) => manifest): Promise<void> {
  const meddle = (state: SignerState): void => {
    const [write, append] = [state.write.bind(state), state.journal.append.bind(state.journal)];
    let forged: Buffer = Buffer.alloc(0);
    state.write = async (of, file, bytes) => {
      if (file === 'manifest.json') forged = encodeManifest(change(parseManifest(bytes)));
      await write(of, file, file === 'manifest.json' ? forged : bytes);
    };
    state.journal.append = (entry) =>
      append(
        entry.type === 'intent'
          ? { ...entry, records: { ...entry.records, 'manifest.json': sha256Hex(forged) } }
          : entry,
      );
  };
  expect((await once({ connectAgent, meddle })).result).toMatchObject({
    state: 'verified',
    code: 'agent-locked',
  });
}

async function expectUnsigned(code: string, text: RegExp): Promise<void> {
  for (const run of [1, 2]) {
    const { exit, result } = await once();
    expect({ exit, result }, `run ${run}`).toMatchObject({
      exit: 1,
      result: { outcome: 'bad', state: 'verified', code },
    });
    expect(result?.text).toMatch(text);
  }
  expect(scene.agent.signatures).toBe(0);
}

const without =
  (slot: string) =>
  (manifest: Manifest): Manifest => ({
    ...manifest,
    statements: Object.fromEntries(Object.entries(manifest.statements).filter(([each]) => each !== slot)),
  });

test('an intent that all builders vouch for, by key and by nonce, is gone on with after a restart', async () => {
  build = await approveMany(scene, ['mac', 'keypair'], 2);
  for (const slot of ['b1', 'b2']) await attestBy(scene, build, slot, contents);
  await intend();
  expect((await once()).result).toMatchObject({ outcome: 'published' });
});

test('the MAC that is kept is not made with the nonce', async () => {
  build = await approveMany(scene, ['mac'], 1);
  await attestBy(scene, build, 'b1', contents);
  await intend();
  const kept = join(scene.state, 'builds', build.build, 'statements/b1.json.mac');
  const mac = await readFile(kept);
  await writeFile(kept, `${Buffer.alloc(32).toString('base64')}\n`);
  await expectUnsigned('statement-invalid', /its MAC is not made with the nonce of builder b1/);
  await writeFile(kept, mac);
  expect((await once()).result).toMatchObject({ outcome: 'published' });
});

test('a statement that the log has is left out of it', async () => {
  build = await approveMany(scene, ['keypair', 'keypair'], 2);
  await attestBy(scene, build, 'b1', contents);
  await attestBy(scene, build, 'b2', contents);
  await intend(without('b2'));
  await expectUnsigned('intent-invalid', /^.*statements\/b2\.json: the manifest is of another statement/);
});

test('it names a builder that the approval does not have', async () => {
  build = await approveMany(scene, ['keypair'], 1);
  await attestBy(scene, build, 'b1', contents);
  await intend((manifest) => ({
    ...manifest,
    statements: Object.fromEntries([['a0', build.digest], ...Object.entries(manifest.statements)]),
  }));
  await expectUnsigned('intent-invalid', /manifest\.json: its builder a0 is none of the approval/);
});

test('fewer builders vouch for it than must agree', async () => {
  build = await approveMany(scene, ['keypair', 'keypair'], 2);
  await attestBy(scene, build, 'b1', contents);
  const meddle = (state: SignerState): void => {
    const append = state.journal.append.bind(state.journal);
    state.journal.append = async (entry) => {
      await append(entry);
      if (entry.type !== 'statement') return;
      // the thief's own, right behind it
      const { build: of, project, version, time } = entry;
      const { key } = scene.project.release.certificate.keys[1] ?? {};
      if (key === undefined) throw new Error('no signing key');
      const manifest = encodeManifest({
        ...{ build: of, project, version, approval: build.digest, releaseKey: build.approval.releaseKey },
        statements: Object.fromEntries([['b1', entry.records['statements/b1.json'] ?? build.digest]]),
        subjects: [
          { name: toArtifactName('hello.txt', 'test'), sha256: sha256Hex(Buffer.from('hello')), size: 5 },
        ],
        ...{ signingKey: key.fingerprint, hash: 'sha256', signedAt: time },
      });
      await state.write(of, 'manifest.json', manifest);
      const ada = scene.ada.certificate.primary.fingerprint;
      const signature = `approval.json.${ada}.sig`;
      const digest = sha256Hex(await readFile(scene.path(buildPath(of, signature))));
      const records = { 'manifest.json': sha256Hex(manifest), [signature]: digest };
      await append({ type: 'intent', time, build: of, project, version, records, keys: [] });
    };
  };
  await once({ meddle });
  await expectUnsigned('intent-invalid', /1 of 2 builders agree/);
});

test('the log has a key of a builder that the nonce never introduced', async () => {
  build = await approveMany(scene, ['enrol'], 1);
  const pair = makeEphemeral({ userId: 'thief', created: ephemeralCreation(build.approval.notBefore) });
  const secret = parseEphemeralSecret(pair.secretKey);
  const { slot } = build.tickets['b1'] ?? {};
  if (slot === undefined) throw new Error('no builder');
  const enrolment = encodeEnrolment({
    ...{ type: ENROLMENT_TYPE, build: build.build, slot, approval: build.digest },
    certificate: pair.certificate.toString('base64'),
  });
  const files = new Map<string, Buffer>([
    ['enrolments/b1.json', enrolment],
    ['enrolments/b1.json.sig', secret.sign(enrolment, Math.floor(scene.now().getTime() / 1000))],
    ['enrolments/b1.json.mac', Buffer.from(`${Buffer.alloc(32).toString('base64')}\n`)],
    ...statementBy(scene, build, 'b1', contents, { secret }),
    [scene.blob('hello'), Buffer.from('hello')],
  ]);
  const introduced = [...files].filter(([file]) => file.startsWith('enrolments/'));
  const meddle = (state: SignerState): void => {
    const append = state.journal.append.bind(state.journal);
    state.journal.append = async (entry) => {
      await append(entry);
      if (entry.type !== 'approval') return;
      for (const [file, bytes] of introduced) await state.write(entry.build, file, bytes);
      const records = Object.fromEntries(introduced.map(([file, bytes]) => [file, sha256Hex(bytes)]));
      await append({ ...entry, type: 'enrolment', records, keys: [secret.fingerprint] });
    };
  };
  await once({ meddle });
  for (const [file, bytes] of files) {
    const path = scene.path(buildPath(build.build, file));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
  scene.pass(1200);
  expect((await once()).result).toMatchObject({ outcome: 'waiting', code: 'statement-waits' });
  expect(await scene.logged(build)).toBe('approval enrolment');
  expect(scene.agent.signatures).toBe(0);
});
