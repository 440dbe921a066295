/**
 * Limits: more, larger and deeper than anybody may send. It is refused before it costs, on L, on H and for whoever
 * verifies; what is exactly at a limit is taken, and costs no more than it must.
 */
import { copyFile, cp, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeArmor } from '../../src/openpgp/armor.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { LARGE_RECORD_MAX } from '../../src/records/canonical.ts';
import { toVersion } from '../../src/records/names.ts';
import { approvalFile, blobFile, statementFile, statementSignatureFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { compressed } from '../harness/craft.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import { rawRequest } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import { b1, forgeApproval, plant, post, putBlob, sign, statementOf } from './forge.ts';
import type { BuildFiles, Held } from './forge.ts';
import { expectSigned, expectUnsigned } from './outcome.ts';
import { expectRound, shelf } from './round.ts';
import type { Verdict } from './round.ts';

const TERABYTE = 2 ** 40;
const large = Buffer.alloc(300_000, 'large');

let world: World;
let like: Approval;
let before: Snapshot;

beforeAll(async () => {
  world = await World.make();
  const build = await world.release('1.0', { app: 'app', large });
  like = parseApproval(await readFile(world.tree('builds', build, approvalFile)));
});
beforeEach(async () => {
  before = await snapshot(world);
});
afterAll(() => world.close());

/** A build like the first one, with these changes to what it may have. */
async function approve(version: string, artifacts: Partial<Approval['artifacts']> = {}): Promise<Held> {
  const changes = { version: toVersion(version, 'version'), artifacts: { ...like.artifacts, ...artifacts } };
  const held = forgeApproval(world, like, changes);
  expect((await post(world, held.build, held.files)).status).toBe(201);
  return held;
}

/** So many subjects, all of the same bytes, without the time that it takes to encode them. */
function statementWith(held: Held, count: number, size = '1', directory = ''): Buffer {
  const [head = '', tail = ''] = encodeStatement(statementOf(held, {})).toString().split('"subject":[]');
  const subject = (at: number): string =>
    `{"annotations":{"size":${size}},"digest":{"sha256":"${sha256Hex('a')}"},"name":"${directory}${String(at).padStart(7, '0')}"}`;
  return Buffer.from(
    `${head}"subject":[${Array.from({ length: count }, (_, at) => subject(at)).join(',')}]${tail}`,
  );
}

/** The statement and its signature alone. */
const signed = (held: Held, bytes: Buffer): Map<string, Buffer> =>
  new Map([...sign(held, bytes)].filter(([name]) => !name.endsWith('.dsse.json')));

const gigabytes = (count: number): number => count * 2 ** 30;
const sized = (held: Held, ...sizes: number[]): Buffer => {
  const statement = statementOf(held, Object.fromEntries(sizes.map((_, at) => [`a${at}`, 'a'])));
  return encodeStatement({
    ...statement,
    subjects: statement.subjects.map((subject, at) => ({ ...subject, size: sizes[at] ?? 0 })),
  });
};

/** What whoever has the ticket signs; how H ends with it when L kept it all the same. */
const statements: [what: string, make: (held: Held) => Buffer, verdict: Verdict][] = [
  ['a million subjects', (held) => statementWith(held, 1_000_000), 'approved too-large'],
  ['two hundred thousand, which 64 MiB hold', (held) => statementWith(held, 200_000), 'refused statement-malformed'],
  ['one subject more than are allowed', (held) => statementWith(held, 100_001), 'refused statement-malformed'],
  ['a byte more than 64 MiB', () => Buffer.alloc(LARGE_RECORD_MAX + 1, '['), 'approved too-large'],
  ['64 MiB of objects', () => Buffer.from(`[${'{"a":{}},'.repeat(7_000_000)}0]`), 'refused statement-malformed'],
  ['a size of 2^53', (held) => statementWith(held, 1, '9007199254740992'), 'refused statement-malformed'],
  ['a byte more than one artifact may have', (held) => sized(held, gigabytes(64) + 1), 'refused too-large'],
  ['a byte more than all of them may have', (held) => sized(held, ...Array<number>(4).fill(gigabytes(64)), 1), 'refused total-too-large'],
  ['sizes whose sum no number holds', (held) => sized(held, ...Array<number>(5).fill(Number.MAX_SAFE_INTEGER)), 'refused too-large'],
]; // prettier-ignore

test('statements that are too much are not taken by L; where they lie there all the same, H refuses them', async () => {
  const builds = new Map<string, string>();
  const bad = new Map(statements.map(([what, , verdict]) => [what, verdict]));
  for (const [at, [what, make]] of statements.entries()) {
    const held = await approve(`2.${at}`);
    const files = signed(held, make(held));
    const answer = await post(world, held.build, files, held.token);
    expect([413, 422], `${what}: ${answer.status} ${answer.body.toString()}`).toContain(answer.status);
    await expectUntouched(world, before, { answers: [answer] });
    await plant(world, held.build, files);
    builds.set(what, held.build);
  }
  const odd = async (
    what: string,
    verdict: Verdict,
    change: (files: Map<string, Buffer>, held: Held) => BuildFiles,
  ): Promise<Held> => {
    const held = await approve(`3.${builds.size}`);
    await plant(world, held.build, change(signed(held, sized(held, 1)), held));
    builds.set(what, held.build);
    bad.set(what, verdict);
    return held;
  };
  const signature = statementSignatureFile(b1);
  const good = (files: Map<string, Buffer>): Buffer => files.get(signature) ?? Buffer.alloc(0);
  await odd('20,000 signatures in one file', 'approved too-large', (files) =>
    files.set(signature, Buffer.concat(Array<Buffer>(20_000).fill(good(files)))),
  );
  await odd('a compressed bomb as a signature', 'approved statement-invalid', (files) =>
    files.set(signature, compressed(Buffer.concat([good(files), Buffer.alloc(10_000_000)]), 3)),
  );
  const sparse = await odd('a gigabyte that nobody wrote', 'approved too-large', (files) => files);
  await truncate(world.tree('builds', sparse.build, statementFile(b1)), gigabytes(1));
  const terabyte = await odd(
    'a blob of a terabyte for one byte',
    'built artifact-wrong',
    (files) => new Map([...files, [blobFile(sha256Hex('a')), Buffer.from('a')]]),
  );
  await truncate(world.tree('builds', terabyte.build, blobFile(sha256Hex('a'))), TERABYTE);
  const names = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`not/approved/${at}`, 'a']));
  const many = await approve('4.0', { patterns: ['*.deb'] });
  await plant(world, many.build, signed(many, encodeStatement(statementOf(many, names))));
  builds.set('five thousand names that are not allowed', many.build);
  bad.set('five thousand names that are not allowed', 'refused name-not-allowed');

  await expectRound(world, before, builds, (what) => bad.get(what) ?? 'none none');
  // what is too large today is so tomorrow; the rest of this file has no use for them
  for (const build of builds.values()) await rm(world.tree('builds', build), { recursive: true });
}, 180_000);

describe('a terabyte that nobody wrote', () => {
  test('on M: attest says so at once, and signs nothing', async () => {
    const { ticket } = await world.approve('5.0');
    const base = await world.place({ app: 'app', huge: '' });
    await truncate(`${base}/huge`, TERABYTE);
    const ran = await world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json']);
    expect([ran.code, ran.error?.code]).toEqual([1, 'artifacts-refused']);
    await expectUntouched(world, before, { answers: [ran] });
  });

  test('in a copy of a release: verify says that it is not what was signed', async () => {
    const copy = world.path('cwd', 'copy');
    await cp(world.tree('releases', 'widget', '1.0'), copy, { recursive: true });
    try {
      for (const file of ['large', 'app']) await truncate(`${copy}/${file}`, TERABYTE);
      const ran = await world.verify([copy]);
      expect([ran.code, JSON.stringify(ran.json)]).toEqual([
        1,
        expect.stringContaining(`it has ${TERABYTE} bytes, the one signed has`),
      ]);
      expect(ran.peakKiB).toBeLessThan(512 * 1024);
    } finally {
      await rm(copy, { recursive: true });
    }
    await expectUntouched(world, before, { answers: [] });
  });

  test('on L, in place of what was signed: nothing is published, until it is mended', async () => {
    const { ticket, build } = await world.approve('6.0');
    mustBe(0, await world.attest(ticket, { large }));
    const hostile = await HostileDepot.start(world.url);
    try {
      hostile.lie(/\/publish$/, () => ({ status: 500, headers: {}, body: Buffer.from('') }));
      expect((await world.sign([build, '--depot', hostile.url])).code).toBe(3);
    } finally {
      await hostile.close();
    }
    const blob = world.tree('builds', build, blobFile(sha256Hex(large)));
    await copyFile(blob, `${blob}.good`);
    await truncate(blob, TERABYTE);
    const now = await snapshot(world);
    const answer = await rawRequest(world.url, { method: 'POST', path: `/builds/${build}/publish` });
    expect([answer.status, answer.body.toString()]).toEqual([500, expect.stringContaining('blob-damaged')]);
    await expectUntouched(world, now, { answers: [] });
    await rename(`${blob}.good`, blob);
    await expectSigned(world, build, '6.0', { large });
  });
});

test('a copy of a release whose signature is 20,000, or a bomb, is not valid', async () => {
  const copy = world.path('cwd', 'copy');
  await mkdir(copy);
  try {
    await cp(world.tree('releases', 'widget', '1.0'), copy, { recursive: true });
    const good = await readFile(`${copy}/app.asc`);
    const bad = [
      Buffer.concat(Array<Buffer>(20_000).fill(good)),
      compressed(Buffer.concat([good, Buffer.alloc(10_000_000)]), 3),
    ];
    for (const signature of bad) {
      await writeFile(`${copy}/app.asc`, signature);
      const whole = await world.verify([copy]);
      const key = ['--key', world.path('operator', 'keys', 'release.pgp'), '--signature-only'];
      await cp(`${copy}/app`, world.path('cwd', 'app'));
      await cp(`${copy}/app.asc`, world.path('cwd', 'app.asc'));
      const alone = await world.verify([world.path('cwd', 'app')], key);
      for (const ran of [whole, alone]) {
        expect(ran.code, ran.stdout + ran.stderr).toBe(1);
        expect(ran.peakKiB).toBeLessThan(512 * 1024);
      }
    }
  } finally {
    for (const name of ['copy', 'app', 'app.asc'])
      await rm(world.path('cwd', name), { recursive: true, force: true });
  }
  await expectUntouched(world, before, { answers: [] });
});

describe('exactly at the limit', () => {
  test('a signature of 4 KiB is one, and a byte more is too much', async () => {
    const held = await approve('7.0');
    expect((await putBlob(world, held, 'a')).status).toBe(201);
    const files = sign(held, encodeStatement(statementOf(held, { app: 'a' })));
    const name = statementSignatureFile(b1);
    const armor = encodeArmor('PGP SIGNATURE', files.get(name) ?? Buffer.alloc(0));
    const padded = (size: number): Buffer =>
      Buffer.from(
        armor.replace('\n', `\nComment: ${'x'.repeat(size - armor.length - '\nComment: '.length)}\n`),
      );
    const kept = await shelf(world);
    const over = await post(world, held.build, files.set(name, padded(4097)), held.token);
    expect(over.status).toBe(413);
    await expectUntouched(world, before, { answers: [over] });
    expect(await shelf(world)).toEqual(kept);
    expect((await post(world, held.build, files.set(name, padded(4096)), held.token)).status).toBe(201);
    await expectSigned(world, held.build, '7.0', { app: 'a' });
  });

  test('names of 255 bytes, of eight parts and with parts of 251, hundreds of them', async () => {
    const long = [
      'a'.repeat(251),
      `${'b'.repeat(251)}/ccc`,
      'd/e/f/g/h/i/j/k',
      `${'l'.repeat(3)}/${'m'.repeat(251)}`,
    ];
    const names = [
      ...long,
      ...Array.from({ length: 200 }, (_, at) => `nnnn/${String(at).padStart(250, 'n')}`),
    ];
    const contents = Object.fromEntries(names.map((name) => [name, `of ${name.length % 3}`]));
    const held = await approve('8.0', { maxCount: names.length, maxBytes: 10 });
    for (const content of new Set(Object.values(contents)))
      expect((await putBlob(world, held, content)).status).toBe(201);
    expect((await post(world, held.build, sign(held, statementOf(held, contents)), held.token)).status).toBe(
      201,
    );
    await expectSigned(world, held.build, '8.0', contents);
  });

  test('a hundred thousand names against the longest patterns: seconds, not hours, on L and on H', async () => {
    await world.stopServer('SIGKILL');
    await world.startServer();
    const patterns = ['*a'.repeat(127), `${'**a?'.repeat(63)}b`, `*?${'a'.repeat(252)}b`, 'a**/*'];
    const held = await approve('9.0', { patterns });
    expect((await putBlob(world, held, 'a')).status).toBe(201);
    const bytes = statementWith(held, 100_000, '1', `${'a'.repeat(92)}/`);
    expect(bytes.length).toBeGreaterThan(20_000_000);
    expect((await post(world, held.build, sign(held, bytes), held.token)).status).toBe(201);
    // H judges it, too, and goes no further
    await plant(world, held.build, new Map([[blobFile(sha256Hex('a')), null]]));
    await expectUnsigned(world, before, held.build, 'built artifact-missing');
  }, 180_000);
});
