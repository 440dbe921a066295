/** Sigsum's programs, of Debian: another implementation of witnesses and of what relies on them. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import type { NoteSigner } from '../../src/tlog/note.ts';
import { programsOf } from '../harness/debian.ts';
import { until } from '../harness/until.ts';
import { freePort } from '../harness/world.ts';
import { ask } from './stranger.ts';
import type { Said } from './stranger.ts';

export class Sigsum {
  /** For whatever a test needs files for. */
  readonly directory: string;
  readonly #programs: string;

  private constructor(directory: string, programs: string) {
    this.directory = directory;
    this.#programs = programs;
  }

  /** Those that are installed, or else those of Debian 13, unpacked: Debian 12 has none, and can run them. */
  static async get(): Promise<Sigsum> {
    const directory = await mkdtemp(join(tmpdir(), 'cs-sigsum-'));
    return new Sigsum(directory, programsOf('sigsum-go', 'sigsum-witness', directory));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Runs one of the programs, whatever comes of it. */
  run(program: string, args: readonly string[], input = ''): Promise<Said> {
    return ask(join(this.#programs, program), args, { cwd: this.directory, input });
  }

  /** Runs one that is to succeed. Returns what it printed, without its newline. */
  async says(program: string, args: readonly string[], input = ''): Promise<string> {
    const said = await this.run(program, args, input);
    if (said.code !== 0) throw new Error(`${program} ${args.join(' ')}: ${said.stderr}`);
    return said.stdout.trimEnd();
  }

  /** Starts its witness, with the key in a file, for the log of the public key in a file, on what it remembers. */
  async witness(key: string, log: string): Promise<{ url: string; stop: () => Promise<void> }> {
    const port = await freePort();
    const args = ['-k', key, '--log-key', log, '--state-file', 'state', `127.0.0.1:${port}`];
    const child = spawn(join(this.#programs, 'sigsum-witness'), args, {
      cwd: this.directory,
      // built as Debian builds it, with the defaults of an older Go, it would find none of its own paths
      env: { GODEBUG: 'httpmuxgo121=0' },
      stdio: 'ignore',
    });
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const stop = (): Promise<void> => {
      child.kill();
      return ended;
    };
    try {
      await until('sigsum-witness listens', () => reachable(port));
    } catch (error) {
      await stop();
      throw error;
    }
    return { url: `http://127.0.0.1:${port}`, stop };
  }

  async close(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

const reachable = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** The key of a log that Sigsum's witness takes for one of Sigsum's: its name is the hash of its public key. */
export function sigsumLogKey(): NoteSigner {
  const { signer } = generateNoteKey('any');
  const { publicKey } = parseSignerKey(signer).verifier;
  const name = `sigsum.org/v1/tree/${createHash('sha256').update(publicKey).digest('hex')}`;
  const typed = Buffer.concat([Buffer.of(1), publicKey]);
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest('hex').slice(0, 8);
  return parseSignerKey(signer.replace(/\+any\+[0-9a-f]{8}\+/, `+${name}+${id}+`));
}
