/** What a monitor says of a log that grows, and of one that somebody tampers with, from one look to the next. */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { look } from '../../src/audit/monitor.ts';
import type { Pass, Watch } from '../../src/audit/monitor.ts';
import { formatAlarm, parseAlarm } from '../../src/audit/monitor/alarm.ts';
import type { Alarm } from '../../src/audit/monitor/alarm.ts';
import { Expected } from '../../src/audit/monitor/expected.ts';
import { formatMemory, parseMemory } from '../../src/audit/monitor/memory.ts';
import type { Memory } from '../../src/audit/monitor/memory.ts';
import { heartbeat } from '../../src/records/log-entry.ts';
import type { LogEntry } from '../../src/records/log-entry.ts';
import { toProjectName } from '../../src/records/names.ts';
import { generateWitnessKey, parseWitnessKey, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import { LogReader, openLog } from '../../src/tree/log/reader.ts';
import { MadeLog, PROJECT, buildId, entries, entry, leaves, timeOf } from '../harness/made-log.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cs-monitor-'));
afterAll(() => rmSync(scratch, { recursive: true }));

let count = 0;
let log: MadeLog;
/** What a state file has between two looks. */
let remembered: Buffer | null;
/** The evidence beside it, by name. */
let kept: Map<string, Alarm>;
beforeEach(() => {
  log = new MadeLog(join(scratch, `log-${++count}`));
  remembered = null;
  kept = new Map();
});

const add = (...all: LogEntry[]): string => log.add(leaves(all));
const grow = (size: number): string => add(...entries(size - log.size, log.size));

/** Looks at the log, as a timer does every hour: what is remembered goes through a file. */
async function hour(more: Partial<Watch> = {}, at = log): Promise<Pass> {
  const trust = more.trust ?? log.trust;
  const reader = new LogReader(await openLog({ kind: 'directory', directory: at.directory }), trust);
  const memory: Memory | null = remembered && parseMemory(remembered, trust);
  const given = {
    reader,
    trust,
    place: '/depot',
    project: PROJECT,
    witnesses: [],
    memory,
    alarms: [...kept.values()],
  };
  const usual = { expected: null, maxAge: null, seen: false, now: () => new Date(timeOf(log.size)) };
  const pass = await look({ ...given, ...usual, ...more });
  for (const [name, alarm] of pass.alarms) kept.set(name, parseAlarm(formatAlarm(alarm), name));
  if (pass.memory) remembered = formatMemory(pass.memory);
  return pass;
}
const LIFE = ['approval', 'statement', 'intent', 'release'] as const;
const codes = ({ alerts }: Pass): string[] =>
  alerts.map(({ code, index }) => `${code}${index === undefined ? '' : ` ${index}`}`);
const releases = ({ news }: Pass): string[] => news.map(({ version }) => version);

describe('a log that grows', () => {
  test('releases are news, once', async () => {
    grow(12);
    expect(releases(await hour())).toEqual(['1.0', '1.1', '1.2']);
    expect(await hour()).toMatchObject({ alerts: [], news: [] });
    grow(700);
    const pass = await hour();
    expect(releases(pass)[0]).toBe('1.3');
    expect(releases(pass)).toHaveLength(175 - 17 - 3);
    expect(codes(pass)).toEqual([]);
  });

  test('a build that was begun before the last look goes on in this one', async () => {
    for (let size = 1; size <= 41; size++) {
      grow(size);
      expect(codes(await hour())).toEqual([]);
    }
  });

  test('a release that nobody expected is said until somebody has seen it, and those behind it too', async () => {
    const expected = new Expected(`1.0 # the first one\n\n${buildId(1)}\n${PROJECT}  1.3`, 'expected');
    grow(8);
    expect(codes(await hour({ expected }))).toEqual([]);
    grow(12);
    expect(codes(await hour({ expected }))).toEqual(['unexpected-release 11']);
    grow(20);
    for (let times = 0; times < 3; times++)
      expect(codes(await hour({ expected }))).toEqual(['unexpected-release 11', 'unexpected-release 19']);
    // the second one was wrongly not in the list
    const more = new Expected('1.3\ngadget 1.2\n1.4', 'expected');
    expect(codes(await hour({ expected: more }))).toEqual(['unexpected-release 11']);
    expect(codes(await hour({ expected: more, seen: true }))).toEqual(['unexpected-release 11']);
    expect(codes(await hour({ expected: more }))).toEqual([]);
  });

  test('a look without the list does not take what nobody expected for news', async () => {
    const expected = new Expected('', 'expected');
    grow(4);
    expect(codes(await hour({ expected }))).toEqual(['unexpected-release 3']);
    await expect(hour()).rejects.toMatchObject({ kind: 'usage', code: 'expect-missing' });
    expect(codes(await hour({ expected }))).toEqual(['unexpected-release 3']);
  });

  test.each(['1.0\nhello world 1.1', '1.0\n-', '1.0\nHello 1.0'])('%j is no list of releases', (text) => {
    expect(() => new Expected(text, 'the list')).toThrow('the list, line 2: ');
  });

  test('a conflict, an order that cannot be and an entry that is none are said likewise', async () => {
    grow(8);
    await hour();
    add(entry('conflict', 1, 8));
    expect(codes(await hour())).toEqual(['conflict 8']);
    add(entry('release', 1, 9));
    log.add([Buffer.from('{}')]);
    expect(codes(await hour())).toEqual(['conflict 8', 'order 9', 'entry-malformed 10']);
    expect(codes(await hour({ seen: true }))).toEqual(['conflict 8', 'order 9', 'entry-malformed 10']);
    // what came after is judged as if they were not there
    add(entry('conflict', 0, 11), entry('approval', 3, 12), entry('approval', 3, 13));
    expect(codes(await hour())).toEqual(['conflict 11', 'order 13']);
  });

  test('an entry of another project is said, whatever is expected; but H refuses builds that were meant for one', async () => {
    const foreign = (each: LogEntry): LogEntry => ({ ...each, project: toProjectName('gadget', 'test') });
    grow(8);
    add(entry('approval', 2, 8), foreign(entry('refusal', 3, 9)));
    const expected = new Expected('1.0\n1.1\n1.4', 'expected');
    expect(codes(await hour({ expected }))).toEqual([]);
    add(...LIFE.map((type, at) => foreign(entry(type, 4, 10 + at))), foreign(heartbeat(PROJECT, timeOf(14))));
    const pass = await hour({ expected });
    expect(codes(pass)).toEqual([10, 11, 12, 13, 14].map((index) => `foreign ${index}`));
    expect(releases(pass)).toEqual([]);
    expect(codes(await hour({ expected, seen: true }))).toHaveLength(5);
    expect(codes(await hour({ expected }))).toEqual([]);
  });

  test('an entry that is dated before those before it is said, once for each time', async () => {
    const beat = (minute: number) => heartbeat(PROJECT, timeOf(minute));
    grow(12);
    add(beat(30), beat(20), beat(31));
    expect(codes(await hour())).toEqual([]);
    // seen in one look or in several
    add(beat(20));
    expect(codes(await hour())).toEqual(['time 15']);
    add(beat(21), beat(31), { ...entry('approval', 3, 0), time: timeOf(-100) });
    expect(codes(await hour())).toEqual(['time 15', 'time 18']);
    expect(codes(await hour({ seen: true }))).toEqual(['time 15', 'time 18']);
    expect(codes(await hour())).toEqual([]);
    add({ ...entry('statement', 3, 0), time: timeOf(-99) });
    expect(codes(await hour())).toEqual([]);
  });

  test('a log that is too old, until it goes on', async () => {
    grow(12);
    const now = () => new Date(Date.parse(timeOf(11)) + 3_600_000);
    expect(codes(await hour({ now, maxAge: 3_600 }))).toEqual([]);
    expect(codes(await hour({ now, maxAge: 3_599 }))).toEqual(['stale-head']);
    add(heartbeat(PROJECT, timeOf(13)));
    expect(codes(await hour({ now, maxAge: 3_599 }))).toEqual([]);
    // one that is to come would be fresh for ever
    add(heartbeat(PROJECT, timeOf(11 + 60 + 11)));
    expect(codes(await hour({ now, maxAge: 3_599 }))).toEqual(['stale-head']);
  });
});

describe('a log that is not what it was', () => {
  /** The same log up to there, and then another. */
  const forkedAt = (size: number): MadeLog => {
    const other = new MadeLog(join(scratch, `fork-${++count}`), log.signer);
    other.add(leaves(entries(size)));
    return other;
  };

  test.each([
    ['another entry, as many', 300],
    ['another entry, and more behind it', 320],
  ])('a fork: %s', async (_, size) => {
    const before = grow(300);
    await hour();
    const other = forkedAt(296);
    const after = other.add(leaves(entries(size - 296, 400)));
    const pass = await hour({}, other);
    expect(pass.alerts).toMatchObject([{ code: 'fork', evidence: [before, after] }]);
    expect(releases(pass)).toEqual([]);
    // the depot shows the old one again: what was seen was seen
    grow(340);
    expect((await hour()).alerts).toMatchObject([{ code: 'fork', evidence: [before, after] }]);
    expect((await hour({ seen: true })).alerts).toHaveLength(1);
    // the state alone moved away: the fork is not made the truth by that
    const state = remembered;
    remembered = null;
    expect((await hour({}, other)).alerts).toMatchObject([{ code: 'fork', evidence: [before, after] }]);
    expect(remembered).toBeNull();
    // the evidence moved away: it goes on from the last good checkpoint
    remembered = state;
    kept.clear();
    expect(codes(await hour({}, other))).toEqual(['fork']);
    kept.clear();
    const pass2 = await hour();
    expect([codes(pass2), releases(pass2).at(0)]).toEqual([[], '1.75']);
  });

  test('a rollback, and a log that is gone', async () => {
    const before = grow(300);
    await hour();
    const other = forkedAt(298);
    const pass = await hour({}, other);
    expect(pass.alerts).toMatchObject([{ code: 'rollback', evidence: [before, other.checkpoint()] }]);
    expect(codes(await hour())).toEqual(['rollback']);

    kept.clear();
    await hour();
    rmSync(log.directory, { recursive: true });
    log.write('tile/x', Buffer.alloc(0));
    expect((await hour()).alerts).toMatchObject([{ code: 'rollback', evidence: [before] }]);
  });

  test('a mirror that is behind proves nothing; one that goes on from what was seen, does', async () => {
    grow(300);
    cpSync(log.directory, join(scratch, `mirror-${count}`), { recursive: true });
    const mirror = new MadeLog(join(scratch, `mirror-${count}`), log.signer);
    const place = '/mirror';
    grow(320);
    await hour();
    expect(await hour({ place }, mirror)).toMatchObject({
      alerts: [],
      blinded: true,
      blind: [
        { code: 'log-behind', message: '/mirror shows 300 entries, and this monitor saw 320 at /depot' },
      ],
    });
    expect(await hour()).toMatchObject({ alerts: [], blinded: false });
    expect(await hour({ place })).toMatchObject({ alerts: [], blinded: false });
    // now it is that place which takes back what it has shown
    const pass = await hour({ place }, mirror);
    expect(codes(pass)).toEqual(['rollback']);
    expect(pass.alerts[0]?.text).toBe(`the log had 320 entries, up to ${timeOf(319)}, and shows 300`);
  });

  test('a rollback hides no fork behind it: each is said, and its evidence kept', async () => {
    grow(300);
    cpSync(log.directory, join(scratch, `old-${count}`), { recursive: true });
    const old = new MadeLog(join(scratch, `old-${count}`), log.signer);
    const before = grow(320);
    await hour();
    expect(codes(await hour({}, old))).toEqual(['rollback']);
    expect(codes(await hour())).toEqual(['rollback']);
    const other = forkedAt(300);
    const after = other.add(leaves(entries(40, 400)));
    expect((await hour({}, other)).alerts).toMatchObject([
      { code: 'rollback' },
      { code: 'fork', evidence: [before, after] },
    ]);
    expect([...kept.keys()].map((name) => name.replace(/-.*/, '')).sort()).toEqual(['fork', 'rollback']);
    // cosigned by others since, it is the same evidence
    other.witnessed([parseWitnessSigner(generateWitnessKey('w.example').signer)]).add([]);
    expect(codes(await hour({}, other)).sort()).toEqual(['fork', 'rollback']);
    expect(kept.size).toBe(2);
  });

  test('rollbacks without end are all said, and do not fill the disk; a fork is still kept', async () => {
    grow(300);
    await hour();
    for (let size = 4; size <= 40; size += 4)
      expect(codes(await hour({}, forkedAt(size)))).toContain('rollback');
    expect(kept.size).toBe(8);
    const other = forkedAt(296);
    other.add(leaves(entries(8, 400)));
    expect(codes(await hour({}, other))).toContain('fork');
    expect([...kept.keys()].filter((name) => name.startsWith('fork-'))).toHaveLength(1);
  });

  test('bytes that were changed, until they are mended; nothing of it is remembered, and nothing is lost', async () => {
    grow(300);
    await hour();
    grow(600);
    const path = join(log.directory, 'tile/entries/001');
    const good = readFileSync(path);
    const bad = Buffer.from(good);
    bad[bad.length - 30] = 0x21;
    writeFileSync(path, bad);
    for (let times = 0; times < 2; times++) {
      const pass = await hour();
      expect(codes(pass)).toEqual(['damaged']);
      expect(pass.alerts[0]?.text).toContain('entry 511');
    }
    writeFileSync(path, good);
    expect(releases(await hour())).toHaveLength(75 - 8);
    writeFileSync(join(log.directory, 'checkpoint'), `${log.checkpoint()}x`);
    expect(codes(await hour())).toEqual(['damaged']);
  });

  test('files that are not there yet are no verdict', async () => {
    grow(300);
    await hour();
    grow(600);
    rmSync(join(log.directory, 'tile/entries/002.p/88'));
    const pass = await hour();
    expect({ codes: codes(pass), blinded: pass.blinded }).toEqual({ codes: [], blinded: true });
    grow(600);
    expect(await hour()).toMatchObject({ blinded: false, alerts: [] });
  });

  test('what another log remembers is not taken', async () => {
    grow(4);
    await hour();
    log = new MadeLog(join(scratch, 'stranger'));
    grow(4);
    await expect(hour()).rejects.toMatchObject({ code: 'state-malformed' });
  });
});

describe('witnesses', () => {
  const keys = generateWitnessKey('w.example');
  const signer = parseWitnessSigner(keys.signer);
  /** What the witness shows of the log. */
  let shown: string | null;
  let server: Server;
  let watch: Pick<Watch, 'witnesses' | 'trust'>;
  beforeEach(async () => {
    shown = null;
    server = createServer((request, response) => {
      const known = createHash('sha256').update(log.trust.origin).digest('hex');
      const found = request.url === `/${known}/checkpoint` && shown !== null;
      response.writeHead(found ? 200 : 404, { 'content-length': found ? Buffer.byteLength(shown ?? '') : 0 });
      response.end(found ? shown : '');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const key = parseWitnessKey(keys.verifier);
    const { port } = server.address() as AddressInfo;
    watch = {
      witnesses: [{ key, url: `http://127.0.0.1:${port}` }],
      trust: { ...log.trust, witnesses: [key], quorum: 1 },
    };
    log.witnessed([signer]);
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  test('a head that they have cosigned, and one that they have not', async () => {
    shown = grow(300);
    expect(await hour(watch)).toMatchObject({ alerts: [], blind: [], blinded: false });
    log.witnessed([]);
    grow(301);
    expect(codes(await hour(watch))).toEqual(['witnesses']);
  });

  test('a split view: they have seen another log than the one that is shown here', async () => {
    const ours = grow(300);
    const other = new MadeLog(join(scratch, `split-${++count}`), log.signer).witnessed([signer]);
    shown = other.add(leaves(entries(290, 4)));
    const pass = await hour(watch);
    expect(pass.alerts).toMatchObject([{ code: 'fork', evidence: [shown, ours] }]);
    expect(pass.alerts[0]?.text).toContain('w.example');
    // they agree again: what was seen was seen
    shown = ours;
    expect(codes(await hour(watch))).toEqual(['fork']);
  });

  test('a depot that keeps back what they have seen, once there was time to bring it', async () => {
    grow(300);
    const held = join(scratch, `held-${++count}`);
    cpSync(log.directory, held, { recursive: true });
    shown = grow(320);
    const behind = new MadeLog(held, log.signer);
    const signed = 1_767_225_600;
    const soon = { ...watch, now: () => new Date((signed + 600) * 1000) };
    const later = { ...watch, now: () => new Date((signed + 601) * 1000) };
    expect(codes(await hour(soon, behind))).toEqual([]);
    const pass = await hour(later, behind);
    expect(codes(pass)).toEqual(['stale-head']);
    expect(pass.alerts[0]?.text).toContain('shows 300 entries, but witness w.example saw 320');
    expect(codes(await hour(later))).toEqual([]);
  });

  test('one that has never seen the log, shows nonsense, or is gone: no alert, but it could not look', async () => {
    grow(4);
    expect(await hour(watch)).toMatchObject({ alerts: [], blinded: false });
    shown = 'nonsense';
    expect(await hour(watch)).toMatchObject({ alerts: [], blinded: true, blind: [{ kind: 'refused' }] });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await hour(watch)).toMatchObject({ alerts: [], blinded: true, blind: [{ code: 'network' }] });
    // enough of the others would do
    const few = { ...watch, trust: { ...watch.trust, quorum: 0 } };
    expect(await hour(few)).toMatchObject({ alerts: [], blinded: false, blind: [{ code: 'network' }] });
  });
});
