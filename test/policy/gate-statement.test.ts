import { describe, expect, test } from 'vitest';
import { encodeEnvelope, paeBytes } from '../../src/records/dsse.ts';
import { toArtifactName, toSlot } from '../../src/records/names.ts';
import {
  blobFile,
  buildPath,
  statementEnvelopeFile,
  statementFile,
  statementSignatureFile,
} from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { ask, messageOf } from './ask.ts';
import {
  ada,
  approval,
  approvalFiles,
  approvedView,
  b1,
  b2,
  blobFiles,
  build,
  builderEntry,
  builderSecrets,
  minutes,
  now,
  otherBuild,
  sealed,
  signerToken,
  statement,
  statementFiles,
  subjects,
  tokens,
  without,
} from './scene.ts';

const bearer = tokens.b1;
const record = statementFile(b1);
const signature = statementSignatureFile(b1);
const envelope = statementEnvelopeFile(b1);
const all = `allow ${envelope} ${signature} ${record}`;
/** A different statement of the same build, `n` to tell them apart. */
const another = (n: number): Statement => ({ ...statement, invocationId: `${build}/b1/${n}` });
const asVariant = (n: number) =>
  `allow statements/b1.${n}.dsse.json statements/b1.${n}.json.sig statements/b1.${n}.json`;

describe('a statement is written by its builder: upload token and signature', () => {
  test('with both, and every artifact there: authenticators first, the record last', async () => {
    expect(await ask(approvedView(), statementFiles(), { bearer })).toBe(all);
  });
  test('without an envelope, which nothing relies on', async () => {
    expect(await ask(approvedView(), without(statementFiles(), envelope), { bearer })).toBe(
      `allow ${signature} ${record}`,
    );
  });
  test('without a token', async () => {
    expect(await ask(approvedView(), statementFiles())).toBe('401 token-missing');
  });
  test('with a token that is too short or too long', async () => {
    expect(await ask(approvedView(), statementFiles(), { bearer: bearer.subarray(1) })).toBe(
      '401 token-malformed',
    );
    const long = Buffer.concat([bearer, Buffer.from([0])]);
    expect(await ask(approvedView(), statementFiles(), { bearer: long })).toBe('401 token-malformed');
  });
  test("with a token of nobody's, and with the signer's", async () => {
    expect(await ask(approvedView(), statementFiles(), { bearer: Buffer.alloc(32) })).toBe(
      '403 token-unknown',
    );
    expect(await ask(approvedView(), statementFiles(), { bearer: signerToken })).toBe('403 token-unknown');
  });
  test('the record without its signature', async () => {
    expect(await ask(approvedView(), [[record, encodeStatement(statement)]], { bearer })).toBe(
      '403 write-needs-authenticator',
    );
    expect(await ask(approvedView(), without(statementFiles(), signature), { bearer })).toBe(
      '403 write-needs-authenticator',
    );
  });
  test('signature and envelope without the record', async () => {
    expect(await ask(approvedView(), without(statementFiles(), record), { bearer })).toBe(
      '422 record-missing',
    );
  });
  test('of a build that nobody has approved', async () => {
    expect(await ask(new MemoryView(), statementFiles(), { bearer })).toBe('404 build-unknown');
  });
  test('of a build whose approval is there without a signature', async () => {
    const view = approvedView();
    for (const path of view.files.keys()) if (path.includes('approval.json.')) view.files.delete(path);
    expect(await ask(view, statementFiles(), { bearer })).toBe('403 write-needs-authenticator');
  });
  test('in one write with its approval', async () => {
    const view = new MemoryView().put(buildPath(build), blobFiles());
    expect(await ask(view, [...approvalFiles(), ...statementFiles()], { bearer })).toMatch(
      /^allow approval.* statements/,
    );
  });
});

describe('a builder speaks for its own slot, by its own key', () => {
  const pair = { ...approval, builders: { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') } };
  const bound = { ...statement, approval: sha256Hex(approvalFiles(pair).get('approval.json') ?? '') };

  test('each with its own token', async () => {
    expect(await ask(approvedView(pair), statementFiles(bound), { bearer })).toBe(all);
    const second = statementFiles({ ...bound, slot: b2 }, builderSecrets.b2);
    expect(await ask(approvedView(pair), second, { bearer: tokens.b2 })).toMatch(/^allow statements\/b2/);
  });
  test('the token of b1 writes nothing of b2, nor of a slot that is not there', async () => {
    const second = statementFiles({ ...bound, slot: b2 }, builderSecrets.b2);
    expect(await ask(approvedView(pair), second, { bearer })).toBe('403 token-of-another-slot');
    const both = [...statementFiles(bound), ...second];
    expect(await ask(approvedView(pair), both, { bearer })).toBe('403 token-of-another-slot');
    const third = statementFiles({ ...bound, slot: toSlot('b3', 'test') });
    expect(await ask(approvedView(pair), third, { bearer })).toBe('403 token-of-another-slot');
  });
  test('signed by the key of b2, by an approver, or over other bytes', async () => {
    const view = approvedView(pair);
    expect(await ask(view, statementFiles(bound, builderSecrets.b2), { bearer })).toBe(
      '403 signature-invalid',
    );
    expect(await ask(view, statementFiles(bound, ada.secret), { bearer })).toBe('403 signature-invalid');
    const swapped = statementFiles(bound).set(record, encodeStatement(another(1)));
    expect(await ask(view, swapped, { bearer })).toBe('403 signature-invalid');
  });
  test("b2's statement under the name of b1, signed by b1", async () => {
    const files = sealed(encodeStatement({ ...bound, slot: b2 }), b1, builderSecrets.b1);
    expect(await ask(approvedView(pair), files, { bearer })).toBe('422 statement-binding');
  });
});

describe('a statement answers this approval, in time', () => {
  test.each<[string, Partial<Statement>]>([
    ['another approval', { approval: sha256Hex('another') }],
    ['another build', { build: otherBuild }],
    ['another source', { source: null }],
  ])('%s', async (_, change) => {
    expect(await ask(approvedView(), statementFiles({ ...statement, ...change }), { bearer })).toBe(
      '422 statement-binding',
    );
  });
  test("before `expires` by the depot's clock, not at it", async () => {
    const last = minutes(3.5 * 60 - 1);
    expect(
      await ask(approvedView(), statementFiles(statement, builderSecrets.b1, last), { bearer, now: last }),
    ).toBe(all);
    const end = minutes(3.5 * 60);
    expect(await ask(approvedView(), statementFiles(), { bearer, now: end })).toBe('403 expired');
  });
  test('sent again after `expires`, as the answer was lost: there is nothing to write', async () => {
    const view = approvedView().put(buildPath(build), statementFiles());
    expect(await ask(view, statementFiles(), { now: minutes(600) })).toBe('allow');
  });
  test('the signature is dated at most ten minutes outside [notBefore, now]', async () => {
    const dated = (at: Date) => statementFiles(statement, builderSecrets.b1, at);
    expect(await ask(approvedView(), dated(minutes(10)), { bearer })).toBe(all);
    expect(await ask(approvedView(), dated(minutes(11)), { bearer })).toBe('403 signature-invalid');
    expect(await ask(approvedView(), dated(minutes(-40)), { bearer })).toBe(all);
    expect(await ask(approvedView(), dated(minutes(-41)), { bearer })).toBe('422 statement-time');
  });
  test('signed, but no statement', async () => {
    const files = sealed(Buffer.from('{}'), b1, builderSecrets.b1);
    expect(await ask(approvedView(), files, { bearer })).toBe('422 statement-malformed');
  });
  test('an approval offered as a statement, signed by the builder', async () => {
    const bytes = approvalFiles().get('approval.json') ?? Buffer.alloc(0);
    expect(await ask(approvedView(), sealed(bytes, b1, builderSecrets.b1), { bearer })).toBe(
      '422 statement-malformed',
    );
  });
});

describe('every artifact is there before the seal', () => {
  test('one is missing, one has another size: both are named', async () => {
    const view = approvedView();
    const [first, second] = subjects;
    view.files.delete(`${buildPath(build)}/${blobFile(first?.sha256 ?? sha256Hex(''))}`);
    expect(await ask(view, statementFiles(), { bearer })).toBe('422 blobs-missing');
    const lying = {
      ...statement,
      subjects: subjects.map((subject) => ({ ...subject, size: subject.size + 1 })),
    };
    const text = await messageOf(approvedView(), statementFiles(lying), { bearer });
    expect(text).toContain(first?.name);
    expect(text).toContain(second?.name);
    expect(text).not.toContain('more');
  });
  test('two names for the same bytes are one blob', async () => {
    const [first] = subjects;
    const twice = [toArtifactName('a.txt', 'test'), toArtifactName('b.txt', 'test')].map((name) => ({
      name,
      sha256: first?.sha256 ?? sha256Hex(''),
      size: first?.size ?? 0,
    }));
    expect(await ask(approvedView(), statementFiles({ ...statement, subjects: twice }), { bearer })).toBe(
      all,
    );
  });
  test('of very many missing ones some are named and all counted', async () => {
    const many = { ...approval, artifacts: { ...approval.artifacts, maxCount: 300, maxTotalBytes: 3000 } };
    const names = Array.from({ length: 300 }, (_, index) => `file-${String(index).padStart(3, '0')}`);
    const files = statementFiles({
      ...statement,
      approval: sha256Hex(approvalFiles(many).get('approval.json') ?? ''),
      subjects: names.map((name) => ({
        name: toArtifactName(name, 'test'),
        sha256: sha256Hex(name),
        size: 1,
      })),
    });
    const text = await messageOf(approvedView(many), files, { bearer });
    expect(text).toContain('file-009');
    expect(text).not.toContain('file-010');
    expect(text).toContain('and 290 more');
  });
});

describe('the envelope says the same as the statement', () => {
  const bytes = encodeStatement(statement);
  const sign = builderSecrets.b1.signRaw(paeBytes('application/vnd.in-toto+json', bytes));
  const wrap = (payload: Buffer, sig: Buffer) => encodeEnvelope(payload, builderSecrets.b1.fingerprint, sig);
  test.each([
    ['another payload', wrap(encodeStatement(another(1)), sign)],
    [
      'signed by another key',
      wrap(bytes, builderSecrets.b2.signRaw(paeBytes('application/vnd.in-toto+json', bytes))),
    ],
    ['with the key id of another key', encodeEnvelope(bytes, builderSecrets.b2.fingerprint, sign)],
    ['signed without its frame', wrap(bytes, builderSecrets.b1.signRaw(bytes))],
    ['a signature of no length', wrap(bytes, Buffer.alloc(64))],
    ['no envelope', Buffer.from('{}')],
  ])('%s', async (_, dsse) => {
    expect(await ask(approvedView(), statementFiles().set(envelope, dsse), { bearer })).toBe(
      '422 envelope-mismatch',
    );
  });
});

describe('a second, different statement is kept beside the first, for the signer to decide on', () => {
  const withStatements = (count: number) => {
    const view = approvedView();
    const names = [record, signature, envelope];
    for (let n = 1; n <= count; n += 1) {
      const files = statementFiles(n === 1 ? statement : another(n));
      view.put(
        buildPath(build),
        names.map((name) => [
          n === 1 ? name : name.replace('b1.', `b1.${n}.`),
          files.get(name) ?? Buffer.alloc(0),
        ]),
      );
    }
    return view;
  };

  test('as .2, .3 and .4; a fifth is one too many', async () => {
    for (const n of [2, 3, 4])
      expect(await ask(withStatements(n - 1), statementFiles(another(n)), { bearer })).toBe(asVariant(n));
    expect(await ask(withStatements(4), statementFiles(another(5)), { bearer })).toBe('409 variants-full');
  });
  test('sent again it is found where it was put', async () => {
    expect(await ask(withStatements(4), statementFiles(another(3)), { bearer })).toBe(asVariant(3));
  });
  test('without its artifacts, and whatever it says', async () => {
    const absent = [{ name: toArtifactName('x', 'test'), sha256: sha256Hex('x'), size: 1 }];
    const view = withStatements(1);
    expect(await ask(view, statementFiles({ ...another(2), subjects: absent }), { bearer })).toBe(
      asVariant(2),
    );
    expect(await ask(view, statementFiles({ ...another(2), build: otherBuild }), { bearer })).toBe(
      asVariant(2),
    );
  });
  test('but with token and signature, in time, and readable', async () => {
    const view = withStatements(1);
    expect(await ask(view, statementFiles(another(2)))).toBe('401 token-missing');
    expect(await ask(view, statementFiles(another(2), ada.secret), { bearer })).toBe('403 signature-invalid');
    expect(await ask(view, statementFiles(another(2)), { bearer, now: minutes(600) })).toBe('403 expired');
    const unreadable = sealed(Buffer.from('{}'), b1, builderSecrets.b1);
    expect(await ask(view, unreadable, { bearer })).toBe('422 record-malformed');
  });
  test('alone, without an authenticator: it is not the file that is there', async () => {
    expect(await ask(withStatements(1), [[record, encodeStatement(another(2))]], { bearer })).toBe(
      '409 conflict',
    );
  });
  test('a stranger with a byte has nothing large read to compare it with', async () => {
    const view = withStatements(1);
    const read: string[] = [];
    const real = view.read.bind(view);
    view.read = async (path) => {
      read.push(path);
      return real(path);
    };
    expect(await ask(view, [[record, Buffer.from('!')]])).toBe('401 token-missing');
    expect(read).not.toContain(buildPath(build, record));
  });
  test('the same statement with another signature replaces nothing', async () => {
    const again = statementFiles(statement, builderSecrets.b1, minutes(-1));
    expect(await ask(withStatements(1), again, { bearer })).toBe('409 conflict');
  });
  test('what a crash left is completed', async () => {
    const view = approvedView();
    view.put(buildPath(build), without(statementFiles(), record));
    expect(await ask(view, statementFiles(), { bearer, now })).toBe(all);
    expect(await ask(view, statementFiles(another(2)), { bearer })).toBe(asVariant(2));
  });
});
