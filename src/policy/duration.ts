/** Spans of time as people write them: `90s`, `10m`, `4h`, `1d`. */
import { usage } from '../failure.ts';

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;

/** Ten years: longer is a slip of the finger. */
const LONGEST = 3650 * 86_400;

/** The seconds in `90s`, `10m`, `4h` or `1d`: a whole number from 1 and one unit. Null for anything else. */
export function durationSeconds(text: string): number | null {
  const [, count = '', letter] = /^([1-9][0-9]{0,8})([dhms])$/.exec(text) ?? [];
  const unit = UNITS.find(([name]) => name === letter);
  const seconds = unit === undefined ? Infinity : Number(count) * unit[1];
  return seconds <= LONGEST ? seconds : null;
}

/** As `durationSeconds`, of a command line's `where`; throws usage(`duration-malformed`), with `hint`. */
export function parseDuration(text: string, where: string, hint = ''): number {
  const seconds = durationSeconds(text);
  if (seconds !== null) return seconds;
  const message = `${where}: '${text}' is not a length of time like 90s, 10m, 4h or 1d`;
  throw usage('duration-malformed', message, hint);
}

/** The shortest text that is read back as these seconds: in the largest unit that divides it. */
export function formatDuration(seconds: number): string {
  const [letter, size] = UNITS.find(([, length]) => seconds % length === 0) ?? ['s', 1];
  return `${seconds / size}${letter}`;
}
