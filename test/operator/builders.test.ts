/** The builders that `approve` makes: slots, schemes and quorum; a nonce a slot, which only the ticket and the signer can read. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openNonce } from '../../src/openpgp/sealed.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { prepareApproval } from '../../src/operator/approve.ts';
import type { ApprovalRequest, PreparedApproval } from '../../src/operator/approve.ts';
import { submitApproval } from '../../src/operator/submit.ts';
import { slotsOf } from '../../src/policy/builder-key.ts';
import type { Project } from '../../src/policy/project.ts';
import { assuranceOf } from '../../src/records/assurance.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { project as scene } from '../policy/scene.ts';

let home: GnupgHome;
let directory: string;
let project: Project;
const before = { ...process.env };

beforeAll(() => {
  home = new GnupgHome();
  Object.assign(process.env, home.env);
  const ada = home.generate({ userId: 'Ada <ada@example.org>' });
  const signer = home.generate({ userId: 'H <h@example.org>', usage: 'cert' });
  home.addSubkey(signer, 'cv25519', 'encr');
  project = {
    ...scene,
    approvers: [parseCertificate(home.export(ada))],
    encryption: parseCertificate(home.export(signer)),
  };
});
afterAll(() => {
  home.close();
  Object.assign(process.env, before);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-builders-'));
  return () => rmSync(directory, { recursive: true, force: true });
});

const prepare = (more: Partial<ApprovalRequest>, of = project): Promise<PreparedApproval> =>
  prepareApproval(of, {
    ...{ version: '1.4.0', source: null, directory, patterns: null, maxCount: null, maxBytes: null },
    ...{ maxTotalBytes: null, builders: null, quorum: null, scheme: null, enrolBy: null, mode: null },
    ...{ lifetime: null, approver: null, expect: null, depot: 'https://depot.example.org' },
    now: new Date(),
    ...more,
  });

describe('slots and quorum', () => {
  test.each([
    [1, null, ['b1'], 1, 'single-builder'],
    [3, null, ['b1', 'b2', 'b3'], 3, '3-of-3'],
    [3, 2, ['b1', 'b2', 'b3'], 2, '2-of-3'],
    [4, 1, ['b1', 'b2', 'b3', 'b4'], 1, 'single-builder'],
  ])('%s builders, quorum %s', async (builders, quorum, slots, agreeing, assurance) => {
    const { summary, tickets } = await prepare({ builders, quorum });
    expect(slotsOf(summary.approval)).toEqual(slots);
    expect([...tickets.keys()]).toEqual(slots);
    expect(summary.approval.quorum).toBe(agreeing);
    expect(assuranceOf(summary.approval)).toBe(assurance);
  });

  test('sixteen, each with a key and a token of its own', async () => {
    const { tickets } = await prepare({ builders: 16 });
    const all = [...tickets.values()];
    expect(new Set(all.map(({ secret }) => JSON.stringify(secret))).size).toBe(16);
    expect(new Set(all.map(({ uploadToken }) => uploadToken)).size).toBe(16);
  });
});

describe.each(['mac', 'enrol'] as const)('scheme %s', (scheme) => {
  test('each ticket has a nonce of its own, which the approval holds sealed: the signer opens just that', async () => {
    const { summary, tickets } = await prepare({
      scheme,
      builders: 2,
      enrolBy: scheme === 'enrol' ? 60 : null,
    });
    const nonces: Buffer[] = [];
    for (const [slot, { secret }] of tickets) {
      const builder = summary.approval.builders[slot];
      if (secret.scheme === 'keypair' || builder === undefined || builder.scheme === 'keypair')
        throw new Error('a key where a nonce should be');
      const nonce = Buffer.from(secret.nonce ?? '', 'base64url');
      const opened = await openNonce(Buffer.from(builder.sealedNonce, 'base64'));
      expect(opened.equals(nonce)).toBe(true);
      expect(builder.nonceSha256).toBe(sha256Hex(nonce));
      if (builder.scheme === 'enrol')
        expect(Date.parse(builder.enrolBy) - Date.parse(summary.approval.notBefore)).toBe(60_000);
      nonces.push(nonce);
    }
    expect(nonces).toHaveLength(2);
    expect(nonces[0]?.equals(nonces[1] ?? Buffer.alloc(0))).toBe(false);
  });

  test('an encryption key that has expired: said, with what helps, before anything is made', async () => {
    const old = home.generate({
      userId: `${scheme} <old@example.org>`,
      usage: 'cert',
      at: '20200101T000000',
    });
    home.gpg([
      '--passphrase',
      '',
      '--faked-system-time',
      '20200101T000001!',
      '--quick-add-key',
      old,
      'cv25519',
      'encr',
      '1d',
    ]);
    const late = { ...project, encryption: parseCertificate(home.export(old)) };
    await expect(prepare({ scheme }, late)).rejects.toMatchObject({
      kind: 'usage',
      code: 'no-encryption-key',
      message: expect.stringContaining('expired'),
      hint: expect.stringMatching(new RegExp(`gpg --quick-set-expire ${old} 2y [0-9A-F]{40}; then`)),
    });
  });
});

test('the project names nobody to seal to: how to mend that', async () => {
  await expect(prepare({ scheme: 'mac' }, { ...project, encryption: null })).rejects.toMatchObject({
    kind: 'usage',
    code: 'no-encryption-key',
    hint: expect.stringMatching(/encryption-certificate.*init --signer-key/),
  });
});

test('a certificate that nothing can be sealed to: the command that fits it', async () => {
  const bare = home.generate({ userId: 'Bare <bare@example.org>', usage: 'cert' });
  const encryption = parseCertificate(home.export(bare));
  await expect(prepare({ scheme: 'mac' }, { ...project, encryption })).rejects.toMatchObject({
    code: 'no-encryption-key',
    hint: expect.stringMatching(
      new RegExp(
        `is: gpg --quick-add-key ${bare} cv25519 encr 2y; then gpg --export ${bare} into .*restart serve on L`,
      ),
    ),
  });
});

test('the depot goes by an older project file: said, with what helps, and no ticket is left', async () => {
  const depot = GatedDepot.over({
    tree: await DirectoryTree.make(join(directory, 'depot')),
    rules: { ...project, encryption: null },
    now: () => new Date(),
  });
  const tickets = join(directory, 'tickets');
  const prepared = await prepare({ scheme: 'mac' });
  await expect(submitApproval(project, prepared, { depot, directory: tickets })).rejects.toMatchObject({
    kind: 'refused',
    code: 'nonce-unusable',
    message: expect.stringContaining('the depot refuses it: '),
    hint: expect.stringContaining(
      "the depot's project file says otherwise: copy countersign.toml and keys/ to L",
    ),
  });
  expect(readdirSync(tickets)).toEqual(['.gitignore']);
});

test('tickets: all or none', async () => {
  const depot = GatedDepot.over({
    tree: await DirectoryTree.make(join(directory, 'depot')),
    rules: project,
    now: () => new Date(),
  });
  const prepared = await prepare({ builders: 3, scheme: 'mac' });
  const tickets = join(directory, 'tickets');
  const { tickets: written } = await submitApproval(project, prepared, { depot, directory: tickets });
  expect(Object.keys(written)).toEqual(['b1', 'b2', 'b3']);

  // only the last one is in the way
  for (const slot of ['b1', 'b2']) rmSync(join(tickets, `${slot}.ticket`));
  writeFileSync(join(tickets, 'b3.ticket'), 'another');
  const again = await prepare({ builders: 3 });
  await expect(submitApproval(project, again, { depot, directory: tickets })).rejects.toMatchObject({
    code: 'ticket-exists',
  });
  expect(readdirSync(tickets)).toEqual(['.gitignore', 'b3.ticket']);
  expect(readFileSync(join(tickets, 'b3.ticket'), 'utf8')).toBe('another');
});
