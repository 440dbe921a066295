/** `verify` online: what the log has become since the release. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Verdict } from '../../src/consumer/verdict.ts';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { openCheckpoint } from '../../src/tlog/checkpoint.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { minutes, otherBuild, project as scene } from '../policy/scene.ts';
import { leaf, newWitness, tell } from './logged-release.ts';
import type { Told } from './logged-release.ts';
import { put, verify } from './made-release.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-read-on-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const DAY = 24 * 60;
const beat = (at: number): Buffer => encodeLogEntry(heartbeat(scene.name, timestamp(minutes(at))));
const conflict = (at: number, build?: typeof otherBuild): Buffer =>
  leaf('conflict', at, 'statements/b1.2.json', build);

/** `verify` of the told release, with the project's depot where its log is. */
const online = (
  { release }: Told,
  depot: string | null,
  more: Parameters<typeof verify>[1] = {},
  project = scene,
): Promise<Verdict> =>
  verify([join(release, 'hello.tar.gz')], {
    trust: { kind: 'project', project: { ...project, depot } },
    offline: false,
    ...more,
  });

describe('read on to the head', () => {
  test('nothing has come since: said, with where the log is now', async () => {
    const told = tell(parent, { since: [beat(DAY)] });
    const verdict = await online(told, told.depot);
    expect(verdict).toMatchObject({ outcome: 'valid', warnings: [], findings: [] });
    expect(verdict.head).toMatchObject({ log: told.depot, size: 5, newest: timestamp(minutes(DAY)) });
    expect(verdict.checked.join('; ')).toContain('entry 3 is in it, read on to its head');
    expect(verdict.notChecked.join('; ')).not.toContain('log still has');
  });

  test('the release is the last entry: then it is the newest', async () => {
    const told = tell(parent);
    expect((await online(told, told.depot)).head).toMatchObject({ size: 4, newest: timestamp(minutes(0)) });
  });

  test.each([
    ['long after the release', { proven: [beat(1)], since: [beat(2), conflict(3)] }, /entry 6 of the log/],
    ['between intent and release', { between: [beat(0), conflict(0)] }, /entry 4 of the log/],
    ['more than once', { since: [conflict(1), beat(2), conflict(3)] }, /entries 4, 6 of the log/],
  ])('dissent %s is said, and the release stays valid', async (_, story, text) => {
    const told = tell(parent, story);
    expect(await online(told, told.depot)).toMatchObject({
      outcome: 'valid',
      warnings: [{ code: 'conflict', text: expect.stringMatching(text) }],
    });
  });

  test('that of another build is not', async () => {
    const told = tell(parent, { since: [conflict(1, otherBuild)] });
    expect(await online(told, told.depot)).toMatchObject({ outcome: 'valid', warnings: [] });
  });

  test('through bundles and tiles of a log that has grown', async () => {
    const beats = Array.from({ length: 700 }, (_, at) => beat(at));
    const between = Array.from({ length: 300 }, () => beat(0));
    const told = tell(parent, { between, proven: beats.slice(0, 10), since: [...beats, conflict(DAY)] });
    let read = 0;
    const readingLog = (done: number): number => (read = done);
    expect(await online(told, told.depot, { readingLog })).toMatchObject({
      head: { size: 3 + 300 + 1 + 10 + 701 },
      warnings: [{ text: expect.stringContaining('entry 1014 of') }],
    });
    expect(read).toBe(1015 - 2);
  });

  test('an entry of a kind that came later than this program', async () => {
    const told = tell(parent, { since: [Buffer.from('{"type":"amnesty"}')] });
    expect(await online(told, told.depot)).toMatchObject({
      outcome: 'valid',
      warnings: [{ code: 'log-entry-unknown', text: expect.stringContaining('entry 4') }],
    });
  });
});

describe('how old the log is', () => {
  const strict = { ...scene, maxLogAge: 3 * 86_400 };

  test('older than the project allows: said; a day old: not', async () => {
    const told = tell(parent, { since: [beat(DAY)] });
    const at = (days: number) => online(told, told.depot, { now: minutes(days * DAY) }, strict);
    expect(await at(4)).toMatchObject({ outcome: 'valid', warnings: [] });
    expect(await at(4.1)).toMatchObject({
      outcome: 'valid',
      warnings: [{ code: 'log-stale', text: expect.stringContaining('allows it to be 3d old') }],
    });
  });

  test('the head of last week, replayed to hide what was logged since', async () => {
    const told = tell(parent, { since: [beat(DAY)] });
    const old = readFileSync(join(told.depot, 'log', 'checkpoint'));
    told.log.add([conflict(2 * DAY), beat(7 * DAY)]);
    const look = () => online(told, told.depot, { now: minutes(7 * DAY) }, strict);
    expect(await look()).toMatchObject({ warnings: [{ code: 'conflict' }] });
    writeFileSync(join(told.depot, 'log', 'checkpoint'), old);
    expect(await look()).toMatchObject({ warnings: [{ code: 'log-stale' }] });
  });
});

describe('the log contradicts the release', () => {
  test('its key has signed two histories: not valid, and both are shown', async () => {
    const shown = tell(parent, { between: [beat(0)] });
    const { depot } = tell(parent, { between: [beat(1)], since: [beat(2)] });
    const verdict = await online(shown, depot);
    expect(verdict).toMatchObject({
      outcome: 'not-valid',
      files: [{ valid: false }],
      findings: [{ code: 'log-fork', hint: expect.stringContaining('--json') }],
    });
    const { proof, head } = verdict.head?.checkpoints ?? { proof: '', head: '' };
    expect(proof).toBe(shown.checkpoint);
    expect([proof, head].map((note) => openCheckpoint(note, scene.log).size)).toEqual([5, 6]);
  });

  test('one of the same size, too', async () => {
    const { depot } = tell(parent, { between: [beat(1)] });
    expect(await online(tell(parent, { between: [beat(0)] }), depot)).toMatchObject({
      findings: [{ code: 'log-fork' }],
    });
  });

  test('it is shorter than when the release was proven', async () => {
    const told = tell(parent, { proven: [beat(1), beat(2)] });
    const { depot } = tell(parent, { proven: [beat(1)] });
    const verdict = await online(told, depot);
    expect(verdict).toMatchObject({
      outcome: 'not-valid',
      findings: [{ code: 'log-rollback', text: expect.stringMatching(/of 6 entries.*has 5/) }],
      head: { size: 5, newest: null, checkpoints: { proof: told.checkpoint } },
    });
  });
});

describe('what proves nothing is said, and the release stands by itself', () => {
  const unread = async (told: Told, depot: string | null, more = {}): Promise<Verdict> => {
    const verdict = await online(told, depot, more);
    expect(verdict).toMatchObject({ outcome: 'valid', head: null, findings: [] });
    expect(verdict.notChecked[0]).toMatch(/whether the log still has entry 3/);
    return verdict;
  };

  test.each([
    ['no depot is named', null, 'no depot is named'],
    ['one that has no log', '', 'has no log'],
    ['one that is not there', 'nowhere', 'nowhere'],
  ])('%s', async (_, depot, why) => {
    const told = tell(parent);
    const { warnings, notChecked } = await unread(told, depot === '' ? parent : depot);
    expect(warnings).toEqual([]);
    expect(notChecked[0]).toContain(why);
  });

  test('--offline: not even a log that contradicts it', async () => {
    const { depot } = tell(parent, { between: [beat(1)] });
    const { notChecked } = await unread(tell(parent), depot, { offline: true });
    expect(notChecked[0]).toContain('offline');
  });

  test('the log of another key is none of ours', async () => {
    const signer = parseSignerKey(generateNoteKey(scene.log.origin).signer);
    const { warnings } = await unread(tell(parent), tell(parent, { signer }).depot);
    expect(warnings).toMatchObject([{ code: 'checkpoint-invalid' }]);
  });

  test('one in which an entry was altered', async () => {
    const told = tell(parent, { since: [conflict(1)] });
    const bundle = join(told.depot, 'log', 'tile/entries/000.p/5');
    writeFileSync(
      bundle,
      readFileSync(bundle).toString('latin1').replace('"conflict"', '"approval"'),
      'latin1',
    );
    const { warnings } = await unread(told, told.depot);
    expect(warnings).toMatchObject([{ code: 'log-damaged', text: expect.stringContaining('entry 4') }]);
  });

  test('one of which the entries since are withheld', async () => {
    const told = tell(parent, { since: [conflict(1)] });
    renameSync(join(told.depot, 'log', 'tile/entries'), join(told.depot, 'log', 'tile/gone'));
    const { notChecked } = await unread(told, told.depot);
    expect(notChecked[0]).toContain('the log has no tile/entries/000.p/5');
  });
});

describe('whose log', () => {
  test('that of the project’s depot, wherever the release came from; --depot before both', async () => {
    const thief = tell(parent, { between: [beat(0)] });
    const honest = tell(parent, { between: [beat(1)] });
    const release = join(thief.depot, 'releases/hello/1.0');
    for (const [name, bytes] of thief.files) put(release, name, bytes);
    const from = { ...thief, release };
    expect(await online(from, null)).toMatchObject({ outcome: 'valid', head: { log: thief.depot } });
    expect(await online(from, honest.depot)).toMatchObject({ findings: [{ code: 'log-fork' }] });
    expect(await online(from, thief.depot, { depot: honest.depot })).toMatchObject({
      findings: [{ code: 'log-fork' }],
    });
  });
});

test('under a quorum, a head that witnesses have not seen is said', async () => {
  const w1 = newWitness('w1.example');
  const project = { ...scene, log: { ...scene.log, witnesses: [w1.key], quorum: 1 } };
  const told = tell(parent, { cosigned: [[w1.signer, 0]] });
  expect((await online(told, told.depot, {}, project)).notChecked.join()).not.toMatch(/witnesses/);
  told.log.add([beat(1)]);
  expect((await online(told, told.depot, {}, project)).notChecked.join()).toMatch(
    /whether witnesses have seen the log since: 0 have cosigned its head, 1 needed/,
  );
  told.log.witnessed([w1.signer]).add([beat(2)]);
  expect((await online(told, told.depot, {}, project)).notChecked.join()).not.toMatch(/witnesses/);
});
