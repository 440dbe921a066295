/** A build that is refused: the log has it before the depot is told, and the depot is told in the end. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { REFUSE } from './rows.ts';
import { Theatre } from './theatre.ts';
import { expectWholeState, expectWholeTree, litter, loggedTypes } from './whole.ts';

let theatre: Theatre;
let play: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  // 0.9 is released: no other build of it will be
  const { build } = await world.approve('0.9');
  const scene = theatre.save();
  /** The verdict is what the command is to say: as good as an exit of 0 here. */
  const verdict = (ran: Ran): Ran => ({ ...ran, code: ran.code === 1 ? 0 : ran.code });
  const seen = (): void => {
    expectWholeTree(world.tree());
    expectWholeState(world.path('H', 'signer'));
  };
  const act: Play['act'] = async (traced) => verdict(await world.sign([], traced));
  play = {
    scene,
    build,
    begin: () => scene.restore(),
    act,
    steps: await scene.rehearse(act),
    seen,
    async finish() {
      mustBe(0, verdict(await world.sign()));
      seen();
      expect(loggedTypes(world, build)).toBe('refusal');
      for (const file of ['refusal.json', 'refusal.proof'])
        expect(existsSync(world.tree('builds', build, file)), file).toBe(true);
      expect(litter(world)).toEqual([]);
    },
  };
  showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(REFUSE, () => play);
