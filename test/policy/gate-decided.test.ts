/** What the log has decided needs no token and has no end: a depot gets back what it lost, and can be copied. */
import { describe, expect, test } from 'vitest';
import { judgeBlob, judgeUpload } from '../../src/policy/gate.ts';
import { CARRIER } from '../../src/policy/gate/token.ts';
import type { Bearer } from '../../src/policy/gate/token.ts';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { ask } from './ask.ts';
import { proofOf, refusalFiles, releaseFiles } from './release-scene.ts';
import {
  ada,
  approval,
  approvalFiles,
  approvedView,
  bob,
  build,
  builderSecrets,
  signerToken,
} from './scene.ts';
import {
  endorsement,
  minutes,
  otherBuild,
  project,
  statement,
  statementFiles,
  subjects,
  tokens,
} from './scene.ts';
import type { Files } from './scene.ts';

const later = minutes(60 * 24 * 365);
const both = (...parts: Files[]): Files => new Map(parts.flatMap((part) => [...part]));
const empty = () => new MemoryView();
const released = () => empty().put(buildPath(build), both(approvalFiles(), releaseFiles()));
const stranger = parseSignerKey(generateNoteKey(project.log.origin).signer);

describe('a released build, a year later', () => {
  test('its approval is taken with the proof, and not without', async () => {
    expect(await ask(empty(), approvalFiles(), { now: later })).toBe('422 expired');
    expect(await ask(empty(), both(approvalFiles(), releaseFiles()), { now: later })).toMatch(/^allow/);
  });
  test('the approval of another build does not come in with it', async () => {
    const other = approvalFiles({ ...approval, source: null });
    expect(await ask(empty(), both(other, releaseFiles()), { now: later })).toBe('422 expired');
  });
  test('nor does a proof help that the log key did not sign', async () => {
    const forged = releaseFiles();
    forged.set(
      'release.proof',
      proofOf(forged.get('log-entry.json') ?? Buffer.alloc(0), { signer: stranger }),
    );
    expect(await ask(empty(), both(approvalFiles(), forged), { now: later })).toMatch(/^4/);
  });
  test('a further signature under it is judged as of then', async () => {
    const [, bytes] = [...approvalFiles()][0] ?? ['', Buffer.alloc(0)];
    expect(await ask(released(), new Map([endorsement(bytes, bob)]), { now: later })).toMatch(/^allow/);
    expect(await ask(released(), new Map([endorsement(bytes, bob, minutes(60))]), { now: later })).toMatch(
      /^4/,
    );
  });
  test('its statement is taken from anybody, without blobs, and once', async () => {
    expect(await ask(released(), statementFiles(), { now: later })).toBe(
      'allow statements/b1.dsse.json statements/b1.json.sig statements/b1.json',
    );
    const view = released().put(buildPath(build), statementFiles());
    expect(await ask(view, statementFiles(), { now: later })).toBe('allow');
  });
  test('a statement that the signer did not believe is not', async () => {
    const other = statementFiles({ ...statement, command: 'make' });
    expect(await ask(released(), other, { now: later })).toBe('401 token-missing');
    expect(await ask(released(), other, { now: later, bearer: CARRIER })).toBe('403 expired');
    const unsigned = statementFiles().set('statements/b1.json.sig', Buffer.from('junk'));
    expect(await ask(released(), unsigned, { now: later })).toBe('403 signature-invalid');
    expect(await ask(empty(), statementFiles(), { now: later })).toBe('404 build-unknown');
  });
});

describe('blobs of a released build', () => {
  const [first] = subjects;
  const none = { count: 0, bytes: 0 };
  const upload = async (view = released(), more: { build?: typeof build; bearer?: Bearer } = {}) => {
    const question = { rules: project, build, bearer: signerToken, view, now: later };
    const verdict = await judgeUpload({ ...question, ...more });
    if (!verdict.allow) return `${verdict.status} ${verdict.code}`;
    const judge = (size: number, sha256 = first?.sha256 ?? sha256Hex('')) =>
      judgeBlob(verdict, { sha256, size }, none)?.code ?? 'fits';
    const size = first?.size ?? 0;
    return [judge(size), judge(size + 1), judge(1, sha256Hex('another'))].join(' ');
  };
  test('are taken from the signer and the carrier, with the size that the manifest says; others are not', async () => {
    expect(await upload()).toBe('fits not-released not-released');
    expect(await upload(released(), { bearer: CARRIER })).toBe('fits not-released not-released');
  });
  test('are not taken from strangers, nor from a builder whose time is over: they would take room', async () => {
    expect(await upload(released(), { bearer: null })).toBe('401 token-missing');
    expect(await upload(released(), { bearer: Buffer.alloc(32) })).toBe('403 token-unknown');
    expect(await upload(released(), { bearer: tokens.b1 })).toBe('403 expired');
  });
  test('of a build without a release, or with the release of another one, they are not', async () => {
    expect(await upload(approvedView())).toBe('403 token-unknown');
    const elsewhere = empty().put(buildPath(otherBuild), both(approvalFiles(), releaseFiles()));
    expect(await upload(elsewhere, { build: otherBuild })).toMatch(/^4/);
  });
  test('of a refused one neither', async () => {
    const refused = empty().put(buildPath(build), both(approvalFiles(), refusalFiles()));
    expect(await upload(refused)).toBe('403 token-unknown');
  });
});

test('the approval of a refused build is taken with the refusal, a year later', async () => {
  expect(await ask(empty(), both(approvalFiles(), refusalFiles()), { now: later })).toMatch(/^allow/);
  const other = approvalFiles({ ...approval, source: null }, [ada]);
  expect(await ask(empty(), both(other, refusalFiles()), { now: later })).toBe('422 expired');
});

describe('whoever keeps the tree and copies into it', () => {
  test("brings a statement on its builder's signature alone, with its blobs, in time", async () => {
    const bearer = CARRIER;
    expect(await ask(approvedView(), statementFiles(), { bearer })).toMatch(/^allow/);
    const bare = empty().put(buildPath(build), approvalFiles());
    expect(await ask(bare, statementFiles(), { bearer })).toBe('422 blobs-missing');
    expect(await ask(approvedView(), statementFiles(statement, builderSecrets.b2), { bearer })).toBe(
      '403 signature-invalid',
    );
    expect(await ask(approvedView(), statementFiles(), { bearer, now: minutes(3.5 * 60) })).toBe(
      '403 expired',
    );
    const mixed = both(statementFiles(), new Map([['statements/b2.json', Buffer.from('{}')]]));
    expect(await ask(approvedView(), mixed, { bearer })).toBe('403 token-of-another-slot');
  });
  test('brings blobs within the limits of the approval, in time', async () => {
    const view = approvedView();
    const question = { rules: project, build, bearer: CARRIER, view } as const;
    const open = await judgeUpload({ ...question, now: minutes(0) });
    if (!open.allow) throw new Error(open.message);
    const sha256 = sha256Hex('a blob');
    expect(judgeBlob(open, { sha256, size: 1000 }, { count: 9, bytes: 0 })).toBeNull();
    expect(judgeBlob(open, { sha256, size: 1001 }, { count: 0, bytes: 0 })).toMatchObject({ status: 413 });
    expect(await judgeUpload({ ...question, now: later })).toMatchObject({ allow: false, code: 'expired' });
  });
});

describe('a builder who has only its ticket', () => {
  const rules = { name: project.name, policy: project.policy, log: project.log };
  const vouched = sha256Hex(approvalFiles().get('approval.json') ?? '');
  const bearer = null;
  test('writes under the approval that the ticket names, and no other', async () => {
    const mine = { rules: { ...rules, vouched }, bearer: CARRIER } as const;
    const unsigned = approvedView();
    expect(await ask(unsigned, statementFiles(), mine)).toMatch(/^allow/);
    const other = { rules: { ...rules, vouched: sha256Hex('another') }, bearer: CARRIER } as const;
    expect(await ask(unsigned, statementFiles(), other)).toBe('403 write-needs-authenticator');
  });
  test('approves nothing', async () => {
    expect(await ask(empty(), approvalFiles(), { rules: { ...rules, vouched }, bearer })).toBe(
      '403 approver-unknown',
    );
  });
});
