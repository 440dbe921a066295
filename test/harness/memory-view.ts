import type { View } from '../../src/policy/view.ts';

/** A tree in memory: what the gate is asked about, without a disk. */
export class MemoryView implements View {
  readonly files = new Map<string, Buffer>();

  /** Puts files into the tree, below a directory, with no questions asked. */
  put(directory: string, files: Iterable<readonly [string, Buffer]>): this {
    for (const [name, bytes] of files) this.files.set(`${directory}/${name}`, bytes);
    return this;
  }

  async read(path: string): Promise<Buffer | null> {
    return this.files.get(path) ?? null;
  }

  async size(path: string): Promise<number | null> {
    return this.files.get(path)?.length ?? null;
  }
}
