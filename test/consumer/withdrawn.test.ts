/** A release that was taken back: `verify` says so, by whom and why, as far as the log and the depot show it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Verdict } from '../../src/consumer/verdict.ts';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { buildPath, revocationFile, revocationSignatureFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { serveFiles } from '../harness/file-server.ts';
import {
  ada,
  approval,
  bob,
  build,
  mallory,
  minutes,
  otherBuild,
  project as scene,
} from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import { leaf, tell } from './logged-release.ts';
import type { Told } from './logged-release.ts';
import { put, verify } from './made-release.ts';
import { REASON, fingerprintOf, revocation } from './revocation.ts';
import type { Revocation } from './revocation.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'cs-withdrawn-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const beat = (at: number): Buffer => encodeLogEntry(heartbeat(scene.name, timestamp(minutes(at))));
/** The release, which was withdrawn an hour later. */
function withdrawn({ files, leaf: entry }: Revocation, since: readonly Buffer[] = []): Told {
  const told = tell(parent, { since: [beat(1), entry, ...since] });
  for (const [name, bytes] of files) put(told.depot, buildPath(build, name), bytes);
  return told;
}

const online = (
  { release }: Told,
  depot: string,
  more: Parameters<typeof verify>[1] = {},
  project = scene,
): Promise<Verdict> =>
  verify([join(release, 'hello.tar.gz')], {
    trust: { kind: 'project', project: { ...project, depot } },
    offline: false,
    ...more,
  });

const taken = (reason: string, person = ada) => ({
  approver: fingerprintOf(person),
  userId: person.certificate.userIds[0],
  reason,
});

test('not valid: when, by whom and why', async () => {
  const told = withdrawn(revocation([ada]), [beat(61)]);
  const verdict = await online(told, told.depot);
  expect(verdict).toMatchObject({
    outcome: 'not-valid',
    files: [{ valid: false }],
    release: { version: '1.0' },
    revoked: { entry: 5, time: timestamp(minutes(60)), reasons: [taken(REASON)] },
    findings: [{ code: 'revoked' }],
    head: { size: 7 },
  });
  const text = verdict.findings[0]?.text;
  expect(text).toContain(
    `withdrawn at ${timestamp(minutes(60))} (entry 5 of the log), by Ada <ada@example.org>`,
  );
  expect(text).toContain(REASON);
  expect(verdict.notChecked).not.toContain('whether it was withdrawn since');
});

test('every file, and a whole copy', async () => {
  const told = withdrawn(revocation([ada]));
  const paths = ['hello.tar.gz', 'docs/hello.txt', ''].map((name) => join(told.release, name));
  const trust = { kind: 'project', project: { ...scene, depot: told.depot } } as const;
  const verdict = await verify(paths, { trust, offline: false });
  expect(verdict).toMatchObject({ outcome: 'not-valid', findings: [{ code: 'revoked' }] });
  expect(verdict.files.map(({ valid }) => valid)).toEqual([false, false, false]);
});

test('by two, where it takes two, each with a reason', async () => {
  const both = revocation([ada, bob]);
  const told = withdrawn(both);
  const { revoked } = await online(told, told.depot);
  const order = [taken(REASON), taken(REASON, bob)].toSorted((a, b) => (a.approver < b.approver ? -1 : 1));
  expect(revoked?.reasons).toEqual(order);
});

test('a depot behind a URL', async () => {
  const told = withdrawn(revocation([ada]));
  const server = await serveFiles(told.depot);
  try {
    expect(await online(told, server.url)).toMatchObject({ revoked: { reasons: [taken(REASON)] } });
  } finally {
    await server.close();
  }
});

test('dissent is said beside it', async () => {
  const told = withdrawn(revocation([ada]), [leaf('conflict', 61, 'statements/b1.2.json')]);
  expect(await online(told, told.depot)).toMatchObject({
    findings: [{ code: 'revoked' }],
    warnings: [{ code: 'conflict' }],
  });
});

describe('the log’s word is enough, whatever the depot shows', () => {
  const hidden = {
    outcome: 'not-valid',
    revoked: { reasons: [], unshown: 1 },
    findings: [{ code: 'revoked' }],
  };
  const own = revocation([ada]);
  const [file, signature] = [revocationFile(fingerprintOf(ada)), revocationSignatureFile(fingerprintOf(ada))];

  test.each<[string, Files]>([
    ['nothing', new Map()],
    ['no signature', new Map([[file, own.files.get(file) ?? Buffer.alloc(0)]])],
    ['another reason', new Map([...own.files, ...revocation([ada], 'all is well').files])],
    [
      'another signature',
      new Map([...own.files, [signature, mallory.secret.sign(own.files.get(file) ?? Buffer.alloc(0), 1)]]),
    ],
    ['a huge one', new Map([...own.files, [file, Buffer.alloc(100_000)]])],
  ])('%s', async (_, files) => {
    const told = withdrawn({ leaf: own.leaf, files });
    const verdict = await online(told, told.depot);
    expect(verdict).toMatchObject(hidden);
    expect(verdict.findings[0]?.text).toContain('by 1 whose revocation the depot does not show');
    // a thief of the log key alone has no name to speak in
    expect(JSON.stringify(verdict.findings)).not.toContain('Ada');
  });

  test.each<[string, Revocation]>([
    ['of another build, under this one’s entry', revocation([ada], REASON, otherBuild)],
    ['that its approver did not sign', revocation([{ ...ada, secret: mallory.secret }])],
  ])('a revocation %s is no reason', async (_, { files }) => {
    const records = Object.fromEntries([...files].map(([name, bytes]) => [name, sha256Hex(bytes)]));
    const { project, version } = approval;
    const entry = { time: timestamp(minutes(60)), build, project, version, records, keys: [] };
    const told = withdrawn({ files, leaf: encodeLogEntry({ type: 'revocation', ...entry }) });
    const verdict = await online(told, told.depot);
    expect(verdict).toMatchObject(hidden);
    expect(JSON.stringify(verdict.findings)).not.toContain('Ada');
  });

  test('one by nobody whom the project file names', async () => {
    const told = withdrawn(revocation([mallory]));
    expect(await online(told, told.depot)).toMatchObject(hidden);
  });
});

describe('what does not withdraw it', () => {
  test('the revocation of another build; files in the depot that the log does not have', async () => {
    const told = withdrawn(revocation([ada], REASON, otherBuild));
    for (const [name, bytes] of revocation([ada]).files) put(told.depot, buildPath(build, name), bytes);
    expect(await online(told, told.depot)).toMatchObject({ outcome: 'valid', revoked: null, findings: [] });
  });

  test('--offline, or where the log cannot be read: it is said that nobody looked', async () => {
    const told = withdrawn(revocation([ada]));
    for (const verdict of [await online(told, told.depot, { offline: true }), await online(told, parent)]) {
      expect(verdict).toMatchObject({ outcome: 'valid', revoked: null });
      expect(verdict.notChecked).toContain('whether it was withdrawn since');
      expect(verdict.warnings).toEqual([]);
    }
  });

  test('where it cannot be read, or is spoilt, a project that wants its log new hears that it is not', async () => {
    const told = withdrawn(revocation([ada]));
    const strict = { ...scene, maxLogAge: 3 * 86_400 };
    const stale = { code: 'log-stale', text: expect.stringContaining('3d old') };
    expect(await online(told, parent, {}, strict)).toMatchObject({ outcome: 'valid', warnings: [stale] });
    put(told.depot, 'log/checkpoint', Buffer.from('spoilt'));
    const spoilt = await online(told, told.depot, {}, strict);
    expect(spoilt.warnings.map(({ code }) => code)).toContain('log-stale');
    // who asks offline has said that nobody shall look
    expect((await online(told, told.depot, { offline: true }, strict)).warnings).toEqual([]);
  });
});

describe('a log that hides it', () => {
  test('set back to before the release was proven: said', async () => {
    const before = tell(parent);
    const told = tell(parent, { proven: [beat(1)], since: [revocation([ada]).leaf] });
    expect(await online(told, before.depot)).toMatchObject({ findings: [{ code: 'log-rollback' }] });
  });

  test('set back to between the two: as old as it is, where the project asks; a later proof shows it', async () => {
    const told = tell(parent, { since: [beat(1)] });
    const old = readFileSync(join(told.depot, 'log', 'checkpoint'));
    told.log.add([revocation([ada]).leaf, beat(7 * 24 * 60)]);
    const strict = { ...scene, maxLogAge: 3 * 86_400 };
    const look = () => online(told, told.depot, { now: minutes(7 * 24 * 60) }, strict);
    expect(await look()).toMatchObject({
      outcome: 'not-valid',
      findings: [{ code: 'revoked' }],
      warnings: [],
    });
    writeFileSync(join(told.depot, 'log', 'checkpoint'), old);
    expect(await look()).toMatchObject({ outcome: 'valid', warnings: [{ code: 'log-stale' }] });
  });

  test('its key signs a history without it, for who has a proof that came later: said', async () => {
    const shown = tell(parent, { proven: [revocation([ada]).leaf] });
    const { depot } = tell(parent, { proven: [beat(60)], since: [beat(61)] });
    expect(await online(shown, depot)).toMatchObject({
      outcome: 'not-valid',
      findings: [{ code: 'log-fork' }],
    });
  });

  test('the entry is damaged on the way: nothing is believed of that log, and it is said', async () => {
    const told = withdrawn(revocation([ada]));
    const bundle = join(told.depot, 'log', 'tile/entries/000.p/6');
    const bytes = readFileSync(bundle).toString('latin1');
    writeFileSync(bundle, bytes.replace('"type":"revocation"', '"type":"conflict"  '), 'latin1');
    const verdict = await online(told, told.depot);
    expect(verdict).toMatchObject({ revoked: null, warnings: [{ code: 'log-damaged' }] });
    expect(verdict.notChecked).toContain('whether it was withdrawn since');
  });
});
