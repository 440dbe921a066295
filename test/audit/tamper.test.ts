/** A log of which somebody changed a byte: whole verification says where, whichever byte it was. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { verifyLog } from '../../src/audit/verify.ts';
import type { LogVerdict } from '../../src/audit/verify.ts';
import type { Finding } from '../../src/audit/finding.ts';
import { Failure } from '../../src/failure.ts';
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
