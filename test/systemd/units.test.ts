/** The units as systemd itself judges them, without starting any. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';

const folder = fileURLToPath(new URL('../../systemd', import.meta.url));
const units = readdirSync(folder).filter((name) => /\.(service|socket|timer|path)$/.test(name));
const services = units.filter((name) => name.endsWith('.service'));

/** A host's files, as far as systemd-analyze looks. */
let root: string;
const make = (path: string, text: string, mode: number): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode });
};

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'cs-units-'));
  cpSync(folder, join(root, 'etc/systemd/system'), { recursive: true });
  cpSync('/usr/lib/systemd/system', join(root, 'usr/lib/systemd/system'), { recursive: true });
  for (const program of ['/usr/bin/gpg-agent', '/bin/sh', '/bin/kill', '/usr/local/bin/build-release'])
    make(program, '', 0o755);
  for (const ours of ['bin/countersign', 'libexec/countersign-unlock']) make(`/usr/local/${ours}`, '', 0o755);
  const manual = (await shellBlocks('docs/how-to/three-hosts.md', 'M, the builder'))[0] ?? '';
  make('etc/systemd/system/build.service', /<<'UNIT'\n([^]*)\nUNIT\n/.exec(manual)?.[1] ?? '', 0o644);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('systemd finds nothing wrong with them', () => {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', [`--root=${root}`, 'verify', ...units], {
    encoding: 'utf8',
  });
  expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
});

test.each(services)('%s is exposed to at most 2 of 10 points', (service) => {
  const security = ['security', '--offline=true', `--root=${root}`, '--threshold=20', '--no-pager'];
  const said = execFileSync('systemd-analyze', [...security, service], { encoding: 'utf8' });
  expect(said).toMatch(/Overall exposure level for .*: [012]\.\d (OK|SAFE)/);
});
