/**
 * Builders whose tickets hold a nonce: one key a slot, one statement a key, and a receipt of what the log has, whatever
 * fails. A build whose builders enrol is followed to its logged statement: the release key waits for `enrolBy`.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { GnupgHome } from '../harness/gnupg.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import type { WorldOptions } from '../harness/world.ts';
import { testDurable } from './durable.ts';
import { testDisks } from './full.ts';
import { released } from './released.ts';
import type { Plot } from './released.ts';
import { showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { served } from './server.ts';
import { FILES, Theatre } from './theatre.ts';
import { ENROL, TRUST_DISKS } from './trust-rows.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

/** A release certificate that can also be encrypted to: nonces are sealed to that. */
function sealing(): WorldOptions {
  const home = new GnupgHome();
  const key = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
  home.addSubkey(key, 'ed25519', 'sign');
  home.addSubkey(key, 'cv25519', 'encr');
  return { release: { home, key }, init: ['--signer-key', key] };
}

beforeAll(async () => {
  theatre = await Theatre.open(sealing());
  const { world } = theatre;
  const base = await world.place(FILES);
  const stick = world.path('stick', 'L');
  mkdirSync(stick, { recursive: true });
  const start = theatre.save();

  const sign = async (): Promise<void> => mustBe(0, await world.sign());
  const attestation = (ticket: string) => {
    const args = ['attest', '--ticket', ticket, '--timeout', '1s', '--base', base, base, '--json'];
    return async (more = {}): Promise<Ran> => {
      const ran = await world.runOn('M', args, more);
      // that it waits for the signer is all that it can do: as good as an exit of 0 here
      return ran.error?.code === 'receipt-missing' ? { ...ran, code: 0 } : ran;
    };
  };
  const given = async (attest: () => Promise<Ran>): Promise<void> => {
    const ran = await attest();
    if (ran.error?.code !== 'ticket-missing') mustBe(0, ran);
  };

  const { build, ticket } = await world.approve('1.0', ['--scheme', 'enrol', '--enrol-by', '2h']);
  const attest = attestation(ticket);
  const onwards = async (): Promise<void> => {
    await sign();
    await given(attest);
    await sign();
    const second = world.tree('builds', build, 'enrolments', 'b1.2.json');
    expect(existsSync(second), 'a second key of one builder').toBe(false);
  };
  const again = async (): Promise<void> => {
    await given(attest);
    await onwards();
  };
  const enrolled = (act: Plot['act'], more: Partial<Plot> = {}): Promise<Play> =>
    released(theatre.save(), build, '1.0', {
      ...{ act, again, entries: 'approval enrolment statement' },
      mayLeave: /b1\.ticket\.(pending|enrolment)/,
      ...more,
    });
  // each play has been rehearsed when the next begins: the build is one step further
  const approved = theatre.save();
  plays.set('serve: enrolment', await enrolled((traced) => served(world, traced, attest)));
  approved.restore();
  plays.set('introduce', await enrolled(attest));
  const introduced = theatre.save();
  plays.set(
    'serve: receipt',
    await enrolled((traced) => served(world, traced, () => world.sign()), { again: onwards }),
  );
  introduced.restore();
  plays.set('sign', await enrolled((traced) => world.sign([], traced), { again: onwards }));
  plays.set('build', await enrolled(attest));
  const sync = ['sync', world.url, stick, '--json'];
  const carried = async (): Promise<void> => {
    mustBe(0, await world.runOn('H', sync));
    await onwards();
  };
  plays.set(
    'sync',
    await enrolled((traced) => world.runOn('H', sync, traced), { again: carried, depots: [stick] }),
  );

  start.restore();
  const other = await world.approve('1.0', ['--scheme', 'mac']);
  const attestMac = attestation(other.ticket);
  const scene = theatre.save();
  const macked = {
    again: async () => {
      await given(attestMac);
      await sign();
    },
    mayLeave: /b1\.ticket\.pending/,
  };
  const act: Plot['act'] = (traced) => served(world, traced, attestMac);
  plays.set('serve: mac', await released(scene, other.build, '1.0', { act, ...macked }));
  plays.set('mac', await released(scene, other.build, '1.0', { act: attestMac, ...macked }));
  for (const play of plays.values()) showSteps(play);
}, 180_000);
afterAll(() => theatre?.close());

function playOf(name: string): Play {
  const play = plays.get(name);
  if (play === undefined) throw new RangeError(name);
  return play;
}

testRows(ENROL, ({ role, step }) => {
  const [first = ''] = step.split(':');
  if (role === 'serve') return playOf(`serve: ${first}`);
  if (role === 'sync') return playOf(role);
  return playOf(role.startsWith('sign') ? 'sign' : first);
});
for (const name of ['introduce', 'sign', 'build', 'mac']) testDurable(name, () => playOf(name));
testDisks(
  TRUST_DISKS.filter(({ play }) => ['introduce', 'build', 'sign'].includes(play)),
  playOf,
);
