/** What others have written for the same formats: their Go packages, in programs of ours, that of sumdb among them. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How a stranger's program ended. */
export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Asynchronous, because servers of the test may live in this process. */
export const ask = (
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Promise<Said> =>
  new Promise((resolve, reject) => {
    const { input = '', ...more } = options;
    const child = execFile(program, args, { maxBuffer: 2 ** 24, ...more }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, stdout, stderr });
      else reject(new Error(`${program} ${args.join(' ')}: ${error?.message}\n${stderr}`));
    });
    child.stdin?.on('error', () => {}); // it need not read what we offer
    child.stdin?.end(input);
  });

/** Compiles the Go program in that folder beside this file, with the compiler and packages of the system alone. */
export async function compileGo(folder: string, program: string, packages: string): Promise<void> {
  const env = {
    PATH: [process.env['PATH'] ?? '', '/usr/bin'].join(delimiter),
    HOME: dirname(program),
    // outside of modules, so that nothing is looked for on the network
    ...{ GO111MODULE: 'off', GOPATH: packages, GOTOOLCHAIN: 'local' },
    GOCACHE: `${program}.cache`,
  };
  const cwd = fileURLToPath(new URL(folder, import.meta.url));
  const { code, stderr } = await ask('go', ['build', '-o', program, '.'], { cwd, env });
  if (code !== 0) throw new Error(`${folder} does not compile:\n${stderr}`);
}

export class Sumdb {
  /** For whatever a test needs files for. */
  readonly directory: string;
  readonly #program: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.#program = join(directory, 'sumdb-program');
  }

  /** Compiles it, with the compiler and the packages of the system alone. */
  static async build(): Promise<Sumdb> {
    const sumdb = new Sumdb(await mkdtemp(join(tmpdir(), 'cs-sumdb-')));
    await compileGo('sumdb', sumdb.#program, '/usr/share/gocode');
    return sumdb;
  }

  path(...segments: readonly string[]): string {
    return join(this.directory, ...segments);
  }

  /** Runs a command of it, whatever comes of it. */
  run(...args: readonly string[]): Promise<Said> {
    return ask(this.#program, args);
  }

  /** Runs a command of it that is to succeed. Returns what it printed. */
  async says(...args: readonly string[]): Promise<string> {
    const said = await this.run(...args);
    if (said.code !== 0) throw new Error(`sumdb ${args.join(' ')}: ${said.stderr}`);
    return said.stdout;
  }

  /** A key pair that it made. */
  async key(name: string): Promise<{ readonly signer: string; readonly verifier: string }> {
    const [signer = '', verifier = ''] = (await this.says('key', name)).split('\n');
    return { signer, verifier };
  }

  async close(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
