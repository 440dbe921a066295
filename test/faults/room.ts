/** A small disk: a tmpfs in place of a directory, with so many bytes or inodes. Mounting takes root. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Room = 'bytes' | 'inodes';

const PAGE = 4096;
const PLENTY = 'size=64m,nr_inodes=4096';

const user = process.getuid?.() ?? 0;
const group = process.getgid?.() ?? 0;
const asRoot = (command: string, args: readonly string[]): void => {
  const [program, ...rest] = user === 0 ? [command, ...args] : ['sudo', '-n', command, ...args];
  execFileSync(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
};

/** Whether this process may mount. In CI it must be able to: a test that is left out there shows nothing. */
export function canMount(): boolean {
  try {
    asRoot('true', []);
    return true;
  } catch {
    if (process.env['CI'] === 'true')
      throw new Error('full disks are tried on tmpfs: mounting takes root or sudo');
    return false;
  }
}

export class SmallDisk {
  readonly directory: string;
  readonly #filler: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.#filler = join(directory, 'filler');
  }

  /** Mounts one over the directory, with all that lies there on it. Undo it with `close`. */
  static over(directory: string): SmallDisk {
    const aside = `${directory}.aside`;
    renameSync(directory, aside);
    mkdirSync(directory);
    asRoot('mount', [
      '-t',
      'tmpfs',
      '-o',
      `${PLENTY},mode=0700,uid=${user},gid=${group}`,
      'countersign-test',
      directory,
    ]);
    execFileSync('cp', ['-a', '--', `${aside}/.`, directory]);
    rmSync(aside, { recursive: true });
    return new SmallDisk(directory);
  }

  /** Leaves room for so many pages, or inodes, and for plenty of the other. */
  leave(room: Room, left: number): void {
    // a size of nothing would be no limit
    if (room === 'bytes') writeFileSync(this.#filler, Buffer.alloc(PAGE));
    const { blocks, bfree, files, ffree } = statfsSync(this.directory);
    const options =
      room === 'bytes'
        ? `size=${(blocks - bfree + left) * PAGE},nr_inodes=4096`
        : `size=64m,nr_inodes=${files - ffree + left}`;
    asRoot('mount', ['-o', `remount,${options}`, this.directory]);
  }

  makeRoom(): void {
    rmSync(this.#filler, { force: true });
    asRoot('mount', ['-o', `remount,${PLENTY}`, this.directory]);
  }

  close(): void {
    asRoot('umount', ['--lazy', this.directory]);
  }
}
