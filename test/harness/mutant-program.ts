/** A program of ours with a mistake in it: built from the source, but for exact edits, into a file of its own. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export interface Edit {
  /** Below `src/`. */
  readonly file: string;
  /** There once; else the mutant is not made. */
  readonly find: string;
  readonly put: string;
}

const SOURCE = fileURLToPath(new URL('../../src/', import.meta.url));

export class MutantProgram {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** What the signer's host runs, with these edits. */
  static async ofSigner(edits: readonly Edit[]): Promise<MutantProgram> {
    const mutant = new MutantProgram(await mkdtemp(join(tmpdir(), 'cs-mutant-')));
    const done = new Set<Edit>();
    await build({
      entryPoints: [join(SOURCE, 'main-h.ts')],
      outfile: mutant.path,
      ...{ bundle: true, platform: 'node', target: 'node20', format: 'esm', logLevel: 'warning' },
      define: { COUNTERSIGN_VERSION: '"mutant"' },
      plugins: [
        {
          name: 'edits',
          setup: ({ onLoad }) =>
            onLoad({ filter: /\.ts$/ }, async ({ path }) => {
              let contents = await readFile(path, 'utf8');
              for (const edit of edits.filter(({ file }) => path === join(SOURCE, file))) {
                const parts = contents.split(edit.find);
                if (parts.length !== 2)
                  throw new Error(`${edit.file}: ${parts.length - 1} times, not once: ${edit.find}`);
                contents = parts.join(edit.put);
                done.add(edit);
              }
              return { contents, loader: 'ts' };
            }),
        },
      ],
    });
    if (done.size !== edits.length) throw new Error('an edit of a file that is not in the program');
    return mutant;
  }

  get path(): string {
    return join(this.directory, 'countersign-h.mjs');
  }

  close(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }
}
