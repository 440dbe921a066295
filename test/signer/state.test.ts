/** The state directory: private, one process at a time, and a journal that survives. */
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LogEntry } from '../../src/records/log-entry.ts';
import { toBuildId, toProjectName, toTimestamp, toVersion } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { createState } from '../../src/signer/new-state.ts';
import { openState } from '../../src/signer/state.ts';
import type { NewState } from '../../src/signer/new-state.ts';
import { parseVerifierKey } from '../../src/tlog/note.ts';
import { parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';
import { project as anyProject } from '../policy/scene.ts';

const origin = 'example.org/hello';
const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'test');

let directory: string;
let created: NewState;
beforeEach(async () => {
  directory = join(mkdtempSync(join(tmpdir(), 'cs-state-')), 'signer');
  created = await createState(directory, origin);
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true, force: true }));

const open = () => {
  const key = parseVerifierKey(created.logKey);
  return openState(directory, {
    ...anyProject,
    log: unwitnessed({ origin, key }),
    witnesses: [],
    maxLogAge: null,
    signerTokenSha256: created.tokenSha256,
  });
};

const entry = (version: string): LogEntry => ({
  type: 'refusal',
  time: toTimestamp('2026-11-22T12:00:00Z', 'test'),
  build: toBuildId(`01jd9v7q3m4n5p6r7s8t9vwxz${version}`, 'test'),
  project: toProjectName('hello', 'test'),
  version: toVersion(version, 'test'),
  records: { 'refusal.json': sha256Hex(version) },
  keys: [],
});

describe('the directory', () => {
  test('is its owner’s alone, its secrets too, and git leaves it alone', () => {
    for (const file of ['.', 'log-key', 'signer-token'])
      expect(statSync(join(directory, file)).mode & 0o077).toBe(0);
    expect(readFileSync(join(directory, '.gitignore'), 'utf8')).toBe('*\n');
  });

  test('is never made over one that is there', async () => {
    await expect(createState(directory, origin)).rejects.toMatchObject({
      kind: 'usage',
      code: 'state-exists',
    });
  });

  test.each([
    ['.', 0o777],
    ['.', 0o750],
    ['log-key', 0o644],
    ['signer-token', 0o640],
  ])('is not used when %s is open to others (%o)', async (file, mode) => {
    chmodSync(join(directory, file), mode);
    await expect(open()).rejects.toMatchObject({ kind: 'usage', code: 'state-permissions' });
  });

  test('is not used for another project', async () => {
    await expect(openState(directory, anyProject)).rejects.toMatchObject({ code: 'state-foreign' });
    await expect(openState(`${directory}-no`, anyProject)).rejects.toMatchObject({ code: 'state-missing' });
  });

  test('is for one process at a time, and free when that one is killed', async () => {
    const lock = join(directory, 'lock');
    const holder = spawn('flock', ['-xo', lock, 'sh', '-c', 'echo held; exec sleep 5']);
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    await expect(open()).rejects.toMatchObject({ kind: 'unable', code: 'locked' });
    const ended = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await ended;
    const state = await open();
    await expect(open()).rejects.toMatchObject({ code: 'locked' });
    await state.close();
    await (await open()).close();
  });
});

describe('the journal', () => {
  test('gives back what was logged, with a proof of each entry under the log key', async () => {
    const state = await open();
    for (const version of ['1', '2', '3']) await state.journal.append(entry(version));
    await state.close();
    const again = await open();
    expect(again.journal.size).toBe(3);
    for (const index of [0, 1, 2]) {
      const leaf = await again.journal.leaf(index);
      const proof = parseProof(again.journal.proof(index, leaf, again.journal.checkpoint()));
      expect(proof.extra).toEqual(leaf);
      expect(
        verifyProof(proof, leaf, unwitnessed({ origin, key: parseVerifierKey(created.logKey) })).checkpoint
          .size,
      ).toBe(3);
    }
    await again.close();
  });

  test('loses a torn last line, which nothing rested on, and nothing else', async () => {
    const state = await open();
    await state.journal.append(entry('1'));
    await state.close();
    const whole = readFileSync(join(directory, 'journal'));
    appendFileSync(join(directory, 'journal'), whole.subarray(0, 40));
    const again = await open();
    await again.journal.append(entry('2'));
    expect(again.journal.size).toBe(2);
    await again.close();
    expect(readFileSync(join(directory, 'journal')).subarray(0, whole.length)).toEqual(whole);
    await (await open()).close();
  });

  test.each([
    ['cut by a byte', 'log-behind', (text: string) => text.slice(0, -1)],
    ['cut by an entry', 'log-behind', (text: string) => text.replace(/[^\n]+\n$/, '')],
    ['emptied', 'log-behind', () => ''],
    ['edited in the middle', 'journal-damaged', (text: string) => text.replace('12:00:00', '12:00:01')],
    [
      'put in another order',
      'journal-damaged',
      (text: string) =>
        text
          .split(/(?<=\n)/)
          .reverse()
          .join(''),
    ],
  ])(
    'that was %s after a proof of it was made is not gone on from, and left as it is',
    async (_, code, change) => {
      const state = await open();
      for (const version of ['1', '2']) await state.journal.append(entry(version));
      await state.keepHead(state.journal.checkpoint());
      await state.journal.append(entry('3'));
      await state.close();
      const path = join(directory, 'journal');
      const whole = readFileSync(path, 'latin1');
      const changed = change(
        whole
          .split(/(?<=\n)/)
          .slice(0, 2)
          .join(''),
      );
      writeFileSync(path, changed);
      await expect(open()).rejects.toMatchObject({ code });
      expect(readFileSync(path, 'latin1')).toBe(changed);
      writeFileSync(path, whole);
      await (await open()).close();
    },
  );

  test('takes no entry that would repeat another, and writes none of it', async () => {
    const state = await open();
    await state.journal.append(entry('1'));
    await expect(state.journal.append(entry('1'))).rejects.toMatchObject({ code: 'entry-impossible' });
    await state.close();
    expect(readFileSync(join(directory, 'journal'), 'utf8').match(/\n/g)).toHaveLength(1);
  });

  test.each(['not an entry\n', '{"type":"refusal"}\n', '\n'])(
    'that is damaged (%j) is not read on from',
    async (line) => {
      writeFileSync(join(directory, 'journal'), line);
      await expect(open()).rejects.toMatchObject({ kind: 'unable', code: 'journal-damaged' });
    },
  );
});

test('a record that is not what the log names is not used', async () => {
  const state = await open();
  const bytes = Buffer.from('record');
  await state.write(build, 'release.json', bytes);
  expect(await state.kept(build, 'release.json', sha256Hex(bytes))).toEqual(bytes);
  await state.write(build, 'release.json', Buffer.from('another'));
  await expect(state.kept(build, 'release.json', sha256Hex(bytes))).rejects.toMatchObject({
    code: 'state-damaged',
  });
  await state.close();
});
