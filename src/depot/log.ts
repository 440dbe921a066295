/** The log over HTTP (protocol §4, C2SP tlog-tiles): its checkpoint, what a push of it brings, and where it stands. */
import type { ServerResponse } from 'node:http';
import { refused } from '../failure.ts';
import { parseDecimal } from '../tlog/checkpoint.ts';
import { NOTE_MAX } from '../tlog/note.ts';
import { bundleEntries } from '../tlog/tile.ts';
import type { GatedDepot } from '../tree/gated.ts';
import type { TarEntry } from '../tree/tar.ts';
import type { LogPush } from '../tree/tree.ts';
import { TEXT_TYPE, sendCurrent } from './answer.ts';

/** Answers with the checkpoint: read whole, for it may be replaced meanwhile. False if there is none. */
export async function sendCheckpoint(response: ServerResponse, depot: GatedDepot): Promise<boolean> {
  const note = await depot.read('log/checkpoint', NOTE_MAX);
  if (note !== null) sendCurrent(response, TEXT_TYPE, note);
  return note !== null;
}

/** The files `checkpoint` and `entries/<from>` of a tar. Throws refused(`log-malformed`) for anything else. */
export function parsePush(files: readonly TarEntry[]): LogPush {
  const checkpoint = files.find(({ name }) => name === 'checkpoint')?.bytes;
  const bundle = files.find(({ name }) => name.startsWith('entries/'));
  const from = parseDecimal(bundle?.name.slice('entries/'.length) ?? '');
  if (files.length !== 2 || checkpoint === undefined || bundle === undefined || from === null)
    throw refused('log-malformed', 'the log comes as a tar of checkpoint and entries/<index of the first>');
  return { checkpoint, from, entries: () => bundleEntries(bundle.bytes) };
}
