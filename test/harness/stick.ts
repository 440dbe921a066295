/**
 * A USB stick: an exFAT file system, which has no hard links, owners or modes, in an image on a loop device; by the
 * kernel's driver or the one in exfat-fuse. Where neither can be had it is a directory, and says so.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SUDO, rootCan } from './root.ts';

const SIZE = 64 * 1024 * 1024;
const PATH = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`;

export class Stick {
  readonly #home = mkdtempSync(join(tmpdir(), 'cs-stick-'));
  /** Where it is mounted. */
  readonly path = mkdtempSync(join(this.#home, 'mounted-'));
  #device: string | null = null;
  #mounted = false;

  constructor() {
    const image = join(this.#home, 'image');
    try {
      writeFileSync(image, '');
      truncateSync(image, SIZE);
      asRoot(['mkfs.exfat', image]);
      this.#device = asRoot(['losetup', '--find', '--show', image]).trim();
      this.plugIn();
    } catch (error) {
      console.error(`the stick is a directory: ${String(error)}`);
      this.#detach();
    }
  }

  /** Whether it is more than a directory. */
  get real(): boolean {
    return this.#device !== null;
  }

  plugIn(): void {
    if (this.#device === null) return;
    const [uid, gid] = [process.getuid?.(), process.getgid?.()];
    const options = `uid=${uid},gid=${gid},umask=0022`;
    if (!rootCan(['mount', '-t', 'exfat', '-o', options, this.#device, this.path]))
      asRoot([
        'mount.exfat-fuse',
        '-o',
        uid === 0 ? options : `${options},allow_other`,
        this.#device,
        this.path,
      ]);
    this.#mounted = true;
  }

  /** Unmounts it and looks whether its file system is whole. Throws if it is not. */
  pullOut(): void {
    if (this.#device === null) return;
    if (this.#mounted) asRoot(['umount', this.path]);
    this.#mounted = false;
    asRoot(['fsck.exfat', '-n', this.#device]);
  }

  close(): void {
    if (this.#mounted) rootCan(['umount', this.path]);
    this.#detach();
    rmSync(this.#home, { recursive: true, force: true });
  }

  #detach(): void {
    if (this.#device !== null) rootCan(['losetup', '--detach', this.#device]);
    this.#device = null;
  }
}

function asRoot(command: readonly string[]): string {
  const [program = '', ...args] = [...SUDO, ...command];
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { PATH } });
}
