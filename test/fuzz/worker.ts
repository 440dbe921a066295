/** The fuzzer as a thread of its own, that its parent can end: it shows each input before it is read. */
import { parentPort, workerData } from 'node:worker_threads';
import { Run } from './fuzz.ts';
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

/** A turn of a tenth of a second; what it finds is told at once. */
async function turn(run: Run, index: number): Promise<void> {
  for (const until = Math.min(Date.now() + TURN_MS, end); Date.now() < until;) {
    let input: Buffer = Buffer.alloc(0);
    const before = process.cpuUsage();
    const memory = process.memoryUsage().external;
    const finding = await run.next((bytes) => {
      input = bytes;
      body.set(bytes);
      header.set([Atomics.load(header, 0), index, bytes.length]);
      Atomics.add(header, 0, 1);
    });
    if (finding) tell({ finding });
    const { user } = process.cpuUsage(before);
    const costly = (problem: string): void => tell({ finding: { target: run.target.name, input, problem } });
    if (user > SLOW_SECONDS * 1e6) costly(`${user / 1e6} s of CPU time`);
    const taken = process.memoryUsage().external - memory;
    if (taken > MEMORY_BYTES) costly(`${taken} bytes of memory`);
  }
}

while (Date.now() < end) for (const [index, run] of runs.entries()) await turn(run, index);
tell({
  done: runs.map(({ target: { name }, inputs, answers }) => ({ name, inputs, answers })),
});
