/** Near matches, for "did you mean". Pure. */

/** The candidate that `given` was probably meant to be: begins with it, or is at most two typing errors away. */
export function nearest(given: string, candidates: readonly string[]): string | null {
  const begins = candidates.filter((candidate) => given.length >= 2 && candidate.startsWith(given));
  if (begins.length === 1 && begins[0] !== undefined) return begins[0];
  const limit = given.length <= 3 ? 1 : 2;
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distance(given, candidate) }))
    .filter((entry) => entry.distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate ?? null;
}

/** Edit distance: insertions, deletions, replacements, and two neighbours swapped count one each. */
function distance(a: string, b: string): number {
  // A verb or flag is short; a pasted file is not worth the table.
  if (Math.abs(a.length - b.length) > 2) return 3;
  const rows: number[][] = [];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 0; i <= a.length; i++) {
    rows.push([]);
    for (let j = 0; j <= b.length; j++) {
      if (i === 0 || j === 0) {
        rows[i]?.push(i + j);
        continue;
      }
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, at(i - 2, j - 2) + 1);
      rows[i]?.push(best);
    }
  }
  return at(a.length, b.length);
}
