/**
 * A depot in a directory that others on this host may write: they could rename what H is working in, and lead it to
 * files of its own. Reading there is no danger, nothing is written.
 */
import { execFileSync } from 'node:child_process';
import { chmod, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { expectRefusal } from '../harness/invariants.ts';
import type { Ran } from '../harness/program.ts';
import { SUDO, describeAsRoot } from '../harness/root.ts';
import { mustBe, World } from '../harness/world.ts';
import { verdicts } from './outcome.ts';

const NOBODY = 65_534;
const UID = process.geteuid?.() ?? 0;

let world: World;
let depot: string;
let build: string;
let ticket: string;
let round = 0;
beforeAll(async () => {
  world = await World.make();
  await world.stopServer();
});
beforeEach(async () => {
  round += 1;
  depot = world.path('tmp', `there-${round}`, 'depot');
  await mkdir(depot, { recursive: true });
  const approved = await world.approve(`1.${round}`, ['--depot', depot]);
  mustBe(0, approved);
  build = approved.build;
  ticket = world.path('M', `${round}.ticket`);
  await copyFile(approved.ticket, ticket);
  mustBe(0, await world.attest(approved.ticket, { app: 'app' }, ['--depot', depot]));
});
afterAll(() => world.close());

const listing = (): string =>
  execFileSync('find', [depot, '-printf', '%P %i %s %T@\n'], { encoding: 'utf8' });
const sign = (): Promise<Ran> => world.sign([build, '--depot', depot]);
const own = (owner: string, path: string): void => {
  execFileSync('env', [...SUDO, 'chown', owner, path]);
};

/** Every writer refuses, and says how it is cured; a reader reads. */
async function expectUnwritten(where: string, cure: string): Promise<void> {
  const [before, made] = [listing(), world.agent.signatures];
  const other = world.path('tmp', `other-${round}`);
  mustBe(0, await world.approve(`3.${round}`, ['--depot', other]));
  const url = ['--listen', '127.0.0.1:0'];
  for (const ran of [
    await sign(),
    await world.runOn('H', ['sync', other, depot, '--json']),
    await world.approve(`2.${round}`, ['--depot', depot]),
    await world.attest(ticket, { app: 'other' }, ['--depot', depot]),
    await world.runOn('L', ['serve', '--data', depot, ...url, '--json'], { timeoutMs: 20_000 }),
  ]) {
    expect(ran, ran.stderr).toMatchObject({ code: 2, error: { code: 'depot-shared' } });
    expect(ran.error?.message).toContain(where);
    expect(ran.error?.hint).toContain(`${cure} ${where}`);
    expectRefusal(ran);
  }
  expect(listing()).toBe(before);
  expect(world.agent.signatures).toBe(made);
  mustBe(0, await world.runOn('operator', ['status', '--depot', depot]));
}

test.each([
  ['the depot', '.', 0o777],
  ['the depot, as in /tmp', '.', 0o1777],
  ['its .tmp', '.tmp', 0o777],
  ['its builds', 'builds', 0o777],
  ['the directory that it is in', '..', 0o777],
])('everybody may write %s: nothing is written', async (_, name, mode) => {
  const place = join(depot, name);
  await chmod(place, mode);
  await expectUnwritten(place, 'chmod o-w');
  execFileSync('chmod', ['o-w', place]);
  expect(verdicts(await sign())).toEqual(['published undefined']);
});

test('its own group may write, and a directory like /tmp is on the way: it is as good as any', async () => {
  for (const name of ['.', '.tmp', 'builds']) await chmod(join(depot, name), 0o775);
  await chmod(dirname(depot), 0o1777);
  expect(verdicts(await sign())).toEqual(['published undefined']);
});

test('whatever the umask, nobody else may write what is made', async () => {
  const under = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];
  mustBe(0, await world.sign([build, '--depot', depot], { under }));
  const open = execFileSync('find', [depot, '-type', 'd', '-perm', '/022', '-print'], { encoding: 'utf8' });
  expect(open).toBe('');
});

describeAsRoot('what another user', ['setpriv', `--reuid=${NOBODY}`, 'true'], () => {
  test.each([
    ['owns the depot', '.'],
    ['owns its releases', 'releases'],
    ['owns the directory that it is in', '..'],
  ])('%s: nothing is written', async (_, name) => {
    const place = join(depot, name);
    await mkdir(place, { recursive: true });
    own(`${NOBODY}`, place);
    await expectUnwritten(place, `${UID}`);
    own(`${UID}`, place);
    expect(verdicts(await sign())).toEqual(['published undefined']);
  });

  test('shares with us through a group: nothing is written', async () => {
    own(`:${NOBODY}`, depot);
    await chmod(depot, 0o2770);
    await expectUnwritten(depot, 'chmod g-w');
    await chmod(depot, 0o2750);
    expect(verdicts(await sign())).toEqual(['published undefined']);
  });

  test('left in .tmp stays there: only what is our own is dropped', async () => {
    const [ours, theirs] = ['a', 'b'].map((digit) => join(depot, '.tmp', `.${digit.repeat(24)}.tmp`));
    for (const path of [ours ?? '', theirs ?? '']) {
      await mkdir(path);
      await writeFile(join(path, 'file'), '');
      execFileSync('touch', ['-d', '3 days ago', path]);
    }
    own(`${NOBODY}`, theirs ?? '');
    expect(verdicts(await sign())).toEqual(['published undefined']);
    expect((await readdir(join(depot, '.tmp'))).filter((name) => name !== 'replacing')).toEqual([
      `.${'b'.repeat(24)}.tmp`,
    ]);
    own(`${UID}`, theirs ?? '');
  });

  test.each(['countersign.toml', 'keys/release.pgp', 'keys', '.'])(
    'owns of the project, %s: nothing is signed by it',
    async (name) => {
      const place = world.path('H', name);
      const made = world.agent.signatures;
      own(`${NOBODY}`, place);
      const ran = await sign();
      own(`${UID}`, place);
      expect(ran, ran.stderr).toMatchObject({ code: 2, error: { code: 'config-permissions' } });
      expect(ran.error?.hint).toBe(`chown ${UID} ${place}`);
      expect(world.agent.signatures).toBe(made);
      mustBe(0, await sign());
    },
  );
});
