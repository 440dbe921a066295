/** Statements of schemes `mac` and `enrol`, enrolments and their receipts at the gate. */
import { describe, expect, test } from 'vitest';
import { CARRIER } from '../../src/policy/gate/token.ts';
import { timestamp, toProjectName } from '../../src/records/names.ts';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { ask } from './ask.ts';
import { manifest, proofOf, releaseFiles } from './release-scene.ts';
import {
  approvalFiles,
  approvedView,
  b1,
  b2,
  build,
  builderEntry,
  builderSecrets,
  expires,
} from './scene.ts';
import {
  logSigner,
  minutes,
  notBefore,
  otherBuild,
  person,
  statementFiles,
  tokens,
  without,
} from './scene.ts';
import {
  enrolApproval,
  enrolBy,
  enrolledStatement,
  enrolmentFiles,
  first,
  macApproval,
} from './scheme-scene.ts';
import { macFiles, ownKey, receiptFiles, sealing, second, statementUnder } from './scheme-scene.ts';

const strangersLog = parseSignerKey(generateNoteKey(logSigner.name).signer);
const [bearer, rules] = [tokens.b1, sealing];
const own = { bearer, rules };
const at = (file: string) => `enrolments/${file}`;
const merged = (...all: Map<string, Buffer>[]) => new Map(all.flatMap((files) => [...files]));
const inBuild = buildPath(build);

describe('a statement of scheme mac', () => {
  const view = () => approvedView(macApproval);
  const all = 'allow statements/b1.json.mac statements/b1.json';

  test('is taken by its upload token: the depot has no nonce, and checks no MAC', async () => {
    expect(await ask(view(), macFiles(), own)).toBe(all);
    expect(await ask(view(), macFiles(0, Buffer.alloc(32)), own)).toBe(all);
    expect(await ask(view(), macFiles(), { rules, bearer: CARRIER })).toBe(all);
  });
  test('and by nothing else', async () => {
    expect(await ask(view(), macFiles(), { rules })).toBe('401 token-missing');
    expect(await ask(view(), macFiles(), { rules, bearer: tokens.b2 })).toBe('403 token-unknown');
  });
  test('comes with its MAC, alone', async () => {
    const stated = statementUnder(macApproval);
    const signed = statementFiles(stated);
    expect(await ask(view(), without(macFiles(), 'statements/b1.json.mac'), own)).toBe(
      '403 write-needs-authenticator',
    );
    expect(await ask(view(), without(macFiles(), 'statements/b1.json'), own)).toBe('422 record-missing');
    expect(await ask(view(), signed, own)).toBe('422 name-not-allowed');
    expect(await ask(view(), merged(signed, macFiles()), own)).toBe('422 name-not-allowed');
  });
  test.each([
    ['without its line feed', Buffer.alloc(44, 'A')],
    ['two of them', Buffer.alloc(45, 'A')],
    ['empty', Buffer.alloc(0)],
    ['of 31 bytes', Buffer.from(`${Buffer.alloc(31).toString('base64')}\n`)],
  ])('whose MAC is no MAC: %s', async (_what, file) => {
    expect(await ask(view(), macFiles().set('statements/b1.json.mac', file), own)).toBe('422 mac-malformed');
  });
  test('is judged as any other: its blobs, what it binds, its time', async () => {
    const bare = new MemoryView().put(inBuild, approvalFiles(macApproval));
    expect(await ask(bare, macFiles(), own)).toBe('422 blobs-missing');
    const other = {
      ...macApproval,
      quorum: 1,
      version: enrolApproval.version,
      artifacts: { ...macApproval.artifacts, maxCount: 9 },
    };
    expect(await ask(approvedView(other), macFiles(), own)).toBe('422 statement-binding');
    expect(await ask(view(), macFiles(), { ...own, now: new Date(expires) })).toBe('403 expired');
  });
  test('a second, different one is kept beside it, and the same one with another MAC: the signer decides', async () => {
    const sealed = () => view().put(inBuild, macFiles());
    expect(await ask(sealed(), macFiles(2), own)).toBe('allow statements/b1.2.json.mac statements/b1.2.json');
    expect(await ask(sealed(), macFiles(), own)).toBe('allow');
    const flipped = macFiles(0, Buffer.alloc(32));
    expect(await ask(sealed(), flipped, own)).toBe('allow statements/b1.2.json.mac statements/b1.2.json');
    // so whoever flips one keeps out nobody, and the same again goes where it is
    const both = view()
      .put(inBuild, flipped)
      .put(
        inBuild,
        [...macFiles()].map(([name, bytes]) => [name.replace('b1', 'b1.2'), bytes]),
      );
    expect(await ask(both, macFiles(), own)).toBe('allow statements/b1.2.json.mac statements/b1.2.json');
    expect(await ask(both, flipped, own)).toBe('allow');
  });
  test('that a logged release names needs no token, also after the end', async () => {
    const digests = { approval: sha256Hex(approvalFiles(macApproval).get('approval.json') ?? '') };
    const named = { [b1]: sha256Hex(macFiles().get('statements/b1.json') ?? '') };
    const logged = releaseFiles({
      manifest: { ...manifest, ...digests, statements: named },
      release: { builders: { [b1]: 'mac' } },
    });
    const late = { rules, now: minutes(60 * 24) };
    expect(await ask(view().put(inBuild, logged), macFiles(), late)).toBe(all);
    expect(await ask(view().put(inBuild, logged), macFiles(1), late)).not.toMatch(/^allow/);
  });
  test('a keypair builder has no MAC', async () => {
    const files = statementFiles().set(
      'statements/b1.json.mac',
      macFiles().get('statements/b1.json.mac') ?? Buffer.alloc(0),
    );
    expect(await ask(approvedView(), files, own)).toBe('422 name-not-allowed');
  });
});

describe('an enrolment', () => {
  const view = () => approvedView(enrolApproval);
  const all = `allow ${at('b1.json.sig')} ${at('b1.json.mac')} ${at('b1.json')}`;
  const variant = (n: number) => all.replaceAll('b1.json', `b1.${n}.json`);

  test('is taken by its upload token and the signature of its key', async () => {
    expect(await ask(view(), enrolmentFiles(), own)).toBe(all);
    expect(await ask(view(), enrolmentFiles(), { rules, bearer: CARRIER })).toBe(all);
    expect(await ask(view().put(inBuild, enrolmentFiles()), enrolmentFiles(), own)).toBe('allow');
  });
  test('without the upload token nothing', async () => {
    expect(await ask(view(), enrolmentFiles(), { rules })).toBe('401 token-missing');
    expect(await ask(view(), enrolmentFiles(), { rules, bearer: tokens.b2 })).toBe('403 token-unknown');
  });
  test('comes with signature and MAC in one write', async () => {
    for (const name of ['b1.json.sig', 'b1.json.mac'])
      expect(await ask(view(), without(enrolmentFiles(), at(name)), own)).toBe(
        '403 write-needs-authenticator',
      );
    expect(await ask(view(), without(enrolmentFiles(), at('b1.json')), own)).toBe('422 record-missing');
    const empty = enrolmentFiles().set(at('b1.json.mac'), Buffer.alloc(45, '\n'));
    expect(await ask(view(), empty, own)).toBe('422 mac-malformed');
  });
  test('of a slot that does not enrol', async () => {
    expect(await ask(approvedView(), enrolmentFiles(), own)).toBe('422 name-not-allowed');
    expect(await ask(approvedView(macApproval), enrolmentFiles(), own)).toBe('422 name-not-allowed');
  });
  test("by the token of another slot, and under another slot's name", async () => {
    const pair = { ...enrolApproval, builders: { ...enrolApproval.builders, [b2]: builderEntry('b2') } };
    expect(await ask(approvedView(pair), enrolmentFiles(), { rules, bearer: tokens.b2 })).toBe(
      '403 token-of-another-slot',
    );
    const moved = new Map([...enrolmentFiles()].map(([name, bytes]) => [name.replace('b1', 'b2'), bytes]));
    expect(await ask(approvedView(pair), moved, own)).toBe('403 token-of-another-slot');
    expect(await ask(view(), moved, { rules, bearer: CARRIER })).toBe('422 slot-unknown');
  });
  test.each([
    [
      "someone else's key, without possession",
      enrolmentFiles(first, {}, second.secret),
      '403 signature-invalid',
    ],
    ['of another build', enrolmentFiles(first, { build: otherBuild }), '422 enrolment-binding'],
    ['of another slot', enrolmentFiles(first, { slot: b2 }), '422 enrolment-binding'],
    ['of another approval', enrolmentFiles(first, { approval: sha256Hex('x') }), '422 enrolment-binding'],
    ['of a key of another hour', enrolmentFiles(ownKey(1_700_000_000)), '422 key-unusable'],
    ['signed in the future', enrolmentFiles(first, {}, first.secret, minutes(11)), '403 signature-invalid'],
  ])('%s is not taken', async (_what, files, answer) => {
    expect(await ask(view(), files, own)).toBe(answer);
  });
  test("of an approver's own key is not taken", async () => {
    // an approver whose key has the shape and the hour of an ephemeral one
    const hour = new Date(new Date(notBefore).getTime() - 3_600_000).toISOString();
    const who = person('hello 1.0 b1', hour);
    const key = { certificate: who.certificate.bytes.toString('base64'), secret: who.secret };
    const files = enrolmentFiles(key);
    expect(await ask(view(), files, own)).toBe(all);
    const theirs = { ...rules, approvers: [...rules.approvers, who.certificate] };
    expect(await ask(view(), files, { bearer, rules: theirs })).toBe('422 key-seen');
  });
  test('up to enrolBy, to the second', async () => {
    const just = new Date(new Date(enrolBy).getTime() - 1000);
    expect(await ask(view(), enrolmentFiles(), { ...own, now: just })).toBe(all);
    expect(await ask(view(), enrolmentFiles(), { ...own, now: new Date(enrolBy) })).toBe('403 expired');
  });
  test('a second, different one is kept beside it, also later: the signer decides', async () => {
    const enrolled = view().put(inBuild, enrolmentFiles());
    const late = { ...own, now: new Date(enrolBy) };
    expect(await ask(enrolled, enrolmentFiles(second), own)).toBe(variant(2));
    expect(await ask(enrolled, enrolmentFiles(second), late)).toBe(variant(2));
    expect(await ask(enrolled, enrolmentFiles(second, {}, first.secret), own)).toBe('403 signature-invalid');
    expect(await ask(enrolled, enrolmentFiles(second), { rules })).toBe('401 token-missing');
    expect(await ask(enrolled, enrolmentFiles(second), { ...own, now: new Date(expires) })).toBe(
      '403 expired',
    );
  });
  test('the same one with another MAC is kept beside it: one that was flipped keeps out nobody', async () => {
    const flipped = enrolmentFiles().set(
      at('b1.json.mac'),
      Buffer.from(`${Buffer.alloc(32).toString('base64')}\n`),
    );
    const there = view().put(inBuild, flipped);
    expect(await ask(there, enrolmentFiles(), own)).toBe(variant(2));
    expect(await ask(there, flipped, own)).toBe('allow');
    // another signature under the same MAC says nothing new
    const again = enrolmentFiles(first, {}, first.secret, minutes(1));
    expect(await ask(view().put(inBuild, enrolmentFiles()), again, own)).toBe('409 conflict');
  });
  test('a fourth is one too many, unless the log has taken it in: a stolen token keeps that out of nowhere', async () => {
    const full = view();
    for (const n of ['', '.2', '.3'])
      full.put(
        inBuild,
        [...enrolmentFiles(ownKey())].map(([name, bytes]) => [name.replace('b1', `b1${n}`), bytes]),
      );
    expect(await ask(full, enrolmentFiles(), own)).toBe('409 variants-full');
    const proven = merged(enrolmentFiles(), receiptFiles());
    expect(await ask(full, proven, { rules, bearer: CARRIER })).toContain(variant(4));
    full.put(inBuild, receiptFiles());
    expect(await ask(full, enrolmentFiles(), own)).toBe(variant(4));
    expect(await ask(full, enrolmentFiles(second), own)).toBe('409 variants-full');
  });
});

describe('a statement of scheme enrol', () => {
  const view = (...keys: (typeof first)[]) => {
    const tree = approvedView(enrolApproval);
    for (const [n, key] of keys.entries())
      tree.put(
        inBuild,
        [...enrolmentFiles(key)].map(([name, bytes]) => [
          name.replace('b1', n === 0 ? 'b1' : `b1.${n + 1}`),
          bytes,
        ]),
      );
    return tree;
  };
  const all = 'allow statements/b1.dsse.json statements/b1.json.sig statements/b1.json';

  test('is signed by the key that was introduced, with a receipt or without', async () => {
    expect(await ask(view(first), enrolledStatement(), own)).toBe(all);
    expect(await ask(view(first).put(inBuild, receiptFiles()), enrolledStatement(), own)).toBe(all);
  });
  test('or by that of a second enrolment: the signer decides which it is', async () => {
    expect(await ask(view(first, second), enrolledStatement(second), own)).toBe(all);
  });
  test('by nobody else', async () => {
    expect(await ask(view(), enrolledStatement(), own)).toBe('403 signature-invalid');
    expect(await ask(view(first), enrolledStatement(second), own)).toBe('403 signature-invalid');
    const stranger = statementFiles(statementUnder(enrolApproval), builderSecrets.b1);
    expect(await ask(view(first), stranger, own)).toBe('403 signature-invalid');
  });
  test('its envelope is by the same key', async () => {
    const mixed = new Map(enrolledStatement(first));
    mixed.set(
      'statements/b1.dsse.json',
      enrolledStatement(second).get('statements/b1.dsse.json') ?? Buffer.alloc(0),
    );
    expect(await ask(view(first, second), mixed, own)).toBe('422 envelope-mismatch');
  });
  test('an enrolment of another build that lies here introduces nobody', async () => {
    const tree = view().put(inBuild, enrolmentFiles(first, { build: otherBuild }));
    expect(await ask(tree, enrolledStatement(), own)).toBe('403 signature-invalid');
  });
});

describe('a receipt', () => {
  const view = () => approvedView(enrolApproval).put(inBuild, enrolmentFiles());
  const taken = `allow ${at('b1.json.receipt')}`;

  test('is taken from anybody who has it: the log names the enrolment', async () => {
    expect(await ask(view(), receiptFiles(), { rules })).toBe(taken);
    expect(await ask(view(), receiptFiles(), { rules, now: minutes(60 * 24) })).toBe(taken);
  });
  test('also of the second enrolment', async () => {
    const two = view().put(
      inBuild,
      [...enrolmentFiles(second)].map(([name, bytes]) => [name.replace('b1', 'b1.2'), bytes]),
    );
    expect(await ask(two, receiptFiles(second), { rules })).toBe(taken);
  });
  test('brings an enrolment along that is too late by itself, or has no token', async () => {
    const both = merged(enrolmentFiles(), receiptFiles());
    const late = { rules, now: minutes(60 * 24) };
    expect(await ask(approvedView(enrolApproval), both, late)).toMatch(/^allow .*b1\.json .*receipt$/);
    const other = merged(enrolmentFiles(second), receiptFiles());
    expect(await ask(approvedView(enrolApproval), other, late)).toMatch(/^4/);
  });
  test.each([
    ['of another key', receiptFiles(second), '403 chain-broken'],
    ['of another build', receiptFiles(first, { build: otherBuild }), '403 chain-broken'],
    [
      'of another project',
      receiptFiles(first, { project: toProjectName('other', 'test') }),
      '403 build-mismatch',
    ],
    ['whose entry is no enrolment', receiptFiles(first, { type: 'statement' }), '403 chain-broken'],
    ['that names no key', receiptFiles(first, { keys: [] }), '403 chain-broken'],
    ['without its entry', receiptFiles(first, {}, (leaf) => proofOf(leaf)), '403 chain-broken'],
    ['that is no proof', receiptFiles(first, {}, () => Buffer.from('no')), '403 proof-malformed'],
  ])('%s is not', async (_what, files, answer) => {
    expect(await ask(view(), files, { rules })).toBe(answer);
  });
  test('of a log by another key is not', async () => {
    const forged = receiptFiles(first, {}, (leaf) => proofOf(leaf, { extra: true, signer: strangersLog }));
    expect(await ask(view(), forged, { rules })).toBe('403 proof-invalid');
  });
  test('without an enrolment is not', async () => {
    expect(await ask(approvedView(enrolApproval), receiptFiles(), { rules })).toBe('422 record-missing');
  });
  test('of two the first stays', async () => {
    const later = receiptFiles(first, { time: timestamp(minutes(1)) });
    const there = view().put(inBuild, receiptFiles());
    expect(await ask(there, later, { rules })).toBe('allow');
    expect(await ask(there, receiptFiles(second), { rules })).toMatch(/^40/);
  });
});
