/** The fuzzer as a thread of its own, that its parent can end: it shows each input before it is read. */
import { parentPort, workerData } from 'node:worker_threads';
import { problemWith, Run } from './fuzz.ts';
import { targets } from './targets.ts';

/** What `scripts/fuzz.mjs` gives the thread. */
interface Task {
  readonly seed: number;
  /** All targets without one. */
  readonly only: string | null;
  readonly seconds: number;
  /** What is read now: a number that grows, the target, the length of the input, the input. */
  readonly shown: SharedArrayBuffer;
}

/** CPU seconds, and bytes outside of the heap, that no input is worth. */
const SLOW_SECONDS = 0.5;
const MEMORY_BYTES = 64 * 1024 ** 2;
const TURN_MS = 100;

const { seed, only, seconds, shown } = workerData as Task;
const header = new Int32Array(shown, 0, 3);
const body = new Uint8Array(shown, header.byteLength);
const chosen = targets.filter(({ name }) => only === null || name === only);
if (chosen.length === 0) throw new Error(`no target ${only}: ${targets.map(({ name }) => name).join(' ')}`);
const runs = chosen.map((target) => new Run(target, seed));

/** Tells the parent: `names` of the targets first, each `finding`, at the end `done`. */
function tell(message: object): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(message);
}

tell({ names: chosen.map(({ name }) => name) });
const end = Date.now() + seconds * 1000;

/** What `work` costs beyond what an input is worth; null if it does not. */
async function costOf(work: () => Promise<unknown>): Promise<string | null> {
  const [before, memory] = [process.cpuUsage(), process.memoryUsage().external];
  await work();
  const [{ user }, taken] = [process.cpuUsage(before), process.memoryUsage().external - memory];
  if (user > SLOW_SECONDS * 1e6) return `${user / 1e6} s of CPU time`;
  return taken > MEMORY_BYTES ? `${taken} bytes of memory` : null;
}

/** A turn of a tenth of a second; what it finds is told at once. */
async function turn(run: Run, index: number): Promise<void> {
  const { target } = run;
  for (const until = Math.min(Date.now() + TURN_MS, end); Date.now() < until;) {
    let input: Buffer = Buffer.alloc(0);
    const show = (bytes: Buffer): void => {
      input = bytes;
      body.set(bytes);
      header.set([Atomics.load(header, 0), index, bytes.length]);
      Atomics.add(header, 0, 1);
    };
    const cost = await costOf(async () => {
      const finding = await run.next(show);
      if (finding) tell({ finding });
    });
    if (cost === null) continue;
    // the garbage of others is collected at any time: what the input itself costs it costs again
    const again = [
      await costOf(() => problemWith(target, input)),
      await costOf(() => problemWith(target, input)),
    ];
    if (!again.includes(null)) tell({ finding: { target: target.name, input, problem: cost } });
  }
}

while (Date.now() < end) for (const [index, run] of runs.entries()) await turn(run, index);
tell({
  done: runs.map(({ target: { name }, inputs, answers }) => ({ name, inputs, answers })),
});
