/**
 * POST /log, by anybody: what is malformed, unsigned, signed by another, old, or does not go on from what L has changes not
 * a byte there. And with H's key, stolen: L keeps what it has, H sees it and does nothing more.
 */
import { createHash } from 'node:crypto';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeLogEntry, heartbeat } from '../../src/records/log-entry.ts';
import { timestamp, toProjectName } from '../../src/records/names.ts';
import { cosign, generateWitnessKey, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import { generateNoteKey, parseSignerKey, splitNote } from '../../src/tlog/note.ts';
import { encodeBundle } from '../../src/tlog/tile.ts';
import { packTar } from '../../src/tree/tar.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import { overSocket, rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import { HeldLog, postLog } from './held-log.ts';
import { expectDenied, expectSigned, verdicts } from './outcome.ts';

let world: World;
let log: HeldLog;
const stranger = parseWitnessSigner(generateWitnessKey('example.org/stranger').signer);

beforeAll(async () => {
  world = await World.make();
  await world.release('1.0', { app: 'one' });
  await world.release('1.1', { app: 'two' });
  log = await HeldLog.of(world);
});
afterAll(() => world.close());

/** Every file of L's log, with its digest. */
async function logFiles(): Promise<string[]> {
  const files = await readdir(world.tree('log'), { recursive: true, withFileTypes: true });
  const shown = files
    .filter((file) => file.isFile())
    .map(async ({ parentPath, name }) => {
      const bytes = await readFile(join(parentPath, name));
      return `${parentPath}/${name} ${createHash('sha256').update(bytes).digest('hex')}`;
    });
  return (await Promise.all(shown)).sort();
}

/** L says no, and everything is as it was. */
async function expectPushDenied(
  answer: () => Promise<HttpAnswer>,
  verdict: `${number} ${string}`,
): Promise<void> {
  const [before, files] = [await snapshot(world), await logFiles()];
  await expectDenied(world, before, await answer(), verdict);
  expect(await logFiles()).toEqual(files);
}

const beats = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, at) =>
    encodeLogEntry(heartbeat(toProjectName('widget', 'attack'), timestamp(new Date(Date.now() - at * 1000)))),
  );
const other = parseSignerKey(generateNoteKey('countersign/other/00000000').signer);

describe('what is no push at all', () => {
  const named = (name: string) => packTar([log.push(0)[0] ?? never(), { name, bytes: encodeBundle([]) }]);
  test.each<[string, () => Buffer]>([
    ['nothing', () => Buffer.alloc(0)],
    ['an empty tar', () => packTar([])],
    ['a checkpoint alone', () => packTar(log.push(0).slice(0, 1))],
    ['entries alone', () => packTar(log.push(0).slice(1))],
    ['two checkpoints', () => packTar([...log.push(8).slice(0, 1), ...log.push(8).slice(0, 1)])],
    ['two bundles', () => packTar([...log.push(8).slice(1), ...log.push(8).slice(1)])],
    ['a number with a zero before it', () => named('entries/08')],
    ['a negative number', () => named('entries/-1')],
    ['no number', () => named('entries/')],
    ['a number that is none', () => named('entries/1e1')],
    ['a huge number', () => named('entries/9007199254740993')],
    ['a path that leads out', () => named('entries/../../../8')],
  ])('%s', async (_, body) => {
    const answer = await postLog(world.url, body());
    await expectPushDenied(
      async () => answer,
      `422 ${answer.body.toString().includes('tar-malformed') ? 'tar-malformed' : 'log-malformed'}`,
    );
  });

  test('a tar that is none, one that is cut off, a compressed one, one with a link', async () => {
    const whole = packTar(log.push(8));
    const link = Buffer.from(whole);
    link.write('2', 156);
    for (const body of [Buffer.from('no tar'), whole.subarray(0, 700), Buffer.from('1f8b0800', 'hex'), link])
      await expectPushDenied(() => postLog(world.url, body), '422 tar-malformed');
  });

  test('one of unknown length, and what is too much', async () => {
    const chunked =
      'POST /log HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n';
    expect(await overSocket(world.url, `${chunked}1\r\nx\r\n0\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 411 .*"code":"length-required"/s,
    );
    const three = [...log.push(8), { name: 'tile/0/000', bytes: Buffer.alloc(32) }];
    await expectPushDenied(() => postLog(world.url, three), '413 tar-too-large');
    const said = { 'Content-Length': String(2 ** 30) };
    await expectPushDenied(
      () => rawRequest(world.url, { method: 'POST', path: '/log', headers: said }),
      '413 too-large',
    );
  });
});

function never(): never {
  throw new RangeError('no such file');
}

describe('a push that no log key has signed', () => {
  test.each<[string, () => string]>([
    [
      'by another key of that name',
      () => log.note(8, { key: parseSignerKey(generateNoteKey(log.key.name).signer) }),
    ],
    ['by a key of another log', () => log.note(8, { key: other })],
    ['of another log, by this key', () => log.note(8, { origin: 'countersign/other/00000000' })],
    ['with extension lines', () => log.note(8, { extensions: ['anything'] })],
    ['without a signature', () => `${splitNote(log.note()).text}\n`],
    ['with one byte changed', () => log.note().replace(/.(?=\n$)/, (last) => (last === 'A' ? 'B' : 'A'))],
    ['no checkpoint', () => 'garbage'],
    ['of a size that is no number', () => log.note().replace(/\n8\n/, '\n08\n')],
  ])('%s', async (_, note) => {
    const answer = await postLog(world.url, log.push(8, note()));
    const { code } = JSON.parse(answer.body.toString()) as { readonly code: string };
    expect(code).toMatch(/^(checkpoint|note)-invalid$/);
    await expectPushDenied(async () => answer, `403 ${code}`);
  });
});

describe('a push of old, whoever replays it', () => {
  test('is not taken back to: the log never gets shorter', async () => {
    for (const size of [0, 1, 4, 7])
      for (const from of [0, size])
        await expectPushDenied(
          () => postLog(world.url, log.push(from, log.note(size), size)),
          '409 log-conflict',
        );
  });

  test('the newest one again changes nothing, with whatever entries and cosignatures of strangers', async () => {
    const files = await logFiles();
    const note = log.note();
    const odd = note + cosign(splitNote(note).text, stranger, 1_800_000_000);
    for (const push of [
      log.push(8),
      log.push(0),
      log.push(3),
      log.push(8, odd),
      log.with(beats(3), 4).push(4, note),
    ])
      expect((await postLog(world.url, push)).status).toBe(200);
    expect(await logFiles()).toEqual(files);
  });
});

describe('with the log key, stolen', () => {
  const forked = (): HeldLog => log.with(beats(4), 6);
  test.each<[string, () => [push: ReturnType<HeldLog['push']>, verdict: `${number} ${string}`]]>([
    ['another log of the same size', () => [log.with(beats(2), 6).push(6), '409 log-conflict']],
    ['a longer one that forks', () => [forked().push(8), '409 log-conflict']],
    ['the same, from where it forks', () => [forked().push(6), '409 log-conflict']],
    ['the same, from its start', () => [forked().push(0), '409 log-conflict']],
    ['a gap', () => [log.with(beats(3)).push(9), '409 log-conflict']],
    ['entries from behind the end', () => [log.with(beats(3)).push(12, undefined, 12), '422 log-malformed']],
    ['too few entries', () => [log.with(beats(3)).push(8, undefined, 10), '422 log-malformed']],
    ['too many', () => [log.with(beats(3)).push(8, log.with(beats(3)).note(10)), '422 log-malformed']],
    ['no entries', () => [log.push(8, log.note(9, { root: Buffer.alloc(32) })), '422 log-malformed']],
    [
      'a root that nothing has',
      () => [log.with(beats(1)).push(8, log.note(9, { root: Buffer.alloc(32) })), '409 log-conflict'],
    ],
    ['a size beyond all', () => [log.push(8, log.note(Number.MAX_SAFE_INTEGER)), '422 log-malformed']],
    [
      'a bundle that is cut off',
      () => {
        const [checkpoint, bundle] = log.with(beats(1)).push(8);
        const cut = { name: 'entries/8', bytes: bundle?.bytes.subarray(0, -1) ?? Buffer.alloc(0) };
        return [[checkpoint ?? never(), cut], '422 bundle-malformed'];
      },
    ],
  ])('%s is not taken', async (_, made) => {
    const [push, verdict] = made();
    await expectPushDenied(() => postLog(world.url, push), verdict);
  });

  test('it can make the log longer, once; then H does nothing until a person has looked', async () => {
    const { build, ticket } = await world.approve('1.2');
    mustBe(0, await world.attest(ticket, { app: 'three' }));
    // of two at once, one is taken
    const pushes = beats(6).map((beat) => log.with([beat]).push(8));
    const answers = await Promise.all(pushes.map((push) => postLog(world.url, push)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409]);

    const before = await snapshot(world);
    const ran = await world.sign();
    expect(`${ran.code} ${ran.error?.code}`).toBe('1 log-behind');
    expectRefusal(ran);
    await expectUntouched(world, before, { answers: [ran] });
    // it is a log of H’s key: a person who knows nothing of a thief goes on with it
    const recovered = await world.sign(['--recover']);
    mustBe(0, recovered);
    expect(recovered.json[0]).toEqual({ recovered: 1, closed: 0 });
    expect((await HeldLog.of(world)).size).toBe(13);
    mustBe(0, await world.verify([world.tree('releases/widget/1.2')]));
    expect(verdicts(await world.sign([build]))).toEqual(['published undefined']);
    log = await HeldLog.of(world);
  });

  test('a log of H that L can’t have: a fork, which is said and not repaired', async () => {
    // before H comes to it, somebody has put another entry where H’s next one will be
    const hostile = await HostileDepot.start(world.url);
    const { build, ticket } = await world.approve('1.3');
    mustBe(0, await world.attest(ticket, { app: 'four' }));
    const published = (await snapshot(world)).published;
    const entries = log.with(beats(8)).push(log.size);
    hostile.lie('/log', async (honest) => {
      expect((await postLog(world.url, entries)).status).toBe(201);
      hostile.repent();
      return honest();
    });
    const ran = await world.sign([build, '--depot', hostile.url]);
    expect(ran.code).toBe(1);
    expect(ran.error?.code).toMatch(/^log-(fork|behind)$/);
    expectRefusal(ran);
    // the release key was used, and nothing of that has left
    expect((await snapshot(world)).published).toEqual(published);
    expect(await readdir(world.tree('builds', build))).not.toContain('release.proof');
    const again = await world.sign();
    expect(`${again.code} ${again.error?.code}`).toMatch(/^1 log-(fork|behind)$/);
    await hostile.close();

    // as the manual says
    for (const name of ['journal', 'checkpoint']) await rm(world.path('H', 'signer', name));
    mustBe(0, await world.sign(['--recover']));
    mustBe(0, await world.verify([world.tree('releases/widget/1.3')]));
    await expectSigned(world, build, '1.3', { app: 'four' });
  });
});

describe('paths of the log', () => {
  test.each([
    '/log/../../H/signer/log-key',
    '/log/%2e%2e/builds/',
    '/log//checkpoint',
    '/log/checkpoint/',
    '/log/tile/00/000.p/8',
    '/log/tile/0/000.p/08',
    '/log/tile/0/x000/000.p/8',
    '/log/tile/0/000.p/256',
    '/log/tile/0/000.p/0',
    '/log/tile/0/000.p',
    '/log/tile/0/0',
    '/log/tile/64/000',
    '/log/tile/0/000/001',
    '/log/tile/entries/000.p/8/..',
    '/log/.tmp',
    '/log/tile',
  ])('%s is none', async (path) => {
    const answer = await rawRequest(world.url, { path });
    expect([400, 404]).toContain(answer.status);
    for (const method of ['PUT', 'DELETE', 'POST', 'PATCH']) {
      const written = await rawRequest(world.url, { method, path, body: 'x' });
      expect(written.status).toBeGreaterThanOrEqual(400);
      expect(written.status).toBeLessThan(500);
    }
  });

  test('what is there is read, and written by no other request', async () => {
    const files = await logFiles();
    for (const path of [
      '/log/checkpoint',
      `/log/tile/0/000.p/${log.size}`,
      `/log/tile/entries/000.p/${log.size}`,
    ]) {
      for (const method of ['PUT', 'DELETE', 'POST', 'PATCH']) {
        const { status } = await rawRequest(world.url, { method, path, body: log.note() });
        expect(status).toBeOneOf([400, 401, 403, 404, 405]);
      }
    }
    expect((await rawRequest(world.url, { path: '/log/checkpoint' })).status).toBe(200);
    expect(await logFiles()).toEqual(files);
  });
});
