/**
 * Several builders: their tickets are there all or none, each statement is kept and logged once; and what they disagree on
 * is there for a person to compare, whole.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { parseTicket } from '../../src/records/ticket.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import type { Files } from '../harness/world.ts';
import { testDurable } from './durable.ts';
import { testDisks } from './full.ts';
import { released } from './released.ts';
import { everyCall, showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { FILES, Theatre } from './theatre.ts';
import { QUORUM, TRUST_DISKS } from './trust-rows.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  mkdirSync(world.path('stick'));
  const approve = (directory: string, more = {}): Promise<Ran> => {
    const tickets = ['--tickets', world.path('operator', directory)];
    return world.runOn(
      'operator',
      ['approve', '1.0', '--builders', '2', ...tickets, '--yes', '--json'],
      more,
    );
  };
  const attest = (slot: string, files: Files, directory = 'tickets'): Promise<Ran> =>
    world.attest(world.path('operator', directory, `${slot}.ticket`), files);
  const done = async (...commands: (() => Promise<Ran>)[]): Promise<void> => {
    for (const command of commands) mustBe(0, await command());
  };
  const sign = (more = {}): Promise<Ran> => world.sign([], more);

  const entries = 'approval statement statement intent release';
  plays.set(
    'approve',
    await released(theatre.save(), 'no build', '1.0', {
      act: (traced) => approve('tickets', traced),
      async again() {
        const ran = await approve('tickets');
        if (ran.error?.code !== 'ticket-exists') mustBe(0, ran);
        // there are tickets: whether their approval is on the depot, whoever uses one is told
        let [used, directory] = [await attest('b1', FILES), 'tickets'];
        if (used.error?.code === 'approval-unknown') {
          directory = 'others';
          await done(() => approve(directory));
          used = await attest('b1', FILES, directory);
        }
        mustBe(0, used);
        await done(() => attest('b2', FILES, directory), sign);
        return String(used.json[0]?.['build']);
      },
      entries,
      mayLeave: /operator\/tickets\/\.[0-9a-f]{24}\.tmp$/,
    }),
  );

  const { build } = parseTicket(readFileSync(world.path('operator', 'tickets', 'b1.ticket'), 'utf8'));
  await done(() => attest('b1', FILES));
  const half = theatre.save();
  await done(() => attest('b2', FILES));
  plays.set(
    'agreed',
    await released(theatre.save(), build, '1.0', { act: sign, again: () => done(sign), entries }),
  );

  half.restore();
  await done(() => attest('b2', { ...FILES, empty: 'not empty' }));
  /** That they disagree is what the command is to say: as good as an exit of 0 here. */
  const freeze = async (more = {}): Promise<Ran> => {
    const ran = await sign(more);
    return ran.code === 1 && ran.json[0]?.['state'] === 'frozen' ? { ...ran, code: 0 } : ran;
  };
  const end = { entries: 'approval statement statement refusal' };
  plays.set(
    'frozen',
    await released(theatre.save(), build, '1.0', { act: freeze, again: () => done(freeze), ...end }),
  );
  const both = world.path('stick', 'both');
  const fetch = (more = {}): Promise<Ran> =>
    world.runOn('operator', ['status', build, '--fetch', both, '--json'], more);
  plays.set(
    'fetch',
    await released(theatre.save(), build, '1.0', {
      act: fetch,
      async again(outcome) {
        const ran = await fetch();
        if (ran.error?.code !== 'directory-not-empty') return mustBe(0, ran);
        // what is there is all, or may be halves that a kill left: nobody compares them
        if (!everyCall) expect(['goes on', 'refuses']).toContain(outcome);
        rmSync(both, { recursive: true });
        await done(fetch);
      },
      ...end,
    }),
  );
  for (const play of plays.values()) showSteps(play);
}, 180_000);
afterAll(() => theatre?.close());

function playOf(name: string): Play {
  const play = plays.get(name);
  if (play === undefined) throw new RangeError(name);
  return play;
}

testRows(QUORUM, ({ role, step }) => {
  if (role.startsWith('sign')) return playOf(step.split(':')[0] ?? '');
  return playOf(role.startsWith('approve') ? 'approve' : 'fetch');
});
for (const name of ['approve', 'agreed', 'frozen'])
  testDurable(`several builders: ${name}`, () => playOf(name));
testDisks(
  TRUST_DISKS.filter(({ play }) => ['approve', 'agreed', 'fetch'].includes(play)),
  playOf,
);
