/** A witness that is killed, or whose disk fails, at each step of cosigning: it never forgets what it answered. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hit, stepsOf, TEMPORARY, traced } from '../faults/strace.ts';
import type { Fault, Step } from '../faults/strace.ts';
import { add, cosignedAt, NAME, WitnessHost } from './host.ts';
import { Log } from './log.ts';
import { started } from './program.ts';
import type { Started } from './program.ts';

const log = new Log('log.example/one');
const small = new Log('log.example/two');

let scratch: string;
/** A state that has cosigned size 3 of the first log, and nothing of the second. */
let begun: string;
let steps: Step[];
const args = (state: string): string[] => ['--state', state, '--log', log.key.text, '--log', small.key.text];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'cs-crash-'));
  begun = join(scratch, 'begun');
  const witness = await started([...args(begun), '--name', NAME]);
  expect((await add(witness.url, log.body({ old: 0, size: 3 }))).status).toBe(200);
  expect(await witness.stop()).toBe(0);

  const state = await copy();
  const { under, env, trace } = traced(scratch, null);
  const observed = await started(args(state), { under, env });
  expect(await submit(observed)).toEqual([200, 200]);
  expect(await observed.stop()).toBe(0);
  const made = stepsOf(trace(), scratch).filter(({ path }) => path !== null);
  // before that it starts
  steps = made.slice(made.findIndex(({ path }) => TEMPORARY.test(path ?? '')));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Always in the same place: faults are injected by paths. */
async function copy(): Promise<string> {
  const state = join(scratch, 'state');
  rmSync(state, { recursive: true, force: true });
  await cp(begun, state, { recursive: true });
  return state;
}

/** Both logs grow; the second is new. What the witness answers: null if nothing. */
async function submit({ url }: Started): Promise<(number | null)[]> {
  const answers: (number | null)[] = [];
  for (const body of [log.body({ old: 3, size: 5 }), small.body({ old: 0, size: 4 })])
    answers.push(
      await add(url, body).then(
        ({ status }) => status,
        () => null,
      ),
    );
  return answers;
}

/** What it does with the fault; then a new one on the same state, which must remember all that was answered. */
async function meet(fault: Fault): Promise<(number | null)[]> {
  const state = await copy();
  const { under, env, trace } = traced(scratch, fault);
  const witness = await started(args(state), { under, env });
  const answers = await submit(witness);
  if (fault.as === 'SIGKILL') await witness.ended;
  else await witness.stop();
  expect(hit(trace(), fault)).toBe(true);

  const again = new WitnessHost(state);
  await again.start([log, small]);
  try {
    for (const [at, { each, before, after }] of [
      { each: log, before: 3, after: 5 },
      { each: small, before: 0, after: 4 },
    ].entries()) {
      const shown = await again.latest(each.origin);
      const size = Number(shown?.split('\n')[1] ?? 0);
      expect(answers[at] === 200 ? [after] : [before, after]).toContain(size);
      // another history than that which was answered gets nothing, and the log goes on
      if (size > 0) {
        cosignedAt(each.text(size), { status: 200, headers: {}, body: ownLine(shown) }, again.key);
        const forked = await again.add(each.forkedAt(2).body({ old: size, size: 9 }));
        expect([forked.status, size]).toEqual([422, size]);
      }
      expect((await again.add(each.body({ old: size, size: 9 }))).status).toBe(200);
    }
  } finally {
    await again.stop();
  }
  return answers;
}

const ownLine = (shown: string | null): Buffer => Buffer.from(`${shown?.trimEnd().split('\n').at(-1)}\n`);

const what = ({ call, path }: Step): string =>
  `${call} ${basename(path ?? '')}`.replace(TEMPORARY, 'temporary');

test('to cosign is to write a file, to give it its name, and for a new log to list it', () => {
  const file = (directory: string): string[] => [
    ...['open temporary', 'write temporary', 'sync temporary', 'name temporary', `sync ${directory}`],
  ];
  expect(steps.map(what)).toEqual([...file('checkpoints'), ...file('checkpoints'), ...file('state')]);
});

test('killed at any of these steps, it remembers what it answered', async () => {
  const answered: (number | null)[][] = [];
  for (const { syscall, path, nth } of steps)
    answered.push(await meet({ syscall, path, nth, as: 'SIGKILL' }));
  // the first log is answered when its file is there, the second when it is listed, too
  const dead = (count: number, answers: (number | null)[]) => Array.from({ length: count }, () => answers);
  expect(answered).toEqual([...dead(5, [null, null]), ...dead(10, [200, null])]);
});

test('a disk that fails is answered 500, and nothing is cosigned', async () => {
  for (const { call, syscall, path, nth } of steps.slice(0, 5)) {
    const as = call === 'write' || call === 'open' ? 'ENOSPC' : 'EIO';
    expect([call, await meet({ syscall, path, nth, as })]).toEqual([call, [500, 200]]);
  }
});
