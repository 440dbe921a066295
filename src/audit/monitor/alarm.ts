/** Proof against whoever has the log's key: a file of its own each, so that none is lost behind another. Pure. */
import { usage } from '../../failure.ts';
import { closedObject, listOf, text } from '../../records/fields.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { NOTE_MAX } from '../../tlog/note.ts';

/** Signed checkpoints that cannot all be of one log. Said until its file is moved away. */
export interface Alarm {
  readonly code: 'fork' | 'rollback';
  readonly text: string;
  /** The signed notes, whole. */
  readonly evidence: readonly string[];
}

/** So many of each code are kept: those after them add nothing to the proof. */
const KEPT_MAX = 8;

/** Alarms, each once, whoever has cosigned its checkpoints since. */
export class Alarms {
  readonly #all = new Map<string, Alarm>();
  readonly #kept = new Map<string, Alarm>();

  /** `kept`: those that there were. */
  constructor(kept: Iterable<Alarm> = []) {
    for (const alarm of kept) this.add(alarm);
  }

  /** All, in the order in which they came. */
  get all(): readonly Alarm[] {
    return [...this.#all.values()];
  }

  /** Those to be kept, by their names: `fork-0123456789abcdef`. */
  get kept(): ReadonlyMap<string, Alarm> {
    return this.#kept;
  }

  add(alarm: Alarm): void {
    const name = nameOf(alarm);
    if (this.#all.has(name)) return;
    this.#all.set(name, alarm);
    const kept = [...this.#kept.values()].filter(({ code }) => code === alarm.code).length;
    if (kept < KEPT_MAX) this.#kept.set(name, alarm);
  }
}

/** Whether a file of that name, behind the state file's, is an alarm's. */
export const isAlarmName = (name: string): boolean => /^(?:fork|rollback)-[0-9a-f]{16}$/.test(name);

/** By what the log signed: cosignatures come and go. */
function nameOf({ code, evidence }: Alarm): string {
  const signed = evidence.map((note) => note.split('\n\n', 1)[0]).join('\n\n');
  return `${code}-${sha256Hex(signed).slice(0, 16)}`;
}

/** The file's bytes. */
export const formatAlarm = ({ code, text: said, evidence }: Alarm): Buffer =>
  Buffer.from(`${JSON.stringify({ code, text: said, evidence })}\n`);

/** Reads it. Throws usage(`state-malformed`) for anything else. */
export function parseAlarm(bytes: Buffer, path: string): Alarm {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    const alarm = closedObject(value, 'it', ['code', 'text', 'evidence']);
    return {
      code: alarm.code === 'rollback' ? 'rollback' : 'fork',
      text: text(alarm.text, 'text', 4096),
      evidence: listOf(alarm.evidence, 'evidence', { min: 1, max: 2 }, (each, where) =>
        text(each, where, NOTE_MAX),
      ),
    };
  } catch (error) {
    const problem = error instanceof Error ? error.message : 'malformed';
    const what = `${path} is not the evidence that a monitor keeps: ${problem}`;
    throw usage('state-malformed', what, 'move it away, and ask who wrote it', error);
  }
}
