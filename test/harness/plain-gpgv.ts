/** gpgv as a person runs it by hand, and all that it says: what our own words are compared with. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface GpgvAnswer {
  code: number | null;
  /** Keywords of the status lines, in order. */
  keywords: string[];
  /** Exit 0 with a GOODSIG and a VALIDSIG: what a careless reader takes for good. */
  good: boolean;
}

/** Runs gpgv over the three files, as they are. */
export function plainGpgv(certificate: Buffer, signature: Buffer, data: Buffer): GpgvAnswer {
  const directory = mkdtempSync(join(tmpdir(), 'cs-gpgv-'));
  try {
    const path = (name: string, bytes: Buffer): string => {
      writeFileSync(join(directory, name), bytes);
      return join(directory, name);
    };
    const files = [path('data.sig', signature), path('data', data)];
    const options = [
      '--homedir',
      '/nonexistent',
      '--keyring',
      path('ring.pgp', certificate),
      '--status-fd',
      '1',
    ];
    const { status, stdout } = spawnSync('gpgv', [...options, '--', ...files], { encoding: 'utf8' });
    const keywords = [...stdout.matchAll(/^\[GNUPG:\] ([A-Z_]+)/gm)].map(([, keyword = '']) => keyword);
    return {
      code: status,
      keywords,
      good: status === 0 && ['GOODSIG', 'VALIDSIG'].every((k) => keywords.includes(k)),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
