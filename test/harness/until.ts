/** Waits for what another process does. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Looks again and again until it is so. Throws after a minute, with `what` was waited for. */
export async function until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(5)) if (await so()) return;
  throw new Error(`waited for a minute: ${what}`);
}
