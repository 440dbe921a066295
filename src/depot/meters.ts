/**
 * What the depot counts, for /metrics. No label has more values than the program has words for: no build, no path, no
 * client. docs/how-to/depot.md says what each is good for.
 */
import type { Dropped, Happening, Heard } from '../tree/happening.ts';
import { Registry } from './registry.ts';
import type { Values } from './registry.ts';

/** Before each name; units stand at its end. */
const PREFIX = 'countersign_depot_';

/** Why somebody was turned away or cut off. */
const LIMITS = [
  'client-connections',
  'client-rate',
  'connections',
  'bodies',
  'body-deadline',
  'head-deadline',
  'idle',
  'waiting',
  'changes',
  'disk-reserve',
] as const;
export type Limit = (typeof LIMITS)[number];

/** Why files went. */
const DROPPED: readonly Dropped[] = ['unnamed', 'unapproved', 'refused', 'abandoned'];
const dropped = DROPPED.map((what) => ({ what }));

/** What became of a request. */
export interface Answered {
  /** One of those that are served, or `other`. */
  readonly method: string;
  /** One of our routes, not a path. */
  readonly route: string;
  /** 0 if the connection ended before there was an answer. */
  readonly status: number;
  /** Of a refusal: one of our codes. */
  readonly code?: string;
  readonly seconds: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** From what a listing takes to a large upload. */
const SECONDS = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600];

export class Meters {
  readonly #registry = new Registry();
  readonly #requests = this.#counter('requests_total', 'Requests, by what was answered; 0: nothing.', []);
  readonly #seconds = this.#registry.histogram(
    `${PREFIX}request_seconds`,
    'How long requests took, from their head to the end of the answer.',
    SECONDS,
  );
  readonly #bytesIn = this.#counter('received_bytes_total', 'Bytes that came on connections.');
  readonly #bytesOut = this.#counter('sent_bytes_total', 'Bytes that went out on connections.');
  readonly #refused = this.#counter(
    'refused_total',
    'Requests that were not done, by code; not those that read what is not there.',
    [],
  );
  readonly #limited = this.#counter(
    'limited_total',
    'Requests and connections turned away or cut off.',
    LIMITS.map((limit) => ({ limit })),
  );
  readonly #blobs = this.#counter('blobs_received_total', 'Blobs that are whole and new.');
  readonly #blobBytes = this.#counter('blobs_received_bytes_total', 'How large they were together.');
  readonly #changed = this.#counter('builds_changed_total', 'Writes of records that were new.');
  readonly #published = this.#counter('publishes_total', 'Verifications before publishing, by outcome.', [
    { outcome: 'ok' },
    { outcome: 'failed' },
  ]);
  readonly #publishSeconds = this.#registry.histogram(
    `${PREFIX}publish_seconds`,
    'How long they took.',
    SECONDS,
  );
  readonly #logged = this.#counter('log_writes_total', 'Times that the log grew or got cosignatures.');
  readonly #dropped = this.#counter('dropped_files_total', 'Files that were dropped, by why.', dropped);
  readonly #droppedBytes = this.#counter('dropped_bytes_total', 'How large they were together.', dropped);

  /** A request or a connection was turned away or cut off. */
  limited(limit: Limit): void {
    this.#limited.add(1, { limit });
  }

  /** A request has its answer, or lost its client. */
  answered({ method, route, status, code, seconds, bytesIn, bytesOut }: Answered): void {
    this.#requests.add(1, { method, route, status: String(status) });
    this.#seconds.observe(seconds, { route });
    this.#bytesIn.add(bytesIn);
    this.#bytesOut.add(bytesOut);
    // whoever reads asks for much that is not there yet
    const isMiss = code === 'not-found' && (method === 'GET' || method === 'HEAD');
    if (code !== undefined && !isMiss) this.#refused.add(1, { code });
  }

  /** What the depot tells. */
  readonly heard: Heard = (happening: Happening) => {
    switch (happening.kind) {
      case 'changed':
        return this.#changed.add(1);
      case 'received':
        this.#blobs.add(1);
        return this.#blobBytes.add(happening.bytes);
      case 'published':
        this.#published.add(1, { outcome: happening.ok ? 'ok' : 'failed' });
        return this.#publishSeconds.observe(happening.seconds);
      case 'logged':
        return this.#logged.add(1);
      case 'dropped':
        this.#dropped.add(happening.files, { what: happening.what });
        return this.#droppedBytes.add(happening.bytes, { what: happening.what });
    }
  };

  /** Something that goes up and down, asked for at each scrape; `name` without what all begin with. */
  gauge(name: string, help: string, read: () => Values): void {
    this.#registry.read('gauge', PREFIX + name, help, read);
  }

  /** Something that others count, asked for at each scrape. */
  count(name: string, help: string, read: () => Values): void {
    this.#registry.read('counter', PREFIX + name, help, read);
  }

  /** As Prometheus reads it. */
  text(): string {
    return this.#registry.text();
  }

  #counter(name: string, help: string, start?: readonly Readonly<Record<string, string>>[]) {
    return this.#registry.counter(PREFIX + name, help, start);
  }
}
