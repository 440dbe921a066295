/** Many at once: of one log only one history is ever cosigned, whoever is quicker. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WitnessHost } from './host.ts';
import { Log, originHash } from './log.ts';

let host: WitnessHost;
beforeEach(() => {
  host = new WitnessHost();
});
afterEach(() => host.close());

test('two sizes of one log: one is cosigned, the other is told, and nothing is rolled back', async () => {
  const log = new Log('log.example/one');
  await host.start([log]);
  await host.add(log.body({ old: 0, size: 1 }));
  for (let old = 1; old < 90;) {
    const sizes = old % 2 === 0 ? [old + 1, old + 3] : [old + 3, old + 1];
    const answers = await Promise.all(sizes.map((size) => host.add(log.body({ old, size }))));
    const taken = answers.findIndex(({ status }) => status === 200);
    const size = sizes[taken] ?? 0;
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(answers[1 - taken]?.body.toString()).toBe(`${size}\n`);
    expect(await host.latest(log.origin)).toContain(log.text(size));
    old = size;
  }
});

test('a split view: ten histories from one size at once, and one of them is cosigned', async () => {
  const log = new Log('log.example/one');
  const views = Array.from({ length: 10 }, (_, at) => log.forkedAt(5 + at));
  await host.start([log]);
  await host.add(log.body({ old: 0, size: 5 }));
  const answers = await Promise.all(views.map((view) => host.add(view.body({ old: 5, size: 30 }))));
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(9);
  const chosen = views[answers.findIndex(({ status }) => status === 200)];
  expect(await host.latest(log.origin)).toContain(chosen?.text(30));
  // now they ask for the size that they were told
  for (const view of views)
    expect((await host.add(view.body({ old: 30, size: 30 }))).status).toBe(view === chosen ? 200 : 422);
  expect(host.said).toHaveLength(1);
});

test('forty new logs at once: all of them are remembered, and a file that goes missing is noticed', async () => {
  const logs = Array.from({ length: 40 }, (_, at) => new Log(`log.example/${at}`));
  await host.start(logs);
  const answers = await Promise.all(logs.map((log, at) => host.add(log.body({ old: 0, size: at + 1 }))));
  expect(answers.map(({ status }) => status)).toEqual(logs.map(() => 200));
  await host.stop();
  const listed = readFileSync(join(host.directory, 'origins'), 'utf8').trimEnd().split('\n');
  expect(listed.sort()).toEqual(logs.map(({ origin }) => origin).sort());

  await host.start(logs);
  for (const [at, log] of logs.entries())
    expect((await host.add(log.body({ old: 0, size: 1 }))).body.toString()).toBe(
      at === 0 ? '1\n' : `${at + 1}\n`,
    );
  await host.stop();
  rmSync(join(host.directory, 'checkpoints', originHash('log.example/17')));
  await expect(host.start(logs)).rejects.toMatchObject({ code: 'state-damaged' });
  // those that are served no more are not asked for
  await host.start(logs.slice(0, 17));
});
