/**
 * gpgv called as plainly as its manual does, for what it says by itself and for the wrappers that get it wrong.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/host/process.ts';

export interface RawCall {
  readonly signature: Buffer;
  /** Data files, in order; none for an inline message. */
  readonly data: readonly Buffer[];
  readonly keyring: Buffer;
  /** What the first data file is called. */
  readonly dataName?: string;
  /** More options for gpgv. */
  readonly options?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where status lines go: its own descriptor, or mixed with the messages for people. */
  readonly statusFd?: 2 | 3;
}

export interface RawAnswer {
  readonly code: number | null;
  /** Everything on the descriptor that the status lines were sent to. */
  readonly status: string;
  /** Keywords of the status lines without NEWSIG, KEY_CONSIDERED and SIG_ID. */
  readonly keywords: string[];
}

const UNINTERESTING = new Set(['NEWSIG', 'KEY_CONSIDERED', 'SIG_ID']);

/** Runs `gpgv --keyring RING SIGNATURE DATA…` over files in a temporary directory. */
export async function rawGpgv(call: RawCall): Promise<RawAnswer> {
  const { statusFd = 3, dataName = 'data', options = ['--homedir', '/nonexistent'] } = call;
  const directory = mkdtempSync(join(tmpdir(), 'cs-gpgv-'));
  const file = (name: string, bytes: Buffer): string => {
    writeFileSync(join(directory, name), bytes);
    return join(directory, name);
  };
  try {
    const keyring = file('ring.pgp', call.keyring);
    const signature = file('signature', call.signature);
    const data = call.data.map((bytes, at) => file(at === 0 ? dataName : `data${at}`, bytes));
    const args = [...options, '--keyring', keyring, '--status-fd', `${statusFd}`, '--', signature, ...data];
    const result = await run('gpgv', args, {
      ...(call.env ? { env: call.env } : {}),
      timeoutMs: 60_000,
      maxOutput: 16 * 1024 * 1024,
    });
    const status = (statusFd === 3 ? result.status : result.stderr).toString();
    return { code: result.code, status, keywords: keywordsOf(status) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The keywords of status lines, in order, without those that say nothing about the verdict. */
export function keywordsOf(status: string): string[] {
  const keywords = [...status.matchAll(/^\[GNUPG:\] ([A-Z_]+)/gm)].map(([, keyword = '']) => keyword);
  return keywords.filter((keyword) => !UNINTERESTING.has(keyword));
}
