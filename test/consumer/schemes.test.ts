/** Whose word a release is: of each scheme, of several builders, and when somebody makes more of it than it is. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import { enrolmentFile, enrolmentReceiptFile, statementFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement, parseStatement } from '../../src/records/statement.ts';
import { proofOf } from '../policy/release-scene.ts';
import { b1, b2, build, mallory, now, otherBuild, sealed, subjects, without } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import { builtBy, receiptOf } from './builders.ts';
import type { Built } from './builders.ts';
import { madeRelease, put, verify, write } from './made-release.ts';
import type { ReleaseChanges } from './made-release.ts';

let parent = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-schemes-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const verdictOn = (files: Files) => verify([join(write(files, parent), 'hello.tar.gz')]);

/** The code of the one thing wrong with a release of these. */
async function codeOf(changes: ReleaseChanges): Promise<string | undefined> {
  const verdict = await verdictOn(madeRelease(changes));
  expect(verdict.outcome).toBe('not-valid');
  return [...verdict.findings, ...verdict.files.flatMap(({ findings }) => findings)][0]?.code;
}

const MIXED = { b1: 'keypair', b2: 'mac', b3: 'enrol' } as const;
const enrolled = () => builtBy({ b1: 'enrol' });

/** With other bytes for some files of the builders, which the manifest then names. */
function rewritten(built: Built, files: Iterable<readonly [string, Buffer]>): ReleaseChanges {
  const statement = new Map([...built.statement, ...files]);
  const named = Object.keys(built.records.manifest.statements).map((slot) => [
    slot,
    sha256Hex(statement.get(`statements/${slot}.json`) ?? ''),
  ]);
  const manifest = { ...built.records.manifest, statements: Object.fromEntries(named) };
  return { ...built, statement, records: { ...built.records, manifest } };
}

describe('what each scheme lets anybody check', () => {
  test('keypair and enrol: their signatures; mac: that the manifest names it, and no more', async () => {
    const verdict = await verdictOn(madeRelease(builtBy(MIXED)));
    expect(verdict).toMatchObject({
      outcome: 'valid',
      release: { assurance: '3-of-3', builders: MIXED, buildersNeeded: 3, buildersApproved: 3 },
    });
    const checked = verdict.checked.join('; ');
    expect(checked).toContain("the statement of b1, signed with the build's own key");
    expect(checked).toContain('the statement of b3, signed with the key that the log says was enrolled');
    expect(checked).toContain('the statement of b2: the one that the manifest names');
    expect(verdict.notChecked.join('; ')).toContain(
      'the MAC of b2: it convinces the signer alone, who believed it by log entry 1',
    );
    expect(verdict.notChecked.join('; ')).not.toContain('another builder');
  });

  test.each(['keypair', 'mac', 'enrol'] as const)('a single builder by %s', async (scheme) => {
    const verdict = await verdictOn(madeRelease(builtBy({ b1: scheme })));
    expect(verdict).toMatchObject({ outcome: 'valid', release: { assurance: 'single-builder' } });
    expect(verdict.notChecked).toContain('whether another builder makes the same bytes');
    expect(verdict.notChecked.join().includes('convinces the signer alone')).toBe(scheme === 'mac');
    expect(verdict.notChecked.join().includes('DSSE')).toBe(scheme !== 'mac');
  });

  test('two of three are enough where two are asked for; a quorum of one stays a single builder', async () => {
    const two = builtBy({ b1: 'enrol', b2: 'enrol', b3: 'enrol' }, { quorum: 2, agreed: ['b1', 'b3'] });
    expect(await verdictOn(madeRelease(two))).toMatchObject({
      outcome: 'valid',
      release: { assurance: '2-of-3', builders: { b1: 'enrol', b3: 'enrol' }, buildersNeeded: 2 },
    });
    const one = builtBy({ b1: 'mac', b2: 'mac' }, { quorum: 1 });
    expect(await verdictOn(madeRelease(one))).toMatchObject({ release: { assurance: 'single-builder' } });
  });

  test('a whole copy has the files of each scheme, and no others', async () => {
    const directory = write(madeRelease(builtBy(MIXED)), parent);
    expect(await verify([directory])).toMatchObject({ outcome: 'valid' });
    const strays = [
      'statements/b1.json.mac',
      'statements/b2.json.sig',
      'enrolments/b1.json',
      'enrolments/b3.2.json',
      `revocations/${mallory.certificate.primary.fingerprint}.json`,
    ].map((name) => `countersign/${name}`);
    for (const name of strays) put(directory, name, 'x');
    const { outcome, findings } = await verify([directory]);
    expect(outcome).toBe('not-valid');
    expect(findings.map(({ code, text }) => [code, text.split(' ')[0]])).toEqual(
      strays.toSorted().map((name) => ['extra-file', name]),
    );
  });

  const needed = [...builtBy(MIXED).statement.keys()].filter((name) => !name.includes('dsse'));
  test.each(needed)('without %s there is no verdict', async (name) => {
    const files = without(madeRelease(builtBy(MIXED)), `countersign/${name}`);
    expect(await verdictOn(files)).toMatchObject({
      outcome: 'incomplete',
      findings: [{ code: 'release-incomplete', text: expect.stringContaining(name) }],
    });
  });
});

describe('a quorum that is none', () => {
  test('fewer statements than the approval asks for, whatever the release calls it', async () => {
    const built = builtBy({ b1: 'keypair', b2: 'keypair' }, { agreed: ['b1'] });
    expect(await codeOf(built)).toBe('quorum');
    const release = { ...built.records.release, assurance: 'single-builder' } as const;
    expect(await codeOf({ ...built, records: { ...built.records, release } })).toBe('quorum');
  });

  test.each([
    ['one builder, called three', { b1: 'keypair' }, '3-of-3'],
    ['two builders, called one', { b1: 'keypair', b2: 'mac' }, 'single-builder'],
    ['two of two, called two of three', { b1: 'keypair', b2: 'mac' }, '2-of-3'],
  ] as const)('%s', async (_, schemes, assurance) => {
    const { records, ...built } = builtBy(schemes);
    const release = { ...records.release, assurance };
    expect(await codeOf({ ...built, records: { ...records, release } })).toBe('assurance');
  });

  test('a builder that nobody approved', async () => {
    const built = builtBy({ b1: 'keypair' });
    const { manifest, release } = built.records;
    const records = {
      manifest: { ...manifest, statements: { ...manifest.statements, b9: sha256Hex('b9') } },
      release: { ...release, builders: { ...release.builders, b9: 'keypair' as const } },
    };
    expect(await codeOf({ ...built, records })).toBe('builders');
  });

  test('a MAC that is called a signature', async () => {
    const built = builtBy({ b1: 'mac', b2: 'keypair' });
    const builders = { b1: 'keypair', b2: 'keypair' } as const;
    const release = { ...built.records.release, builders };
    expect(await codeOf({ ...built, records: { ...built.records, release } })).toBe('builders');
  });

  test.each(['keypair', 'mac', 'enrol'] as const)(
    'dissent that was signed all the same, by %s',
    async (scheme) => {
      const said = (slot: string) => (slot === 'b2' ? { subjects: subjects.slice(1) } : {});
      expect(await codeOf(builtBy({ b1: 'keypair', b2: scheme }, { said }))).toBe('statement');
    },
  );
});

describe('a statement that is another', () => {
  test.each([
    ['keypair', 'signature-of-other-key'],
    ['enrol', 'signature-of-other-key'],
    // nobody but the signer can tell by the MAC: what it says must do
    ['mac', 'statement'],
  ] as const)('%s: that of one builder for two', async (scheme, code) => {
    const built = builtBy({ b1: scheme, b2: scheme });
    const copied = [...built.statement]
      .filter(([name]) => name.startsWith('statements/b1.'))
      .map(([name, bytes]) => [name.replace('b1', 'b2'), bytes] as const);
    expect(await codeOf(rewritten(built, copied))).toBe(code);
  });

  test('mac: another that names the same artifacts, with a MAC over it, is not what the signer believed', async () => {
    const built = builtBy({ b1: 'mac' });
    const other = parseStatement(built.statement.get(statementFile(b1)) ?? Buffer.alloc(0));
    const statement = new Map(built.statement).set(
      statementFile(b1),
      encodeStatement({ ...other, command: 'make' }),
    );
    expect(await codeOf({ ...built, statement })).toBe('chain-broken');
  });

  test('a MAC that can be none', async () => {
    const built = builtBy({ b1: 'mac' });
    const mac = (bytes: string) => codeOf(rewritten(built, [['statements/b1.json.mac', Buffer.from(bytes)]]));
    expect(await mac('short')).toBe('mac');
    expect(await mac('x'.repeat(5000))).toBe('too-large');
  });
});

describe('an enrolment that is not this builder’s', () => {
  const bytesOf = (built: Built, slot = b1): Buffer =>
    built.statement.get(enrolmentFile(slot)) ?? Buffer.alloc(0);
  const receipt = enrolmentReceiptFile(b1);
  const withReceipt = (built: Built, bytes: Buffer): ReleaseChanges => rewritten(built, [[receipt, bytes]]);
  const fingerprintOf = (built: Built) => built.secrets['b1']?.key.fingerprint ?? mallory.secret.fingerprint;

  test.each([
    ['of another build', { build: otherBuild }],
    ['for another key', { keys: [mallory.secret.fingerprint] }],
    ['for another enrolment', { records: { [enrolmentFile(b1)]: sha256Hex('other') } }],
    ['for the enrolment of another slot', { records: { [enrolmentFile(b2)]: sha256Hex('other') } }],
    ['of another kind', { type: 'statement' }],
  ] as const)('the receipt is %s', async (_, changes) => {
    const built = enrolled();
    const bytes = receiptOf(bytesOf(built), b1, fingerprintOf(built), changes);
    expect(await codeOf(withReceipt(built, bytes))).toBe('enrolment-unproven');
  });

  test('the receipt proves nothing: its entry is not in the proof, or it is no proof', async () => {
    const built = enrolled();
    const good = built.statement.get(receipt)?.toString() ?? '';
    for (const bytes of ['', 'x', good.replace('index 1', 'index 2'), good.replace(/\nextra.*/, '')])
      expect(await codeOf(withReceipt(built, Buffer.from(bytes)))).toBe('enrolment-unproven');
    expect(await codeOf(withReceipt(built, proofOf(Buffer.from('{}'), { extra: true })))).toBe(
      'enrolment-unproven',
    );
  });

  test('another key takes its place: with the old receipt, and with that of another slot', async () => {
    const thief = enrolled();
    const [built, two] = [enrolled(), builtBy({ b1: 'enrol', b2: 'enrol' })];
    const ofThief = [...thief.statement].filter(([name]) => name !== receipt);
    expect(await codeOf(rewritten(built, ofThief))).toBe('enrolment-unproven');
    const ofOther = [...two.statement].filter(([name]) => name.startsWith('enrolments/b2.'));
    const moved = ofOther.map(([name, bytes]) => [name.replace('b2', 'b1'), bytes] as const);
    expect(await codeOf(rewritten(two, moved))).toBe('enrolment-unproven');
  });

  test('the log names a key that the builder did not have', async () => {
    const built = enrolled();
    const forged = mallory.secret.sign(bytesOf(built), now.getTime() / 1000);
    expect(await codeOf(rewritten(built, [[`${enrolmentFile(b1)}.sig`, forged]]))).toBe(
      'signature-of-other-key',
    );
  });

  test('it answers another approval of the build', async () => {
    const built = enrolled();
    const { key, certificate } = built.secrets['b1'] ?? { key: mallory.secret, certificate: Buffer.alloc(0) };
    const other = { build, slot: b1, approval: sha256Hex('other') };
    const bytes = encodeEnrolment({ ...other, certificate: certificate.toString('base64') });
    const files: [string, Buffer][] = [
      [enrolmentFile(b1), bytes],
      [`${enrolmentFile(b1)}.sig`, key.sign(bytes, now.getTime() / 1000)],
      [receipt, receiptOf(bytes, b1, key.fingerprint)],
    ];
    expect(await codeOf(rewritten(built, files))).toBe('enrolment');
  });

  test('the statement is signed by another key than the one enrolled', async () => {
    const built = enrolled();
    const bytes = built.statement.get(statementFile(b1)) ?? Buffer.alloc(0);
    expect(await codeOf(rewritten(built, sealed(bytes, b1, mallory.secret)))).toBe('signature-of-other-key');
  });
});
