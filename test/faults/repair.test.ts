/** `check --repair`: what is no good is aside or where it was, what is good is never touched, and the next run ends it. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { showSteps, testRows } from './row.ts';
import type { Play } from './row.ts';
import { REPAIR } from './rows.ts';
import { Theatre } from './theatre.ts';
import type { Act } from './theatre.ts';
import { expectWholeTree, filesBelow } from './whole.ts';

let theatre: Theatre;
let repairs: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  await world.stopServer();
  const read = (file: string): string => readFileSync(world.tree(file), 'base64');
  const whole = new Map(filesBelow(world.tree()).map((file) => [file, read(file)]));
  const one = (pattern: RegExp): string =>
    [...whole.keys()].find((file) => pattern.test(file)) ?? expect.fail(`${pattern}`);
  const spoilt = new Map<string, string>();
  // the blob has a second name in the release, the record a copy there; the tile is made of the entries
  for (const file of [
    one(/\/blobs\//),
    one(/^builds\/\w+\/manifest\.json$/),
    one(/^log\/tile\/0\//),
    'odd',
  ]) {
    const place = world.tree(file);
    // another file: what has a second name stays whole there
    rmSync(place, { force: true });
    writeFileSync(place, `spoilt: ${file}`);
    spoilt.set(file, read(file));
  }
  const scene = theatre.save();
  const act: Act = ({ under, env }): Promise<Ran> =>
    world.runOn('L', ['check', '--data', world.tree(), '--repair', '--json'], { under, env });
  const steps = await scene.rehearse(act);
  const seen = (): void => {
    const files = filesBelow(world.tree());
    const aside = files.filter((file) => file.startsWith('.aside/'));
    for (const [file, bytes] of spoilt)
      expect(
        [file, ...aside.filter((each) => each.endsWith(file))].map(
          (each) => files.includes(each) && read(each),
        ),
        `${file} is lost`,
      ).toContain(bytes);
    for (const [file, bytes] of whole)
      if (!spoilt.has(file)) expect(read(file), file).toBe(bytes);
      else if (files.includes(file)) expect([bytes, spoilt.get(file)], file).toContain(read(file));
  };
  repairs = {
    ...{ scene, act, steps, seen },
    build: basename(join(one(/^builds\/\w+\/approval\.json$/), '..')),
    begin: () => scene.restore(),
    async finish() {
      mustBe(0, await world.runOn('L', ['check', '--data', world.tree(), '--repair', '--json']));
      seen();
      expectWholeTree(world.tree());
      const now = filesBelow(world.tree()).filter((file) => !file.startsWith('.aside/'));
      expect(new Map(now.map((file) => [file, read(file)]))).toEqual(whole);
    },
  };
  showSteps(repairs);
}, 120_000);
afterAll(() => theatre?.close());

testRows(REPAIR, () => repairs);
