import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { logSize, waitForLog } from '../../src/operator/wait.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { MadeLog, digest } from '../harness/made-log.ts';
import { until } from '../harness/until.ts';
import { refusalFiles } from '../policy/release-scene.ts';
import { approval, build, logSigner, minutes, now, otherBuild, project } from '../policy/scene.ts';

const bytes = encodeApproval(approval);
let tree: DirectoryTree;
let depot: Depot;
let log: MadeLog;
/** How often the log was looked at: looks begun, and ended. */
let looks: { begun: number; ended: number };
let stop: AbortController;
let troubles: string[];
beforeEach(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cs-wait-'));
  tree = await DirectoryTree.make(directory);
  const gated = GatedDepot.over({ tree, rules: project, now: () => now });
  looks = { begun: 0, ended: 0 };
  const read: Depot['read'] = async (path, maxBytes) => {
    if (path !== 'log/checkpoint') return gated.read(path, maxBytes);
    looks.begun += 1;
    return gated.read(path, maxBytes).finally(() => (looks.ended += 1));
  };
  depot = new Proxy(gated, { get: (_, name) => (name === 'read' ? read : undefined) });
  log = new MadeLog(join(directory, 'log'), logSigner);
  stop = new AbortController();
  troubles = [];
  return () => rmSync(directory, { recursive: true, force: true });
});

const wait = (at = now): Promise<void> =>
  waitForLog(project, depot, { approval, bytes }, log.size, {
    stop: stop.signal,
    now: () => at,
    report: (trouble) => troubles.push(trouble),
  });

/** Until the log has been looked at as it is now. */
function looked(): Promise<void> {
  const { begun } = looks;
  return until('the log is looked at', () => looks.ended > begun);
}

function entry(type: BuildEntry['type'], records: BuildEntry['records'], of = build): Buffer {
  const { project: name, version } = approval;
  return encodeLogEntry({
    ...{ type, time: timestamp(now), build: of, project: name, version },
    ...{ records, keys: [] },
  });
}
const logged = entry('approval', { 'approval.json': sha256Hex(bytes) });

describe('the ticket is held back', () => {
  test('until the log has the approval', async () => {
    log.add([entry('approval', { 'approval.json': digest(1) }, otherBuild)]);
    expect(await logSize(project, depot)).toBe(1);
    let done = false;
    const waiting = wait().then(() => (done = true));
    await looked();
    expect(done).toBe(false);
    log.add([logged]);
    await waiting;
    expect(troubles).toEqual([]);
  });

  test('through a depot without a log, and one that is damaged: said once each', async () => {
    expect(await logSize(project, depot)).toBe(0);
    const waiting = wait();
    await looked();
    log.write('checkpoint', Buffer.from('no note'));
    await looked();
    log.add([logged]);
    await waiting;
    expect(troubles).toEqual([expect.stringContaining('checkpoint: ')]);
  });

  test('another approval under the same build, another build, another entry do not count', async () => {
    const waiting = wait();
    log.add([
      entry('approval', { 'approval.json': digest(2) }),
      entry('approval', { 'approval.json': sha256Hex(bytes) }, otherBuild),
      entry('statement', { 'statements/b1.json': digest(3) }),
    ]);
    await looked();
    stop.abort();
    await expect(waiting).rejects.toMatchObject({
      kind: 'unable',
      code: 'approval-not-logged',
      message: expect.stringContaining('its tickets are gone'),
      hint: expect.stringContaining(approval.expires),
    });
  });

  test('nor does a log of another key', async () => {
    const forger = parseSignerKey(generateNoteKey(logSigner.name).signer);
    const waiting = wait();
    new MadeLog(log.directory, forger).add([logged]);
    await looked();
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'approval-not-logged' });
    expect(troubles).toHaveLength(1);
  });
});

describe('it does not come', () => {
  test('the approval expires', async () => {
    await expect(wait(minutes(300))).rejects.toMatchObject({
      kind: 'unable',
      code: 'approval-not-logged',
      message: expect.stringContaining('in time'),
    });
  });

  test('the signer refuses the build, and says why; also when it had logged the approval', async () => {
    const waiting = wait();
    log.add([logged, entry('refusal', { 'refusal.json': digest(4) })]);
    await looked();
    for (const [name, content] of refusalFiles()) await tree.write(`builds/${build}/${name}`, content);
    await expect(waiting).rejects.toMatchObject({
      kind: 'refused',
      code: 'build-refused',
      message: expect.stringContaining('too-large: too large'),
    });
  });
});
