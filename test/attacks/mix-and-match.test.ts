/**
 * Mix and match: every part is genuine, the whole never was. Here parts of two builds, on their way to H; for parts of
 * two releases, on their way to a consumer, see mix-and-match-releases.test.ts.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { blobFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved, Files } from '../harness/world.ts';
import { blobs, plant, post, putBlob, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { entries, expectDenied, expectSigned, expectUnsigned } from './outcome.ts';

const [one, two] = ['the first, 28 bytes, as built', 'another of the very same size'];
const files = { 'one.bin': one, 'two.bin': two };
const blobOf = (content: string): string => blobFile(sha256Hex(Buffer.from(content)));

let world: World;
let hostile: HostileDepot;
beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

async function stolen(version: string, ...args: string[]): Promise<Approved & Held> {
  const ran = await world.approve(version, args);
  mustBe(0, ran);
  return { ...ran, ...(await steal(world, ran)) };
}

async function attested(version: string, contents: Files, ...args: string[]): Promise<Approved & Held> {
  const held = await stolen(version, ...args);
  mustBe(0, await world.attest(held.ticket, contents));
  return held;
}

describe('artifacts of a sealed build', () => {
  const wrong: [string, Map<string, Buffer | null>][] = [
    ['with their contents swapped', new Map([[blobOf(one), Buffer.from(two)], [blobOf(two), Buffer.from(one)]])], // prettier-ignore
    ['one with the content of the other', new Map([[blobOf(one), Buffer.from(two)]])],
    ['one with a byte more', new Map([[blobOf(one), Buffer.from(`${one}!`)]])],
    ['one with a byte less', new Map([[blobOf(one), Buffer.from(one.slice(1))]])],
    ['one empty', new Map([[blobOf(one), Buffer.alloc(0)]])],
  ];
  const missing: [string, Map<string, Buffer | null>][] = [
    ['one missing', new Map([[blobOf(two), null]])],
    ['all missing', new Map([[blobOf(one), null], [blobOf(two), null]])], // prettier-ignore
  ];

  test.each([
    ...wrong.map((each) => [...each, 'artifact-wrong'] as const),
    ...missing.map((each) => [...each, 'artifact-missing'] as const),
  ])('%s, on L’s disk: none is signed; all are when L has them again', async (what, change, code) => {
    const version = `1.${what.replaceAll(' ', '-').replaceAll(',', '')}`;
    const { build } = await attested(version, files);
    const before = await snapshot(world);
    const there = await plant(world, build, change);
    await expectUnsigned(world, before, build, `built ${code}`);
    await plant(world, build, there);
    await expectSigned(world, build, version, files);
  });

  test('right on the disk and wrong on the wire, every time', async () => {
    const { build } = await attested('2.0', files);
    const before = await snapshot(world);
    hostile.withhold(/\/fetch$/);
    hostile.swap(`/builds/${build}/${blobOf(one)}`, `/builds/${build}/${blobOf(two)}`);
    await expectUnsigned(world, before, build, 'built artifact-wrong', ['--depot', hostile.url]);
  });

  test('wrong once and right the second time are signed: a bad line is no attack', async () => {
    const { build } = await attested('2.1', files);
    hostile.withhold(/\/fetch$/);
    let asked = 0;
    const path = `/builds/${build}/${blobOf(one)}`;
    hostile.lie(path, (honest) => honest(asked++ === 0 ? `/builds/${build}/${blobOf(two)}` : path));
    await expectSigned(world, build, '2.1', files, ['--depot', hostile.url]);
    expect(asked).toBe(2);
  });

  test('exchanged after H has read them, before L publishes: nothing is visible, and nothing is signed twice', async () => {
    const { build } = await attested('2.2', files);
    const before = await snapshot(world);
    hostile.lie(/\/publish$/, async (honest) => {
      await plant(world, build, new Map([[blobOf(one), Buffer.from(two)]]));
      return honest();
    });
    const ran = await world.sign([build, '--depot', hostile.url]);
    expect(ran.code).not.toBe(0);
    const after = await snapshot(world);
    expect(after.published).toEqual(before.published);
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release']);

    await plant(world, build, blobs(files));
    await expectSigned(world, build, '2.2', files);
    expect(world.agent.signatures).toBe(after.signatures);
  });
});

describe('two live builds', () => {
  const others = { 'one.bin': 'first, of the other build', 'two.bin': two };
  let mine: Approved & Held;
  let yours: Approved & Held;
  let version = 0;
  beforeEach(async () => {
    version += 1;
    mine = await attested(`3.${version}-mine`, files);
    yours = await attested(`3.${version}-yours`, others);
  });

  test('with the same names and one file in common are signed, each with its own', async () => {
    await expectSigned(world, mine.build, `3.${version}-mine`, files);
    await expectSigned(world, yours.build, `3.${version}-yours`, others);
  });

  test('with their artifacts mixed', async () => {
    const before = await snapshot(world);
    await plant(world, mine.build, new Map([[blobOf(one), Buffer.from(others['one.bin'])]]));
    await expectUnsigned(world, before, mine.build, 'built artifact-wrong');
  });

  test('with the statement of the one signed by the key of the other', async () => {
    const before = await snapshot(world);
    const forged = sign({ ...mine, secret: yours.secret }, statementOf(mine, others));
    await expectDenied(
      world,
      before,
      await post(world, mine.build, forged, yours.token),
      '403 token-unknown',
    );
    await expectDenied(
      world,
      before,
      await post(world, mine.build, forged, mine.token),
      '403 signature-invalid',
    );
    const there = await plant(world, mine.build, new Map([...forged, ...blobs(others)]));
    await expectUnsigned(world, before, mine.build, 'approved statement-invalid');
    await plant(world, mine.build, there);
    await expectSigned(world, mine.build, `3.${version}-mine`, files);
  });

  test('with the statement of the one under the signature of the other’s, or in its place', async () => {
    const before = await snapshot(world);
    const [sig, json] = ['statements/b1.json.sig', 'statements/b1.json'];
    const take = (name: string) => readFile(world.tree('builds', yours.build, name));
    const there = await plant(world, mine.build, new Map([[sig, await take(sig)]]));
    await expectUnsigned(world, before, mine.build, 'approved statement-invalid');
    await plant(world, mine.build, new Map([[json, await take(json)]]));
    await expectUnsigned(world, before, mine.build, 'approved statement-invalid');
    await plant(world, mine.build, new Map([...there, [json, null]]));
    mustBe(0, await world.sign([mine.build])); // waits for its statement
    await plant(world, mine.build, sign(mine, statementOf(mine, files)));
    await expectSigned(world, mine.build, `3.${version}-mine`, files);
  });

  test('with the tickets’ halves exchanged', async () => {
    const before = await snapshot(world);
    const statement = sign(mine, statementOf(mine, others));
    await expectDenied(
      world,
      before,
      await post(world, mine.build, statement, yours.token),
      '403 token-unknown',
    );
    await expectDenied(
      world,
      before,
      await putBlob(world, { ...mine, token: yours.token }, 'x'),
      '403 token-unknown',
    );
  });
});

describe('one too many', () => {
  test('on L that no statement names is not looked at, and not published', async () => {
    const held = await attested('4.0', files);
    expect((await putBlob(world, held, 'a stowaway')).status).toBe(201);
    await expectSigned(world, held.build, '4.0', files);
  });

  test.each([
    ['beyond the patterns', ['--artifact', '*.bin'], { ...files, 'three.exe': '3' }, 'name-not-allowed'],
    ['beyond the count', ['--max-count', '2'], { ...files, 'three.bin': '3' }, 'too-many'],
    ['beyond the size', ['--max-size', '30'], { 'one.bin': 'x'.repeat(31) }, 'too-large'],
    ['beyond the sum', ['--max-total', '50'], files, 'total-too-large'],
    [
      'a required one missing',
      ['--artifact', 'one.bin', '--artifact', 'key.bin'],
      { 'one.bin': one },
      'pattern-missing',
    ],
  ] as const)('in the statement: %s', async (what, args, contents, code) => {
    const held = await stolen(`4.1-${what.replaceAll(' ', '-')}`, ...args);
    const before = await snapshot(world);
    const statement = sign(held, statementOf(held, contents));
    await expectDenied(world, before, await post(world, held.build, statement, held.token), `422 ${code}`);
    await plant(world, held.build, new Map([...statement, ...blobs(contents)]));
    await expectUnsigned(world, before, held.build, `refused ${code}`);
  });

  test('exactly as many and as much as allowed is signed', async () => {
    const limits = ['--artifact', 'one.bin', '--artifact', '*.bin', '--max-count', '2'];
    const held = await attested('4.2', files, ...limits, '--max-size', '30', '--max-total', '58');
    await expectSigned(world, held.build, '4.2', files);
  });
});

test('one content under two names is signed under both', async () => {
  const twins = { 'amd64/app': one, 'arm64/app': one };
  const held = await attested('4.3', twins);
  await expectSigned(world, held.build, '4.3', twins);
});
