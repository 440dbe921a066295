/**
 * The files that H and L keep: whoever could write there would choose what is signed and shown. And where programs
 * are started: hostile temporary directories, any umask, a working directory that is gone.
 */
import { execFileSync } from 'node:child_process';
import { chmod, chown, cp, link, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sha256Hex } from '../../src/records/sha256.ts';
import { expectRefusal, expectUntouched, snapshot } from '../harness/invariants.ts';
import type { Snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import { expectSigned, verdicts } from './outcome.ts';

const ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;
const contents = { app: 'app', 'doc/app.txt': 'text' };

let world: World;
let before: Snapshot;
let build: string;
beforeAll(async () => {
  world = await World.make();
  await world.release('0.1', { app: 'the release that must stay as it is' });
  const approved = await world.approve('1.0');
  build = approved.build;
  mustBe(0, await world.attest(approved.ticket, contents));
});
beforeEach(async () => {
  before = await snapshot(world);
});
afterAll(() => world.close());

/** What stands at a path is put aside while `work` runs. */
async function aside(path: string, work: (was: string) => Promise<void>): Promise<void> {
  const was = join(dirname(path), `.aside-${basename(path)}`);
  await rename(path, was);
  try {
    await work(was);
  } finally {
    await rm(path, { recursive: true, force: true });
    await rename(was, path);
  }
}

describe('the state of H', () => {
  const state = (...names: string[]): string => world.path('H', 'signer', ...names);

  test.each<[string, string, string, (path: string) => Promise<unknown>]>([
    ['everybody may write', '.', 'state-permissions', (path) => chmod(path, 0o777)],
    ['everybody may write, as in /tmp', '.', 'state-permissions', (path) => chmod(path, 0o1777)],
    ['a group may write', '.', 'state-permissions', (path) => chmod(path, 0o770)],
    ['others may list', '.', 'state-permissions', (path) => chmod(path, 0o701)],
    ['with a log key that a group may read', 'log-key', 'state-permissions', (path) => chmod(path, 0o640)],
    ['with a token that others may read', 'signer-token', 'state-permissions', (path) => chmod(path, 0o604)],
  ])('%s: nothing is signed', async (_, name, code, spoil) => {
    const { mode } = await stat(state(name));
    await spoil(state(name));
    const ran = await world.sign();
    await chmod(state(name), mode & 0o7777);
    expect(ran.error?.code, ran.stderr).toBe(code);
    await expectUntouched(world, before, { answers: [ran] });
  });

  test.runIf(ROOT).each(['.', 'log-key', 'signer-token'])(
    'with another owner of %s: nothing is signed',
    async (name) => {
      await chown(state(name), NOBODY, 0);
      const ran = await world.sign();
      await chown(state(name), 0, 0);
      expect(ran.error?.code).toBe('state-permissions');
      await expectUntouched(world, before, { answers: [ran] });
    },
  );

  test.each(['journal', 'lock', 'builds', 'log-key', 'signer-token', 'checkpoint'])(
    'with a FIFO, a directory or a file for its %s: said, and nothing is signed',
    async (name) => {
      for (const put of [
        (path: string) => execFileSync('mkfifo', ['-m', '600', path]),
        (path: string) => (name === 'builds' ? writeFile(path, '') : mkdir(path, { mode: 0o700 })),
      ])
        await aside(state(name), async () => {
          await put(state(name));
          const ran = await world.sign([], { timeoutMs: 20_000 });
          expect(ran.code, ran.stderr).toBeOneOf([2, 3]);
          expectRefusal(ran);
          expect(world.agent.signatures).toBe(before.signatures);
        });
    },
  );

  test.each(['journal', 'lock'])(
    'with a symlink for its %s: nothing is written where it leads',
    async (name) => {
      await aside(state(name), async (was) => {
        const target = world.path('tmp', 'target');
        await cp(was, target);
        await symlink(target, state(name));
        const ran = await world.sign();
        mustBe(3, ran);
        expectRefusal(ran);
        expect(await readFile(target)).toEqual(await readFile(was));
        await rm(target);
      });
      await expectUntouched(world, before, { answers: [] });
    },
  );

  test('with a name of 5,000 characters', async () => {
    const ran = await world.sign(['--state', `/${'s'.repeat(5000)}`]);
    expect(ran.error?.code).toBe('state-missing');
    await expectUntouched(world, before, { answers: [ran] });
  });
});

describe('the project file of H', () => {
  test.each<[string, (file: string) => unknown, string]>([
    ['is a FIFO', (file) => execFileSync('mkfifo', [file]), 'config-missing'],
    ['is a directory', (file) => mkdir(file), 'config-missing'],
    ['is a dangling symlink', (file) => symlink('nothing', file), 'config-missing'],
    ['is a symlink to itself', (file) => symlink(file, file), 'disk'],
    ['is endless', (file) => symlink('/dev/zero', file), 'config-missing'],
  ])('%s', async (_, put, code) => {
    await aside(world.path('H', 'countersign.toml'), async () => {
      await put(world.path('H', 'countersign.toml'));
      const ran = await world.sign([], { timeoutMs: 20_000 });
      expect(ran.error?.code, ran.stderr).toBe(code);
      expectRefusal(ran);
    });
    await expectUntouched(world, before, { answers: [] });
  });

  test.each([
    ['leads through a symlink into a directory that everybody may write', 'shared', 'countersign.toml'],
    ['lies in a directory whose parent everybody may write', '', 'shared/H/countersign.toml'],
  ])('%s: nothing is signed', async (_, target, config) => {
    const shared = world.path('tmp', 'shared');
    await mkdir(join(shared, 'H'), { recursive: true });
    for (const name of ['countersign.toml', 'keys'])
      await cp(world.path('H', name), join(shared, 'H', name), { recursive: true });
    await chmod(shared, 0o777);
    const file = target === '' ? world.path('tmp', config) : world.path('tmp', 'linked.toml');
    if (target !== '') {
      await cp(world.path('H', 'countersign.toml'), join(shared, 'countersign.toml'));
      await cp(world.path('H', 'keys'), world.path('tmp', 'keys'), { recursive: true });
      await symlink(join(shared, config), file);
    }
    const ran = await world.sign(['-c', file, '--state', world.path('H', 'signer')]);
    await chmod(shared, 0o755);
    for (const name of ['shared', 'keys', 'linked.toml'])
      await rm(world.path('tmp', name), { recursive: true, force: true });
    expect(ran.error?.code, ran.stderr).toBe('config-permissions');
    await expectUntouched(world, before, { answers: [ran] });
  });
});

describe('the data of L, where an artifact should be', () => {
  const blob = (): string => world.tree('builds', build, 'blobs', sha256Hex(contents.app));
  const outside = (): string => world.path('L', 'outside');

  const odd: Readonly<Record<string, () => unknown>> = {
    'a symlink to these very bytes': async () => {
      await writeFile(outside(), contents.app);
      await symlink(outside(), blob());
    },
    'a dangling symlink': () => symlink('nothing', blob()),
    'a symlink to itself': () => symlink(blob(), blob()),
    'a symlink to something endless': () => symlink('/dev/zero', blob()),
    'a FIFO that nobody writes into': () => execFileSync('mkfifo', [blob()]),
    'a directory': () => mkdir(blob()),
  };

  test.each(Object.entries(odd))('%s: it is missing', async (_, put) => {
    await aside(blob(), async () => {
      await put();
      const ran = await world.sign([build], { timeoutMs: 20_000 });
      expect(verdicts(ran), ran.stderr).toEqual(['built artifact-missing']);
      mustBe(1, ran);
    });
    await rm(outside(), { force: true });
    await expectUntouched(world, before, { answers: [] });
  });

  test.each(['blobs', '..'])(
    'a symlink for the directory %s above it: nothing is read behind it',
    async (name) => {
      const directory = join(world.tree('builds', build, 'blobs'), name === '..' ? '..' : '');
      await aside(directory, async (was) => {
        await symlink(was, directory);
        const ran = await world.sign([build]);
        expect(ran.code, ran.stderr).toBeOneOf([1, 3]);
        expect(world.agent.signatures).toBe(before.signatures);
      });
      await expectUntouched(world, before, { answers: [] });
    },
  );

  test('a symlink out of the tree for all releases: L publishes nothing through it', async () => {
    await aside(world.tree('releases'), async (was) => {
      await mkdir(outside());
      await symlink(outside(), world.tree('releases'));
      const ran = await world.sign([build]);
      mustBe(3, ran);
      expect(await readdir(outside())).toEqual([]);
      expect(await readdir(join(was, 'widget'))).toEqual(['0.1']);
      await rm(outside(), { recursive: true });
    });
  });

  test('hard links to elsewhere, and modes that L can read: it is published, as it was signed', async () => {
    await link(blob(), world.path('tmp', 'a-name-elsewhere'));
    await chmod(blob(), 0o400);
    const made = world.agent.signatures;
    await expectSigned(world, build, '1.0', contents);
    // they were made when there was nowhere to publish, and are used now
    expect(world.agent.signatures).toBe(made);
    await rm(world.path('tmp', 'a-name-elsewhere'));
  });
});

describe('wherever a program is started', () => {
  /** A command, under `sh`: for what a child process cannot be given otherwise. */
  const shell = (script: string) => ['sh', '-c', `${script}; exec "$@"`, 'sh'];

  test.each(['000', '077', '777'])(
    'umask %s: secrets are their owner’s, and nothing is everybody’s',
    async (mask) => {
      const under = shell(`umask ${mask}`);
      const directory = world.path('tmp', `umask-${mask}`);
      const approver = world.path('tmp', 'approver.pgp');
      await writeFile(approver, world.approverHomes[0]?.export(world.approvers[0] ?? '') ?? '');
      const facts = ['--project', 'widget', '--depot', world.url, '--approver', approver];
      const made = await world.runOn(
        'H',
        ['init', '--dir', directory, '--release-key', world.releaseKey, ...facts],
        { under },
      );
      if (mask === '777' && !ROOT) return expectRefusal(made);
      mustBe(0, made);
      const modes = execFileSync('find', [
        directory,
        '-type',
        'f',
        '-printf',
        '%m %P\n',
        '-o',
        '-perm',
        '-002',
        '-printf',
        'open %P\n',
      ]);
      expect(modes.toString()).not.toMatch(/^open|^\d*[2367] /m);
      for (const secret of ['log-key', 'signer-token'])
        expect((await stat(join(directory, 'signer', secret))).mode & 0o077, secret).toBe(0);

      const version = `2.${Number(mask)}`;
      const approved = await world.approve(version, [], { under });
      mustBe(0, approved);
      expect((await stat(approved.ticket)).mode & 0o077).toBe(0);
      mustBe(0, await world.attest(approved.ticket, contents));
      mustBe(0, await world.sign([], { under }));
      const open = execFileSync('find', [world.path('H', 'signer'), '-perm', '/077', '-print']);
      expect(open.toString()).toBe('');
      await rm(directory, { recursive: true });
      await rm(approver);
    },
  );

  test('a working directory that is gone: paths that are absolute are enough', async () => {
    const gone = shell('mkdir -p gone && cd gone && rmdir ../gone');
    const release = world.tree('releases/widget/0.1');
    for (const args of [['verify', release], ['status']]) {
      const ran = await world.runOn('operator', args, { under: gone });
      expect(ran.stderr).not.toMatch(/^ +at /m);
      mustBe(0, ran);
    }
  });

  test('a temporary directory that everybody may write, or that is none', async () => {
    const release = world.tree('releases/widget/0.1');
    const open = world.path('tmp', 'open');
    await mkdir(open);
    await chmod(open, 0o777);
    mustBe(0, await world.runOn('operator', ['verify', release], { env: { TMPDIR: open } }));
    expect(await readdir(open), 'left behind').toEqual([]);
    await rm(open, { recursive: true });
    for (const directory of ['/nonexistent', '/dev/null', `/${'t'.repeat(5000)}`]) {
      const ran = await world.runOn('operator', ['verify', release, '--json'], {
        env: { TMPDIR: directory },
      });
      expect(ran.code, ran.stderr).toBeOneOf([0, 3]);
      if (ran.code !== 0) expectRefusal(ran);
    }
    await expectUntouched(world, before, { answers: [] });
  });

  test.each([
    ['a FIFO', (path: string) => execFileSync('mkfifo', [path])],
    ['a device', (path: string) => symlink('/dev/zero', path)],
    ['a symlink to itself', (path: string) => symlink(path, path)],
  ])('%s to verify: nobody waits for it', async (_, put) => {
    const path = world.path('tmp', 'odd');
    await put(path);
    const ran = await world.verify([path], ['--project', 'widget', '--version', '0.1']);
    await rm(path);
    expect(ran.code, ran.stderr).toBeOneOf([1, 2, 3]);
    await expectUntouched(world, before, { answers: [ran] });
  });
});
