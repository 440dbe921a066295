/** The clocks: the one place that reads them. Pure code is handed what these return. */
import { uptime } from 'node:os';
import { Failure } from '../failure.ts';

/** The time now. */
export const now = (): Date => new Date();

/** What setting a clock right by little may cost: NTP steps by less, leap seconds are smaller. */
const DRIFT_MAX_MS = 10_000;

/** A clock that nobody can go by. A class of its own, because a depot may name any code in its answers. */
export class ClockFault extends Failure {
  private constructor(code: string, message: string, hint: string) {
    super('unable', code, message, hint);
  }

  /** The clock was set while somebody went by it. */
  static jumped(milliseconds: number): ClockFault {
    const [direction, length] = [milliseconds > 0 ? 'forward' : 'back', lengthOf(Math.abs(milliseconds))];
    return new ClockFault(
      'clock-jumped',
      `this host's clock was set ${direction} by ${length} while sign ran`,
      'check it (timedatectl), then start sign again',
    );
  }

  /** The clock shows a time before one that was written down. */
  static behind(time: string, newest: string): ClockFault {
    const length = lengthOf(Date.parse(newest) - Date.parse(time));
    return new ClockFault(
      'clock-behind',
      `this host's clock says ${time}, ${length} before the newest entry of its log: nothing is logged or signed`,
      'check it (timedatectl)',
    );
  }
}

/**
 * The time, as long as the host's clock goes on as it did when this was made: it is held against the time since the
 * machine was started, which goes on while it sleeps, and which nobody can set.
 */
export class SteadyClock {
  readonly #clock: () => Date;
  readonly #uptime: () => number;
  readonly #started: number;

  /** `seconds`: since the machine was started. */
  constructor(clock: () => Date = now, seconds: () => number = uptime) {
    this.#clock = clock;
    this.#uptime = seconds;
    this.#started = this.#difference();
  }

  /** The time now. Throws ClockFault(`clock-jumped`) from when the clock was set by more than ten seconds. */
  readonly now = (): Date => {
    const drift = this.#difference() - this.#started;
    if (Math.abs(drift) > DRIFT_MAX_MS) throw ClockFault.jumped(drift);
    return this.#clock();
  };

  #difference(): number {
    return this.#clock().getTime() - this.#uptime() * 1000;
  }
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/** As people say it, in the two largest units: `3h 2m`, `12s`. */
function lengthOf(milliseconds: number): string {
  let seconds = Math.round(milliseconds / 1000);
  const parts = UNITS.map(([unit, size]) => {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    return { count, text: `${count}${unit}` };
  });
  const first = Math.max(
    0,
    parts.findIndex(({ count }) => count > 0),
  );
  const said = parts.slice(first, first + 2).filter(({ count }) => count > 0);
  return said.length === 0 ? '0s' : said.map(({ text }) => text).join(' ');
}
