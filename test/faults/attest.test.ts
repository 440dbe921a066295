/** The builder: nothing leaves before it is kept, and the key that has signed is gone, whatever fails. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROGRAM } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { testDurable } from './durable.ts';
import { released } from './released.ts';
import { everyCall, showSteps, testAllCalls, testRows } from './row.ts';
import type { Play } from './row.ts';
import { ATTEST } from './rows.ts';
import { FILES, Theatre } from './theatre.ts';
import type { Scene } from './theatre.ts';

let theatre: Theatre;
let scene: Scene;
let play: Play;

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  const { build, ticket } = await world.approve('1.0');
  const base = await world.place(FILES);
  scene = theatre.save();
  const attest = ['attest', '--ticket', ticket, '--base', base, base, '--json'];
  play = await released(scene, build, '1.0', {
    act: (traced) => world.runOn('M', attest, traced),
    async again(outcome) {
      const ran = await world.runOn('M', attest);
      // the ticket goes when the depot has the statement: all is done then, and that is said
      const gone = ran.error?.code === 'ticket-missing';
      if (!everyCall) expect(gone, ran.stderr).toBe(outcome === 'refuses' || outcome === 'goes on');
      if (!gone) mustBe(0, ran);
      mustBe(0, await world.sign());
    },
    mayLeave: /b1\.ticket\.pending\//,
  });
  showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

testRows(ATTEST, () => play);
testAllCalls('attest', ATTEST, () => play);
testDurable('attest', () => play);

describe('attest --run: killed while the command runs', () => {
  /** A ticket of a new build, and `attest` with it killed once the command has begun. */
  async function killed(version: string, more: readonly string[]) {
    scene.restore();
    const { world } = theatre;
    const { ticket } = await world.approve(version);
    const open = world.path('stick');
    mkdirSync(open);
    chmodSync(open, 0o777);
    chmodSync(world.directory, 0o755);
    const look = `cat ${ticket} >${open}/seen 2>&1; echo $$ >${open}/pid; mv ${open}/pid ${open}/begun; sleep 60`;
    const args = ['attest', '--ticket', ticket, '--run', look, ...more, '--base', open, open];
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env: world.env('M'),
      stdio: 'ignore',
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    while (!existsSync(`${open}/begun`)) await pause(20);
    process.kill(child.pid ?? 0, 'SIGKILL');
    await ended;
    process.kill(-Number(readFileSync(`${open}/begun`, 'utf8')), 'SIGKILL');
    return { ticket, seen: readFileSync(`${open}/seen`, 'utf8') };
  }

  test('the ticket is lost with the only process that had it, and the way on is said', async () => {
    const { ticket, seen } = await killed('2.0', []);
    expect(seen).toContain('No such file');
    const again = await theatre.world.attest(ticket, FILES);
    expect(again).toMatchObject({ code: 2, error: { code: 'ticket-missing' } });
    expect(again.error?.hint).toContain('ask for a new approval');
  });

  test.skipIf(process.getuid?.() !== 0)(
    'with --run-as it lies where the build cannot read it, and signs',
    async () => {
      const { ticket, seen } = await killed('2.1', ['--run-as', 'nobody']);
      expect(seen).toContain('Permission denied');
      mustBe(0, await theatre.world.attest(ticket, FILES));
    },
  );
});
