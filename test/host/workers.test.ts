/** Jobs in worker threads: of a program that is one file, as ours is, and in this thread where there is none. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setImmediate as breathe } from 'node:timers/promises';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Workers } from '../../src/host/workers.ts';
import { work } from './jobs.ts';

const directory = mkdtempSync(join(tmpdir(), 'cs-workers-'));
const program = join(directory, 'program.mjs');
afterAll(() => rmSync(directory, { recursive: true }));

beforeAll(async () => {
  const entry = fileURLToPath(new URL('jobs-program.ts', import.meta.url));
  const options = { bundle: true, platform: 'node', target: 'node20', format: 'esm' } as const;
  await build({ entryPoints: [entry], outfile: program, logLevel: 'warning', ...options });
});

interface Printed {
  readonly result: unknown;
  readonly said: string[];
}

/** Runs the program; a test that hangs is one that fails. */
async function ran(...args: string[]): Promise<Printed> {
  const env = { ...process.env, COUNTERSIGN_TEST_SECRET: 'hush' };
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args], {
    env,
    timeout: 30_000,
  });
  return JSON.parse(stdout) as Printed;
}

const FAILURE = { failure: true, kind: 'unable', code: 'network', message: 'it broke', hint: 'mend it' };

describe('a program of one file', () => {
  test('does many jobs in as many threads as it may, each started once, and ends', async () => {
    const squares = await ran('many');
    expect(squares.result).toEqual(Array.from({ length: 20 }, (_, number) => number * number));
    expect(squares.said.sort()).toEqual(Array.from({ length: 20 }, (_, n) => `squaring ${n}`).sort());
    const { here, ids } = (await ran('threads')).result as { here: number; ids: number[] };
    expect(ids).not.toContain(here);
    expect(ids).toHaveLength(8);
    expect(new Set(ids).size).toBe(2);
  });

  test('tells its threads nothing of its command line and environment', async () => {
    const { result } = await ran('one', 'where', 'a-secret');
    expect(result).toEqual({ result: { threadId: expect.any(Number), argv: [], execArgv: [], env: {} } });
  });

  test.each([
    [
      'a failure of ours, with all it says',
      'refuse',
      { ...FAILURE, cause: { failure: false, code: 'EPIPE', message: 'below' } },
    ],
    ['the system’s word', 'errno', { failure: false, code: 'ENOENT', message: 'no such file' }],
    ['a bug', 'bug', { failure: false, message: expect.stringContaining('reading') }],
    ['what nobody caught', 'crash', { failure: false, message: 'uncaught' }],
    [
      'a thread that ends',
      'exit',
      { failure: false, message: 'a worker thread ended in the middle of its job' },
    ],
    [
      'a result that cannot cross',
      'uncloneable',
      { failure: false, message: expect.stringContaining('could not be cloned') },
    ],
  ])('hears of %s', async (_what, ask, expected) => {
    expect((await ran('one', ask)).result).toEqual(expected);
  });

  test('gives a job up at once, also one that has not begun, and goes on', async () => {
    const given = { failure: false, message: 'given up' };
    expect((await ran('abort')).result).toEqual([given, { result: 25 }]);
    expect(await ran('abort-first')).toEqual({ result: { failure: false, message: 'too late' }, said: [] });
  });

  test('ends its threads, and whoever waits for them hears of it', async () => {
    const ended = { failure: false, message: 'the worker threads were ended' };
    expect((await ran('close')).result).toEqual([ended, ended, ended]);
  });

  test('does itself what its threads do not know', async () => {
    expect((await ran('stranger')).result).toEqual({ result: 16 });
  });
});

describe('where no program has threads', () => {
  const here = (): Workers<Parameters<typeof work>[0], unknown, string> => new Workers('test', work, 2);

  test('the same work is done in this thread, as many at a time', async () => {
    const said: string[] = [];
    const workers = here();
    const all = Array.from({ length: 5 }, (_, number) =>
      workers.run({ what: 'square', number }, { progress: (text) => said.push(text) }),
    );
    expect(await Promise.all(all)).toEqual([0, 1, 4, 9, 16]);
    expect(said).toHaveLength(5);
    await expect(workers.run({ what: 'refuse' })).rejects.toMatchObject({ code: 'network', hint: 'mend it' });
    expect(await workers.run({ what: 'square', number: 6 })).toBe(36);
  });

  test('no more at a time than may be, whoever comes between the end of one and the begin of the next', async () => {
    let [active, most] = [0, 0];
    const open = new Map<number, () => void>();
    const gate = (at: number): Promise<void> => new Promise((resolve) => open.set(at, resolve));
    const workers = new Workers<number, void>(
      'test',
      async (at) => {
        most = Math.max(most, ++active);
        await (at === 0 ? gate(at) : breathe());
        active -= 1;
      },
      1,
    );
    const all = [workers.run(0), workers.run(1)];
    open.get(0)?.();
    for (let turn = 2; turn < 12; turn++) {
      await Promise.resolve();
      all.push(workers.run(turn));
    }
    await Promise.all(all);
    expect(most).toBe(1);
  });

  test('is told when it is given up', async () => {
    const controller = new AbortController();
    const options = { progress: () => controller.abort(), signal: controller.signal };
    await expect(here().run({ what: 'hold' }, options)).rejects.toThrow('work was told');
  });

  test('is not begun once ended', async () => {
    const workers = here();
    await workers.close();
    await expect(workers.run({ what: 'square' })).rejects.toThrow('the worker threads were ended');
  });
});
