/**
 * Quorum: as many builders as asked for must name the same bytes under the same names, and one that validly names others
 * stops it all. Not defended: as many builders as the quorum that are in league, and whoever holds all tickets.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { toArtifactName, toSlot } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { World } from '../harness/world.ts';
import { plant, post, statementOf } from './forge.ts';
import { entries, expectDenied, expectSigned, expectUnsigned, verdicts } from './outcome.ts';
import { expectRound } from './round.ts';
import { approveSeveral, send, statedBy } from './several.ts';
import type { Several } from './several.ts';

const files = { 'app.tgz': 'app', 'doc.txt': 'doc' };
const others = { ...files, 'app.tgz': 'app, and something else' };
const b3 = toSlot('b3', 'test');

let world: World;
let hostile: HostileDepot;
let versions = 0;
beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

/** Two of three that agree, through the gate. */
async function agreed(): Promise<Several> {
  const held = await approveSeveral(world, `1.${++versions}`);
  await send(world, held, 'b1', files);
  await send(world, held, 'b2', files);
  return held;
}

describe('two of three agree, and the third', () => {
  test('is silent, or agrees: it is signed, and called what it is', async () => {
    for (const third of [false, true]) {
      const held = await agreed();
      if (third) await send(world, held, 'b3', files);
      const { version } = held.approval;
      await expectSigned(world, held.build, version, files);
      const { stdout } = await world.runOn('operator', ['verify', world.tree('releases/widget', version)]);
      expect(stdout).toContain(`${third ? 3 : 2} of 3 builders agree`);
    }
  });

  test('names anything else: frozen, before anything is signed, however small the difference', async () => {
    const doc = { name: toArtifactName('doc.txt', 'test'), sha256: sha256Hex('doc'), size: 3 };
    const app = { name: toArtifactName('app.tgz', 'test'), sha256: sha256Hex('app'), size: 3 };
    const differences = {
      'other bytes': [{ ...app, sha256: sha256Hex('other'), size: 5 }, doc],
      'another size alone': [{ ...app, size: 4 }, doc],
      'another digest alone': [{ ...app, sha256: sha256Hex('App') }, doc],
      'another name': [{ ...app, name: toArtifactName('app.tar', 'test') }, doc],
      'the case of a name': [{ ...app, name: toArtifactName('App.tgz', 'test') }, doc],
      'contents swapped': [
        { ...app, sha256: doc.sha256 },
        { ...doc, sha256: app.sha256 },
      ],
      'a file less': [app],
      'a file more': [app, doc, { ...doc, name: toArtifactName('extra', 'test') }],
    };
    const builds = new Map<string, string>();
    for (const [what, subjects] of Object.entries(differences)) {
      const held = await agreed();
      subjects.sort((a, b) => (a.name < b.name ? -1 : 1));
      const statement = statementOf(held, {}, { slot: b3, subjects });
      await plant(world, held.build, statedBy(held, 'b3', statement));
      builds.set(what, held.build);
    }
    const before = await snapshot(world);
    await expectRound(world, before, builds, () => 'frozen conflict');
    const { stdout } = await world.runOn('operator', ['status', builds.get('another size alone') ?? '']);
    expect(stdout).toMatch(/app\.tgz/);
  });

  test('says what no statement may: the build ends, also where the two agree', async () => {
    const held = await agreed();
    const { subjects, ...statement } = statementOf(held, files, { slot: b3 });
    const reversed = { ...statement, subjects: [...subjects].reverse() };
    const wrongSlot = await agreed();
    const large = await agreed();
    const many = Array.from({ length: 100_001 }, (_, at) => ({
      ...{ name: toArtifactName(`f${String(at).padStart(6, '0')}`, 'test'), sha256: sha256Hex('x'), size: 1 },
    }));
    await plant(world, held.build, statedBy(held, 'b3', reversed));
    await plant(world, wrongSlot.build, statedBy(wrongSlot, 'b3', statementOf(wrongSlot, files)));
    const endless = statedBy(large, 'b3', statementOf(large, {}, { slot: b3, subjects: many }));
    const before = await snapshot(world);
    const answer = await post(world, large.build, endless, large.holders.b3.token);
    expect(answer.status).toBeOneOf([413, 422]);
    await expectUntouched(world, before, { answers: [answer] });
    await plant(world, large.build, endless);
    const builds = new Map([
      ['statement-malformed', held.build],
      ['statement-binding', wrongSlot.build],
      ['too many', large.build],
    ]);
    await expectRound(world, before, builds, (what) =>
      what === 'statement-binding' ? 'refused statement-binding' : 'refused statement-malformed',
    );
  });

  test('sends 65 MiB of nothing: it is reported, and ends nothing', async () => {
    const held = await agreed();
    const flood = new Map([['statements/b3.json', Buffer.alloc(65 << 20, ' ')]]);
    await plant(world, held.build, flood);
    const before = await snapshot(world);
    const ran = await world.sign([held.build]);
    expect([ran.code, ran.json[0]?.['code']]).toEqual([1, 'too-large']);
    await expectUntouched(world, before, { answers: [ran] });
    await plant(world, held.build, new Map([['statements/b3.json', null]]));
    await expectSigned(world, held.build, held.approval.version, files);
  });

  test('differs by a statement that is not its own: no freeze; it is reported, and heals', async () => {
    const held = await agreed();
    const forged = statedBy(held, 'b3', others, 'b1');
    const before = await snapshot(world);
    const answer = await post(world, held.build, forged, held.holders.b3.token);
    await expectDenied(world, before, answer, '403 signature-invalid');
    await plant(world, held.build, forged);
    await expectUnsigned(world, before, held.build, 'built statement-invalid');
    await expectUnsigned(world, before, held.build, 'built statement-invalid');
    await plant(world, held.build, new Map([...forged.keys()].map((name) => [name, null])));
    await expectSigned(world, held.build, held.approval.version, files);
  });

  test('differs, and L hides it: two are enough, and it is a conflict for all to see when it comes out', async () => {
    const held = await agreed();
    await send(world, held, 'b3', others);
    hostile.withhold(/\/statements\/b3\./);
    const { version } = held.approval;
    await expectSigned(world, held.build, version, files, ['--depot', hostile.url]);
    const before = await snapshot(world);
    for (const run of [1, 2]) {
      const ran = await world.sign([held.build]);
      expect([ran.code, verdicts(ran)], `run ${run}`).toEqual([0, ['published undefined']]);
      expect(ran.stderr).toContain('a builder vouched for other artifacts (statements/b3.json)');
    }
    await expectUntouched(world, before, { answers: [] });
    const found = ['approval', 'statement', 'statement', 'intent', 'release', 'conflict'];
    expect(await entries(world, held.build)).toEqual(found);
    const verified = await world.runOn('operator', ['verify', world.tree('releases/widget', version)]);
    expect(verified.stdout + verified.stderr).toMatch(/conflict|other artifacts/);
  });
});

describe('one of two is there, and L', () => {
  test('hides it, or shows the other only while H reads the artifacts: it waits, or freezes', async () => {
    const held = await approveSeveral(world, '2.0', ['--builders', '2', '--quorum', '1']);
    await send(world, held, 'b1', files);
    await send(world, held, 'b2', others);
    hostile.withhold(/\/statements\/b2\./);
    hostile.lie(/\/fetch$/, async (honest) => {
      hostile.repent();
      return honest();
    });
    const before = await snapshot(world);
    await expectUnsigned(world, before, held.build, 'frozen conflict', ['--depot', hostile.url]);
  });

  test('shows it as the other’s: two of two are two', async () => {
    const held = await approveSeveral(world, '2.1', ['--builders', '2']);
    await send(world, held, 'b1', files);
    const waiting = await world.sign([held.build]);
    expect(verdicts(waiting)).toEqual(['approved statement-waits']);
    const copied = new Map<string, Buffer>();
    for (const name of ['json', 'json.sig', 'dsse.json'])
      copied.set(
        `statements/b2.${name}`,
        await readFile(world.tree('builds', held.build, `statements/b1.${name}`)),
      );
    const before = await snapshot(world);
    for (const posing of [copied, statedBy(held, 'b2', files, 'b1')]) {
      const tokens = [
        [held.holders.b1.token, '403 token-of-another-slot'],
        [held.holders.b2.token, '403 signature-invalid'],
      ] as const;
      for (const [token, denied] of tokens)
        await expectDenied(world, before, await post(world, held.build, posing, token), denied);
      await plant(world, held.build, posing);
      await expectUnsigned(world, before, held.build, 'approved statement-invalid');
      await plant(world, held.build, new Map([...posing.keys()].map((name) => [name, null])));
    }
    await send(world, held, 'b2', files);
    await expectSigned(world, held.build, '2.1', files);
  });
});
