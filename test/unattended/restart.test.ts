/** A gpg-agent that ends and comes back: before a build, in the middle of it, again and again, or not at all. */
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Scene } from '../signer/scene.ts';
import type { Build } from '../signer/scene.ts';

const contents = { 'one.txt': 'one', 'two.txt': 'two' };
/** The two, and SHA256SUMS. */
const SIGNATURES = 3;

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.make();
});
afterEach(() => scene.close());

/** SIGKILL, then a new one at the same socket, as whatever supervises it would start it. */
function restartAgent(): void {
  const { env } = scene.home;
  const said = execFileSync('gpg-connect-agent', ['GETINFO pid', '/bye'], { env }).toString();
  process.kill(Number(/^D (\d+)/m.exec(said)?.[1]), 'SIGKILL');
  rmSync(join(scene.home.directory, 'S.gpg-agent')); // else the new one may find the old one's before it is gone
  execFileSync('gpgconf', ['--launch', 'gpg-agent'], { env });
}

async function sealed(version: string): Promise<Build> {
  scene.pass(1); // builds are handled in the order of their time
  const build = await scene.approve(version);
  await scene.attest(build, contents);
  return build;
}

/** Whether this is the `n`th signature that was asked for since, or at least that one. */
const isNth = (command: string, since: number, n: number): boolean =>
  command === 'PKSIGN' && scene.agent.signatures - since === n;

const signatureFile = ({ approval }: Build, name: string): string =>
  readFileSync(scene.path(`releases/hello/${approval.version}/${name}.asc`), 'latin1');

test('killed at any signature of a build, it is connected again and the build is finished at once', async () => {
  for (let n = 1; n <= SIGNATURES; n++) {
    const build = await sealed(`1.${n}`);
    const before = scene.agent.digests.length;
    const since = scene.agent.signatures;
    scene.agent.before = (command) => {
      if (isNth(command, since, n)) restartAgent();
    };
    expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
    expect(await scene.logged(build)).toBe('approval statement intent release');
    // what it had in its hands is asked for again: the one, and behind the first one the other; no digest is another
    expect(scene.agent.signatures - since).toBeGreaterThan(SIGNATURES);
    expect(scene.agent.signatures - since).toBeLessThanOrEqual(SIGNATURES + 2);
    expect(new Set(scene.agent.digests.slice(before)).size).toBe(SIGNATURES);
  }
});

test('an agent that goes twice: exit 3, the next build of the round is signed, and the next round finishes with what it has', async () => {
  const [broken, whole] = [await sealed('1.1'), await sealed('1.2')];
  const first = scene.agent.digests.length;
  let times = 0;
  scene.agent.before = (command) => {
    const second = scene.agent.digests[first + 1];
    if (command !== 'PKSIGN' || times === 2 || second !== scene.agent.digests.at(-1)) return;
    times += 1;
    restartAgent();
  };
  const ran = await scene.sign();
  expect(ran).toMatchObject({
    exit: 3,
    results: [
      {
        build: broken.build,
        state: 'verified',
        code: 'agent-lost',
        hint: expect.stringContaining('try again'),
      },
      { build: whole.build, outcome: 'published' },
    ],
  });
  const keptFile = join(scene.state, 'builds', broken.build, 'signatures');
  // the one before, and the one behind, which the agent had had in its hands too
  const kept = readFileSync(keptFile, 'latin1');
  expect(kept.trimEnd().split('\n')).toHaveLength(2);

  const asked = scene.agent.signatures;
  expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
  expect(scene.agent.signatures - asked).toBe(SIGNATURES - 2);
  expect(readFileSync(keptFile, 'latin1').startsWith(kept)).toBe(true);
  // once more, with everything: the same bytes
  const before = signatureFile(broken, 'one.txt');
  await scene.sign({ named: [broken.build] });
  expect(signatureFile(broken, 'one.txt')).toBe(before);
});

test('an agent that is not running is started; one that cannot be started is said', async () => {
  process.env['GNUPGHOME'] = scene.home.directory;
  scene.home.killAgent();
  await sealed('1.1');
  expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });

  scene.home.killAgent();
  appendFileSync(join(scene.home.directory, 'gpg.conf'), 'agent-program /nonexistent\n');
  await sealed('1.2');
  expect(await scene.sign()).toMatchObject({
    exit: 3,
    result: { outcome: 'unfinished', code: 'agent-unreachable', hint: expect.stringContaining('gpgconf') },
  });
  rmSync(join(scene.home.directory, 'gpg.conf'));
  expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
});

test('an agent that systemd starts at its socket', async () => {
  const socket = join(scene.home.directory, 'S.gpg-agent');
  process.env['GNUPGHOME'] = scene.home.directory;
  for (const version of ['1.1', '1.2']) {
    scene.home.killAgent();
    rmSync(socket, { force: true });
    const activated = spawn(
      'systemd-socket-activate',
      ['--fdname=std', '-E', 'GNUPGHOME', '-l', socket, 'gpg-agent', '--supervised'],
      { env: scene.home.env, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const ended = new Promise((resolve) => activated.once('exit', resolve));
    try {
      await new Promise((resolve) => activated.stderr.once('data', resolve)); // 'Listening on'
      await sealed(version);
      expect((await scene.sign()).result).toMatchObject({ outcome: 'published' });
      const said = execFileSync('gpg-connect-agent', ['GETINFO pid', '/bye'], { env: scene.home.env });
      expect(said.toString(), 'it is that one').toContain(`D ${activated.pid}\n`);
    } finally {
      activated.kill('SIGKILL');
      await ended;
    }
  }
});
