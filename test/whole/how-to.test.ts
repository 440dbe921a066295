/** The pages for each scheme, for two people and three builders, and for revoking: typed from top to bottom. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { PROGRAM } from '../harness/program.ts';
import { freePort } from '../harness/world.ts';

const run = promisify(execFile);

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cs-how-to-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** A person at one machine types these sections of a page, one after the other. Returns what they see. */
async function type(sections: readonly (readonly [page: string, heading: string])[]): Promise<string> {
  const blocks = [];
  for (const [page, heading] of sections)
    blocks.push(...(await shellBlocks(`docs/how-to/${page}.md`, heading)));
  const port = await freePort();
  const script = blocks
    .join('\n')
    .replaceAll('--enrol-by 1m', '--enrol-by 20s')
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
    // a person waits for the depot's first line, answers y, and sees what fails
    .replace(
      /^(countersign serve .*) &$/m,
      `$1 > serve.out &\nuntil curl -sf http://127.0.0.1:${port}/ > page; do sleep 0.1; done`,
    )
    .replaceAll(/countersign (approve|endorse|revoke|sign) (?!.*--yes)/g, 'countersign $1 --yes ')
    .replaceAll(/countersign sign$/gm, 'countersign sign --yes')
    .replaceAll(/^! (.*)$/gm, 'if $1; then echo "that should have failed: $1" >&2; exit 99; fi');
  const start = [
    `countersign() { '${PROGRAM}' "$@"; }`,
    'set -m',
    'trap "jobs -p | sed s/^/-/ | xargs -r kill --; gpgconf --kill all; for other in two-of-three/bob digest/safe; do gpgconf --homedir ~/trial-$other --kill all || true; done" EXIT',
  ];
  const { stdout } = await run('bash', ['-eo', 'pipefail', '-c', [...start, script].join('\n')], {
    cwd: home,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8' },
    timeout: 110_000,
  });
  return stdout;
}

const slow = { timeout: 120_000 };

test('keypair: a key in the ticket', slow, async () => {
  const seen = await type([
    ['keypair', 'Once'],
    ['keypair', 'A release'],
    ['keypair', 'The ticket by other ways'],
    ['keypair', 'Afterwards'],
  ]);
  expect(seen).toMatch(/^valid {2}M\/hello-1\.0\.tar\.gz is /m);
  expect(seen.match(/ is published/g)).toHaveLength(2);
});

test('mac: a nonce in the ticket, which convinces the signer alone', slow, async () => {
  const seen = await type([
    ['mac', 'Once'],
    ['mac', 'A release'],
    ['mac', 'Afterwards'],
  ]);
  expect(seen).toMatch(/^valid {2}M\/hello-1\.0\.tar\.gz is /m);
  expect(seen).toContain('convinces the signer alone');
});

test('digest mode: H signs what it has not read', slow, async () => {
  const seen = await type([
    ['digest', 'Once'],
    ['digest', 'A release'],
    ['digest', 'Afterwards'],
  ]);
  expect(seen).toMatch(/^valid {2}M\/hello-1\.0\.img is /m);
  expect(seen).toContain('without fetching it');
  // the file is a byte longer than whole blocks
  expect(seen).toMatch(/^[0-9a-f]{64}00$/m);
});

test('enrol: a key of the builder’s own, and a stolen ticket', slow, async () => {
  const seen = await type([
    ['enrol', 'Once'],
    ['enrol', 'A release'],
    ['enrol', 'A stolen ticket'],
    ['enrol', 'Afterwards'],
  ]);
  expect(seen).toMatch(/^valid {2}M\/hello-1\.0\.tar\.gz is /m);
  expect(seen).toContain('frozen');
});

test('two people, three builders: both count, and one that differs is noticed', slow, async () => {
  const seen = await type([
    ['two-of-three', 'Once'],
    ['two-of-three', 'Ada asks'],
    ['two-of-three', 'Bob looks, and endorses'],
    ['two-of-three', 'Three builders build'],
    ['two-of-three', 'H signs, anybody verifies'],
    ['two-of-three', 'When one differs'],
    ['two-of-three', 'Afterwards'],
  ]);
  expect(seen).toMatch(/^valid {2}M1\/hello-1\.0\.tar\.gz is /m);
  expect(seen).toContain('3 of 3 builders agree, 2 needed');
  expect(seen).toContain('> hello-1.1/install.sh');
});

test('revoke: a build before it is signed, and a release', slow, async () => {
  const seen = await type([
    ['keypair', 'Once'],
    ['revoke', 'Before it is signed'],
    ['revoke', 'A release'],
    ['keypair', 'Afterwards'],
  ]);
  expect(seen).toContain('greets the wrong planet');
});
