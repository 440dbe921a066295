/** What the witnesses have of a log, by their own word (C2SP tlog-witness, "Monitor Retrieval"): does everybody see the same? */
import { Failure } from '../../failure.ts';
import type { Witness } from '../../policy/project.ts';
import { openCheckpoint, witnessedPath } from '../../tlog/checkpoint.ts';
import type { Checkpoint, LogKey } from '../../tlog/checkpoint.ts';
import { cosignaturesOf } from '../../tlog/cosignature.ts';
import { NOTE_MAX } from '../../tlog/note.ts';
import { HttpDepot } from '../../tree/http.ts';

/** What it cosigned last. */
export interface Seen {
  readonly name: string;
  readonly checkpoint: Checkpoint;
  readonly note: string;
  /** By its own clock, in seconds since 1970; null without a cosignature. */
  readonly time: number | null;
}

/** Null for one that has never cosigned this log; a failure for one that could not be asked. */
export async function askWitness({ key, url }: Witness, log: LogKey): Promise<Seen | Failure | null> {
  const http = new HttpDepot({
    url,
    token: null,
    insecureHttp: false,
    timing: { connectMs: 5_000, answerMs: 10_000, backOffMs: [500] },
  });
  try {
    const bytes = await http.read(witnessedPath(log.origin), NOTE_MAX);
    if (bytes === null) return null;
    const checkpoint = openCheckpoint(bytes, log);
    const [cosignature] = cosignaturesOf(bytes, [key]);
    return { name: key.name, checkpoint, note: bytes.toString(), time: cosignature?.time ?? null };
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'usage') throw error;
    const { kind, code, message, hint } = error;
    return new Failure(kind, code, `witness ${key.name}: ${message}`, hint, error);
  } finally {
    http.close();
  }
}

/** Two checkpoints that the log signed and that are not of one tree. */
export const forkText = (who: string, seen: number, shown: number): string =>
  `the log is forked: ${who} has a checkpoint of ${seen} entries that the one shown, of ${shown}, does not go on from`;
