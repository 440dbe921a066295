/** A file on its way elsewhere: the next of it is read while the last is taken. An edge to the system. */
import type { FileHandle } from 'node:fs/promises';

/**
 * The bytes of an open file from `start` to `end`, that included, or to where it ends. Each chunk is good until the next is
 * asked for: two buffers of `chunkBytes` are all that it takes. Throws what the system says.
 */
export async function* readAhead(
  file: FileHandle,
  { start, end }: { readonly start: number; readonly end: number },
  chunkBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  const size = Math.max(1, Math.min(chunkBytes, end - start + 1));
  let [buffer, spare] = [Buffer.allocUnsafe(size), Buffer.alloc(0)];
  let at = start;
  const read = async (): Promise<number> =>
    (await file.read(buffer, 0, Math.min(size, end + 1 - at), at)).bytesRead;
  let reading = read();
  try {
    for (;;) {
      const bytesRead = await reading;
      if (bytesRead === 0) return;
      at += bytesRead;
      const chunk = buffer.subarray(0, bytesRead);
      if (at > end) {
        yield chunk;
        return;
      }
      if (spare.length === 0) spare = Buffer.allocUnsafe(size);
      [buffer, spare] = [spare, buffer];
      reading = read();
      yield chunk;
    }
  } finally {
    // whoever closes the file must not do so under it; what it met is told where it is awaited
    await reading.catch(() => {});
  }
}
