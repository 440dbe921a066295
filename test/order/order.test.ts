/** Written down before done (protocol §1 rule 4, §5): real runs of `sign`, act by act. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustBe, World } from '../harness/world.ts';
import { WitnessHost } from '../witness/host.ts';
import { ORDER, actsOf, outOfOrder, watched } from './acts.ts';
import { witnessedBy } from './witnessed.ts';

let world: World;
const witness = new WitnessHost();
/** Of a run that releases, and of one that refuses. */
let released: string[];
let refused: string[];

async function sign(status: number): Promise<string[]> {
  const file = world.path('cwd', 'trace');
  mustBe(status, await world.sign([], watched(file)));
  return actsOf(await readFile(file, 'latin1'), world.path('H', 'signer'));
}

beforeAll(async () => {
  world = await World.make();
  await witnessedBy(world, [witness], 1);
  const { ticket } = await world.approve('1.0');
  mustBe(0, await world.attest(ticket, { app: 'app', 'doc/read': 'me' }));
  released = await sign(0);
  await world.approve('1.0');
  refused = await sign(1);
}, 120_000);
afterAll(async () => {
  await witness.close();
  await world.close();
});

test('a release: each thing is done when what it rests on is on the disk, and with those who must have it', () => {
  expect(released).toMatchInlineSnapshot(`
    [
      "kept approval.json",
      "kept approval.json.FPR.sig",
      "logged approval",
      "asks for the statement",
      "kept b1.json",
      "kept b1.json.sig",
      "logged statement",
      "asks for artifacts",
      "kept manifest.json",
      "logged intent",
      "uses the release key",
      "uses the release key",
      "uses the release key",
      "kept signatures",
      "kept signatures.list",
      "kept release.json",
      "logged release",
      "kept checkpoint of 4",
      "sends the log of 4",
      "L took 4",
      "asks the witness about 4",
      "the witness cosigned 4",
      "kept cosigned checkpoint of 4",
      "sends the cosigned log of 4",
      "L took cosigned 4",
      "kept release.proof",
      "sends the records",
      "sends the signatures",
      "has it published",
      "kept settled",
    ]
  `);
  expect(outOfOrder(released, 4)).toBeNull();
});

test('a refusal: the depot is told when the log is there', () => {
  expect(refused).toMatchInlineSnapshot(`
    [
      "kept refusal.json",
      "logged refusal",
      "kept checkpoint of 5",
      "sends the log of 5",
      "L took 5",
      "asks the witness about 5",
      "asks the witness about 5",
      "the witness cosigned 5",
      "kept cosigned checkpoint of 5",
      "sends the cosigned log of 5",
      "L took cosigned 5",
      "kept refusal.proof",
      "sends the refusal",
      "kept settled",
    ]
  `);
  expect(outOfOrder(refused, 5)).toBeNull();
});

test('the two runs have every act that an order is given for', () => {
  const acts = new Set([...released, ...refused.map((act) => act.replace(/ 5$/, ' 4'))]);
  expect(
    ORDER(4)
      .flat()
      .filter((act) => !acts.has(act)),
  ).toEqual([]);
});

test.each(ORDER(4))('it would be seen if it were not: %s, then %s', (first, then) => {
  const acts = released.includes(first) && released.includes(then) ? released : refused;
  const swap = [first, then].map((act) => (acts === refused ? act.replace(/ 4$/, ' 5') : act));
  const [before = '', after = ''] = swap;
  const [one, other] = [acts.lastIndexOf(before), acts.indexOf(after)];
  expect(Math.min(one, other)).toBeGreaterThanOrEqual(0);
  const swapped = acts.with(one, after).with(other, before);
  expect(outOfOrder(swapped, acts === refused ? 5 : 4)).not.toBeNull();
});
