/**
 * What may be seen at any moment, however a run ended: whole files or none, whole releases or none, and never a second
 * set of signatures.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { expect } from 'vitest';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import { parseManifest } from '../../src/records/manifest.ts';
import { parseSignaturesList } from '../../src/records/signatures-list.ts';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, treeRoot } from '../../src/tlog/merkle.ts';
import { splitNote } from '../../src/tlog/note.ts';
import { TILE_WIDTH, bundleEntries, bundlePath, tilePath, tileWidth } from '../../src/tlog/tile.ts';
import type { World } from '../harness/world.ts';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Every regular file below a directory, its path relative to it; temporary ones of the tree left out. */
export function filesBelow(directory: string, at = directory): string[] {
  if (!existsSync(at)) return [];
  return readdirSync(at, { withFileTypes: true })
    .filter(({ name }) => name !== '.tmp')
    .flatMap((entry) => {
      const path = join(at, entry.name);
      return entry.isDirectory() ? filesBelow(directory, path) : [relative(directory, path)];
    });
}

/** Signatures of releases that anybody but H has ever seen, by build or version and name. */
export class Seen {
  readonly #signatures = new Map<string, string>();

  /** Takes in what L has; a signature that is another than before fails the test. */
  look(tree: string): void {
    for (const file of filesBelow(tree)) {
      if (!file.endsWith('.asc')) continue;
      const digest = sha256(readFileSync(join(tree, file)));
      expect(this.#signatures.get(file) ?? digest, `${file} is another signature than before`).toBe(digest);
      this.#signatures.set(file, digest);
    }
  }
}

/** Everything under a final name in the depot's tree is whole; a release is there with all of it. */
export function expectWholeTree(tree: string): void {
  for (const file of filesBelow(join(tree, 'builds'))) {
    const bytes = readFileSync(join(tree, 'builds', file));
    if (file.includes('/blobs/')) expect(sha256(bytes), `${file} is whole`).toBe(basename(file));
    else expectWholeRecord(file, bytes);
  }
  expectWholeLog(join(tree, 'log'));
  const releases = join(tree, 'releases');
  for (const project of existsSync(releases) ? readdirSync(releases) : []) {
    for (const version of readdirSync(join(releases, project)))
      expectWholeRelease(join(releases, project, version));
  }
}

/** The entries and hashes are there that the checkpoint needs. */
function expectWholeLog(log: string): void {
  if (!existsSync(join(log, 'checkpoint'))) return;
  const { size, root } = parseCheckpoint(splitNote(readFileSync(join(log, 'checkpoint'))).text);
  const hashes: Buffer[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const width = tileWidth(0, index, size);
    const read = (path: string): Buffer => readFileSync(join(log, path));
    const leaves = [...bundleEntries(read(bundlePath(index, width)))].map(leafHash);
    expect(read(tilePath(0, index, width)), `${log}: tile ${index}`).toEqual(Buffer.concat(leaves));
    hashes.push(...leaves);
  }
  expect(treeRoot(hashes), `${log}: ${size} entries`).toEqual(root);
}

function expectWholeRelease(directory: string): void {
  const read = (name: string): Buffer => readFileSync(join(directory, name));
  const files = filesBelow(directory);
  expect(files, `${directory} is visible, so its proof is there`).toContain('countersign/release.proof');
  const { subjects } = parseManifest(read('countersign/manifest.json'));
  for (const { name, sha256: digest } of subjects)
    expect(sha256(read(name)), `${directory}/${name}`).toBe(digest);
  const listed = parseSignaturesList(read('countersign/signatures.list'));
  for (const [name, digest] of listed) expect(sha256(read(name)), `${directory}/${name}`).toBe(digest);
  expect(listed.size).toBe(subjects.length + 1);
  const outside = files.filter((file) => !file.startsWith('countersign/'));
  expect(outside.length, `${directory} holds nothing else`).toBe(2 * subjects.length + 2);
  for (const file of files.filter((name) => name.startsWith('countersign/')))
    expectWholeRecord(file, read(file));
}

/** Records are canonical JSON, one value; signatures and proofs are never empty. */
function expectWholeRecord(file: string, bytes: Buffer): void {
  expect(bytes.length, `${file} is not empty`).toBeGreaterThan(0);
  if (file.endsWith('.json')) expect(() => JSON.parse(bytes.toString()) as unknown, file).not.toThrow();
}

/** H's state: every kept record whole, each journal line but a torn last one an entry. */
export function expectWholeState(state: string): void {
  if (!existsSync(join(state, 'journal'))) return;
  for (const line of journalLines(state)) expect(() => parseLogEntry(Buffer.from(line)), line).not.toThrow();
  for (const file of filesBelow(join(state, 'builds'))) {
    // a line of signatures may be torn, as one of the journal
    if (basename(file) !== 'signatures') expectWholeRecord(file, readFileSync(join(state, 'builds', file)));
  }
}

/** L's log is the beginning of H's, entry for entry: what L shows as logged stays in force. */
export function expectLogBehind(world: World): void {
  const lines = journalLines(world.path('H', 'signer'));
  const log = world.tree('log');
  if (!existsSync(join(log, 'checkpoint'))) return;
  const { size } = parseCheckpoint(splitNote(readFileSync(join(log, 'checkpoint'))).text);
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const entries = [...bundleEntries(readFileSync(join(log, bundlePath(index, tileWidth(0, index, size)))))];
    expect(entries.map(String)).toEqual(lines.slice(index * TILE_WIDTH).slice(0, entries.length));
  }
}

/** Without what stands behind the last LF. */
function journalLines(state: string): string[] {
  return readFileSync(join(state, 'journal'), 'utf8').split('\n').slice(0, -1);
}

/** The types of a build's entries, in order. */
export const loggedTypes = (world: World, build: string): string =>
  journalLines(world.path('H', 'signer'))
    .map((line) => parseLogEntry(Buffer.from(line)))
    .filter((entry) => entry.build === build)
    .map(({ type }) => type)
    .join(' ');

/** Files that a crash left behind and nobody would ever remove. `.tmp` of the tree is cleared after a day. */
export function litter(world: World): string[] {
  const places = [world.path('tmp'), world.path('H'), world.path('M'), world.path('operator')];
  return places.flatMap((place) =>
    filesBelow(place)
      .map((file) => join(place, file))
      .filter(
        (file) =>
          /\.tmp(?:\/|$)/.test(file) || file.startsWith(world.path('tmp')) || file.includes('.pending/'),
      )
      .filter((file) => statSync(file).isFile())
      // killed between open and unlink, of which nothing but an empty file stays
      .filter((file) => !/countersign-gpgv\.[0-9a-f]{24}\.tmp$/.test(file) || statSync(file).size > 0),
  );
}
