/** What the demo's builder builds. */
import { randomFillSync } from 'node:crypto';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { unable } from '../failure.ts';
import { run } from '../host/process.ts';

/** This project's own package, and a large file of random bytes. Returns their names, the package first. Throws unable. */
export async function makeArtifacts(
  directory: string,
  packageRoot: string,
  largeBytes: number,
): Promise<string[]> {
  await mkdir(directory);
  const npm = ['pack', packageRoot, '--ignore-scripts', '--silent', '--pack-destination', directory];
  // npm keeps caches and logs: here, not at the caller's
  const cache = `${directory}-npm`;
  const quiet = { npm_config_update_notifier: 'false', NODE_DISABLE_COMPILE_CACHE: '1' };
  const env = { ...process.env, npm_config_cache: cache, ...quiet };
  const packed = await run('npm', npm, { env, timeoutMs: 120_000, maxOutput: 1024 * 1024 });
  await rm(cache, { recursive: true, force: true });
  const [tarball] = await readdir(directory);
  if (packed.code !== 0 || tarball === undefined)
    throw unable('demo-failed', `npm pack: ${packed.stderr.toString().trim()}`, 'is npm installed?');
  const large = await open(join(directory, 'disk.img'), 'wx');
  try {
    const chunk = Buffer.alloc(4 * 1024 * 1024);
    for (let left = largeBytes; left > 0; left -= chunk.length)
      await large.write(randomFillSync(chunk), 0, Math.min(left, chunk.length));
  } finally {
    await large.close();
  }
  return [tarball, 'disk.img'];
}
