/** A program as ours is, one file with threads: does what its argument says, and prints what came of it. */
import { writeFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { Failure } from '../../src/failure.ts';
import { Workers, serveJobs } from '../../src/host/workers.ts';
import { work } from './jobs.ts';
import type { Ask } from './jobs.ts';

await serveJobs(import.meta.url, { test: () => import('./jobs.ts') });

const [scenario = '', given = ''] = process.argv.slice(2);
const workers = new Workers(scenario === 'stranger' ? 'unknown' : 'test', work, 2);
const said: string[] = [];
const run = (ask: Ask, signal?: AbortSignal): Promise<unknown> =>
  workers.run(ask, { progress: (text) => said.push(text), ...(signal && { signal }) });
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (result) => ({ result }),
    (error: unknown) => shown(error),
  );

function shown(error: unknown): object {
  if (!(error instanceof Error)) return { thrown: error };
  const { kind, hint } = error instanceof Failure ? error : {};
  const code = 'code' in error ? error.code : undefined;
  const cause = error.cause === undefined ? undefined : shown(error.cause);
  return { failure: error instanceof Failure, kind, code, message: error.message, hint, cause };
}

/** Gives the job up once it is under way. */
async function abandoned(): Promise<unknown> {
  const controller = new AbortController();
  const holding = outcome(
    workers.run(
      { what: 'hold' },
      { progress: () => controller.abort(new Error('given up')), signal: controller.signal },
    ),
  );
  return holding;
}

const scenarios: Readonly<Record<string, () => Promise<unknown>>> = {
  one: () => outcome(run({ what: given as Ask['what'], number: 3 })),
  many: () => Promise.all(Array.from({ length: 20 }, (_, number) => run({ what: 'square', number }))),
  threads: async () => {
    const places = await Promise.all(Array.from({ length: 8 }, () => run({ what: 'where' })));
    return { here: threadId, ids: places.map((place) => (place as { threadId: number }).threadId) };
  },
  stranger: () => outcome(run({ what: 'square', number: 4 })),
  abort: async () => [await abandoned(), await outcome(run({ what: 'square', number: 5 }))],
  'abort-first': () => outcome(run({ what: 'square' }, AbortSignal.abort(new Error('too late')))),
  close: async () => {
    const held = [
      outcome(run({ what: 'hold' })),
      outcome(run({ what: 'hold' })),
      outcome(run({ what: 'square' })),
    ];
    // both are under way
    while (said.length < 2) await new Promise((resolve) => setImmediate(resolve));
    await workers.close();
    return Promise.all(held);
  },
};

// no close but in the scenario of that name: a thread without a job keeps nobody up
const result = await scenarios[scenario]?.();
writeFileSync(1, JSON.stringify({ result, said }));
