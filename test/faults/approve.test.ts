/** The operator: an approval on the depot has its ticket on the disk, and the other way round it can be told. */
import { afterAll, beforeAll } from 'vitest';
import { mustBe } from '../harness/world.ts';
import { testDurable } from './durable.ts';
import { released } from './released.ts';
import { showSteps, testAllCalls, testRows } from './row.ts';
import type { Play } from './row.ts';
import { APPROVE } from './rows.ts';
import { FILES, Theatre } from './theatre.ts';

let theatre: Theatre;
let play: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const scene = theatre.save();
  const approve = (...names: string[]): string[] =>
    ['approve', '1.0', '--tickets', world.path('operator', ...names), '--yes', '--json']; // prettier-ignore
  const again = async (): Promise<string> => {
    const ran = await world.runOn('operator', approve('tickets'));
    // There is a ticket. Whether its approval is on the depot, whoever uses it is told.
    if (ran.error?.code === 'ticket-exists') {
      const attested = await world.attest(world.path('operator', 'tickets', 'b1.ticket'), FILES);
      if (attested.code === 0) return String(attested.json[0]?.['build']);
      if (attested.error?.code !== 'approval-unknown') mustBe(0, attested);
      mustBe(0, await world.runOn('operator', approve('others')));
    } else mustBe(0, ran);
    const directory = ran.code === 0 ? 'tickets' : 'others';
    const attested = await world.attest(world.path('operator', directory, 'b1.ticket'), FILES);
    mustBe(0, attested);
    return String(attested.json[0]?.['build']);
  };
  play = await released(scene, 'no build', '1.0', {
    act: (traced) => world.runOn('operator', approve('tickets'), traced),
    async again() {
      const build = await again();
      mustBe(0, await world.sign());
      return build;
    },
    mayLeave: /operator\/tickets\/\.[0-9a-f]{24}\.tmp$/,
  });
  showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(APPROVE, () => play);
testAllCalls('approve', APPROVE, () => play);
testDurable('approve', () => play);
