import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { unable } from '../../src/failure.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { prepareApproval } from '../../src/operator/approve.ts';
import { requireNoTickets, submitApproval } from '../../src/operator/submit.ts';
import type { ApprovalRequest, PreparedApproval } from '../../src/operator/approve.ts';
import { slotsOf } from '../../src/policy/builder-key.ts';
import type { Project } from '../../src/policy/project.ts';
import { parseApproval } from '../../src/records/approval.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { secretKeyOf } from '../harness/keypair.ts';
import { project as scene } from '../policy/scene.ts';

let home: GnupgHome;
let directory: string;
let project: Project;
let depot: GatedDepot;
/** The agent asks nobody: keys here have no passphrase. */
const before = { ...process.env };

beforeAll(() => {
  home = new GnupgHome();
  Object.assign(process.env, home.env);
  const ada = home.generate({ userId: 'Ada <ada@example.org>' });
  project = { ...scene, approvers: [parseCertificate(home.export(ada))] };
});
afterAll(() => {
  home.close();
  Object.assign(process.env, before);
});
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cs-approve-'));
  const tree = await DirectoryTree.make(join(directory, 'depot'));
  depot = GatedDepot.over({ tree, rules: project, now: () => new Date() });
  return () => rmSync(directory, { recursive: true, force: true });
});

const request = (more: Partial<ApprovalRequest> = {}): ApprovalRequest => ({
  version: '1.4.0',
  source: null,
  directory,
  patterns: null,
  maxCount: null,
  maxBytes: null,
  maxTotalBytes: null,
  builders: null,
  quorum: null,
  scheme: null,
  enrolBy: null,
  mode: null,
  lifetime: null,
  approver: null,
  expect: null,
  depot: 'https://depot.example.org',
  now: new Date(),
  ...more,
});
const tickets = (): string => join(directory, 'tickets');
const submit = (prepared: PreparedApproval, where = depot) =>
  submitApproval(project, prepared, { depot: where, directory: tickets() });

describe('approve', () => {
  test('shows everything that is about to be allowed', async () => {
    const { summary } = await prepareApproval(project, request());
    expect(summary).toMatchObject({
      depot: 'https://depot.example.org',
      approver: { userId: 'Ada <ada@example.org>' },
      approval: { version: '1.4.0', signer: project.log.origin, source: null, quorum: 1, mode: 'fetch' },
    });
    const { artifacts, notBefore, expires } = summary.approval;
    expect(artifacts).toEqual({
      patterns: ['**'],
      maxCount: 100_000,
      maxBytes: 2 ** 36,
      maxTotalBytes: 2 ** 38,
    });
    expect(Date.parse(expires) - Date.parse(notBefore)).toBe(4 * 3600 * 1000);
  });

  test('puts a validly signed approval on the depot and a ticket for it into a file', async () => {
    const prepared = await prepareApproval(
      project,
      request({ patterns: ['*.tgz'], maxCount: 3, lifetime: 600 }),
    );
    const submitted = await submit(prepared);
    expect(submitted.tickets).toEqual({ b1: join(tickets(), 'b1.ticket') });

    const [ada] = project.approvers;
    const at = (name: string) => depot.read(`builds/${submitted.build}/${name}`, 100_000);
    const bytes = (await at('approval.json')) ?? Buffer.alloc(0);
    const signature = (await at(`approval.json.${ada?.primary.fingerprint}.sig`)) ?? Buffer.alloc(0);
    expect(bytes.equals(prepared.bytes)).toBe(true);
    expect(verifyDetached(signature, bytes, ada!, new Date())).toMatchObject({ ok: true });

    const approval = parseApproval(bytes);
    const ticket = parseTicket(readFileSync(join(tickets(), 'b1.ticket'), 'utf8'));
    expect(ticket).toMatchObject({
      build: submitted.build,
      approval: sha256Hex(bytes),
      artifacts: { patterns: ['*.tgz'], maxCount: 3 },
      expires: approval.expires,
    });
    const [slot] = slotsOf(approval);
    const builder = approval.builders[slot!];
    expect(builder?.uploadTokenSha256).toBe(sha256Hex(Buffer.from(ticket.uploadToken, 'base64url')));
    const secret = parseEphemeralSecret(Buffer.from(secretKeyOf(ticket) ?? '', 'base64'));
    expect(secret.certificate.toString('base64')).toBe(builder?.scheme === 'keypair' && builder.certificate);
  });

  test('warns of changes in the checkout that is named as source, but not of files that git does not know', async () => {
    const git = (...args: string[]) => execFileSync('git', ['-C', directory, ...args]);
    writeFileSync(join(directory, 'main.c'), 'int main;\n');
    git('init', '--quiet');
    git('remote', 'add', 'origin', 'https://example.org/app.git');
    git('add', 'main.c');
    git('-c', 'user.name=x', '-c', 'user.email=x@example.org', 'commit', '--quiet', '-m', 'x');
    const prepared = async (more = {}) => (await prepareApproval(project, request(more))).summary;
    expect(await prepared()).toMatchObject({
      approval: { source: { uri: 'git+https://example.org/app.git' } },
      warnings: [],
    });
    writeFileSync(join(directory, 'main.c'), 'char main;\n');
    expect((await prepared()).warnings).toEqual([expect.stringContaining('changes')]);
    const source = `git+https://example.org/app@${'0'.repeat(40)}`;
    expect((await prepared({ source })).warnings).toEqual([]);
  });

  test('leaves the ticket and nothing else, readable for the operator alone', async () => {
    const prepared = await prepareApproval(project, request());
    expect(readdirSync(directory)).toEqual(['depot']);
    await submit(prepared);
    expect(readdirSync(tickets())).toEqual(['.gitignore', 'b1.ticket']);
    expect(readFileSync(join(tickets(), '.gitignore'), 'utf8')).toBe('*\n');
    expect(statSync(join(tickets(), 'b1.ticket')).mode & 0o777).toBe(0o600);
    expect(statSync(tickets()).mode & 0o777).toBe(0o700);
  });
});

describe('when it does not come to that', () => {
  test('the submission fails: no ticket is left', async () => {
    const fault = unable('network', 'the depot does not answer');
    const away = new Proxy(depot, { get: () => () => Promise.reject(fault) });
    await expect(submit(await prepareApproval(project, request()), away)).rejects.toBe(fault);
    expect(readdirSync(tickets())).toEqual(['.gitignore']);
  });

  test('the approval arrives and the answer is lost: the ticket stays, as the version is taken', async () => {
    const prepared = await prepareApproval(project, request());
    const submitted: GatedDepot['submit'] = async (...write) => {
      await depot.submit(...write);
      throw unable('network', 'the line broke');
    };
    const lossy = new Proxy(depot, {
      get: (_, name) => (name === 'submit' ? submitted : depot.read.bind(depot)),
    });
    const { tickets: written } = await submit(prepared, lossy);
    expect(existsSync(written['b1'] ?? '')).toBe(true);
  });

  test('another ticket lies there: it stays, and nothing is submitted', async () => {
    const first = await submit(await prepareApproval(project, request()));
    const text = readFileSync(join(tickets(), 'b1.ticket'), 'utf8');
    const second = await prepareApproval(project, request());
    const exists = { kind: 'usage', code: 'ticket-exists' };
    await expect(requireNoTickets(second, tickets())).rejects.toMatchObject(exists);
    await expect(submit(second)).rejects.toMatchObject(exists);
    await requireNoTickets(second, join(directory, 'others'));
    expect(readFileSync(join(tickets(), 'b1.ticket'), 'utf8')).toBe(text);
    expect((await depot.builds(null)).builds).toEqual([first.build]);
  });

  test('gpg has another key of that name than the project file', async () => {
    const [certificate] = project.approvers;
    const other = { ...project, approvers: [{ ...certificate!, keys: [] }] };
    const prepared = await prepareApproval(project, request());
    await expect(submitApproval(other, prepared, { depot, directory: tickets() })).rejects.toMatchObject({
      kind: 'unable',
      code: 'signature-unusable',
    });
    expect(existsSync(tickets())).toBe(false);
  });
});

describe('the approver', () => {
  test('is the one whose secret key is here', async () => {
    const both = { ...project, approvers: [...scene.approvers, ...project.approvers] };
    expect((await prepareApproval(both, request())).summary.approver.userId).toBe('Ada <ada@example.org>');
    const asked = project.approvers[0]!.primary.fingerprint.toLowerCase();
    expect((await prepareApproval(both, request({ approver: asked }))).summary.approver.userId).toMatch(
      /^Ada/,
    );
  });

  test.each([
    ['none is here', () => ({ ...project, approvers: scene.approvers }), {}, 'approver-missing'],
    [
      'chosen, but not here',
      () => ({ ...project, approvers: scene.approvers }),
      { approver: scene.approvers[0]!.primary.fingerprint },
      'approver-missing',
    ],
    ['chosen, but none of the project', () => project, { approver: 'F'.repeat(40) }, 'approver-unknown'],
  ])('%s', async (_, who, more, code) => {
    await expect(prepareApproval(who(), request(more))).rejects.toMatchObject({ kind: 'usage', code });
  });

  test('several are here: one must be chosen', async () => {
    const bob = parseCertificate(home.export(home.generate({ userId: 'Bob <bob@example.org>' })));
    const both = { ...project, approvers: [...project.approvers, bob] };
    await expect(prepareApproval(both, request())).rejects.toMatchObject({ code: 'approver-ambiguous' });
    const chosen = await prepareApproval(both, request({ approver: bob.primary.fingerprint }));
    expect(chosen.summary).toMatchObject({ approver: { userId: 'Bob <bob@example.org>' } });
  });
});

describe('--expect', () => {
  test('takes the same terms again, although ids, times and keys differ', async () => {
    const first = await prepareApproval(project, request());
    const again = await prepareApproval(project, request({ expect: first.summary.terms, lifetime: 60 }));
    expect(again.summary.terms).toBe(first.summary.terms);
    expect(again.summary.approval.build).not.toBe(first.summary.approval.build);
  });

  test('refuses any others', async () => {
    const { summary } = await prepareApproval(project, request());
    const wider = request({ expect: summary.terms, maxCount: 5 });
    await expect(prepareApproval(project, wider)).rejects.toMatchObject({
      kind: 'refused',
      code: 'terms-differ',
    });
  });
});

describe('what can not be approved is said before anybody signs', () => {
  test.each<[string, Partial<ApprovalRequest>, string, string]>([
    ['a version that is none', { version: '../1' }, 'usage', 'version-malformed'],
    ['a pattern that is none', { patterns: ['[a-z]'] }, 'usage', 'pattern-malformed'],
    ['seventeen builders', { builders: 17 }, 'usage', 'wrong-usage'],
    ['a scheme that is none', { scheme: 'hmac' }, 'usage', 'scheme-unknown'],
    ['a mode that is none', { mode: 'hash' }, 'usage', 'wrong-usage'],
    ['a mode that the policy has not', { mode: 'digest' }, 'refused', 'policy-mode'],
    ['more that agree than build', { builders: 2, quorum: 3 }, 'usage', 'wrong-usage'],
    ['a time to enrol where nobody does', { enrolBy: 60 }, 'usage', 'wrong-usage'],
    ['enrolling until the end', { scheme: 'enrol', enrolBy: 600, lifetime: 600 }, 'usage', 'wrong-usage'],
    ['a nonce that nobody could open', { scheme: 'mac' }, 'usage', 'no-encryption-key'],
    ['more than the policy has', { maxBytes: 2 ** 40 }, 'refused', 'policy-limits'],
    ['longer than the policy has', { lifetime: 86_401 }, 'refused', 'policy-lifetime'],
    [
      'a secret in the source',
      { source: `https://a:b@example.org/x@${'0'.repeat(40)}` },
      'usage',
      'source-secret',
    ],
  ])('%s', async (_, more, kind, code) => {
    await expect(prepareApproval(project, request(more))).rejects.toMatchObject({ kind, code });
  });

  test('digest mode that is off, or over another hash, or with ECDSA alone: each with the way out', async () => {
    const digest = (more: Partial<Project>) =>
      prepareApproval({ ...project, ...more }, request({ mode: 'digest' }));
    const policy = { ...project.policy, digestMode: true };
    const off = await digest({}).catch((error: unknown) => error);
    expect(off).toMatchObject({
      message: expect.not.stringContaining('approval.json'),
      hint: expect.stringMatching(
        /digest-mode = true under \[policy\] in countersign.toml on every host.*without --mode/,
      ),
    });
    const release = { ...project.release, hash: 'sha512' } as const;
    await expect(digest({ policy, release })).rejects.toMatchObject({
      code: 'policy-mode',
      hint: expect.stringContaining('hash = "sha256"'),
    });
    const key = home.generate({ userId: 'Curve <c@example.org>', algorithm: 'nistp256' });
    const certificate = parseCertificate(home.export(key));
    await expect(digest({ policy, release: { certificate, hash: 'sha256' } })).rejects.toMatchObject({
      kind: 'refused',
      code: 'release-key-ecdsa',
      hint: expect.stringContaining('Ed25519 or RSA subkey'),
    });
    expect((await digest({ policy })).summary.approval.mode).toBe('digest');
  });

  test('a name that the policy does not allow', async () => {
    const narrow = { ...project, policy: { ...project.policy, patterns: ['*.tgz'] } };
    await expect(prepareApproval(narrow, request({ patterns: ['app.deb'] }))).rejects.toMatchObject({
      code: 'policy-artifacts',
    });
  });
});
