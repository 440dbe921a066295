/** Digest mode: builds that are signed from their builders' hash states, and that no artifact is read for. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { hashedPart } from '../../src/openpgp/signature.ts';
import type { Approval } from '../../src/records/approval.ts';
import { encodeManifest, parseManifest } from '../../src/records/manifest.ts';
import { encodeStatement, parseStatement } from '../../src/records/statement.ts';
import { statementFile, signatureFile, buildPath } from '../../src/records/paths.ts';
import { newBuildId, timestamp, toArtifactName, toProjectName } from '../../src/records/names.ts';
import { toSlot, toVersion } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { Subject } from '../../src/records/subject.ts';
import type { SignerState } from '../../src/signer/state.ts';
import { passStates } from '../../src/signer/states.ts';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';
import { hashStateOf } from '../harness/hash-state.ts';
import { person, sealed } from '../policy/scene.ts';
import { Scene } from './scene.ts';
import type { Build, Contents } from './scene.ts';

const b1 = toSlot('b1', 'test');
const DIGEST: Partial<Approval> = { mode: 'digest' };
const contents = {
  'hello.txt': 'hello',
  'twin.txt': 'hello',
  'dist/large.bin': Buffer.alloc(200_000, 1),
  empty: '',
};

/** A scene whose project allows digest mode, and whose release key is a subkey alone. */
async function digestScene(algorithm = 'ed25519'): Promise<Scene> {
  const scene = await Scene.make(algorithm);
  await allowDigest(scene);
  return scene;
}

async function allowDigest(scene: Scene): Promise<void> {
  scene.home.takeOffline(scene.project.release.certificate.primary.fingerprint);
  scene.project = { ...scene.project, policy: { ...scene.project.policy, digestMode: true } };
  await scene.newDepot();
}

/** `attest` in digest mode. */
async function attest(scene: Scene, build: Build, made: Contents): Promise<void> {
  const depot = scene.depot.as(build.token);
  const files = Object.values(made).map((content) => Buffer.from(content));
  await depot.putBlobs(
    build.build,
    files.map((bytes) => ({ sha256: sha256Hex(bytes), bytes })),
  );
  await depot.submit(build.build, statedBy(scene, build, made));
}

function statedBy(scene: Scene, build: Build, made: Contents): Map<string, Buffer> {
  const plain = parseStatement(scene.statement(build, made).get(statementFile(b1)) ?? Buffer.alloc(0));
  const subjects = plain.subjects.map((subject) => ({
    ...subject,
    sha256State: hashStateOf(Buffer.from(made[subject.name] ?? '')),
  }));
  return sealed(encodeStatement({ ...plain, subjects }), b1, build.secret, scene.now());
}

/** A depot that counts what of its blobs is asked for. */
async function counting(scene: Scene) {
  const depot = await scene.signerDepot();
  const asked: string[] = [];
  const counted = new Proxy(depot, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        if (name === 'fetchBlobs' || args.some((arg) => typeof arg === 'string' && arg.includes('/blobs/')))
          asked.push(String(name));
        return Reflect.apply(member, target, args) as unknown;
      };
    },
  });
  return { depot: counted, asked };
}

describe.each(['ed25519', 'rsa2048'])('with a subkey of %s', (algorithm) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await digestScene(algorithm);
  });
  afterAll(() => scene.close());

  test('everything is signed, published and accepted by gpgv, and no artifact is read', async () => {
    const build = await scene.approve('1.0', DIGEST);
    await attest(scene, build, contents);
    const { depot, asked } = await counting(scene);
    const ran = await scene.sign({ depot });
    expect(ran).toMatchObject({ exit: 0, result: { outcome: 'published', artifacts: 4 } });
    expect(ran.questions).toMatchObject([{ mode: 'digest' }]);
    expect(asked).toEqual([]);
    const certificate = scene.home.export(scene.project.release.certificate.primary.fingerprint);
    for (const [name, content] of Object.entries(contents)) {
      const path = buildPath(build.build, signatureFile(toArtifactName(name, 'test')));
      const signature = (await scene.tree.read(path, 65_536)) ?? Buffer.alloc(0);
      expect(await gpgvAccepts(certificate, signature, Buffer.from(content)), name).toBe(true);
    }
  });

  test('a run that ends in between is gone on with: the same signatures, from the states that were kept', async () => {
    const build = await scene.approve('1.1', DIGEST);
    await attest(scene, build, contents);
    const before = scene.agent.signatures;
    const ran = await scene
      .sign({
        connectAgent: async () => {
          throw new Error('power cut');
        },
      })
      .catch((error: unknown) => error);
    expect(ran).toMatchObject({ message: 'power cut' });
    expect(await scene.logged(build)).toBe('approval statement intent');
    const { depot, asked } = await counting(scene);
    expect(await scene.sign({ depot })).toMatchObject({ exit: 0, result: { outcome: 'published' } });
    expect(asked).toEqual([]);
    // two files are one content; SHA256SUMS
    expect(scene.agent.signatures - before).toBe(4);
  });
});

describe('a release key that could do more', () => {
  test('with its primary here nothing is signed, until that is gone', async () => {
    const scene = await Scene.make();
    try {
      scene.project = { ...scene.project, policy: { ...scene.project.policy, digestMode: true } };
      await scene.newDepot();
      const { fingerprint } = scene.project.release.certificate.primary;
      const build = await scene.approve('1.0', DIGEST);
      const usual = await scene.approve('1.1');
      await attest(scene, build, contents);
      await scene.attest(usual, contents);
      const ran = await scene.sign();
      // the other build is signed: the key is unfit for this mode alone
      const outcomes = ran.results.map(({ build: id, outcome, code }) => ({ id, outcome, code }));
      expect(outcomes).toContainEqual({ id: build.build, outcome: 'bad', code: 'release-key-certifies' });
      expect(outcomes).toContainEqual({ id: usual.build, outcome: 'published', code: null });
      expect(ran.results.find(({ code }) => code !== null)).toMatchObject({
        code: 'release-key-certifies',
        text: expect.stringContaining(fingerprint),
        hint: expect.stringContaining('doctor'),
      });
      expect(await scene.logged(build)).toBe('approval statement');

      scene.home.takeOffline(fingerprint);
      expect(await scene.sign()).toMatchObject({ exit: 0, result: { outcome: 'published' } });
    } finally {
      await scene.close();
    }
  });

  test('one that comes back before an intent is gone on with stops it again', async () => {
    const scene = await Scene.make();
    try {
      const { fingerprint } = scene.project.release.certificate.primary;
      const primary = scene.home.gpg(['--export-secret-keys', fingerprint]);
      await allowDigest(scene);
      const build = await scene.approve('1.0', DIGEST);
      await attest(scene, build, contents);
      await scene.sign({ connectAgent: () => Promise.reject(new Error('power cut')) }).catch(() => {});
      expect(await scene.logged(build)).toBe('approval statement intent');
      const before = scene.agent.signatures;
      scene.home.gpg(['--passphrase', '', '--import'], primary);
      expect(await scene.sign()).toMatchObject({
        exit: 1,
        result: { outcome: 'bad', code: 'release-key-certifies' },
      });
      expect(scene.agent.signatures).toBe(before);
      scene.home.takeOffline(fingerprint);
      expect(await scene.sign()).toMatchObject({ exit: 0, result: { outcome: 'published' } });
    } finally {
      await scene.close();
    }
  });

  test('of ECDSA, it cannot check what it signs: release-key-ecdsa', async () => {
    const scene = await digestScene('nistp256/ecdsa');
    try {
      const build = await scene.approve('1.0', DIGEST);
      await attest(scene, build, contents);
      expect(await scene.sign()).toMatchObject({
        exit: 1,
        result: { outcome: 'bad', code: 'release-key-ecdsa' },
      });
      expect(scene.agent.signatures).toBe(0);
    } finally {
      await scene.close();
    }
  });
});

test('an intent, logged by whoever has the log key, with states of a slot that the approval does not have: nothing is signed', async () => {
  const scene = await digestScene();
  try {
    const build = await scene.approve('1.0', DIGEST);
    await attest(scene, build, contents);
    const honest = parseStatement(statedBy(scene, build, contents).get(statementFile(b1)) ?? Buffer.alloc(0));
    const evil = Buffer.from('what no builder ever vouched for');
    const stranger = toSlot('a0', 'test');
    const states = encodeStatement({
      ...honest,
      slot: stranger,
      subjects: [
        ...honest.subjects,
        {
          ...{ name: toArtifactName('zz.evil', 'test'), sha256: sha256Hex(evil), size: evil.length },
          sha256State: hashStateOf(evil),
        },
      ],
    });
    const meddle = (state: SignerState): void => {
      const [write, append] = [state.write.bind(state), state.journal.append.bind(state.journal)];
      let forged: Buffer = Buffer.alloc(0);
      state.write = async (of, file, bytes) => {
        if (file !== 'manifest.json') return write(of, file, bytes);
        const manifest = parseManifest(bytes);
        const statements = Object.fromEntries([
          [stranger, sha256Hex(states)],
          ...Object.entries(manifest.statements),
        ]);
        forged = encodeManifest({ ...manifest, statements });
        await write(of, statementFile(stranger), states);
        await write(of, file, forged);
      };
      state.journal.append = (entry) =>
        append(
          entry.type === 'intent'
            ? { ...entry, records: { ...entry.records, 'manifest.json': sha256Hex(forged) } }
            : entry,
        );
    };
    await scene
      .sign({ meddle, connectAgent: () => Promise.reject(unable('agent-locked', 'power cut')) })
      .catch(() => {});
    expect(await scene.logged(build)).toBe('approval statement intent');
    expect(await scene.sign()).toMatchObject({
      exit: 1,
      result: { outcome: 'bad', state: 'verified', code: 'intent-invalid' },
    });
    expect(scene.agent.signatures).toBe(0);
  } finally {
    await scene.close();
  }
});

describe('what is passed is the manifest’s', () => {
  const { primary: key } = person('Release <release@example.org>').certificate;
  const part = hashedPart({ algorithmId: 22, hash: 'sha256', created: 0, issuer: key.fingerprint });
  const stated = (name: string, content: string) => {
    const bytes = Buffer.from(content);
    const named = { name: toArtifactName(name, 'test'), sha256: sha256Hex(bytes), size: bytes.length };
    return { ...named, sha256State: hashStateOf(bytes) };
  };
  const [a, b, c] = [stated('a', 'same'), stated('b', 'same'), stated('c', 'another')];
  const pass = (subjects: readonly Subject[], hash: 'sha256' | 'sha512' = 'sha256') => {
    const manifest = {
      ...{ build: newBuildId(new Date(), Buffer.alloc(10)), project: toProjectName('x', 'test') },
      ...{ version: toVersion('1', 'test'), approval: a.sha256, statements: {}, subjects },
      ...{ releaseKey: key.fingerprint, signingKey: key.fingerprint, hash },
      signedAt: timestamp(new Date(0)),
    };
    return [...passStates({ key, hashedPart: part, manifest }, [a, b, c]).keys()];
  };

  test('and nothing else that was stated', () => {
    expect(pass([a, b])).toEqual([a.sha256]);
    expect(pass([a, b, c])).toEqual([a.sha256, c.sha256]);
  });

  test.each<[string, Subject[], 'sha512'?]>([
    ['a name that was not stated', [a, { ...a, name: toArtifactName('d', 'test') }]],
    ['another digest', [{ ...a, sha256: c.sha256 }]],
    ['another size', [{ ...a, size: 5 }]],
    ['another hash', [a], 'sha512'],
  ])('%s: damaged', (_, subjects, hash) => {
    expect(() => pass(subjects, hash)).toThrow(expect.objectContaining({ code: 'state-damaged' }));
  });
});
