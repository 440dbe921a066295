/** What a child writes, and how it ends. */
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface Collected {
  /** Null: a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits for its end, with all that it wrote. To be called as soon as it was spawned; rejects if it could not be. */
export async function collected(
  child: ChildProcess & { readonly stdout: Readable; readonly stderr: Readable },
): Promise<Collected> {
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    return () => Buffer.concat(chunks).toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, stdout: stdout?.() ?? '', stderr: stderr?.() ?? '' };
}
