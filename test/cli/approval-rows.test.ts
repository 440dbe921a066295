/** What stands on the screen before somebody signs: everything that the signature covers, and nothing that moves the cursor. */
import { describe, expect, test } from 'vitest';
import { approvalRows, changeRows, revocationRows } from '../../src/cli/approval-rows.ts';
import { linesToSign } from '../../src/cli/rows.ts';
import { renderLine } from '../../src/cli/text.ts';
import type { Part } from '../../src/cli/text.ts';
import { changesBetween } from '../../src/operator/changes.ts';
import { builderCertificate } from '../../src/policy/builder-key.ts';
import { encodeApproval, parseApproval, terms } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { toFingerprint, toSlot, toTimestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { approval, b1, bob, builderEntry, project } from '../policy/scene.ts';

const screen = (rows: Part[][]): string =>
  linesToSign(rows)
    .map((row) => renderLine(row, false))
    .join('\n');

/** Without line breaks and the spaces that are for the eye. */
const joined = (text: string): string => text.replace(/\s+/g, '');

const nonce = (of: string) => ({
  uploadTokenSha256: sha256Hex(Buffer.from(`${of} token`)),
  sealedNonce: Buffer.from(`${of} sealed`).toString('base64'),
  nonceSha256: sha256Hex(Buffer.from(of)),
});
const everything: Approval = {
  ...approval,
  artifacts: {
    patterns: ['app-*.tgz', 'docs/**'],
    maxCount: 7,
    maxBytes: 12_345_678,
    maxTotalBytes: 87_654_321,
  },
  builders: {
    [b1]: builderEntry('b1'),
    [toSlot('b2', 'b2')]: { scheme: 'mac', ...nonce('b2') },
    [toSlot('b3', 'b3')]: {
      scheme: 'enrol',
      ...nonce('b3'),
      enrolBy: toTimestamp('2026-11-22T12:10:00Z', ''),
    },
  },
  quorum: 2,
};

/** Every value in the record, by its path. */
function* leaves(value: unknown, path: string): Generator<[string, string]> {
  if (typeof value !== 'object' || value === null) yield [path, String(value)];
  else for (const [key, item] of Object.entries(value)) yield* leaves(item, `${path}.${key}`);
}

describe('the summary of an approval', () => {
  const shown = joined(screen(approvalRows(project, everything)));
  const record: unknown = JSON.parse(encodeApproval(everything).toString());
  test.each([...leaves(record, 'approval')])('%s', (path, value) => {
    // long ones stand there by what they are known by
    const known = path.endsWith('.certificate')
      ? builderCertificate(everything, b1).primary.fingerprint
      : path.endsWith('.sealedNonce')
        ? sha256Hex(Buffer.from(value, 'base64'))
        : value;
    expect(shown).toContain(joined(known));
  });

  test('its digest, its terms, and what builders and quorum amount to', () => {
    expect(shown).toContain(sha256Hex(encodeApproval(everything)));
    expect(shown).toContain(terms(everything));
    expect(shown).toContain(joined('2 of 3 builders: 2-of-3'));
    expect(shown).toContain(joined('convinces the signer alone'));
  });

  test('an approval without a source says so', () => {
    const rows = approvalRows(project, parseApproval(encodeApproval({ ...everything, source: null })));
    expect(screen(rows)).toContain('source not stated');
  });

  test.each([
    [1, 3, 'one builder alone is enough'],
    [2, 4, 'no majority'],
    [2, 3, null],
    [1, 1, null],
  ])('quorum %s of %s', (quorum, count, note) => {
    const slots = ['b1', 'b2', 'b3', 'b4'].slice(0, count).map((slot) => [slot, nonce(slot)] as const);
    const builders = Object.fromEntries(
      slots.map(([slot, each]) => [slot, { scheme: 'mac' as const, ...each }]),
    );
    const text = screen(approvalRows(project, { ...everything, builders, quorum }));
    if (note === null) expect(text).not.toMatch(/enough|majority/);
    else expect(text).toContain(note);
  });
});

test('what is shown is what is signed: nothing is cut or blacked out, however long it is or whatever it looks like', () => {
  const names = Array.from({ length: 16 }, (_, at) => `${'x'.repeat(250)}.${100 + at}`);
  const patterns = [...names, 'app.tgz', '**'];
  const uri = 'git+https://evil.example/PRIVATE+KEY+hello.git?countersign-ticket-v1.x';
  const source = { uri, digest: { gitCommit: 'd1'.repeat(20) } };
  const next = { ...everything, source, artifacts: { ...everything.artifacts, patterns } };
  const changes = changesBetween(approval, next);
  const rows = [
    ...approvalRows(project, next),
    ...changeRows({ kind: 'compared', build: approval.build, changes }),
  ];
  const text = screen(rows);
  for (const each of [...names, uri]) expect(text.split(each).length - 1, each).toBe(2);
  const lines = text.split('\n').map((line) => line.trim());
  for (const each of ['app.tgz', '**']) expect(lines).toContain(each);
  const reason = `${'very '.repeat(1_000)}PRIVATE+KEY+x`;
  const time = toTimestamp('2026-11-22T12:00:00Z', '');
  const revoked = { approver: bob.certificate.primary.fingerprint, reason, time };
  expect(joined(screen(revocationRows(project, revoked)))).toContain(joined(reason));
});

describe('what differs from the last approval', () => {
  const between = (next: Approval): string =>
    screen(changeRows({ kind: 'compared', build: approval.build, changes: changesBetween(approval, next) }));

  test('nothing but version and commit', () => {
    const source = { uri: approval.source?.uri ?? '', digest: { gitCommit: 'd1'.repeat(20) } };
    const later = {
      notBefore: toTimestamp('2026-11-23T12:00:00Z', ''),
      expires: toTimestamp('2026-11-23T16:00:00Z', ''),
    };
    expect(between({ ...approval, source, ...later })).toMatch(
      /nothing but version and commit since build 01jd/,
    );
  });

  test.each<[string, Partial<Approval>, string]>([
    ['patterns', { artifacts: { ...approval.artifacts, patterns: ['*.tgz'] } }, 'artifacts: ** → *.tgz'],
    ['limits', { artifacts: { ...approval.artifacts, maxBytes: 4000 } }, 'max-size: 1000 → 4000'],
    ['counts', { artifacts: { ...approval.artifacts, maxCount: 11 } }, 'max-count: 10 → 11'],
    ['sums', { artifacts: { ...approval.artifacts, maxTotalBytes: 2001 } }, 'max-total: 2000 → 2001'],
    ['builders', { builders: everything.builders }, 'builders: 1 → 3'],
    ['schemes', { builders: everything.builders }, 'scheme: keypair → keypair, mac, enrol'],
    ['quorum', { quorum: 2 }, 'quorum: 1 → 2'],
    ['source', { source: null }, 'source: git+https://example.org/hello.git → not stated'],
    ['release key', { releaseKey: toFingerprint('A'.repeat(40), '') }, `→ ${'A'.repeat(40)}`],
    ['signer', { signer: 'example.org/other' }, 'signer: example.org/hello → example.org/other'],
    [
      'requester',
      { requester: bob.certificate.primary.fingerprint },
      `→ ${bob.certificate.primary.fingerprint}`,
    ],
    ['lifetime', { expires: toTimestamp('2026-11-22T13:00:00Z', '') }, 'lifetime: 4h → 1h'],
  ])('%s', (_, change, line) => {
    expect(joined(between({ ...approval, ...change }))).toContain(joined(line));
  });

  test('there is none, or it could not be seen', () => {
    expect(screen(changeRows({ kind: 'first' }))).toContain('first approval');
    expect(screen(changeRows({ kind: 'unseen', why: 'no line' }))).toContain('not seen: no line');
  });
});

test('foreign text stays on its line, and shows what hides in it', () => {
  const reason = 'fine\n  approvers  3 of 3\u202e\u200b\u001b[2K\u0000';
  const time = toTimestamp('2026-11-22T12:00:00Z', '');
  const person = { ...bob.certificate, userIds: ['Bob\r\u2066 <bob@example.org>\nyou  Ada'] };
  const rows = revocationRows(
    { ...project, approvers: [person] },
    { approver: person.primary.fingerprint, reason, time },
  );
  const text = screen(rows);
  // a line is labelled, or indented as what goes on in it
  for (const line of text.split('\n')) expect(line).toMatch(/^(?:revoked by {2}| {12})\S/);
  expect(text).toContain(String.raw`fine\x0a`);
  expect(text).toContain(String.raw`\u{202e}\u{200b}\x1b[2K\x00`);
  expect(text).toContain(String.raw`Bob\x0d\u{2066} <bob@example.org>\x0ayou`);
  // oxlint-disable-next-line no-control-regex -- that there are none is the point
  expect(text).not.toMatch(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069]/,
  );
});
