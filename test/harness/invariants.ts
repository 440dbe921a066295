/**
 * What must hold after every bad input, whatever it was (I1 to I7 of the attacks' list):
 *
 * I1 the agent made no signature · I2 the log is consistent with what it was and verifies whole · I3 what L publishes
 * is byte for byte the same · I4 non-zero exit, one readable line, a stable code under `--json` · I5 no file outside
 * the state and data directories · I6 memory within the limits (time: the test's own deadline) · I7 the refusal is
 * written down, foreign text escaped.
 */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect } from 'vitest';
import { parseProject } from '../../src/policy/project.ts';
import { parseLogEntry } from '../../src/records/log-entry.ts';
import { parseRefusal } from '../../src/records/refusal.ts';
import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, treeRoot } from '../../src/tlog/merkle.ts';
import { openNote } from '../../src/tlog/note.ts';
import { parseProof } from '../../src/tlog/proof.ts';
import type { Ran } from './program.ts';
import type { HttpAnswer } from './raw-http.ts';
import type { World } from './world.ts';

/** No role needs more than this, whatever it is sent. */
const MAX_PEAK_KIB = 512 * 1024;

export interface Snapshot {
  readonly signatures: number;
  readonly journal: Buffer;
  /** Everything under `releases/`: path and digest. */
  readonly published: ReadonlyMap<string, string>;
  /** Everything that is neither state nor data. */
  readonly elsewhere: ReadonlyMap<string, string>;
}

/** What the world is like now. Take one before the attack. */
export async function snapshot(world: World): Promise<Snapshot> {
  const own = [world.path('H', 'signer'), world.path('L', 'data'), world.path('M')];
  const isTicket = (path: string): boolean => path.startsWith(world.path('operator', 'tickets-'));
  return {
    signatures: world.agent.signatures,
    journal: await readFile(world.journal).catch(() => Buffer.alloc(0)),
    published: await digests(world.tree('releases')),
    elsewhere: await digests(world.directory, (path) => own.includes(path) || isTicket(path)),
  };
}

export interface Expected {
  /** How the attack was answered: by programs, or over HTTP. Each must be a refusal. */
  readonly answers: readonly (Ran | HttpAnswer)[];
  /** The build whose refusal must be in the depot and in the log; null where the input never got that far. */
  readonly refused?: string | null;
}

/** Checks I1 to I7 against what was before. */
export async function expectUntouched(world: World, before: Snapshot, expected: Expected): Promise<void> {
  const after = await snapshot(world);
  expect(after.signatures, 'I1: signatures made by the agent').toBe(before.signatures);
  await expectLogGrew(world, before.journal, after.journal);
  expect(after.published, 'I3: what L publishes').toEqual(before.published);
  for (const answer of expected.answers) {
    if ('status' in answer) expectRefusedAnswer(answer);
    else expectRefusal(answer);
  }
  expect(after.elsewhere, 'I5: files outside the state and data directories').toEqual(before.elsewhere);
  expect(world.serverPeakKiB, 'I6: memory of the depot, KiB').toBeLessThan(MAX_PEAK_KIB);
  if (expected.refused) await expectWrittenDown(world, expected.refused);
}

/** I4 (and I6) of one run: it failed with a status of ours, one readable line, a code. */
export function expectRefusal(ran: Ran): void {
  const printed = `${ran.stdout}\n${ran.stderr}`;
  expect(ran.code, `I4: exit status\n${printed}`).toBeOneOf([1, 2, 3]);
  // a stack trace, or a cursor moved by foreign text, is not readable
  expect(printed, 'I4: readable').not.toMatch(/[^\P{C}\n]|^ +at .+:\d+:\d+\)?$/mu);
  expect(ran.stderr, 'I4: no bug of ours').not.toContain('unexpected:');
  expect(ran.stderr.trim(), 'I4: a line for people').not.toBe('');
  if (ran.json.length > 0) {
    const codes = ran.json.map((line) => line['code']).filter((code) => code !== undefined);
    expect(codes, `I4: a stable code\n${printed}`).not.toEqual([]);
    for (const code of codes) expect(code).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  }
  expect(ran.peakKiB, 'I6: memory, KiB').toBeLessThan(MAX_PEAK_KIB);
}

/** I4 over HTTP. */
export function expectRefusedAnswer(answer: HttpAnswer): void {
  expect(answer.status, `I4: HTTP status ${answer.body.toString()}`).toBeGreaterThanOrEqual(400);
  expect(answer.status, 'I4: the fault is the client’s').toBeLessThan(500);
  if (answer.body.length === 0) return;
  expect(JSON.parse(answer.body.toString())).toEqual({
    code: expect.stringMatching(/^[a-z0-9]+(-[a-z0-9]+)*$/),
    message: expect.stringMatching(/^[^\p{C}]+$/u),
    hint: expect.any(String),
  });
}

/** I2: the journal extends what it was, is well-formed, and every proof in the depot is of its tree. */
async function expectLogGrew(world: World, before: Buffer, after: Buffer): Promise<void> {
  expect(after.subarray(0, before.length).equals(before), 'I2: the journal extends what it was').toBe(true);
  const lines = after.toString().split('\n');
  expect(lines.pop(), 'I2: the journal ends with a whole line').toBe('');
  const leaves = lines.map((line) => Buffer.from(line));
  for (const leaf of leaves)
    expect(() => parseLogEntry(leaf), `I2: ${leaf.toString()} is an entry`).not.toThrow();
  const hashes = leaves.map(leafHash);

  const { log } = await projectOf(world);
  for (const file of await filesBelow(world.tree())) {
    if (!file.endsWith('.proof')) continue;
    const checkpoint = parseCheckpoint(openNote(parseProof(await readFile(file)).checkpoint, log.key));
    expect(checkpoint.size, `I2: ${file} is of this log`).toBeLessThanOrEqual(hashes.length);
    expect(treeRoot(hashes.slice(0, checkpoint.size)), `I2: root of ${file}`).toEqual(checkpoint.root);
  }
}

/** I7: the refusal is in the log and, proven, in the depot, and `status` says it. */
async function expectWrittenDown(world: World, build: string): Promise<void> {
  const journal = await readFile(world.journal, 'utf8');
  const entries = journal
    .trimEnd()
    .split('\n')
    .map((line) => parseLogEntry(Buffer.from(line)));
  expect(
    entries.some((entry) => entry.build === build && entry.type === 'refusal'),
    'I7: a refusal in the log',
  ).toBe(true);
  const files = await readdir(world.tree('builds', build));
  expect(files, 'I7: the refusal in the depot').toEqual(
    expect.arrayContaining(['refusal.json', 'refusal.proof']),
  );
  const { reasons } = parseRefusal(await readFile(world.tree('builds', build, 'refusal.json')));
  for (const { where, text } of reasons)
    expect(where + text, 'I7: safe to print with jq').not.toMatch(/\p{C}/u);
  const status = await world.runOn('operator', ['status', build]);
  expect(status.code, status.stderr).toBe(0);
  expect(status.stdout, 'I7: foreign text escaped').not.toMatch(/[^\P{C}\n]/u);
  expect(status.stdout, 'I7: status says it').toMatch(/refused|frozen/);
}

async function projectOf(world: World) {
  const toml = await readFile(world.path('H', 'countersign.toml'), 'utf8');
  const keys = new Map<string, Buffer>();
  for (const name of await readdir(world.path('H', 'keys')))
    keys.set(`keys/${name}`, await readFile(world.path('H', 'keys', name)));
  return parseProject(toml, (path) => keys.get(path) ?? Buffer.alloc(0));
}

/** Path and digest (or kind) of everything below a directory. */
async function digests(
  directory: string,
  skip: (path: string) => boolean = () => false,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const file of await filesBelow(directory, skip)) {
    const status = await lstat(file);
    const content = status.isSymbolicLink()
      ? `link to ${await readlink(file)}`
      : status.isFile()
        ? createHash('sha256')
            .update(await readFile(file))
            .digest('hex')
        : 'special';
    found.set(relative(directory, file), content);
  }
  return found;
}

async function filesBelow(
  directory: string,
  skip: (path: string) => boolean = () => false,
): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const nested = entries.map(async (entry) => {
    const path = join(directory, entry.name);
    if (skip(path)) return [];
    return entry.isDirectory() ? filesBelow(path, skip) : [path];
  });
  return (await Promise.all(nested)).flat().sort();
}
