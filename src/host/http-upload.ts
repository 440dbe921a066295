/**
 * A large body that goes on where it was cut, in the words of draft-ietf-httpbis-resumable-upload: HEAD says how much of it
 * the server has, PUT brings the rest. A server that says nothing of the kind gets all of it each time.
 */
import { Failure } from '../failure.ts';

interface Steps<Answer> {
  /** What HEAD answers. */
  readonly ask: () => Promise<Answer & { readonly uploadOffset: number | null }>;
  /** PUTs all but the first `from` bytes, once. A server that is busy counts as a broken connection but for the `last` time. */
  readonly send: (from: number, last: boolean, resumable: boolean) => Promise<Answer>;
  /** Before each further attempt that gets nowhere. */
  readonly pausesMs: readonly number[];
  /** After that failure. False once nobody waits any more. */
  readonly pause: (milliseconds: number, failure: Failure) => Promise<boolean>;
}

/** What counts as getting on: a server that has a byte more each time would keep us for ever. */
const STEP = 1024 * 1024;
/** And so would one that has that much more each time. */
const ATTEMPTS = 100;

/** The answer to the last PUT, or to the HEAD that says that all `size` bytes are there. Throws what `steps` throw. */
export async function upload<Answer extends { readonly status: number }>(
  size: number,
  { ask, send, pausesMs, pause }: Steps<Answer>,
): Promise<Answer> {
  let [reached, tries, fromStart] = [0, 0, false];
  for (let attempts = 1; ; attempts++) {
    const head = await ask();
    if (head.status === 200) return head;
    const { uploadOffset: offset } = head;
    // one that can't be true is as good as none
    const from = offset !== null && offset <= size && !fromStart ? offset : 0;
    if (from >= reached + STEP) [reached, tries] = [from, 0];
    const pauseMs = (attempts < ATTEMPTS ? pausesMs[tries++] : null) ?? null;
    try {
      const answer = await send(from, pauseMs === null, offset !== null);
      // what was there has grown or gone; or it was not what it should be, or a proxy did not pass on where we began
      const { status } = answer;
      if (from === 0 || pauseMs === null || (status !== 409 && status !== 422)) return answer;
      fromStart = status === 422;
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'network') throw error;
      if (pauseMs === null || !(await pause(pauseMs, error))) throw error;
    }
  }
}
