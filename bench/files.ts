/** The artifacts that are measured with: random bytes, in the page cache because they were written just now. */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const MIB = 2 ** 20;
export const GIB = 2 ** 30;

/** Makes a file of random bytes, a whole number of MiB. Returns its path. */
export function makeLarge(directory: string, name: string, size: number): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, name);
  const file = openSync(path, 'wx');
  const chunk = Buffer.allocUnsafe(MIB);
  for (let written = 0; written < size; written += chunk.length) writeSync(file, randomFillSync(chunk));
  closeSync(file);
  return path;
}

/** Makes files of random bytes, 4 KiB each unless told, in directories of a thousand. Returns their names, sorted. */
export function makeSmall(directory: string, count: number, size = 4096): string[] {
  const content = Buffer.allocUnsafe(size);
  return Array.from({ length: count }, (_, each) => {
    const name = `${String(Math.floor(each / 1000)).padStart(3, '0')}/${String(each).padStart(6, '0')}.bin`;
    if (each % 1000 === 0) mkdirSync(join(directory, name.slice(0, 3)), { recursive: true });
    writeFileSync(join(directory, name), randomFillSync(content));
    return name;
  });
}

/** Of a file, by openssl. */
export function sha256(path: string): string {
  return execFileSync('openssl', ['dgst', '-r', '-sha256', path]).toString().slice(0, 64);
}
