/** A directory that becomes a symlink once it was walked: what lies behind it never leaves, wherever it is met. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttestEvent } from '../../src/builder/attest.ts';
import { hashArtifact, hashShort, readShort, readSubject } from '../../src/builder/hash.ts';
import { work as makeState } from '../../src/builder/state.ts';
import { unable } from '../../src/failure.ts';
import { toArtifactName } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { build } from '../policy/scene.ts';
import { Site, instead } from './site.ts';

const CHANGED = { kind: 'refused', code: 'artifact-changed', message: expect.stringContaining('sub/id') };
const name = toArtifactName('sub/id', 'test');

/** `sub` of this directory is elsewhere from now on. */
function swap(directory: string, target: string): void {
  renameSync(join(directory, 'sub'), join(directory, '..', 'was'));
  symlinkSync(target, join(directory, 'sub'));
}

describe('each that reads', () => {
  let [above, directory, path] = ['', '', ''];
  const subject = { name, sha256: sha256Hex('theirs'), size: 6 };
  const signal = new AbortController().signal;
  beforeEach(() => {
    above = mkdtempSync(join(tmpdir(), 'cs-swapped-'));
    directory = join(above, 'out');
    path = join(directory, 'sub', 'id');
    for (const place of ['out/sub', 'elsewhere']) {
      mkdirSync(join(above, place), { recursive: true });
      writeFileSync(join(above, place, 'id'), 'theirs');
    }
  });
  afterEach(() => rmSync(above, { recursive: true, force: true }));

  test.each<[string, () => unknown]>([
    ['a long file', () => hashArtifact({ name, path })],
    ['a short one', () => hashShort({ name, path })],
    ['a short one again', () => readShort(path, subject)],
    ['a long one again', () => text(readSubject(path, subject))],
    ['for a state', () => makeState({ path, subject }, { signal, progress: () => {} })],
  ])('%s', async (_, read) => {
    await read();
    swap(directory, join(above, 'elsewhere'));
    await expect((async () => read())()).rejects.toMatchObject(CHANGED);
  });

  test('one whose name says that it is deleted, which it is not', () => {
    const odd = join(directory, 'sub', 'id (deleted)');
    writeFileSync(odd, 'odd');
    expect(hashShort({ name, path: odd }).bytes.toString()).toBe('odd');
  });
});

describe('attest', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.make();
  });
  afterEach(() => site.close());
  const blobs = (): string[] => {
    const place = join(site.depotDirectory, 'builds', build, 'blobs');
    return existsSync(place) ? readdirSync(place).map((file) => readFileSync(join(place, file), 'utf8')) : [];
  };

  test.each([
    ['short', 'harmless', 'ROOT SECRET, longer than it was'],
    ['long', 'harmless'.repeat(2 ** 18), 'ROOT SECRET'.repeat(2 ** 18)],
  ])('of %s files', async (_, harmless, secret) => {
    site.put({ 'sub/id': harmless });
    const elsewhere = join(site.directory, 'root-only');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'id'), secret);
    const atWalk = ({ kind }: AttestEvent): void => {
      if (kind === 'found') swap(site.base, elsewhere);
    };
    await expect(site.attest({}, atWalk)).rejects.toMatchObject(CHANGED);
    expect(blobs()).toEqual([]);
    expect(await site.statement()).toBeNull();
    expect(site.readTicket()).toEqual(site.ticket);
  });

  test('a base that is a symlink from the start is as good as any', async () => {
    site.put({ 'sub/id': 'harmless', 'z.bin': Buffer.alloc(100_000) });
    const base = join(site.directory, 'latest');
    symlinkSync(site.base, base);
    // nothing leaves before the statement is sealed
    site.connect = ((connect) => (token) => {
      const depot = connect(token);
      let first = true;
      const read: typeof depot.read = (...asked) => {
        const away = first;
        first = false;
        return away ? Promise.reject(unable('network', 'away')) : depot.read(...asked);
      };
      return instead(depot, 'read', read);
    })(site.connect);
    expect(await site.attest({ base, paths: [base] })).toMatchObject({ artifacts: 2, uploaded: 2 });
  });
});
