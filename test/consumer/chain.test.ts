import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toProjectName } from '../../src/records/names.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import {
  ada,
  approval,
  approvalFiles,
  b1,
  bob,
  builderSecrets,
  mallory,
  project,
  sealed,
  statement,
  statementFiles,
  without,
} from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import { proofOf } from '../policy/release-scene.ts';
import { generateNoteKey, parseVerifierKey } from '../../src/tlog/note.ts';
import { leaf, tell } from './logged-release.ts';
import { madeRelease, put, verify, write } from './made-release.ts';
import type { ReleaseChanges } from './made-release.ts';

let parent = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-chain-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

/** The code of the one thing wrong with hello.tar.gz in this release. */
async function codeOf(files: Files, trusted = project): Promise<string | undefined> {
  const path = join(write(files, parent), 'hello.tar.gz');
  const verdict = await verify([path], { trust: { kind: 'project', project: trusted } });
  expect(verdict.outcome).toBe('not-valid');
  return [...verdict.findings, ...verdict.files.flatMap(({ findings }) => findings)][0]?.code;
}

const edited = (name: string, edit: (text: string) => string, files = madeRelease()): Files =>
  new Map(files).set(name, Buffer.from(edit(files.get(name)?.toString('latin1') ?? ''), 'latin1'));

describe('every link from the log key to the bytes is held', () => {
  test.each([
    ['countersign/release.json', (text: string) => text.replace('"count":3', '"count":4'), 'chain-broken'],
    ['countersign/manifest.json', (text: string) => text.replace('"size":9', '"size":8'), 'chain-broken'],
    [
      'countersign/signatures.list',
      (text: string) => text.replace(/^./, (digit) => (digit === 'f' ? '0' : 'f')),
      'chain-broken',
    ],
    ['countersign/release.proof', (text: string) => text.replace('index 1', 'index 2'), 'proof-invalid'],
    ['countersign/release.proof', (text: string) => text.replace('\n3\n', '\n2\n'), 'proof-invalid'],
    ['countersign/release.proof', (text: string) => text.replace(/(index 1\n).*\n/, '$1'), 'proof-invalid'],
    ['countersign/log-entry.json', (text: string) => text.replace('12:30', '12:31'), 'proof-invalid'],
    [
      'countersign/approval.json',
      (text: string) => text.replace('"maxCount":10', '"maxCount":99'),
      'chain-broken',
    ],
    [
      'countersign/statements/b1.json',
      (text: string) => text.replace('"size":9', '"size":8'),
      'chain-broken',
    ],
    ['SHA256SUMS', (text: string) => text.replace('hello.tar.gz', 'hullo.tar.gz'), 'checksums'],
    ['SHA256SUMS.asc', (text: string) => text.replaceAll('\n', '\r\n'), 'chain-broken'],
    ['hello.tar.gz.asc', (text: string) => text.replaceAll('\n', '\r\n'), 'chain-broken'],
  ])('%s edited', async (name, edit, code) => expect(await codeOf(edited(name, edit))).toBe(code));

  test('a signature of another artifact in its place', async () => {
    const files = madeRelease();
    const swapped = new Map(files).set(
      'hello.tar.gz.asc',
      files.get('docs/hello.txt.asc') ?? Buffer.alloc(0),
    );
    expect(await codeOf(swapped)).toBe('chain-broken');
  });

  test('a proof by the log key: of another entry, or under a checkpoint of another size', async () => {
    const proof = 'countersign/release.proof';
    const other = new Map(madeRelease()).set(proof, proofOf(Buffer.from('another')));
    expect(await codeOf(other)).toBe('proof-invalid');
    const { files } = tell(parent);
    const later = tell(parent, { proven: [leaf('conflict', 1, 'statements/b1.2.json')] });
    const [own = ''] = (files.get(proof)?.toString() ?? '').split('\n\n', 1);
    const mixed = Buffer.from(`${own}\n\n${later.checkpoint}`);
    expect(await codeOf(new Map(files).set(proof, mixed))).toBe('proof-invalid');
    const path = join(write(later.files, parent), 'hello.tar.gz');
    expect(await verify([path])).toMatchObject({ outcome: 'valid' });
  });

  test('another log than the one of the project file', async () => {
    const key = parseVerifierKey(generateNoteKey(project.log.origin).verifier);
    expect(await codeOf(madeRelease(), { ...project, log: { ...project.log, key } })).toBe('proof-invalid');
  });
});

describe('a log that was made to say it: H itself was deceived, or is not ours', () => {
  test.each<[string, ReleaseChanges, string]>([
    ['signed by a key that is not the release key', { signer: mallory }, 'signature-of-other-key'],
    [
      'said to be signed by another key',
      { records: { manifest: { releaseKey: mallory.certificate.primary.fingerprint } } },
      'other-release-key',
    ],
    [
      'by a subkey that the release certificate does not have',
      { records: { manifest: { signingKey: mallory.certificate.primary.fingerprint } } },
      'release-key',
    ],
    [
      'approved by nobody whom the project file names',
      { approval: approvalFiles(approval, [mallory]) },
      'incomplete',
    ],
    [
      'with a statement that a stranger signed',
      { statement: statementFiles(statement, mallory.secret) },
      'signature-of-other-key',
    ],
  ])('%s', async (_, changes, code) => {
    if (code === 'incomplete') {
      const path = join(write(madeRelease(changes), parent), 'hello.tar.gz');
      expect(await verify([path])).toMatchObject({ outcome: 'incomplete' });
    } else expect(await codeOf(madeRelease(changes))).toBe(code);
  });

  test('a statement that names other artifacts than the manifest', async () => {
    const bytes = encodeStatement({ ...statement, subjects: statement.subjects.slice(1) });
    const changes = {
      statement: sealed(bytes, b1, builderSecrets.b1),
      records: { manifest: { statements: { [b1]: sha256Hex(bytes) } } },
    };
    expect(await codeOf(madeRelease(changes))).toBe('statement');
  });

  test('an approval for another signer, of a project of the same name', async () => {
    const record = { ...approval, signer: 'example.org/other' };
    const changes = {
      approval: approvalFiles(record),
      records: { manifest: { approval: sha256Hex(encodeApproval(record)) } },
    };
    expect(await codeOf(madeRelease(changes))).toBe('approval');
  });

  test('an approval for another version', async () => {
    const record = { ...approval, project: toProjectName('goodbye', 'test') };
    const changes = {
      approval: approvalFiles(record),
      records: { manifest: { approval: sha256Hex(encodeApproval(record)) } },
    };
    expect(await codeOf(madeRelease(changes))).toBe('approval');
  });
});

describe('approvers are counted again, against the project file of the consumer', () => {
  const strict = { ...project, threshold: 2 };
  const both = [ada, bob].map(({ certificate }) => certificate.primary.fingerprint).sort();

  test('one is not enough where two are asked for', async () => {
    expect(await codeOf(madeRelease(), strict)).toBe('approvers');
  });

  test('two are', async () => {
    const files = madeRelease({
      approval: approvalFiles(approval, [ada, bob]),
      records: { release: { approvers: both } },
    });
    const path = join(write(files, parent), 'hello.tar.gz');
    expect(await verify([path], { trust: { kind: 'project', project: strict } })).toMatchObject({
      outcome: 'valid',
    });
  });

  test('a signature by the wrong person under a name does not count', async () => {
    const files = madeRelease();
    const forged = mallory.secret.sign(encodeApproval(approval), 1_795_350_000);
    const name = `countersign/approval.json.${ada.certificate.primary.fingerprint}.sig`;
    expect(await codeOf(new Map(files).set(name, forged))).toBe('approvers');
  });
});

describe('an incomplete copy is never valid, and no verdict either', () => {
  const needed = [...madeRelease().keys()].filter((name) => !/dsse|^docs|^hello.tar.gz$/.test(name));

  test.each(needed)('a file, without %s', async (name) => {
    const directory = write(without(madeRelease(), name), parent);
    const verdict = await verify([join(directory, 'hello.tar.gz')]);
    const findings = [...verdict.findings, ...verdict.files.flatMap((file) => file.findings)];
    expect(verdict).toMatchObject({ outcome: 'incomplete', files: [{ valid: false }] });
    expect(findings).toMatchObject([{ code: 'release-incomplete', text: expect.stringContaining(name) }]);
  });

  test.each(['hello.tar.gz', 'docs/hello.txt', 'docs/hello.txt.asc'])(
    'the whole, without %s',
    async (name) => {
      const directory = write(without(madeRelease(), name), parent);
      expect(await verify([directory])).toMatchObject({ outcome: 'incomplete' });
    },
  );

  test.each(['docs/hello.txt', 'docs/hello.txt.asc'])(
    'the whole, without %s, and another artifact altered: that is a verdict',
    async (name) => {
      const directory = write(without(madeRelease(), name), parent);
      put(directory, 'hello.tar.gz', 'A tarball');
      expect(await verify([directory])).toMatchObject({
        outcome: 'not-valid',
        files: [
          { file: 'docs/hello.txt', valid: false, findings: [{ code: 'release-incomplete' }] },
          { file: 'hello.tar.gz', valid: false, findings: [{ code: 'altered' }] },
        ],
      });
    },
  );

  test('the whole, without an artifact and with a file too many: so is that', async () => {
    const directory = write(without(madeRelease(), 'hello.tar.gz'), parent);
    put(directory, 'extra', 'x');
    expect(await verify([directory])).toMatchObject({
      outcome: 'not-valid',
      findings: [{ code: 'extra-file' }],
      files: [{ valid: true }, { valid: false }],
    });
  });

  test('one file without its signature does not hide that the next is altered', async () => {
    const directory = write(without(madeRelease(), 'docs/hello.txt.asc'), parent);
    put(directory, 'hello.tar.gz', 'A tarball');
    const paths = ['docs/hello.txt', 'hello.tar.gz'].map((name) => join(directory, name));
    expect(await verify(paths)).toMatchObject({
      outcome: 'not-valid',
      files: [{ findings: [{ code: 'release-incomplete' }] }, { findings: [{ code: 'altered' }] }],
    });
  });

  test('an empty directory', async () => {
    expect(await verify([write(new Map(), parent)])).toMatchObject({ outcome: 'incomplete' });
  });

  test('but one file can be checked without the other artifacts', async () => {
    const files = ['docs/hello.txt', 'docs/hello.txt.asc'].reduce(without, madeRelease());
    const directory = write(files, parent);
    put(directory, 'unrelated', 'x');
    expect(await verify([join(directory, 'hello.tar.gz')])).toMatchObject({ outcome: 'valid' });
  });
});
