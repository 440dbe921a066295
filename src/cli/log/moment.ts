/** Moments on the command line: a time, a day, or how long ago. Pure. */
import { usage } from '../../failure.ts';
import { durationSeconds } from '../../policy/duration.ts';
import { isTimestamp, timestamp } from '../../records/names.ts';
import type { Timestamp } from '../../records/names.ts';

const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/**
 * `2026-11-22T12:00:00Z` (any RFC 3339 time), `2026-11-22` (all of that day, UTC: `edge` says which end of it), or `2d`
 * before `now`. Throws usage(`time-malformed`).
 */
export function parseMoment(text: string, flag: string, now: Date, edge: 'start' | 'end'): Timestamp {
  const day = `${text}T${edge === 'start' ? '00:00:00' : '23:59:59'}Z`;
  if (isTimestamp(day)) return day;
  const seconds = durationSeconds(text);
  if (seconds !== null) return timestamp(new Date(now.getTime() - seconds * 1000));
  const [, local = '', zone = ''] = TIME.exec(text) ?? [];
  const moment = new Date(`${local}${zone}`.toUpperCase());
  // Date rolls the 30th of February over into March
  if (isTimestamp(`${local.toUpperCase()}Z`) && !Number.isNaN(moment.getTime())) return timestamp(moment);
  throw usage(
    'time-malformed',
    `${flag}: '${text}' is no time`,
    'like 2026-11-22T12:00:00Z, 2026-11-22, or 2d for two days ago (s, m, h, d)',
  );
}
