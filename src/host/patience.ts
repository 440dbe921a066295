/** How long a client goes on trying without its server, and when it asks again meanwhile. */

/** Ever longer, for an outage of a moment and one of half a minute; then as the last. */
const PAUSES_MS = [200, 1_000, 3_000, 6_000, 10_000];

/** Pauses before further attempts, which together are as long as that; none without patience. */
export function pausesWithin(patienceMs: number): readonly number[] {
  const pauses: number[] = [];
  for (let left = patienceMs; left > 0;) {
    const pause = Math.min(left, PAUSES_MS[pauses.length] ?? PAUSES_MS.at(-1) ?? left);
    pauses.push(pause);
    left -= pause;
  }
  return pauses;
}
