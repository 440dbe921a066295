/** Taking a build back, and reading it before it is published: what approvers may do at the gate. */
import { describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { judgeRead, judgeUpload } from '../../src/policy/gate.ts';
import type { ReadAuthority } from '../../src/policy/gate/token.ts';
import { timestamp } from '../../src/records/names.ts';
import { blobFile, buildPath } from '../../src/records/paths.ts';
import { encodeReadRequest } from '../../src/records/read-request.ts';
import type { ReadRequest } from '../../src/records/read-request.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { craftSignature, craftKey } from '../harness/craft.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import type { CraftParts } from '../harness/craft-certificate.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { ask } from './ask.ts';
import { refusalFiles, releaseFiles } from './release-scene.ts';
import { ada, approval, approvalFiles, approvedView, bob, build, endorsement, mallory } from './scene.ts';
import { minutes, now, otherBuild, project, statementFiles, subjects, without } from './scene.ts';
import type { Person } from './scene.ts';
import { revocationFiles } from './scheme-scene.ts';

const fingerprint = (who: Person) => who.certificate.primary.fingerprint;
const name = (who: Person) => `revocations/${fingerprint(who)}.json`;
const taken = (who: Person) => `allow ${name(who)}.sig ${name(who)}`;
const inBuild = buildPath(build);

describe('a revocation', () => {
  test.each([
    ['a build that waits', () => approvedView()],
    ['one that is sealed', () => approvedView().put(inBuild, statementFiles())],
    ['one that is refused', () => approvedView().put(inBuild, refusalFiles())],
    ['one that is released', () => approvedView().put(inBuild, releaseFiles())],
  ])('of %s is taken from an approver, by the signature', async (_what, view) => {
    expect(await ask(view(), revocationFiles(ada))).toBe(taken(ada));
    expect(await ask(view(), revocationFiles(bob))).toBe(taken(bob));
  });
  test('of a release is taken as long after as anybody likes', async () => {
    const released = () => approvedView().put(inBuild, releaseFiles());
    const late = minutes(60 * 24 * 300);
    expect(await ask(released(), revocationFiles(ada, {}, late), { now: late })).toBe(taken(ada));
  });
  test('of two persons is two files, in one write or in two', async () => {
    const both = new Map([...revocationFiles(ada), ...revocationFiles(bob)]);
    expect(await ask(approvedView(), both)).toMatch(/^allow( \S+){4}$/);
    const second = approvedView().put(inBuild, revocationFiles(ada));
    expect(await ask(second, revocationFiles(bob))).toBe(taken(bob));
  });
  test('is one a person: the same again changes nothing, other bytes are a conflict', async () => {
    const view = approvedView().put(inBuild, revocationFiles(ada));
    expect(await ask(view, revocationFiles(ada))).toBe('allow');
    expect(await ask(view, revocationFiles(ada, { reason: 'another' }))).toBe('409 conflict');
  });
  test('is taken where a depot failed between the signature of an earlier one and its record', async () => {
    const earlier = revocationFiles(ada, { reason: 'another' });
    earlier.delete(name(ada));
    const view = () => approvedView().put(inBuild, earlier);
    expect(await ask(view(), revocationFiles(ada))).toBe(taken(ada));
    // nobody else's is taken away
    expect(await ask(view(), revocationFiles(bob))).toBe(taken(bob));
  });
  test('of somebody who is no approver, or only says so, is not taken', async () => {
    expect(await ask(approvedView(), revocationFiles(mallory))).toBe('403 approver-unknown');
    const forged = [...revocationFiles(mallory)].map(
      ([file, bytes]) => [file.replace(fingerprint(mallory), fingerprint(ada)), bytes] as const,
    );
    expect(await ask(approvedView(), forged)).toBe('403 signature-invalid');
    const borrowed = [...revocationFiles(bob)].map(
      ([file, bytes]) => [file.replace(fingerprint(bob), fingerprint(ada)), bytes] as const,
    );
    expect(await ask(approvedView(), borrowed)).toBe('403 signature-invalid');
  });
  test('comes with its signature', async () => {
    expect(await ask(approvedView(), without(revocationFiles(ada), `${name(ada)}.sig`))).toBe(
      '403 write-needs-authenticator',
    );
    expect(await ask(approvedView(), without(revocationFiles(ada), name(ada)))).toBe('422 record-missing');
  });
  test('is of this build, and of this approval of it', async () => {
    expect(await ask(approvedView(), revocationFiles(ada, { build: otherBuild }))).toBe('422 build-mismatch');
    expect(await ask(approvedView(), revocationFiles(ada, { approval: sha256Hex('x') }))).toBe(
      '422 build-mismatch',
    );
    expect(await ask(new MemoryView(), revocationFiles(ada))).toBe('404 build-unknown');
  });
  test('an artifact, an approval or a statement that an approver signed is none', async () => {
    for (const bytes of approvalFiles().values()) {
      const files = [
        [name(ada), bytes] as const,
        [`${name(ada)}.sig`, ada.secret.sign(bytes, now.getTime() / 1000)] as const,
      ];
      expect(await ask(approvedView(), files)).toMatch(/^422 /);
    }
  });
  test('by a key that has expired since is taken by a mirror, however late; by one that had expired, or was revoked, never', async () => {
    const created = new Date('2026-01-01T00:00:00Z').getTime() / 1000;
    const key = craftKey('ed25519', created);
    const until = { text: 'Eve <eve@example.org>', keyLifetime: now.getTime() / 1000 + 3600 - created };
    const whose = (parts: CraftParts): Person => ({
      certificate: parseCertificate(craftCertificate(key, parts)),
      secret: { ...ada.secret, sign: (data, at) => craftSignature(key, data, { created: at }) },
    });
    const eve = whose({ userIds: [until] });
    const trusting = { ...project, approvers: [ada.certificate, eve.certificate] };
    const late = minutes(60 * 24 * 300);
    const released = () => approvedView().put(inBuild, releaseFiles());
    const more = { rules: trusting, now: late };
    expect(await ask(released(), revocationFiles(eve), more)).toBe(taken(eve));
    expect(await ask(released(), revocationFiles(eve, {}, minutes(61)), more)).toBe('403 signature-invalid');
    const gone = whose({ userIds: [until], revoked: true });
    const wary = { ...more, rules: { ...project, approvers: [ada.certificate, gone.certificate] } };
    expect(await ask(released(), revocationFiles(gone), wary)).toBe('403 signature-invalid');
  });
  test('dated in the future is not taken', async () => {
    expect(await ask(approvedView(), revocationFiles(ada, {}, minutes(11)))).toBe('403 signature-invalid');
  });
  test('a ticket revokes nothing', async () => {
    const { log, policy } = project;
    const rules = { name: project.name, log, policy, vouched: sha256Hex('') };
    expect(await ask(approvedView(), revocationFiles(ada), { rules })).toBe('403 approver-unknown');
  });
});

describe('a further signature of the approval', () => {
  const bytes = approvalFiles().get('approval.json') ?? Buffer.alloc(0);
  test('is taken alone, also after artifacts and statement came', async () => {
    const [file, signature] = endorsement(bytes, bob);
    const view = approvedView().put(inBuild, statementFiles());
    expect(await ask(view, [[file, signature]])).toBe(`allow ${file}`);
  });
  test('of a stranger, or of other bytes, is not', async () => {
    expect(await ask(approvedView(), [endorsement(bytes, mallory)])).toBe('403 approver-unknown');
    expect(await ask(approvedView(), [endorsement(Buffer.from('x'), bob)])).toBe('403 signature-invalid');
    expect(await ask(new MemoryView(), [endorsement(bytes, bob)])).toBe('404 build-unknown');
  });
});

describe('a read request', () => {
  const url = 'http://127.0.0.1:8080';
  const request: ReadRequest = {
    ...{ signer: approval.signer, build, depot: 'https://depot.example.org', time: timestamp(now) },
  };
  const signed = (changes: Partial<ReadRequest> = {}, who = ada): ReadAuthority => {
    const bytes = encodeReadRequest({ ...request, ...changes });
    return { bytes, signature: who.secret.sign(bytes, now.getTime() / 1000) };
  };
  const blob = `${inBuild}/${blobFile(subjects[0]?.sha256 ?? sha256Hex(''))}`;
  const read = async (bearer: ReadAuthority, more: { path?: string; now?: Date; head?: boolean } = {}) => {
    const view = approvedView();
    const question = { rules: project, path: blob, head: false, bearer, url, view, now, ...more };
    const denied = await judgeRead(question);
    return denied === null ? 'may' : `${denied.status} ${denied.code}`;
  };

  test('of an approver shows the artifacts of its build, at either URL of the depot', async () => {
    expect(await read(signed())).toBe('may');
    expect(await read(signed({}, bob))).toBe('may');
    expect(await read(signed({ depot: url }))).toBe('may');
    expect(await read(signed(), { head: true })).toBe('may');
  });
  test('is good for five minutes, to the second, either way', async () => {
    expect(await read(signed({ time: timestamp(minutes(-5)) }))).toBe('may');
    const second = (count: number) => timestamp(new Date(now.getTime() + count * 1000));
    expect(await read(signed({ time: second(-301) }))).toBe('403 read-request-expired');
    expect(await read(signed({ time: second(300) }))).toBe('may');
    expect(await read(signed({ time: second(301) }))).toBe('403 read-request-expired');
  });
  test.each([
    ['to another depot', { depot: 'https://elsewhere.example.org' }],
    ['for another build', { build: otherBuild }],
    ['about another signer', { signer: 'example.org/other' }],
  ])('%s is not taken', async (_what, changes) => {
    expect(await read(signed(changes))).toBe('403 read-request-foreign');
  });
  test('of a stranger, or changed on its way, is not taken', async () => {
    expect(await read(signed({}, mallory))).toBe('403 signature-invalid');
    const { bytes, signature } = signed();
    const other = encodeReadRequest({ ...request, build: otherBuild });
    expect(await read({ bytes: other, signature })).toBe('403 signature-invalid');
    const flipped = Buffer.from(signature);
    flipped.writeUInt8(flipped.readUInt8(60) ^ 1, 60);
    expect(await read({ bytes, signature: flipped })).toBe('403 signature-invalid');
  });
  test('another record that an approver signed is no request', async () => {
    const revocation = { build, approval: sha256Hex(''), reason: 'x', time: timestamp(now) };
    const bytes = encodeRevocation(revocation);
    const signature = ada.secret.sign(bytes, now.getTime() / 1000);
    expect(await read({ bytes, signature })).toBe('401 read-request-malformed');
  });
  test('gives no right to write, nor to another build', async () => {
    const bearer = signed();
    const upload = { rules: project, build, view: approvedView(), bearer, now };
    expect(await judgeUpload(upload)).toMatchObject({ allow: false, status: 401, code: 'token-missing' });
    expect(await ask(approvedView(), statementFiles(), { bearer })).toBe('401 token-missing');
    const elsewhere = blob.replace(build, otherBuild);
    expect(await read(bearer, { path: elsewhere })).toBe('403 read-request-foreign');
  });
});
