/** What cosignatures add to a release's proof, and what an expired certificate is judged by. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Verdict } from '../../src/consumer/verdict.ts';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import type { Project } from '../../src/policy/project.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { CosignatureSigner } from '../../src/tlog/cosignature.ts';
import { craftKey, craftSignature } from '../harness/craft.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import {
  approval,
  approvalFiles,
  b1,
  mallory,
  minutes,
  project as scene,
  statement,
  statementFiles,
} from '../policy/scene.ts';
import type { Person } from '../policy/scene.ts';
import { newWitness, tell } from './logged-release.ts';
import type { Story } from './logged-release.ts';
import { put, verify } from './made-release.ts';
import type { ReleaseChanges } from './made-release.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-witnesses-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const w1 = newWitness('w1.example');
const w2 = newWitness('w2.example');
const asking = (quorum: number, keys = [w1.key, w2.key]): Project => ({
  ...scene,
  log: { ...scene.log, witnesses: keys, quorum },
});

const judge = (story: Story, project: Project, now = minutes(60)): Promise<Verdict> =>
  verify([join(tell(parent, story).release, 'hello.tar.gz')], { trust: { kind: 'project', project }, now });

describe('a release that as many witnesses have seen as the project asks for', () => {
  test('one of two: who, and when', async () => {
    const verdict = await judge({ cosigned: [[w2.signer, 3]] }, asking(1));
    expect(verdict).toMatchObject({
      outcome: 'valid',
      release: {
        quorum: 1,
        witnessesNamed: 2,
        witnesses: [{ name: 'w2.example', time: timestamp(minutes(3)) }],
      },
      warnings: [],
    });
    expect(verdict.checked.join('; ')).toContain('cosignatures of 1 of its witnesses, 1 needed');
    expect(verdict.notChecked.join('; ')).not.toContain('witnesses');
  });

  test('none asked for: those who have seen it are named all the same', async () => {
    expect(await judge({ cosigned: [[w1.signer, 3]] }, asking(0))).toMatchObject({
      outcome: 'valid',
      release: { quorum: 0, witnesses: [{ name: 'w1.example' }] },
      notChecked: expect.arrayContaining(['witnesses of the log: the project asks for none']),
    });
  });
});

describe('too few witnesses: not valid', () => {
  const [stranger, impostor] = [newWitness('w3.example').signer, newWitness('w1.example').signer];
  test.each<[string, CosignatureSigner[], number]>([
    ['none, where a thief of the log key shows a history of his own', [], 1],
    ['one of two needed', [w1.signer], 2],
    ['one twice', [w1.signer, w1.signer], 2],
    ['a stranger', [stranger], 1],
    ['another key of a witness’s name', [impostor], 1],
  ])('%s', async (_, signers, quorum) => {
    const cosigned = signers.map((signer, at) => [signer, at] as const);
    expect(await judge({ cosigned }, asking(quorum))).toMatchObject({
      outcome: 'not-valid',
      release: null,
      findings: [{ code: 'witnesses-missing', hint: expect.stringContaining('project file of the time') }],
    });
  });
});

test('a cosignature of a year that no record can say makes the proof none', async () => {
  const millennia = 1e10;
  expect(await judge({ cosigned: [[w1.signer, millennia]] }, asking(1))).toMatchObject({
    outcome: 'not-valid',
    findings: [{ code: 'proof-invalid', text: expect.stringContaining('w1.example') }],
  });
});

describe('a release certificate that has expired since', () => {
  const created = minutes(-30 * 24 * 60).getTime() / 1000;
  const key = craftKey('ed25519', created);
  /** It lives until an hour after the release. */
  const ends = minutes(60);
  const keyLifetime = ends.getTime() / 1000 - created;
  const userIds = [{ text: 'Releases <release@example.org>', keyLifetime }];
  const expiring: Person = {
    certificate: parseCertificate(craftCertificate(key, { userIds })),
    secret: { ...mallory.secret, sign: (data, at) => craftSignature(key, data, { created: at }) },
  };
  const lateFor = (project: Project): Project => ({
    ...project,
    release: { certificate: expiring.certificate, hash: 'sha256' },
  });

  /** The scene's release by that key, which the log took so many minutes later. */
  function signed(logged: number): ReleaseChanges {
    const fingerprint = expiring.certificate.primary.fingerprint;
    const record = { ...approval, releaseKey: fingerprint };
    const sealing = { ...statement, approval: sha256Hex(encodeApproval(record)) };
    return {
      signer: expiring,
      approval: approvalFiles(record),
      statement: statementFiles(sealing),
      records: {
        entry: { time: timestamp(minutes(logged)) },
        manifest: {
          approval: sealing.approval,
          statements: { [b1]: sha256Hex(encodeStatement(sealing)) },
          releaseKey: fingerprint,
          signingKey: fingerprint,
        },
      },
    };
  }
  const years = minutes(5 * 365 * 24 * 60);

  test('is judged by the log’s time, which gpgv cannot know: for it that is a trap for ever', async () => {
    const verdict = await judge({ release: signed(59) }, lateFor(scene), years);
    expect(verdict).toMatchObject({ outcome: 'valid', warnings: [] });
    expect(verdict.checked.join('; ')).toMatch(/made while that key was good; today: key .* expired/);

    const told = tell(parent, { release: signed(59) });
    const ring = put(parent, 'ring.pgp', expiring.certificate.bytes);
    const files = ['hello.tar.gz.asc', 'hello.tar.gz'].map((name) => join(told.release, name));
    const gpgv = ['gpgv', '--homedir', '/nonexistent', '--keyring', ring, '--status-fd', '1', ...files];
    const said = execFileSync('faketime', [years.toISOString(), ...gpgv], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(said.toString()).toMatch(/ EXPKEYSIG .* VALIDSIG /s);
  });

  test('the key alone can’t tell either, and refuses', async () => {
    const told = tell(parent, { release: signed(59) });
    const trust = { kind: 'key', certificate: expiring.certificate } as const;
    const verdict = await verify([join(told.release, 'hello.tar.gz')], { trust, now: years });
    expect(verdict).toMatchObject({
      outcome: 'not-valid',
      files: [{ findings: [{ code: 'key-expired', hint: expect.stringContaining('-c') }] }],
    });
  });

  test('had it expired before the log’s time, it is refused, whatever the signature says', async () => {
    expect(await judge({ release: signed(61) }, lateFor(scene), years)).toMatchObject({
      outcome: 'not-valid',
      findings: [{ code: 'key-expired' }],
    });
  });

  test('witnesses saw it before it expired: nobody’s word alone', async () => {
    const story: Story = { release: signed(10), cosigned: [[w1.signer, 12]] };
    expect(await judge(story, lateFor(asking(1)), years)).toMatchObject({ outcome: 'valid', warnings: [] });
  });

  test('they saw it only after: whoever has both keys could have dated it back, which is said', async () => {
    const story: Story = {
      release: signed(10),
      cosigned: [
        [w1.signer, 12],
        [w2.signer, 61],
      ],
    };
    const late = {
      code: 'witnessed-too-late',
      text: expect.stringMatching(/signer's word alone.*expired at/),
    };
    expect(await judge(story, lateFor(asking(2)), years)).toMatchObject({
      outcome: 'valid',
      warnings: [late],
    });
    // one of them would be enough
    expect(await judge(story, lateFor(asking(1)), years)).toMatchObject({ warnings: [] });
  });
});

test('witnesses that had seen it before the signer’s clock says it was logged: a clock was wrong', async () => {
  const at = (minute: number): Story => ({ cosigned: [[w1.signer, minute]] });
  expect(await judge(at(-9), asking(1))).toMatchObject({ warnings: [] });
  expect(await judge(at(-11), asking(1))).toMatchObject({
    outcome: 'valid',
    warnings: [{ code: 'witnessed-before-logged' }],
  });
});
