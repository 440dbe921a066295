/** A log of which somebody changed a byte: whole verification says where, whichever byte it was. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyLog } from '../../src/audit/verify.ts';
import type { LogVerdict } from '../../src/audit/verify.ts';
import type { Finding } from '../../src/audit/finding.ts';
import { Failure } from '../../src/failure.ts';
import { leafHash } from '../../src/tlog/merkle.ts';
import { TILE_WIDTH } from '../../src/tlog/tile.ts';
import { filesBelow } from '../harness/vectors.ts';
import { MadeLog, entries, leaves } from '../harness/made-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'cs-tamper-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** A log's files in memory: thousands of them are spoilt here, one at a time. */
class Files {
  readonly all: Map<string, Buffer>;
  readonly #log: MadeLog;

  constructor(log: MadeLog) {
    this.#log = log;
    this.all = new Map(
      filesBelow(log.directory).map((path) => [relative(log.directory, path), readFileSync(path)]),
    );
  }

  verify(): Promise<LogVerdict> {
    return verifyLog({
      files: { read: async (path) => copy(this.all.get(path)), close() {} },
      trust: this.#log.trust,
      ours: true,
      list: async (path) => this.#names(path),
      progress() {},
    });
  }

  #names(path: string): string[] {
    const prefix = path === '.' ? '' : `${path}/`;
    const below = [...this.all.keys()].filter((each) => each.startsWith(prefix));
    return [...new Set(below.map((each) => each.slice(prefix.length).split('/')[0] ?? ''))];
  }
}

const copy = (bytes: Buffer | undefined): Buffer | null => (bytes ? Buffer.from(bytes) : null);

function made(name: string, ...sizes: readonly number[]): Files {
  const log = new MadeLog(join(directory, name));
  for (const size of sizes) log.add(leaves(entries(size - log.size, log.size)));
  return new Files(log);
}

/** Which entries the byte at `offset` of a file is about. */
function about(path: string, bytes: Buffer, offset: number): [number, number] {
  const [, kind = '', groups = ''] = /^tile\/([^/]+)\/((?:x[0-9]{3}\/)*[0-9]{3})/.exec(path) ?? [];
  const first = Number(groups.replace(/[x/]/g, '')) * TILE_WIDTH;
  if (kind !== 'entries') {
    const each = TILE_WIDTH ** Number(kind);
    const place = first + Math.floor(offset / 32);
    return [place * each, (place + 1) * each - 1];
  }
  let entry = first;
  for (let end = 2 + bytes.readUInt16BE(0); end <= offset; entry++) end += 2 + bytes.readUInt16BE(end);
  return [entry, entry];
}

/** Verifies with that byte changed. */
async function changed(files: Files, path: string, offset: number): Promise<Finding[] | string> {
  const bytes = files.all.get(path) ?? Buffer.alloc(0);
  const before = bytes[offset] ?? 0;
  bytes[offset] = before ^ (1 + (offset % 255));
  try {
    return [...(await files.verify()).findings.listed];
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return error.code;
    throw error;
  } finally {
    bytes[offset] = before;
  }
}

async function expectNamed(files: Files, path: string, offset: number): Promise<void> {
  const found = await changed(files, path, offset);
  const where = `${path}, byte ${offset}`;
  if (path === 'checkpoint') return expect(found, where).toBe('checkpoint-invalid');
  const [index, through] = about(path, files.all.get(path) ?? Buffer.alloc(0), offset);
  const [first] = found as Finding[];
  expect({ where, index: first?.index, path: first?.path ?? path }).toEqual({ where, index, path });
  if (path.startsWith('tile/entries/')) {
    expect(['entry-changed', 'bundle-malformed'], where).toContain(first?.code);
  } else {
    expect(found, where).toHaveLength(1);
    expect({ where, code: first?.code, through: first?.through }).toEqual({
      where,
      code: 'tile-changed',
      through,
    });
  }
}

test('a small log, every byte of every file, those of earlier checkpoints among them', async () => {
  const files = made('small', 1, 3);
  expect((await files.verify()).findings.count).toBe(0);
  expect([...files.all.keys()].sort()).toEqual([
    'checkpoint',
    'tile/0/000.p/1',
    'tile/0/000.p/3',
    'tile/entries/000.p/1',
    'tile/entries/000.p/3',
  ]);
  for (const [path, bytes] of files.all)
    for (let offset = 0; offset < bytes.length; offset++) await expectNamed(files, path, offset);
});

test('600 entries in four pushes: bytes all over each file', { timeout: 120_000 }, async () => {
  const files = made('middle', 200, 300, 301, 600);
  expect((await files.verify()).findings.count).toBe(0);
  expect(files.all.size).toBe(15);
  for (const [path, bytes] of files.all)
    for (const part of [0, 0.001, 0.3, 0.7, 1])
      await expectNamed(files, path, Math.floor(part * (bytes.length - 1)));
});

describe('66,000 entries, three levels of tiles', () => {
  let files: Files;
  beforeAll(() => {
    files = made('large', 66_000);
  });

  test('is whole', async () => {
    const { findings, counts } = await files.verify();
    expect(findings.count).toBe(0);
    expect([...(counts ?? [])].reduce((sum, [, count]) => sum + count, 0)).toBe(66_000);
  });
  // the level 0 and 1 tiles of the first 65,536, those at the right edge, the one of level 2
  test.each([
    ['tile/0/077', 77],
    ['tile/1/000', 32 * 77],
    ['tile/2/000.p/1', 0],
    ['tile/entries/257.p/208', 6_000],
  ])('a byte of %s', (path, offset) => expectNamed(files, path, offset));

  test('an entry and its hash, both: they agree with one another, and the tile above says that they are wrong', async () => {
    const [bundle, tile] = [files.all.get('tile/entries/077'), files.all.get('tile/0/077')];
    const saved = [Buffer.from(bundle ?? ''), Buffer.from(tile ?? '')];
    if (!bundle || !tile) throw new Error('not made');
    const [start, end] = [2, 2 + bundle.readUInt16BE(0)];
    bundle[end - 10] = 0x39;
    leafHash(bundle.subarray(start, end)).copy(tile, 0);
    const { listed } = (await files.verify()).findings;
    expect(listed).toMatchObject([{ code: 'range-changed', index: 77 * 256, through: 77 * 256 + 255 }]);
    saved[0]?.copy(bundle);
    saved[1]?.copy(tile);
    expect((await files.verify()).findings.count).toBe(0);
  });
});

describe('600 entries, and more than a byte', () => {
  const found = async (change: (all: Map<string, Buffer>) => void): Promise<unknown[]> => {
    const files = made(`more-${++count}`, 600);
    change(files.all);
    const { listed } = (await files.verify()).findings;
    return listed.map(({ code, index, through }) => [code, index, through]);
  };
  let count = 0;
  /** Changes the hash of each of these places of a tile. */
  const spoil = (tile: Buffer | undefined, ...places: number[]): void => {
    for (const place of places) tile?.fill(0xee, place * 32, place * 32 + 3);
  };
  /** Changes each of these entries of a bundle. */
  const alter = (bundle: Buffer | undefined, ...wanted: number[]): void => {
    let at = 0;
    for (let entry = 0; bundle && at < bundle.length; entry++) {
      const end = at + 2 + bundle.readUInt16BE(at);
      if (wanted.includes(entry)) bundle[end - 1] = 0x20;
      at = end;
    }
  };

  test('entries and hashes of one tile: each is told apart', async () => {
    const seen = await found((all) => {
      alter(all.get('tile/entries/001'), 3, 200);
      spoil(all.get('tile/0/001'), 7);
    });
    expect(seen).toEqual([
      ['entry-changed', 259, 259],
      ['tile-changed', 263, 263],
      ['entry-changed', 456, 456],
    ]);
  });

  test('an entry, and a hash over others at the right edge', async () => {
    const seen = await found((all) => {
      alter(all.get('tile/entries/000'), 17);
      spoil(all.get('tile/1/000.p/2'), 1);
    });
    expect(seen).toEqual([
      ['entry-changed', 17, 17],
      ['tile-changed', 256, 511],
    ]);
  });

  test('a whole tile rewritten', async () => {
    const seen = await found((all) => all.get('tile/0/000')?.fill(0x11));
    expect(seen).toHaveLength(100);
    expect(seen[0]).toEqual(['tile-changed', 0, 0]);
  });

  test('files that are gone', async () => {
    const seen = await found((all) => {
      for (const path of ['tile/entries/000', 'tile/0/001', 'tile/1/000.p/2']) all.delete(path);
    });
    expect(seen).toEqual([
      ['bundle-missing', 0, 255],
      ['tile-missing', 0, 511],
      ['tile-missing', 256, 511],
    ]);
  });

  test('files that were cut, or grew', async () => {
    const seen = await found((all) => {
      const [bundle = Buffer.alloc(0), tile = Buffer.alloc(0)] = [
        all.get('tile/entries/001'),
        all.get('tile/0/000'),
      ];
      all.set('tile/entries/001', bundle.subarray(0, -1));
      all.set('tile/0/000', tile.subarray(0, 32 * 255));
      all.set(
        'tile/entries/002.p/88',
        Buffer.concat([all.get('tile/entries/002.p/88') ?? tile, Buffer.of(0)]),
      );
      all.set('tile/1/000.p/2', Buffer.alloc(1_000_000));
    });
    expect(seen).toEqual([
      ['tile-malformed', 0, 255],
      ['tile-malformed', 0, 511],
      ['bundle-malformed', 511, 511],
      ['bundle-malformed', 599, 599],
    ]);
  });

  test('two bundles that changed places', async () => {
    const seen = await found((all) => {
      const [one = Buffer.alloc(0), other = Buffer.alloc(0)] = [
        all.get('tile/entries/000'),
        all.get('tile/entries/001'),
      ];
      all.set('tile/entries/000', other).set('tile/entries/001', one);
    });
    expect(seen[0]).toEqual(['entry-changed', 0, 0]);
  });

  test('all of it, under a checkpoint of something else', async () => {
    const log = new MadeLog(join(directory, 'one'));
    log.add(leaves(entries(600)));
    const other = new MadeLog(join(directory, 'other'), log.signer);
    const files = new Files(log);
    files.all.set('checkpoint', Buffer.from(other.add(leaves(entries(600, 4)))));
    const { listed } = (await files.verify()).findings;
    expect(listed).toMatchObject([{ code: 'range-changed', index: 0, through: 599 }]);
  });

  test('what was written beyond the checkpoint, and what belongs to no log, is told and no fault', async () => {
    const files = made('beyond', 600);
    files.all.set(
      'tile/entries/002.p/90',
      Buffer.concat([files.all.get('tile/entries/002.p/88') ?? Buffer.alloc(0), Buffer.of(0, 1, 1, 0, 1, 2)]),
    );
    files.all
      .set('tile/entries/003', Buffer.of(0, 0))
      .set('tile/0/002.p/x', Buffer.alloc(1))
      .set('tile/64x', Buffer.alloc(1));
    const { findings, leftovers } = await files.verify();
    expect(findings.count).toBe(0);
    expect(leftovers).toEqual({ beyond: 2, strays: ['tile/0/002.p/x', 'tile/64x'] });
  });
});
