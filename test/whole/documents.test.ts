/** What the documents tell people to type, typed. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { PROGRAM } from '../harness/program.ts';
import { World, freePort } from '../harness/world.ts';

const run = promisify(execFile);

/** All commands of a section. */
const commands = async (file: string, heading: string): Promise<string> =>
  (await shellBlocks(file, heading)).join('\n');

const bash = (script: string, cwd: string, env: Record<string, string> = {}) =>
  run('bash', ['-eo', 'pipefail', '-c', script], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: cwd, LANG: 'C.UTF-8', ...env },
    timeout: 90_000,
  });

test(
  'README: a newcomer signs a release with three directories for three hosts',
  { timeout: 120_000 },
  async () => {
    const home = await mkdtemp(join(tmpdir(), 'cs-readme-'));
    try {
      const port = await freePort();
      const script = (await commands('README.md', 'Sign a release'))
        // built already; a function, because scripts expand no aliases
        .replace('npm ci && npm run build\n', '')
        .replace('alias countersign="$PWD/dist/countersign.mjs"', `countersign() { '${PROGRAM}' "$@"; }`)
        .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
        // a person waits for the depot's first line, and answers y
        .replace(
          /(countersign serve .*) &\n/,
          '$1 &\nfor i in $(seq 50); do curl -sf $URL/ >/dev/null && break; sleep 0.1; done\n',
        )
        .replaceAll(/^countersign (approve|sign) (.*)$/gm, 'countersign $1 $2 --yes');
      // as at a prompt: the depot is a job of its own, all of which `kill %1` ends
      const trap = "set -m; trap '{ kill %1; gpgconf --kill all; } 2>/dev/null || true' EXIT\n";
      const { stdout } = await bash(`${trap}${script}`, home, { URL: `http://127.0.0.1:${port}` });
      expect(stdout).toContain('published');
      expect(stdout).toMatch(/^valid {2}hello-1\.0\.tar\.gz$/m);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  },
);

describe('by hand, with stock tools', () => {
  let world: World;
  let build: string;
  beforeAll(async () => {
    world = await World.make();
    build = await world.release('1.0', { 'hello-1.0.tar.gz': 'hello', 'docs/hello.txt': 'read me' });
  });
  afterAll(() => world.close());

  const document = 'docs/how-to/by-hand.md';
  const release = (): string => world.tree('releases', 'widget', '1.0');
  /** The project's keys, where the document expects them. */
  const keys = (): string => `ln -s '${world.path('operator', 'keys')}' keys\n`;

  test('a downloaded file', async () => {
    const { stderr } = await bash(keys() + (await commands(document, 'A downloaded file')), release());
    expect(stderr.match(/Good signature/g)).toHaveLength(2);
    await rm(join(release(), 'keys'));
  });

  test('who allowed a build, who built it, and what', async () => {
    const directory = world.tree('builds', build);
    const ada = world.approvers[0] ?? '';
    const script = await commands(
      document,
      'A build, in `builds/<build>/` (or in `countersign/` of a release)',
    );
    const { stdout } = await bash(keys() + script, directory, { ADA: ada });
    expect(stdout.match(/^\[GNUPG:\] GOODSIG /gm)).toHaveLength(2);
    const validSignatures = [...stdout.matchAll(/^\[GNUPG:\] VALIDSIG .* ([0-9A-F]{40})$/gm)];
    expect(validSignatures.map((match) => match[1])[0]).toBe(ada);
    const digests = stdout.split('\n').filter((line) => /^[0-9a-f]{64}$/.test(line));
    expect(digests).toHaveLength(2);
    expect(digests[0]).toBe(digests[1]);
  });

  test('the chain of a release, and it notices a changed byte', async () => {
    const script = await commands(document, 'The chain of a release');
    await bash(script, release());
    const manifest = join(release(), 'countersign', 'manifest.json');
    const bytes = await readFile(manifest, 'utf8');
    await rm(manifest); // it may be one file with the build's
    await writeFile(manifest, bytes.replace('read', 'rEad').replace('hello', 'hallo'));
    await expect(bash(script, release())).rejects.toHaveProperty('stdout', expect.stringContaining('FAILED'));
  });
});
