/**
 * Two people: an endorsement is there whole or not at all; and a build that was taken back stays so, before it is signed,
 * between its signatures and its release, and after that, whatever fails.
 */
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { testDurable } from './durable.ts';
import { testDisks } from './full.ts';
import { released } from './released.ts';
import type { Plot } from './released.ts';
import { showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { served } from './server.ts';
import { FILES, Theatre } from './theatre.ts';
import { REVOKE, TRUST_DISKS } from './trust-rows.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open({ approvers: 2, threshold: 2 });
  const { world } = theatre;
  const stick = world.path('stick', 'L');
  mkdirSync(stick, { recursive: true });
  const { build, ticket } = await world.approve('1.0');
  const base = await world.place(FILES);

  const by = (approver: number, ...args: string[]) => {
    return (more = {}): Promise<Ran> =>
      world.runOn('operator', [...args, '--yes', '--json'], { approver, ...more });
  };
  const endorse = by(1, 'endorse', build);
  const revoke = by(0, 'revoke', build, '--reason', 'the compiler was not ours');
  const attest = (): Promise<Ran> =>
    world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json']);
  /** That a build is taken back is what the command is to say: as good as an exit of 0 here. */
  const sign = async (more = {}): Promise<Ran> => {
    const ran = await world.sign([], more);
    return ran.code === 1 && ran.json[0]?.['state'] === 'revoked' ? { ...ran, code: 0 } : ran;
  };
  const sync = (more = {}): Promise<Ran> => world.runOn('H', ['sync', world.url, stick, '--json'], more);
  const done = async (...commands: (() => Promise<Ran>)[]): Promise<void> => {
    for (const command of commands) mustBe(0, await command());
  };
  const play = async (name: string, plot: Plot): Promise<void> => {
    plays.set(name, await released(theatre.save(), build, '1.0', plot));
  };

  // each play has been rehearsed when the next begins: the build is one step further
  const asked = theatre.save();
  const allowed = { again: () => done(endorse, attest, sign) };
  await play('serve: endorsement', { act: (traced) => served(world, traced, endorse), ...allowed });
  asked.restore();
  await play('endorse', { act: endorse, ...allowed });
  await done(attest);
  const sealed = theatre.save();
  const before = { again: () => done(revoke, sign), entries: 'approval revocation' };
  await play('serve: revocation', { act: (traced) => served(world, traced, revoke), ...before });
  sealed.restore();
  await play('revoke', { act: revoke, ...before });
  const again = (): Promise<void> => done(sign);
  const { entries } = before;
  const revoked = theatre.save();
  await play('sync', { act: sync, again: () => done(sync, sign), entries, depots: [stick] });
  revoked.restore();
  await play('before', { act: sign, again, entries });

  // the release key has done its part, and the release is not logged
  const killed = { syscall: 'write', path: world.journal, nth: 4, as: 'SIGKILL' } as const;
  sealed.restore();
  await sealed.perform(sign, killed);
  await done(revoke);
  const between = 'approval statement intent revocation';
  await play('between', { act: sign, again, entries: between, signed: true });

  sealed.restore();
  await done(sign, revoke, by(1, 'endorse', build, '--withdraw'));
  const after = 'approval statement intent release revocation';
  await play('after', { act: sign, again, entries: after, signed: true, withdrawn: true });
  for (const each of plays.values()) showSteps(each);
}, 180_000);
afterAll(() => theatre?.close());

function playOf(name: string): Play {
  const play = plays.get(name);
  if (play === undefined) throw new RangeError(name);
  return play;
}

testRows(REVOKE, ({ role, step }) => {
  const [first = ''] = step.split(':');
  if (role === 'serve') return playOf(`serve: ${first}`);
  return playOf(role.startsWith('sign') ? first : role);
});
for (const name of ['before', 'between', 'after']) testDurable(`revoked ${name}`, () => playOf(name));
testDisks(
  TRUST_DISKS.filter(({ play }) => ['before', 'after'].includes(play)),
  playOf,
);
