/** What the entries say: each canonical, and in an order that a log can have (§1 rule 4). */
import { Failure } from '../failure.ts';
import { Order } from '../policy/order.ts';
import type { LogEntry } from '../records/log-entry.ts';
import type { Timestamp } from '../records/names.ts';
import { readEntry } from './entries.ts';
import type { Findings } from './finding.ts';

export class Content {
  readonly order: Order;
  /** How many entries there are of each type. */
  readonly counts = new Map<string, number>();
  /** When the newest entry was logged. */
  newest: Timestamp | null = null;

  /** `order`: what came before. */
  constructor(order = new Order()) {
    this.order = order;
  }

  /**
   * Takes in the next entry. One that is no entry, or cannot come here, is not taken in and becomes a finding; one that
   * is only dated wrong becomes one, too; `before` is called with any that is taken in, before it is.
   */
  take(leaf: Buffer, index: number, findings: Findings, before?: (entry: LogEntry) => void): void {
    const entry = read(leaf);
    if (entry instanceof Error) {
      findings.add('entry-malformed', [index, index], null, `entry ${index}: ${entry.message}`);
      return;
    }
    this.counts.set(entry.type, (this.counts.get(entry.type) ?? 0) + 1);
    this.newest = entry.time;
    try {
      this.order.check(entry);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      findings.add('entry-order', [index, index], null, `entry ${index}: ${error.message}`);
      return;
    }
    if (this.order.isSetBack(entry)) {
      const text = `entry ${index}: it is dated ${entry.time}, more than ten minutes before those before it`;
      findings.add('entry-time', [index, index], null, text);
    }
    before?.(entry);
    this.order.take(entry);
  }
}

function read(leaf: Buffer): LogEntry | Failure {
  try {
    return readEntry(leaf);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return error;
    throw error;
  }
}
