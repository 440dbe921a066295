/** A second file with the bytes of the first. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { unable } from '../failure.ts';
import { diskFailure, orNull, writeFully } from '../host/files.ts';

const CHUNK = 1024 * 1024;

/** Copies a regular file, never what a link leads to, to where nothing is yet. Throws unable: `missing`, `disk`. */
export async function copyDurably(from: string, to: string): Promise<void> {
  // O_NONBLOCK: opening a FIFO would wait for its writer
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const source = await orNull(open(from, flags), `open ${from}`);
  try {
    if (!(await source?.stat())?.isFile() || source === null) throw unable('missing', `${from} is not there`);
    const copy = await open(to, 'wx', 0o644);
    try {
      const chunk = Buffer.allocUnsafe(CHUNK);
      for (;;) {
        const { bytesRead } = await source.read(chunk, 0, CHUNK);
        if (bytesRead === 0) break;
        await writeFully(copy, chunk.subarray(0, bytesRead));
      }
      await copy.sync();
    } finally {
      await copy.close();
    }
  } catch (error) {
    throw diskFailure(error, `copy ${from}`);
  } finally {
    await source?.close();
  }
}
