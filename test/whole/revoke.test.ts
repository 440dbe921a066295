/** Revoking a build: before H has signed it, while H is at work, and after the release; by one person and by two. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filesOf } from '../tree/copies.ts';
import { expectRefusal } from '../harness/invariants.ts';
import { World, mustBe } from '../harness/world.ts';
import type { Ran } from '../harness/program.ts';

const files = { 'hello.tar': 'hello' };
const REASON = 'the builder was broken into';

let world: World;
beforeAll(async () => {
  world = await World.make({ approvers: 2, threshold: 2 });
});
afterAll(() => world.close());

const revoke = (build: string, args: readonly string[] = [], approver = 0): Promise<Ran> =>
  world.runOn('operator', ['revoke', build, '--reason', REASON, '--yes', '--json', ...args], { approver });
const endorse = (build: string, ...args: string[]): Promise<Ran> =>
  world.runOn('operator', ['endorse', build, '--yes', '--json', ...args], { approver: 1 });

async function approve(version: string): Promise<{ build: string; ticket: string }> {
  const approved = await world.approve(version);
  mustBe(0, approved);
  mustBe(0, await endorse(approved.build));
  return approved;
}

async function sealed(version: string): Promise<string> {
  const { build, ticket } = await approve(version);
  mustBe(0, await world.attest(ticket, files));
  return build;
}

const typesOf = (build: string): string[] =>
  readFileSync(world.journal, 'utf8')
    .split('\n')
    .filter((line) => line.includes(build))
    .map((line) => /"type":"([a-z]+)"/.exec(line)?.[1] ?? '');

const verify = (version: string, args: readonly string[] = []): Promise<Ran> =>
  world.verify([world.tree('releases', world.project, version)], args);

describe('before it is signed', () => {
  test('one person is enough: H logs it, and signs nothing, whatever the builder still sends', async () => {
    const { build, ticket } = await approve('1.0');
    mustBe(0, await world.sign());
    const revoked = await revoke(build, [], 1);
    mustBe(0, revoked);
    expect(revoked.json).toMatchObject([{ build, logged: null }]);
    mustBe(0, await world.attest(ticket, files));
    await world.sign();
    expect(typesOf(build)).toEqual(['approval', 'revocation']);
    expect(world.agent.signatures).toBe(0);
    const status = await world.runOn('operator', ['status', build]);
    expect(status.stdout).toMatch(/revoked/);
    expect(status.stdout).toContain(REASON);
    // said again it is in force already
    expect((await revoke(build, ['--wait', '1'], 1)).code).toBe(0);
  });

  test('a build that is sealed, and revoked before H looks, is never signed', async () => {
    const build = await sealed('1.1');
    mustBe(0, await revoke(build));
    const signed = await world.sign([build]);
    expect(signed.json).toMatchObject([{ build, state: 'revoked' }]);
    expect(signed.code).toBe(1);
    expect(typesOf(build)).not.toContain('intent');
    expect(world.agent.signatures).toBe(0);
    // and its version is free again
    expect((await world.approve('1.1')).code).toBe(0);
  });
});

describe('while H is at work', () => {
  test('the signatures are made, and the revocation comes before the last of them: none leaves', async () => {
    const build = await sealed('2.0');
    let revoked: Ran | null = null;
    world.agent.before = async (command) => {
      if (!command.startsWith('PKSIGN') || revoked !== null) return;
      revoked = await revoke(build);
    };
    const signed = await world.sign([build]);
    world.agent.before = () => {};
    mustBe(0, revoked ?? signed);
    expect(world.agent.signatures).toBeGreaterThan(0);
    expect(signed.code).toBe(1);
    expect(signed.json).toMatchObject([{ build, state: 'revoked' }]);
    expect(typesOf(build)).toEqual(['approval', 'statement', 'intent', 'revocation']);
    const left = await filesOf(world.tree());
    expect(left.filter((file) => file.endsWith('.asc'))).toEqual([]);
    expect(existsSync(world.tree('releases', world.project, '2.0'))).toBe(false);
    // not in a later run, either
    await world.sign();
    expect((await filesOf(world.tree())).filter((file) => file.endsWith('.asc'))).toEqual([]);
  });
});

describe('after the release', () => {
  let build: string;
  test('one of two persons withdraws nothing yet', async () => {
    build = await sealed('3.0');
    mustBe(0, await world.sign());
    mustBe(0, await verify('3.0'));
    const one = await revoke(build, ['--wait', '1']);
    expect(one.code).toBe(3);
    expect(one.json).toMatchObject([{ build, logged: null, needed: 2 }]);
    mustBe(0, await world.sign());
    expect(typesOf(build)).not.toContain('revocation');
    mustBe(0, await verify('3.0'));
  });

  test('two do: the log has it, L shows the reason, and verify says no', async () => {
    mustBe(0, await endorse(build, '--withdraw'));
    await world.sign();
    expect(typesOf(build).at(-1)).toBe('revocation');
    const refused = await verify('3.0');
    expectRefusal(refused);
    expect(refused.code).toBe(1);
    expect(refused.json.at(-1)).toMatchObject({ code: 'revoked' });
    expect(refused.stdout + refused.stderr).toContain(REASON);
    const status = await world.runOn('operator', ['status', build]);
    expect(status.stdout).toContain('withdrawn');
    expect(status.stdout).toContain(REASON);
    const page = await (await fetch(`${world.url}/releases/${world.project}/3.0/`)).text();
    expect(page).toContain('withdrawn');
    expect(page).toContain(REASON);
  });

  test('offline it is not known, and that is said', async () => {
    const ran = await verify('3.0', ['--offline']);
    mustBe(0, ran);
    expect(JSON.stringify(ran.json) + ran.stderr).toMatch(/whether it was withdrawn since/);
  });

  test('what was released before and after stands', async () => {
    const next = await sealed('3.1');
    mustBe(0, await world.sign());
    expect(typesOf(next).at(-1)).toBe('release');
    mustBe(0, await verify('3.1'));
    expect(existsSync(join(world.tree('releases', world.project, '3.0'), 'hello.tar'))).toBe(true);
  });
});
