/** What `by-hand.md` tells people to type about builders of other schemes and about revocations, typed. */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeApproval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import { revocationFile, revocationSignatureFile } from '../../src/records/paths.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { builtBy } from '../consumer/builders.ts';
import { madeRelease, put, write } from '../consumer/made-release.ts';
import { shellBlocks } from '../harness/document.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { ada, approval, build, minutes, subjects } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';

const run = promisify(execFile);

let parent: string;
let home: GnupgHome;
/** Receives the sealed nonces. */
let key: Fingerprint;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-by-hand-'));
  home = new GnupgHome();
  key = home.generate({ userId: 'H <h@example.org>', usage: 'cert' });
  home.addSubkey(key, 'cv25519', 'encr');
});
afterAll(() => {
  home.close();
  rmSync(parent, { recursive: true, force: true });
});

const seal = (nonce: Buffer): Buffer =>
  home.gpg(['--trust-model', 'always', '--recipient', key, '--encrypt'], nonce);

/** `countersign/` of the release. */
const recordsOf = (files: Files): string => join(write(files, parent), 'countersign');

/** The section's commands, typed in that directory. */
async function typed(heading: string, cwd: string, document = 'by-hand.md'): Promise<string> {
  const blocks = await shellBlocks(`docs/how-to/${document}`, heading);
  const script = blocks.join('\n').replaceAll('countersign/log-entry.json', 'leaf');
  const env = { ...home.env, LANG: 'C.UTF-8', ADA: ada.certificate.primary.fingerprint };
  const args = ['--norc', '-euo', 'pipefail', '-c'];
  const typing = script.replaceAll('countersign/release.proof', 'enrolments/b1.json.receipt');
  return (await run('bash', [...args, typing], { cwd, env, timeout: 50_000 })).stdout;
}

/** One byte is another. */
function changed(path: string, from: string, to: string): void {
  const text = readFileSync(path, 'latin1');
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to), 'latin1');
}

const signers = (said: string): (string | undefined)[] =>
  [...said.matchAll(/^\[GNUPG:\] VALIDSIG .* ([0-9A-F]{40})$/gm)].map((match) => match[1]);

describe('a builder that enrolled', () => {
  const HEADING = 'A builder that enrolled (scheme `enrol`)';
  let directory: string;
  let fingerprint: string | undefined;
  beforeEach(() => {
    const built = builtBy({ b1: 'enrol' });
    fingerprint = built.secrets['b1']?.key.fingerprint;
    directory = recordsOf(madeRelease(built));
  });

  test('its key signed both, the log took it, and it answers this approval', async () => {
    const said = await typed(HEADING, directory);
    expect(signers(said)).toEqual([fingerprint, fingerprint]);
    const [one, other] = said.split('\n').filter((line) => /^[0-9a-f]{64}$/.test(line));
    expect(one).toBe(other);
    expect(said).toContain(`enrolment\n${build}\n${fingerprint}\nenrolments/b1.json: OK\n`);
    expect(await typed('That a release is in it', directory, 'log-by-hand.md')).toBe('it is in the log\n');
  });

  test('another enrolment is noticed, and a receipt that was changed', async () => {
    const other = builtBy({ b1: 'enrol' }).statement;
    for (const name of ['enrolments/b1.json', 'enrolments/b1.json.sig'])
      put(directory, name, other.get(name) ?? '');
    await expect(typed(HEADING, directory)).rejects.toThrow();
  });

  test('a leaf that is not in the log is noticed', async () => {
    await typed(HEADING, directory);
    changed(join(directory, 'leaf'), '"type":"enrolment"', '"type":"statement"');
    await expect(typed('That a release is in it', directory, 'log-by-hand.md')).rejects.toThrow();
  });
});

describe('a builder with a nonce', () => {
  const HEADING = 'A builder with a nonce (scheme `mac`)';
  let directory: string;
  beforeEach(() => {
    directory = recordsOf(madeRelease(builtBy({ b1: 'mac' }, { seal })));
  });

  test('who has the nonce makes the same MAC; everybody finds the statement in the manifest', async () => {
    expect(await typed(HEADING, directory)).toBe('statements/b1.json: OK\nthe MAC is right\n');
  });

  test('another MAC is noticed, and another statement', async () => {
    const other = recordsOf(madeRelease(builtBy({ b1: 'mac' }, { seal })));
    copyFileSync(join(other, 'statements/b1.json.mac'), join(directory, 'statements/b1.json.mac'));
    await expect(typed(HEADING, directory)).rejects.toThrow();
    changed(join(other, 'statements/b1.json'), '"size":9', '"size":8');
    await expect(typed(HEADING, other)).rejects.toThrow();
  });
});

describe('the builders', () => {
  const HEADING = 'Do the builders agree?';

  test('agree', async () => {
    const directory = recordsOf(madeRelease(builtBy({ b1: 'mac', b2: 'keypair', b3: 'mac' }, { quorum: 2 })));
    expect(await typed(HEADING, directory)).toBe('2 of 3\nb1 and b2 agree\n');
  });

  test('do not agree', async () => {
    const said = (slot: string) => (slot === 'b2' ? { subjects: subjects.slice(1) } : {});
    const directory = recordsOf(madeRelease(builtBy({ b1: 'keypair', b2: 'keypair' }, { said })));
    await expect(typed(HEADING, directory)).rejects.toHaveProperty(
      'stdout',
      expect.stringContaining(`< {"annotations":{"size":${subjects[0]?.size}}`),
    );
  });
});

test('a build that was taken back: by whom and why, and of which approval', async () => {
  const directory = recordsOf(madeRelease());
  const { fingerprint } = ada.certificate.primary;
  const digest = sha256Hex(encodeApproval(approval));
  const bytes = encodeRevocation({
    ...{ build, approval: digest, reason: 'the build machine was not ours' },
    time: timestamp(minutes(60)),
  });
  put(directory, revocationFile(fingerprint), bytes);
  const signature = ada.secret.sign(bytes, minutes(60).getTime() / 1000);
  put(directory, revocationSignatureFile(fingerprint), signature);
  put(directory, `keys/approver-${fingerprint}.pgp`, ada.certificate.bytes);
  const HEADING = 'A build that was taken back';
  const said = await typed(HEADING, directory);
  expect(signers(said)).toEqual([fingerprint]);
  expect(said).toContain(
    `${build}\n${timestamp(minutes(60))}\nthe build machine was not ours\n${digest}\n${digest}\n`,
  );
  changed(join(directory, revocationFile(fingerprint)), 'not ours', 'our own');
  await expect(typed(HEADING, directory)).rejects.toThrow();
});
