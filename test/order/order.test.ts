/** Written down before done (protocol §1 rule 4, §5): real runs of `sign`, act by act. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sealingWorld } from '../attacks/nonced.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import { WitnessHost } from '../witness/host.ts';
import { ORDER, actsOf, outOfOrder, watched } from './acts.ts';
import { witnessedBy } from './witnessed.ts';

let world: World;
const witness = new WitnessHost();
/** What a run did, and how many entries the log has then. */
interface Seen {
  readonly acts: string[];
  readonly entries: number;
}
let released: Seen;
let refused: Seen;
let revoked: Seen;
let enrolled: Seen;
const runs = (): Seen[] => [released, refused, revoked, enrolled];

async function sign(status: number, entries: number, build = ''): Promise<Seen> {
  const file = world.path('cwd', 'trace');
  mustBe(status, await world.sign(build === '' ? [] : [build], watched(file)));
  return { acts: actsOf(await readFile(file, 'latin1'), world.path('H', 'signer')), entries };
}

beforeAll(async () => {
  world = await sealingWorld();
  await witnessedBy(world, [witness], 1);
  const { ticket } = await world.approve('1.0');
  mustBe(0, await world.attest(ticket, { app: 'app', 'doc/read': 'me' }));
  released = await sign(0, 4);
  await world.approve('1.0');
  refused = await sign(1, 5);
  const { build } = await world.approve('1.1');
  mustBe(0, await world.runOn('operator', ['revoke', build, '--reason', 'a mistake', '--yes']));
  revoked = await sign(1, 7, build);
  const enrolling = await world.approve('1.2', ['--scheme', 'enrol']);
  const waits = await world.attest(enrolling.ticket, { app: 'app' }, ['--timeout', '1s']);
  expect(waits.error?.code).toBe('receipt-missing');
  enrolled = await sign(0, 9);
}, 120_000);
afterAll(async () => {
  await witness.close();
  await world.close();
});

test('a release: each thing is done when what it rests on is on the disk, and with those who must have it', () => {
  expect(released.acts).toMatchInlineSnapshot(`
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
  expect(outOfOrder(released.acts, 4)).toBeNull();
});

test('a refusal: the depot is told when the log is there', () => {
  expect(refused.acts).toMatchInlineSnapshot(`
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
  expect(outOfOrder(refused.acts, 5)).toBeNull();
});

test('a build that is taken back: it is in force, in the log, before anything else says so', () => {
  expect(revoked.acts).toMatchInlineSnapshot(`
    [
      "kept approval.json",
      "kept approval.json.FPR.sig",
      "logged approval",
      "kept revocations/FPR.json",
      "kept revocations/FPR.json.sig",
      "logged revocation",
      "kept settled",
      "kept checkpoint of 7",
      "sends the log of 7",
      "L took 7",
      "asks the witness about 7",
      "asks the witness about 7",
      "the witness cosigned 7",
      "kept cosigned checkpoint of 7",
      "sends the cosigned log of 7",
      "L took cosigned 7",
    ]
  `);
  expect(outOfOrder(revoked.acts, 7)).toBeNull();
});

test('a key that a builder made: its receipt leaves when L has the log', () => {
  expect(enrolled.acts).toMatchInlineSnapshot(`
    [
      "kept approval.json",
      "kept approval.json.FPR.sig",
      "logged approval",
      "kept enrolments/b1.json",
      "kept enrolments/b1.json.sig",
      "kept enrolments/b1.json.mac",
      "logged enrolment",
      "kept checkpoint of 9",
      "sends the log of 9",
      "L took 9",
      "asks the witness about 9",
      "asks the witness about 9",
      "the witness cosigned 9",
      "kept cosigned checkpoint of 9",
      "sends the cosigned log of 9",
      "L took cosigned 9",
      "kept enrolments/b1.json.receipt",
      "sends the receipt",
      "asks for the statement",
    ]
  `);
  expect(outOfOrder(enrolled.acts, 9)).toBeNull();
});

/** An act as a run of so many entries has it. */
const of = (act: string, entries: number): string => act.replace(/ 0$/, ` ${entries}`);

test('the runs have every act that an order is given for', () => {
  const unseen = ORDER(0)
    .flat()
    .filter((act) => !runs().some(({ acts, entries }) => acts.includes(of(act, entries))));
  expect(unseen).toEqual([]);
});

test.each(ORDER(0))('it would be seen if it were not: %s, then %s', (first, then) => {
  const run = runs().find(({ acts, entries }) =>
    [first, then].every((act) => acts.includes(of(act, entries))),
  );
  if (run === undefined) throw new Error('no run has both');
  const { acts, entries } = run;
  const [before, after] = [of(first, entries), of(then, entries)];
  const swapped = acts.with(acts.lastIndexOf(before), after).with(acts.indexOf(after), before);
  expect(outOfOrder(swapped, entries)).not.toBeNull();
});
