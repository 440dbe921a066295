/** The hash states that a builder makes: of the very bytes of the digest, or none. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HashStates } from '../../src/builder/state.ts';
import type { Found } from '../../src/builder/walk.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { Subject } from '../../src/records/statement.ts';
import { hashStateOf } from '../harness/hash-state.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cs-state-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const never = new AbortController().signal;
const bytesOf = (size: number): Buffer => Buffer.alloc(size, 'countersign');

/** A file with these bytes, and what its digest says of it. */
function place(name: string, bytes: Buffer): { file: Found; subject: Subject } {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  const artifact = toArtifactName(name, 'test');
  const size = bytes.length;
  return {
    file: { name: artifact, path, size },
    subject: { name: artifact, sha256: sha256Hex(bytes), size },
  };
}

const changed = { kind: 'refused', code: 'artifact-changed' };

test('of every length around a block from bytes at hand, of long files from the file', async () => {
  const sizes = [0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 4096, 1024 * 1024 + 63];
  const placed = sizes.map((size) => ({ ...place(`file-${size}`, bytesOf(size)), bytes: bytesOf(size) }));
  const states = await HashStates.make(
    placed.map(({ file }) => file),
    never,
  );
  for (const { file, subject, bytes } of placed)
    states.add(file, subject, bytes.length > 5000 ? null : bytes);
  const stated = await states.stated(placed.map(({ subject }) => subject));
  expect(stated).toEqual(
    placed.map(({ subject, bytes }) => ({ ...subject, sha256State: hashStateOf(bytes) })),
  );
  await states.close();
});

test('equal files have one state', async () => {
  const [one, two] = [place('one', bytesOf(70)), place('two', bytesOf(70))];
  const states = await HashStates.make([one.file, two.file], never);
  states.add(one.file, one.subject, bytesOf(70));
  states.add(two.file, two.subject, bytesOf(70));
  const [first, second] = await states.stated([one.subject, two.subject]);
  expect(second?.sha256State).toBe(first?.sha256State);
});

test.each<[string, (path: string) => void]>([
  ['has grown', (path) => appendFileSync(path, 'x')],
  ['has shrunk', (path) => writeFileSync(path, bytesOf(2_000_000 - 1))],
  ['has other bytes of the same length', (path) => writeFileSync(path, Buffer.alloc(2_000_000, 'x'))],
  ['is gone', (path) => rmSync(path)],
])('a file that %s since it was hashed is noticed, and nothing is sealed', async (_, change) => {
  const { file, subject } = place('file', bytesOf(2_000_000));
  const states = await HashStates.make([file], never);
  change(file.path);
  states.add(file, subject, null);
  await expect(states.stated([subject])).rejects.toMatchObject(changed);
});

test('bytes at hand that are not those of the digest', async () => {
  const { file, subject } = place('file', bytesOf(70));
  const states = await HashStates.make([file], never);
  states.add(file, subject, bytesOf(71));
  await expect(states.stated([subject])).rejects.toMatchObject(changed);
});

test('it can be stopped', async () => {
  const { file, subject } = place('file', bytesOf(5_000_000));
  const controller = new AbortController();
  const states = await HashStates.make([file], controller.signal);
  const reason = new Error('stopped');
  controller.abort(reason);
  states.add(file, subject, null);
  await expect(states.stated([subject])).rejects.toBe(reason);
});
