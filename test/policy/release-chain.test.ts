import { describe, expect, test } from 'vitest';
import { Failure } from '../../src/failure.ts';
import { verifyRefusal, verifyReleaseChain } from '../../src/policy/release-chain.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { formatSignaturesList } from '../../src/records/signatures-list.ts';
import { proofOf, refusalFiles, releaseFiles, signatures } from './release-scene.ts';
import { b1, b2, build, project, subjects } from './scene.ts';
import type { Files } from './scene.ts';

const nothing = Buffer.alloc(0);
const filesOf = (files: Files) => ({
  proof: files.get('release.proof') ?? nothing,
  logEntry: files.get('log-entry.json') ?? nothing,
  release: files.get('release.json') ?? nothing,
  manifest: files.get('manifest.json') ?? nothing,
  signaturesList: files.get('signatures.list') ?? nothing,
});
/** `valid`, or why not. */
function verdict(files: Files, log = project.log): string {
  try {
    verifyReleaseChain(filesOf(files), log);
    return 'valid';
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
}

describe('a release is what the log key leads to', () => {
  test('entry, manifest and every signature, with the place in the log', () => {
    const release = verifyReleaseChain(filesOf(releaseFiles()), project.log);
    expect(release.entry.build).toBe(build);
    expect(release.index).toBe(1);
    expect(release.checkpoint.size).toBe(3);
    expect(release.manifest.subjects).toEqual(subjects);
    expect([...release.signatures.keys()]).toHaveLength(subjects.length + 1);
  });
  test('another log is no authority', () => {
    expect(verdict(releaseFiles(), { ...project.log, origin: 'example.org/other' })).toBe('proof-invalid');
  });
  test.each(['log-entry.json', 'release.json', 'manifest.json', 'signatures.list'])(
    'a byte of %s',
    (name) => {
      const files = releaseFiles();
      const bytes = Buffer.from(files.get(name) ?? nothing);
      bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
      expect(verdict(files.set(name, bytes))).toBe(
        name === 'log-entry.json' ? 'proof-invalid' : 'chain-broken',
      );
    },
  );
  test('what is looked at again is not read again; of two by turns each is what it says', () => {
    const follow = (hash: 'sha256' | 'sha512') =>
      verifyReleaseChain(filesOf(releaseFiles({ manifest: { hash } })), project.log);
    const first = follow('sha256');
    expect(follow('sha256').manifest).toBe(first.manifest);
    expect(follow('sha256').signatures).toBe(first.signatures);
    expect(follow('sha512').manifest.hash).toBe('sha512');
    expect(follow('sha256').manifest.hash).toBe('sha256');
  });
  test('a manifest and a release of two builds', () => {
    const files = releaseFiles();
    const other = releaseFiles({ manifest: { hash: 'sha512' } });
    expect(verdict(files.set('manifest.json', other.get('manifest.json') ?? nothing))).toBe('chain-broken');
  });
  test('logged, but with other builders than gave statements', () => {
    expect(verdict(releaseFiles({ release: { builders: { [b2]: 'keypair' } } }))).toBe('chain-broken');
    expect(verdict(releaseFiles({ release: { builders: { [b1]: 'keypair' } } }))).toBe('valid');
  });
});

describe('one signature for each artifact and one for the checksums', () => {
  const digests = new Map(
    [...signatures].map(([path, bytes]) => [path.slice('signatures/'.length), sha256Hex(bytes)] as const),
  );
  const listed = (change: (list: typeof digests) => void) => {
    const copy = new Map(digests);
    change(copy);
    return releaseFiles({ list: formatSignaturesList(copy) });
  };

  test('one too few, one too many, one of another file', () => {
    expect(verdict(listed(() => {}))).toBe('valid');
    expect(verdict(listed((list) => list.delete('hello.tar.gz.asc')))).toBe('chain-broken');
    expect(verdict(listed((list) => list.set('extra.asc', sha256Hex('x'))))).toBe('chain-broken');
    const swapped = listed((list) => {
      list.delete('hello.tar.gz.asc');
      list.set('hello.tar.xz.asc', sha256Hex('x'));
    });
    expect(verdict(swapped)).toBe('chain-broken');
  });
  test('a count that the list does not have', () => {
    const list = formatSignaturesList(digests);
    const release = { signatures: { count: digests.size + 1, sha256: sha256Hex(list) } };
    expect(verdict(releaseFiles({ release }))).toBe('chain-broken');
  });
  test('an artifact more in the manifest than was signed', () => {
    const extra = { name: toArtifactName('zz', 'test'), sha256: sha256Hex('zz'), size: 2 };
    expect(verdict(releaseFiles({ manifest: { subjects: [...subjects, extra] } }))).toBe('chain-broken');
  });
});

describe('a refusal brings its own log entry', () => {
  test('and says why', () => {
    const files = refusalFiles();
    const proven = verifyRefusal(
      files.get('refusal.proof') ?? nothing,
      files.get('refusal.json') ?? nothing,
      project.log,
    );
    expect(proven.refusal.reasons.map(({ code }) => code)).toEqual(['too-large']);
    expect(proven.entry.type).toBe('refusal');
  });
  test('a release proof is none', () => {
    const files = releaseFiles();
    const entry = files.get('log-entry.json') ?? nothing;
    const record = refusalFiles().get('refusal.json') ?? nothing;
    expect(() => verifyRefusal(proofOf(entry, { extra: true }), record, project.log)).toThrow(/type release/);
  });
});
