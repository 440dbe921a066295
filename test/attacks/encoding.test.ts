/**
 * Encoding: records whose bytes two parsers could read as two things, validly signed by those who sign such records. The
 * gate turns them away, and H does where L has no gate; tickets too, and nobody prints them.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { RECORD_MAX } from '../../src/records/canonical.ts';
import { encodeEnvelope, PAYLOAD_TYPE, paeBytes } from '../../src/records/dsse.ts';
import type { Version } from '../../src/records/names.ts';
import { approvalFile, statementEnvelopeFile, statementFile } from '../../src/records/paths.ts';
import { parseStatement } from '../../src/records/statement.ts';
import { encodingsOf, junkBase64 } from '../harness/encodings.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import {
  approvalFiles,
  b1,
  blobs,
  forgeApproval,
  plant,
  post,
  putBlob,
  sign,
  statementOf,
  steal,
} from './forge.ts';
import type { Held } from './forge.ts';
import { expectSigned } from './outcome.ts';
import { expectRound, shelf } from './round.ts';

let world: World;
let terms: Approval;
/** A build that is not sealed yet, and what a thief of its ticket has. */
let held: Held;
const contents = { app: 'app' };

beforeAll(async () => {
  world = await World.make();
  const released = await world.release('1.0', { app: 'the release that must stay as it is' });
  terms = parseApproval(await readFile(world.tree('builds', released, approvalFile)));
  held = await steal(world, await world.approve('2.0'));
  expect((await putBlob(world, held, contents.app)).status).toBe(201);
});
afterAll(() => world.close());

let versions = 0;
const nextVersion = (): Version => `3.${++versions}` as Version;

/** Turned away by the gate for its encoding, nothing kept of it. */
async function expectDenied(send: () => Promise<HttpAnswer>): Promise<void> {
  const [before, kept] = [await snapshot(world), await shelf(world)];
  const answer = await send();
  const { code } = JSON.parse(answer.body.toString()) as { readonly code: string };
  expect(['record-malformed', 'record-too-large', 'statement-malformed', 'envelope-mismatch']).toContain(
    code,
  );
  await expectUntouched(world, before, { answers: [answer] });
  expect(await shelf(world)).toEqual(kept);
}

/** All encodings of a record, and base64 with junk in it in one of its fields. */
function bent(record: Buffer, base64Field?: string): Map<string, Buffer> {
  const all = encodingsOf(record);
  if (base64Field === undefined) return all;
  const place = new RegExp(`(?<="${base64Field}":")[^"]*`);
  const text = record.toString();
  for (const [what, junk] of junkBase64(place.exec(text)?.[0] ?? ''))
    all.set(`${what} in base64`, Buffer.from(text.replace(place, junk)));
  return all;
}

describe('an approval, validly signed by an approver', () => {
  /** One of a build of its own each: by what is wrong with it, its build and its files. */
  const bentApprovals = (): Map<string, { build: string; files: Map<string, Buffer> }> => {
    const names = bent(forgeApproval(world, terms).bytes, 'certificate').keys();
    return new Map(
      [...names].map((what) => {
        const { build, bytes } = forgeApproval(world, terms, { version: nextVersion() });
        const record = bent(bytes, 'certificate').get(what) ?? Buffer.alloc(0);
        return [what, { build, files: approvalFiles(world, record) }];
      }),
    );
  };

  test('is turned away by the gate', async () => {
    for (const { build, files } of bentApprovals().values())
      await expectDenied(() => post(world, build, files));
  });

  test('is nobody’s word to H: no entry of the log comes of it', async () => {
    const builds = new Map<string, string>();
    const large = new Set<string>();
    for (const [what, { build, files }] of bentApprovals()) {
      await plant(world, build, files);
      builds.set(what, build);
      if ((files.get(approvalFile)?.length ?? 0) > RECORD_MAX) large.add(what);
    }
    expect([...large]).toEqual(['200,000 levels']);
    const before = await snapshot(world);
    await expectRound(world, before, builds, (what) =>
      large.has(what) ? 'unknown too-large' : 'approved approval-invalid',
    );
    expect((await snapshot(world)).journal).toEqual(before.journal);
    // and to the operator, whatever the depot shows
    const status = await world.runOn('operator', ['status', [...builds.values()][5] ?? '', '--json']);
    expect(status.json[0]).toMatchObject({ state: 'unreadable' });
  }, 240_000);
});

describe('a statement, validly signed with the key of the ticket', () => {
  test('is turned away by the gate', async () => {
    for (const record of bent(
      sign(held, statementOf(held, contents)).get(statementFile(b1)) ?? held.bytes,
    ).values())
      await expectDenied(() => post(world, held.build, sign(held, record), held.token));
  });

  test('ends its build, and H writes down why', async () => {
    const builds = new Map<string, string>();
    const names = bent(sign(held, statementOf(held, contents)).get(statementFile(b1)) ?? held.bytes).keys();
    for (const what of names) {
      const forgery = forgeApproval(world, terms, { version: nextVersion() });
      const good = sign(forgery, statementOf(forgery, contents)).get(statementFile(b1)) ?? Buffer.alloc(0);
      const record = bent(good).get(what) ?? Buffer.alloc(0);
      await plant(
        world,
        forgery.build,
        new Map([...forgery.files, ...sign(forgery, record), ...blobs(contents)]),
      );
      builds.set(what, forgery.build);
    }
    await expectRound(world, await snapshot(world), builds, () => 'refused statement-malformed');
  }, 240_000);
});

describe('a DSSE envelope beside a good statement', () => {
  const envelope = statementEnvelopeFile(b1);
  const files = (): Map<string, Buffer> => sign(held, statementOf(held, contents));

  test('is turned away by the gate, and the statement with it', async () => {
    const good = files();
    const record = good.get(envelope) ?? Buffer.alloc(0);
    const all = new Map([...bent(record, 'payload'), ...bent(record, 'sig')]);
    for (const bytes of all.values())
      await expectDenied(() => post(world, held.build, new Map(good).set(envelope, bytes), held.token));
    const other = sign(held, statementOf(held, { app: 'another' })).get(envelope) ?? Buffer.alloc(0);
    // it holds another payload than it signs
    const signs = held.secret.signRaw(paeBytes(PAYLOAD_TYPE, good.get(statementFile(b1)) ?? other));
    const two = encodeEnvelope(held.bytes, held.secret.fingerprint, signs);
    await expectDenied(() => post(world, held.build, new Map(good).set(envelope, two), held.token));
    await expectDenied(() => post(world, held.build, new Map(good).set(envelope, other), held.token));
  });

  test('that spoils on L changes nothing for H, and is not published', async () => {
    const { ticket, build } = await world.approve(nextVersion());
    mustBe(0, await world.attest(ticket, contents));
    await plant(world, build, new Map([[envelope, Buffer.from('{"payload":0,"payload":1}')]]));
    await expectSigned(world, build, `3.${versions}`, contents);
    await expect(readFile(world.tree('releases/widget', `3.${versions}`, 'countersign', envelope))).rejects.toThrow('ENOENT'); // prettier-ignore
  });
});

describe('a ticket', () => {
  const PREFIX = 'countersign-ticket-v1.';
  const open = (line: string): string => Buffer.from(line.slice(PREFIX.length), 'base64url').toString();
  const close = (json: string | Buffer): string => PREFIX + Buffer.from(json).toString('base64url');
  const inside = (what: string) => (line: string) =>
    close([...bent(Buffer.from(open(line)), 'secretKey')].find(([name]) => name === what)?.[1] ?? '');

  const tickets: Readonly<Record<string, (line: string) => string | Buffer>> = {
    ...Object.fromEntries(
      [
        'duplicate key, other value first',
        'escaped duplicate',
        '__proto__ that holds a field',
        '2^53+1',
        '1e400',
        '30,000 levels in a field',
        'invalid UTF-8',
        'byte order mark',
        'two documents',
        '2026-02-30',
        'an exclamation mark in base64',
        'bits that say nothing in base64',
      ].map((what) => [what, inside(what)]),
    ),
    'cut in the middle': (line) => line.slice(0, line.length / 2),
    'one character more': (line) => `${line}A`,
    'another character': (line) => `${line.slice(0, 200)}!${line.slice(201)}`,
    padding: (line) => `${line}=`,
    'a line break inside': (line) => `${line.slice(0, 200)}\n${line.slice(200)}`,
    'two in one file': (line) => `${line}\n${line}`,
    'another version': (line) => line.replace('-v1.', '-v2.'),
    'without its name': (line) => line.slice(PREFIX.length),
    'in JSON': open,
    'in UTF-16': (line) => Buffer.from(line, 'utf16le'),
    'a NUL in front': (line) => `\0${line}`,
    'an unknown field': (line) => close(open(line).replace(/}$/, ',"zzz":null}')),
  };

  test.each(Object.entries(tickets))('%s', async (_, spoil) => {
    const { ticket } = await world.approve(nextVersion());
    const line = (await readFile(ticket, 'utf8')).trim();
    const spoilt = Buffer.from(spoil(line));
    expect(spoilt.toString()).not.toBe(line);
    await writeFile(ticket, spoilt);
    const before = await snapshot(world);
    const ran = await world.attest(ticket, contents, ['-v']);
    expect(ran.error).toMatchObject({ code: 'ticket-malformed' });
    await expectUntouched(world, before, { answers: [ran] });

    const printed = ran.stdout + ran.stderr;
    const { secretKey, uploadToken } = JSON.parse(open(line)) as Record<string, string>;
    for (const secret of [line.slice(PREFIX.length), secretKey ?? '', uploadToken ?? ''])
      for (let at = 0; at + 12 <= secret.length; at++)
        expect(printed).not.toContain(secret.slice(at, at + 12));
    // it is as it was: whoever spoilt it may mend it
    expect(await readFile(ticket)).toEqual(spoilt);
  });

  test('with blank space around it is one', async () => {
    const { ticket, build } = await world.approve(nextVersion());
    await writeFile(ticket, `\r\n  ${await readFile(ticket, 'utf8')}\r\n\n`);
    mustBe(0, await world.attest(ticket, contents));
    await expectSigned(world, build, `3.${versions}`, contents);
  });
});

test('free text of every kind is signed, and read back as it was', async () => {
  const command = `true # '"\\' </script> grüße 日本 😀 \u2028\u2029\u202e \u00ad\t\u001b[2J \ue000 \ufeff {"a":1}`;
  const source = `git+https://example.org/a'b(c)!*;:@&=+$,?#[]%20/${'x'.repeat(100)}@${'0a'.repeat(20)}`;
  const { ticket, build } = await world.approve(nextVersion(), ['--source', source.replace('?#', '')]);
  mustBe(0, await world.attest(ticket, contents, ['--run', command]));
  await expectSigned(world, build, `3.${versions}`, contents);
  const statement = parseStatement(await readFile(world.tree('builds', build, statementFile(b1))));
  expect(statement.command).toBe(command);
});
