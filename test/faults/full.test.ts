/** The first commands of a project, and a release of one builder, on disks that are full. */
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { testDisks } from './full.ts';
import { newProject } from './new-project.ts';
import { released } from './released.ts';
import type { Play } from './row.ts';
import { DISKS } from './rows.ts';
import { FILES, Theatre } from './theatre.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const stick = world.path('stick', 'L');
  mkdirSync(stick, { recursive: true });
  const ticket = world.path('operator', 'tickets', 'b1.ticket');
  const base = await world.place(FILES);
  const approve = (): Promise<Ran> =>
    world.runOn('operator', [
      'approve',
      '1.0',
      '--tickets',
      world.path('operator', 'tickets'),
      '--yes',
      '--json',
    ]);
  const attest = (...more: string[]): Promise<Ran> =>
    world.runOn('M', [
      'attest',
      '--ticket',
      ticket,
      '--patience',
      '2s',
      ...more,
      '--base',
      base,
      base,
      '--json',
    ]);
  const sync = (from: string, to: string): Promise<Ran> => world.runOn('H', ['sync', from, to, '--json']);
  const done = async (...commands: (() => Promise<Ran>)[]): Promise<void> => {
    for (const command of commands) {
      const ran = await command();
      if (ran.error?.code !== 'ticket-missing') mustBe(0, ran);
    }
  };
  const sign = (): Promise<Ran> => world.sign();
  const signThere = (): Promise<Ran> => world.sign(['--depot', stick]);
  const attestThere = (): Promise<Ran> => attest('--depot', stick);
  const out = (): Promise<Ran> => sync(world.url, stick);
  const back = (): Promise<Ran> => sync(stick, world.url);

  const start = theatre.save();
  plays.set('init', await newProject(start));
  plays.set(
    'approve',
    await released(start, 'no build', '1.0', {
      act: approve,
      async again() {
        const attested = await attest();
        mustBe(0, attested);
        await done(sign);
        return String(attested.json[0]?.['build']);
      },
    }),
  );
  start.restore();
  const build = String((await approve()).json[0]?.['build']);
  const approved = theatre.save();
  // each play has been rehearsed when the next begins: the build is one step further
  plays.set(
    'attest',
    await released(approved, build, '1.0', { act: () => attest(), again: () => done(attest, sign) }),
  );
  plays.set('sign', await released(theatre.save(), build, '1.0', { act: sign, again: () => done(sign) }));
  const depots = [stick];
  const last = (): Promise<void> => done(out, attestThere, signThere, back);
  plays.set('sync', await released(approved, build, '1.0', { act: out, again: last, depots }));
  plays.set(
    'attest --depot DIR',
    await released(theatre.save(), build, '1.0', { act: attestThere, again: last, depots }),
  );
  plays.set(
    'sign --depot DIR',
    await released(theatre.save(), build, '1.0', { act: signThere, again: last, depots }),
  );
}, 120_000);
afterAll(() => theatre?.close());

testDisks(DISKS, (name) => plays.get(name) ?? expect.fail(name));
