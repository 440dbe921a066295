/**
 * Artifacts leave before the statement is sealed: each as soon as its digest is known, while others are still hashed.
 * The depot takes blobs of an approved build from its builders at any time before it expires, and shows them to nobody but
 * the signer. Whatever keeps them from getting there is no news yet: it is met again when the statement is sent.
 */
import { Failure } from '../failure.ts';
import type { Sha256 } from '../records/names.ts';
import type { Subject } from '../records/statement.ts';
import type { Ticket } from '../records/ticket.ts';
import type { Depot } from '../tree/tree.ts';
import type { Report } from './events.ts';
import { addSealedByOthers } from './upload.ts';
import { Uploader } from './uploader.ts';
import type { Found } from './walk.ts';

export class EarlyUpload {
  readonly uploader: Uploader;
  readonly #changed = new AbortController();
  #count: number;
  #bytes: number;

  /** To a depot that has this ticket's approval, as all of `found` is within its limits. */
  constructor(depot: Depot, { build, slot, artifacts }: Ticket, found: readonly Found[], report: Report) {
    const bytes = found.reduce((sum, { size }) => sum + size, 0);
    // if this run does not come to the seal, there must be room for all that the next one finds
    this.#count = artifacts.maxCount - found.length;
    this.#bytes = artifacts.maxTotalBytes - bytes;
    const there = new Set<Sha256>();
    this.uploader = new Uploader({
      ...{ depot, build, there, bytes, report },
      ready: addSealedByOthers(there, depot, { build, slot }),
      failed: (error) => {
        if (error instanceof Failure && error.code === 'artifact-changed') this.#changed.abort(error);
      },
    });
  }

  /** Aborted with refused `artifact-changed` once a file is not what was hashed: nothing is sealed then. */
  get changed(): AbortSignal {
    return this.#changed.signal;
  }

  /** A file that was hashed. */
  add({ path, size }: Found, subject: Subject, bytes: Buffer | null): void {
    // the limits were held against the size that was found
    if (subject.size !== size || this.#count < 1 || this.#bytes < size) return;
    this.#count -= 1;
    this.#bytes -= subject.size;
    this.uploader.add(path, subject, bytes);
  }

  /** All are hashed: nothing waits for more. Throws what `changed` was aborted with. */
  close(): void {
    this.changed.throwIfAborted();
    this.uploader.finish().catch(() => {});
  }
}
