/**
 * gpgv called as plainly as its manual does, for what it says by itself and for the wrappers that get it wrong.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/host/process.ts';
import type { Environment } from '../../src/host/process.ts';

export interface RawCall {
  readonly signature: Buffer;
  /** Data files, in order; none for an inline message. */
  readonly data: readonly Buffer[];
  readonly keyring: Buffer;
  /** Instead of the data: the name of a file that is not there. */
  readonly missing?: string;
}

export interface RawOptions {
  /** Before `--status-fd`, instead of an empty home and the keyring's absolute path. */
  readonly options?: (keyring: string) => readonly string[];
  readonly env?: Environment;
  /** Where status lines go: their own descriptor, or mixed with the messages for people. */
  readonly statusFd?: 2 | 3;
}

export interface RawAnswer {
  readonly code: number | null;
  /** Everything on the descriptor that the status lines were sent to. */
  readonly status: string;
  /** Keywords of the status lines without NEWSIG, KEY_CONSIDERED and SIG_ID. */
  readonly keywords: string;
}

const UNINTERESTING = ['NEWSIG', 'KEY_CONSIDERED', 'SIG_ID'];

/** Runs `gpgv --keyring RING SIGNATURE DATA…` over files in a temporary directory. */
export async function rawGpgv(call: RawCall, how: RawOptions = {}): Promise<RawAnswer> {
  const { statusFd = 3, options = (keyring) => ['--homedir', '/nonexistent', '--keyring', keyring] } = how;
  const directory = mkdtempSync(join(tmpdir(), 'cs-gpgv-'));
  const file = (name: string, bytes: Buffer): string => {
    writeFileSync(join(directory, name), bytes);
    return join(directory, name);
  };
  try {
    const before = [...options(file('ring.pgp', call.keyring)), '--status-fd', `${statusFd}`, '--'];
    const data = call.missing
      ? [join(directory, call.missing)]
      : call.data.map((bytes, at) => file(`data${at}`, bytes));
    const result = await run('gpgv', [...before, file('signature', call.signature), ...data], {
      ...(how.env ? { env: how.env } : {}),
      timeoutMs: 60_000,
      maxOutput: 16 * 1024 * 1024,
    });
    const status = (statusFd === 3 ? result.status : result.stderr).toString();
    const keywords = [...status.matchAll(/^\[GNUPG:\] ([A-Z_]+)/gm)].map(([, keyword = '']) => keyword);
    return {
      code: result.code,
      status,
      keywords: keywords.filter((word) => !UNINTERESTING.includes(word)).join(' '),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Whether the gpgv on PATH is of the 2.4 series or later. */
export function isGpgv24(): boolean {
  const [, major = '', minor = ''] =
    /^gpgv \(GnuPG[^)]*\) (\d+)\.(\d+)/.exec(execFileSync('gpgv', ['--version']).toString()) ?? [];
  return Number(major) > 2 || Number(minor) >= 4;
}
