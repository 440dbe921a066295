/** Depots that nobody serves, typed from the how-tos: a stick over an air gap, H as two users, L by ssh and rsync. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { PROGRAM, PROGRAM_H } from '../harness/program.ts';
import { SUDO, describeAsRoot, rootCan } from '../harness/root.ts';
import { Stick } from '../harness/stick.ts';
import { World, mustBe } from '../harness/world.ts';
import { contentsOf, filesOf } from '../tree/copies.ts';

const run = promisify(execFile);

let world: World;
beforeAll(async () => {
  world = await World.make({ project: 'hello' });
});
afterAll(() => world.close());

/** A section as a person types it at a host: with the true address of L, and its question answered. */
async function section(
  document: string,
  heading: string,
  places: Record<string, string> = {},
): Promise<string> {
  let script = (await shellBlocks(`docs/how-to/${document}.md`, heading)).join('\n');
  for (const [place, here] of Object.entries({ 'https://depot.example.org': world.url, ...places }))
    script = script.replaceAll(place, here);
  return script
    .replaceAll(/countersign (approve|sign) (?!.*--yes)/g, 'countersign $1 --yes ')
    .replaceAll(/^! (.*)$/gm, 'if $1; then echo "that should have failed: $1" >&2; exit 99; fi');
}

interface Where {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly under?: readonly string[];
}

async function type(
  script: string,
  { cwd, env, under = [] }: Where,
): Promise<{ stdout: string; stderr: string }> {
  await mkdir(cwd, { recursive: true });
  const countersign = `countersign() { '${PROGRAM}' "$@"; }\n`;
  const [program, ...args] = [...under, 'bash', '-eo', 'pipefail', '-c', countersign + script];
  return run(program, args, { cwd, env, timeout: 60_000 });
}

/** A build that waits at L. */
async function attested(version: string): Promise<string> {
  const { build, ticket } = await world.approve(version);
  mustBe(
    0,
    await world.attest(ticket, {
      'hello.tar.gz': `hello ${version}`,
      'large.bin': Buffer.alloc(300_000, version),
    }),
  );
  return build;
}

describe('an air gap, and a stick', () => {
  let stick: Stick;
  beforeAll(() => {
    stick = new Stick();
  });
  afterAll(() => stick.close());

  test('the build goes over on the stick, and the release comes back', async () => {
    const places = { '/media/stick': stick.path };
    const [c, h] = ['C', 'H'].map((host) => ({
      cwd: world.path(host),
      env: world.env(host === 'H' ? 'H' : 'operator'),
    }));
    // no network at all, where that can be had
    const network = ['unshare', '--net', '--user', '--map-current-user'];
    const gapped = { ...h, under: rootCan([...network, 'true']) ? network : [] } as Where;
    const carrier = {
      ...c,
      env: { ...c?.env, COUNTERSIGN_CONFIG: world.path('C', 'countersign.toml') },
    } as Where;
    const [toH, onH] = await shellBlocks('docs/how-to/air-gap.md', 'Once');
    await type((toH ?? '').replaceAll('/media/stick', stick.path), gapped);
    stick.pullOut();
    stick.plugIn();
    await type((onH ?? '').replaceAll('/media/stick', stick.path), carrier);
    expect(await readdir(stick.path)).not.toContain('signer-token');

    await attested('2.0');
    const there = await type(await section('air-gap', 'From L to H', places), carrier);
    expect(there.stdout).toMatch(/ carried {2}7 files/);
    stick.pullOut();
    stick.plugIn();
    const signed = await type(await section('air-gap', 'On H', places), gapped);
    expect(signed.stdout).toContain('published');
    stick.pullOut();
    stick.plugIn();
    expect(await filesOf(world.tree('releases'))).toEqual([]);
    const back = await type(await section('air-gap', 'From H to L', places), carrier);
    expect(back.stdout).toContain('hello 2.0 is published there');
    // what the stick has is what L shows, byte for byte
    expect(await contentsOf(world.tree('releases'))).toEqual(
      await contentsOf(join(stick.path, 'depot', 'releases')),
    );
    mustBe(0, await world.verify([world.tree('releases', 'hello', '2.0', 'large.bin')]));
  });
});

describe('L by ssh and rsync alone', () => {
  test('operator, builder and signer meet in a directory that nobody guards', async () => {
    const srv = world.path('srv', 'depot');
    await mkdir(srv, { recursive: true });
    // in place of ssh, which another test has: the remote end here
    const ssh = world.path('ssh');
    await writeFile(ssh, '#!/bin/sh\nshift\nexec "$@"\n');
    await chmod(ssh, 0o755);
    const places = {
      '/srv/depot': srv,
      '/srv/incoming': world.path('srv', 'depot'),
      '/etc/countersign': world.path('L'),
    };
    const at = (host: 'operator' | 'M' | 'H'): Where => ({
      cwd: world.path(host, 'ssh-only'),
      env: { ...world.env(host), RSYNC_RSH: ssh },
    });
    await type(await section('ssh-only', 'The operator', places), at('operator'));
    await mkdir(at('M').cwd);
    await rename(join(at('operator').cwd, 'tickets', 'b1.ticket'), join(at('M').cwd, 'b1.ticket'));
    await writeFile(join(at('M').cwd, 'hello-1.0.tar.gz'), 'hello by rsync');
    await type(await section('ssh-only', 'M, the builder', places), at('M'));
    const signed = await type(await section('ssh-only', 'H, the signer', places), at('H'));
    expect(signed.stdout).toContain('published');
    const verified = await type(await section('ssh-only', 'Anybody', places), at('operator'));
    expect(verified.stdout).toMatch(/^valid/m);
    expect(await contentsOf(srv)).toEqual(await contentsOf(join(at('H').cwd, 'depot')));

    // and where L has a gate of its own
    const guarded = { ...places, '/srv/depot': world.path('srv', 'guarded') };
    const script = `ssh() { shift; "$@"; }\n${await section('ssh-only', 'With countersign on L', guarded)}`;
    await type(script, { cwd: world.path('L'), env: world.env('L') });
    expect(await contentsOf(world.path('srv', 'guarded'))).toEqual(await contentsOf(srv));
  });
});

/** A machine of our own to make users on: its /etc, /home and /var/spool go with the last process in it. */
const MACHINE = `
mount -t tmpfs -o mode=755 tmpfs /mnt
cp -a /etc /mnt/etc && mkdir /mnt/home /mnt/spool /mnt/bin
mount --bind /mnt/etc /etc && mount --bind /mnt/home /home && mount --bind /mnt/spool /var/spool
cp "$1" /mnt/bin/countersign && touch /mnt/bin/node && mount --bind "$2" /mnt/bin/node
mkdir /etc/countersign && cp -r "$3"/countersign.toml "$3"/keys "$3"/signer /etc/countersign/
`;
const KEY = `
install -d -m 700 -o countersign ~countersign/.gnupg
cp -r "$4"/private-keys-v1.d "$4"/pubring.kbx ~countersign/.gnupg/ && chown -R countersign: ~countersign/.gnupg
`;

describeAsRoot('H as two users', ['unshare', '--mount', '--net', 'true'], () => {
  test('the one with the key has no network, the one with the network no key', async () => {
    await attested('3.0');
    const [once, round] = [await section('two-users', 'Once'), await section('two-users', 'A round')];
    const script = MACHINE + once + KEY + round + '\nfind in out -type f -perm /022\n';
    const [program, ...under] = [
      ...SUDO,
      'unshare',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
    ];
    const path = `PATH=/mnt/bin:${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`;
    const shell = [
      'env',
      '-i',
      path,
      'HOME=/mnt',
      'LANG=C.UTF-8',
      // standard input is a socket, which bash takes for a remote login
      'bash',
      '--norc',
      '-eo',
      'pipefail',
      '-c',
      script,
      'bash',
    ];
    const facts = [PROGRAM_H, process.execPath, world.path('H'), world.releaseHome.directory];
    const { stdout, stderr } = await run(program, [...under, ...shell, ...facts], {
      cwd: '/',
      timeout: 60_000,
    });
    expect(stdout).toContain('published  hello 3.0 is published');
    expect(stdout).toContain('hello 3.0 is published there');
    // why the four that must fail did
    expect(stderr).toMatch(/ENETUNREACH/);
    expect(stderr.match(/Permission denied/g)).toHaveLength(3);
    const release = world.tree('releases', 'hello', '3.0');
    mustBe(0, await world.verify([join(release, 'large.bin')]));
    expect((await readFile(join(release, 'hello.tar.gz'))).toString()).toBe('hello 3.0');
  });
});
