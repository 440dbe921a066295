/** What a monitor remembers from one pass to the next: a file of its own, which nobody else need believe. */
import { usage } from '../../failure.ts';
import { Order } from '../../policy/order.ts';
import { closedObject, integer, text } from '../../records/fields.ts';
import { openCheckpoint } from '../../tlog/checkpoint.ts';
import type { Checkpoint } from '../../tlog/checkpoint.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { NOTE_MAX } from '../../tlog/note.ts';

export interface Memory {
  /** The newest checkpoint that went on from all before; its signed note. */
  readonly checkpoint: Checkpoint;
  readonly note: string;
  /** Up to here nothing that should be said again was found in the entries. */
  readonly seen: number;
  /** What may come after those. */
  readonly order: Order;
  /** Where that checkpoint was seen. */
  readonly place: string;
  /** Whether releases are held against a list: a look without it would take what nobody expected for news. */
  readonly expects: boolean;
}

const TYPE = 'application/vnd.countersign.log-monitor.v1+json';

/** The file's bytes. */
export const formatMemory = ({ note, seen, order, place, expects }: Memory): Buffer =>
  Buffer.from(
    `${JSON.stringify({ type: TYPE, place, expects, checkpoint: note, seen, order: order.save() })}\n`,
  );

/** Reads it. Throws usage(`state-malformed`) for anything else, a file about another log too. */
export function parseMemory(bytes: Buffer, trust: LogTrust): Memory {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    const fields = closedObject(value, 'it', ['type', 'place', 'expects', 'checkpoint', 'seen', 'order']);
    if (fields.type !== TYPE) throw new RangeError('it is of another type');
    const note = text(fields.checkpoint, 'checkpoint', NOTE_MAX);
    const checkpoint = openCheckpoint(note, trust);
    return {
      ...{ checkpoint, note },
      seen: integer(fields.seen, 'seen', { max: checkpoint.size }),
      order: Order.from(fields.order),
      place: text(fields.place, 'place', 4096),
      expects: fields.expects === true,
    };
  } catch (error) {
    throw usage(
      'state-malformed',
      `not what a monitor of this log remembers: ${error instanceof Error ? error.message : 'malformed'}`,
      'give it another --state, or move this one away: the next pass then begins at the first entry',
      error,
    );
  }
}
