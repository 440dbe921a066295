/** Two people, three builders: a 2-of-3 build under a 2-person rule, and a third builder that comes later and differs. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseRelease } from '../../src/records/release.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { World, mustBe } from '../harness/world.ts';
import type { Files } from '../harness/world.ts';
import type { Ran } from '../harness/program.ts';

const ADA = 0;
const BOB = 1;
const CHARLIE = 2;
const files = { 'hello.tar': 'hello', 'docs/hello.txt': 'read me' };

let world: World;
beforeAll(async () => {
  world = await World.make({ approvers: 3, threshold: 2 });
});
afterAll(() => world.close());

interface Asked {
  readonly build: string;
  readonly attest: (slot: string, files: Files) => Promise<Ran>;
}

async function ask(version: string): Promise<Asked> {
  const { build, ticket, ...ran } = await world.approve(version, ['--builders', '3', '--quorum', '2']);
  mustBe(0, ran);
  const attest = async (slot: string, made: Files): Promise<Ran> => {
    const attested = await world.attest(join(dirname(ticket), `${slot}.ticket`), made);
    mustBe(0, attested);
    return attested;
  };
  return { build, attest };
}

const endorse = (build: string, approver: number): Promise<Ran> =>
  world.runOn('operator', ['endorse', build, '--yes', '--json'], { approver });

const verify = (version: string): Promise<Ran> =>
  world.runOn('operator', ['verify', world.tree('releases', world.project, version)]);

describe('two people and two builders', () => {
  let asked: Asked;
  test('one person alone allows nothing, not even twice, whatever the builders made', async () => {
    asked = await ask('1.0');
    await asked.attest('b1', files);
    await asked.attest('b2', files);
    const again = await endorse(asked.build, ADA);
    mustBe(0, again);
    expect(again.stderr).toContain('has signed the approval before');
    const signed = await world.sign();
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ build: asked.build, code: 'approval-waits' }]);
    expect(world.agent.signatures).toBe(0);
    expect(readFileSync(world.journal, 'utf8')).toBe('');
  });

  test('the second person is shown what the signature covers, and H signs without the third builder', async () => {
    const endorsed = await endorse(asked.build, BOB);
    mustBe(0, endorsed);
    expect(endorsed.stderr).toMatch(/^ +quorum +2 of 3 builders/m);
    expect(endorsed.stderr).toContain('you are number 2');
    const signed = await world.sign();
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ build: asked.build, state: 'published' }]);
    const verified = await verify('1.0');
    mustBe(0, verified);
    expect(verified.stdout).toMatch(/^ +built by +2 of 3 builders agree: b1, b2 \(keypair\)/m);
    expect(verified.stdout).toContain('2 approvers, 2 needed');
    const countersign = world.tree('releases', world.project, '1.0', 'countersign');
    const release = parseRelease(readFileSync(join(countersign, 'release.json')));
    expect(release).toMatchObject({ assurance: '2-of-3', builders: { b1: 'keypair', b2: 'keypair' } });
    expect(release.approvers).toEqual([world.approvers[ADA], world.approvers[BOB]].sort());
    expect(readdirSync(join(countersign, 'statements')).sort()).toEqual([
      'b1.dsse.json',
      'b1.json',
      'b1.json.sig',
      'b2.dsse.json',
      'b2.json',
      'b2.json.sig',
    ]);
  });

  test('the third builder comes after the release and differs: the log says so, and so do status and verify', async () => {
    const made = world.agent.signatures;
    await asked.attest('b3', { ...files, 'hello.tar': 'hallo' });
    const signed = await world.sign([asked.build]);
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ build: asked.build, state: 'published' }]);
    expect(signed.stderr).toContain('a builder vouched for other artifacts (statements/b3.json)');
    expect(world.agent.signatures).toBe(made);
    await world.sign([asked.build]);
    const journal = readFileSync(world.journal, 'utf8').trimEnd().split('\n');
    expect(journal.filter((line) => line.includes('"type":"conflict"'))).toHaveLength(1);

    const status = await world.runOn('operator', ['status', asked.build]);
    expect(status.stdout).toContain('a builder has said otherwise since (entry 5)');
    const verified = await verify('1.0');
    mustBe(0, verified);
    expect(verified.stdout).toMatch(/warning: a builder .* entry 5 of the log \(conflict\)/);
    // what is released stays what it was
    const published = world.tree('releases', world.project, '1.0', 'hello.tar');
    expect(readFileSync(published, 'utf8')).toBe('hello');
  });
});

describe('dissent before the signing', () => {
  test('of the third builder, too, freezes the build: two that agree do not outvote it', async () => {
    const { build, attest } = await ask('1.1');
    mustBe(0, await endorse(build, CHARLIE));
    await attest('b1', files);
    await attest('b2', files);
    await attest('b3', { ...files, 'evil.sh': 'curl' });
    const before = await snapshot(world);
    const signed = await world.sign();
    mustBe(1, signed);
    expect(signed.json).toMatchObject([{ build, state: 'frozen', code: 'conflict' }]);
    await expectUntouched(world, before, { answers: [signed], refused: build });
  });

  test('one builder alone is not enough, and H waits', async () => {
    const { build, attest } = await ask('1.2');
    mustBe(0, await endorse(build, BOB));
    await attest('b3', files);
    const waits = await world.sign([build]);
    expect(waits.json).toMatchObject([{ build, code: 'statement-waits' }]);
    const status = await world.runOn('operator', ['status', build]);
    expect(status.stdout).toMatch(/2 of 3 must agree/);
    // an identical one of the same builder is no second voice
    await attest('b1', files);
    const signed = await world.sign();
    mustBe(0, signed);
    expect(signed.json).toMatchObject([{ build, state: 'published' }]);
  });
});
