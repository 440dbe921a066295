/**
 * Somebody has H's log key, and shows one user a log that nobody else sees: a witness that would have to sign both
 * keeps him from it, or the user who looks at the log that everybody sees.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeLogEntry, parseLogEntry } from '../../src/records/log-entry.ts';
import { timestamp, timestampDate } from '../../src/records/names.ts';
import { logEntryFile } from '../../src/records/paths.ts';
import { expectRefusal } from '../harness/invariants.ts';
import { World, mustBe } from '../harness/world.ts';
import { started } from '../witness/program.ts';
import type { Started } from '../witness/program.ts';
import { LogThief } from './log-thief.ts';

let world: World;
let witness: Started;
/** A copy of the release, and the same in the thief's log. */
let honest: string;
let forged: string;
/** The log, as the depot had it when only the first release was there. */
let yesterday: Buffer;
beforeAll(async () => {
  world = await World.make();
  const file = world.path('H', 'countersign.toml');
  const toml = await readFile(file, 'utf8');
  const key = /^key = "(countersign\/widget\/[^"]+)"$/m.exec(toml)?.[1] ?? '';
  witness = await started(['--state', world.path('witness'), '--name', 'w1.example', '--log', key]);
  const table = `\n[[witnesses]]\nkey = "${witness.key.text}"\nurl = "${witness.url}"\n`;
  await writeFile(file, `witness-quorum = 1\nmax-log-age = "3d"\n${toml}${table}`);
  await world.shareProject();
  await world.stopServer();
  await world.startServer();

  const build = await world.release('1.0.0', { 'app.tgz': 'app' });
  honest = world.path('operator', 'honest');
  await cp(world.tree('releases/widget/1.0.0'), honest, { recursive: true });
  yesterday = await readFile(world.tree('log', 'checkpoint'));
  await world.release('2.0.0', { 'app.tgz': 'app 2' });

  forged = world.path('operator', 'forged');
  await cp(honest, forged, { recursive: true });
  const thief = await LogThief.enter(world);
  // another entry, of which nobody else shall hear
  const bent = await thief.release(build, (name, bytes) => {
    if (name !== logEntryFile) return bytes;
    const entry = parseLogEntry(bytes);
    return encodeLogEntry({
      ...entry,
      time: timestamp(new Date(timestampDate(entry.time).getTime() + 1000)),
    });
  });
  for (const [name, bytes] of bent) await writeFile(join(forged, 'countersign', name), bytes);
}, 120_000);
afterAll(async () => {
  await witness?.stop();
  await world?.close();
});

/** The project file of somebody who asks for no witness. */
async function unwitnessed(): Promise<string> {
  await cp(world.path('operator', 'keys'), world.path('operator', 'plain', 'keys'), { recursive: true });
  const file = world.path('operator', 'plain', 'countersign.toml');
  const toml = await readFile(world.path('operator', 'countersign.toml'), 'utf8');
  await writeFile(file, toml.replace('witness-quorum = 1', 'witness-quorum = 0'));
  return file;
}

test('the release that everybody sees: who has witnessed it, and how far the log has come', async () => {
  const { code, stdout, stderr } = await world.runOn('operator', ['verify', honest]);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/witnesses +w1\.example at 20\S+Z; 1 of 1 needed\n/);
  expect(stdout).toMatch(/log +entry 3 of 4 in [^]*now of 8, the newest at \S+:\s+http/);
  const offline = await world.runOn('operator', ['verify', honest, '--offline']);
  expect(offline.stdout).toMatch(/not checked: whether the log still has entry 3, .*offline/);
  expect(offline.stdout).not.toContain('now of');
});

test('the thief’s: no witness signs two histories, so offline is enough', async () => {
  const ran = await world.verify([forged], ['--offline']);
  expect(ran).toMatchObject({ code: 1, json: [{ outcome: 'not-valid', code: 'witnesses-missing' }] });
  expectRefusal(ran);
  expect(ran.stderr).toMatch(/hint: is the project file of the time of this release\?/);
});

test('without witnesses, what speaks against it is the log that everybody sees', async () => {
  const config = ['-c', await unwitnessed()];
  mustBe(0, await world.verify([forged], [...config, '--offline']));
  const ran = await world.verify([forged], config);
  expect(ran).toMatchObject({ code: 1, json: [{ outcome: 'not-valid', code: 'log-fork' }] });
  expectRefusal(ran);
  // the two checkpoints convict the key
  const [proof, head] = [/^countersign\/widget\/\S+\n1\n/, /^countersign\/widget\/\S+\n8\n/].map((note) =>
    expect.stringMatching(note),
  );
  expect(ran.json).toMatchObject([{ head: { checkpoints: { proof, head } } }]);
});

test('a depot that shows yesterday’s log is behind what the newest release is proven in', async () => {
  const today = await readFile(world.tree('log', 'checkpoint'));
  await writeFile(world.tree('log', 'checkpoint'), yesterday);
  try {
    mustBe(0, await world.verify([honest]));
    const ran = await world.verify([world.tree('releases/widget/2.0.0')]);
    expect(ran).toMatchObject({ code: 1, json: [{ code: 'log-rollback' }] });
    expectRefusal(ran);
  } finally {
    await writeFile(world.tree('log', 'checkpoint'), today);
  }
});

test('a depot that is away takes nothing from a release, and gives nothing', async () => {
  await world.stopServer();
  try {
    const { code, stdout } = await world.runOn('operator', ['verify', honest]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/not checked: whether the log still has entry 3, .*http:\/\/127/);
  } finally {
    await world.startServer();
  }
});
