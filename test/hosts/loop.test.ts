/**
 * The whole loop between real hosts: nobody can connect to H, M is gone before anything is signed, and what
 * L has is worth nothing to a thief.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Secrets } from '../attacks/leaks.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { PROGRAM, PROGRAM_H } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import type { Machine } from './machine.ts';
import { describeHosts, execute } from './namespaces.ts';
import { PORT, Site } from './site.ts';

describeHosts('three hosts', () => {
  let site: Site;
  let world: World;
  let H: Machine;
  let L: Machine;
  let operator: Machine;
  beforeAll(async () => {
    site = await Site.make();
    ({ world } = site);
    [H, L, operator] = [site.host('H'), site.host('L'), site.host('operator')];
  });
  afterAll(() => site.close());

  test('nobody gets in to H, which connects to L alone; M and H do not reach one another', async () => {
    const M = await site.builder();
    // else nothing would be there to connect to
    const listener = ['socat', `TCP-LISTEN:${OPEN},fork,reuseaddr`, 'EXEC:true'];
    const open = spawn('env', [...H.enter(), ...listener], { stdio: 'ignore' });
    try {
      await until('it listens', () => connects(H, `127.0.0.1:${OPEN}`));
      await until('H has turned away all that came', async () => {
        const tried = [L, operator, M].map((host) => connects(host, `${H.address}:${OPEN}`));
        expect(await Promise.all(tried)).toEqual([false, false, false]);
        return (await H.turnedAway()).length >= 2;
      });
      expect(await H.turnedAway(), 'of M nothing came').toEqual([L.address, operator.address]);
    } finally {
      open.kill('SIGKILL');
    }
    await until('H connects to L', () => connects(H, `${L.address}:${PORT.https}`));
    const others = [M, operator].map(({ address }) => connects(H, `${address}:${PORT.ssh}`));
    expect(await Promise.all(others)).toEqual([false, false]);
    await until('M’s port is open to others', () => connects(operator, `${M.address}:${PORT.ssh}`));
    await M.end();
  });

  test('M ends when it has attested; H, listening on nothing, signs; anybody verifies', async () => {
    const watching = watchOnH();
    const approved = await world.approve('1.0', ['--artifact', 'hello-*']);
    mustBe(0, approved);
    const secrets = await Secrets.ofSigner(world);
    await secrets.addTicket(approved.ticket);

    const M = await site.builder();
    await site.bring(M, approved.ticket);
    const namespace = readlinkSync(`/proc/${M.pid}/ns/net`);
    const make = 'echo hello > hello-1.0.txt; head -c 200000 /dev/urandom > hello-1.0.bin';
    const attested = await site.ssh(
      M,
      `export NODE_EXTRA_CA_CERTS=${world.env('M')['NODE_EXTRA_CA_CERTS']}
       mkdir ${world.path('M', 'work')} && cd ${world.path('M', 'work')}
       ${process.execPath} ${PROGRAM} attest --ticket ${site.ticket} --run '${make}' hello-1.0.txt hello-1.0.bin`,
    );
    expect(attested).toContain('widget 1.0 sealed: 2 artifacts');
    await M.end();
    await until('no process of M is left', () => inNamespace(namespace).length === 0);
    expect(await connects(operator, `${M.address}:${PORT.ssh}`), 'M answers no more').toBe(false);

    await until('H publishes', async () => {
      expect(await H.listening()).toBe('');
      return watching.published.includes(approved.build);
    });
    watching.child.kill('SIGTERM');
    expect(await watching.ended).toBe(0);
    expect(world.agent.signatures, 'two artifacts and SHA256SUMS').toBe(3);
    for (const host of ['L', 'operator']) expect(await secrets.below(world.path(host)), host).toEqual([]);

    const [release, ca] = [`${world.url}/releases/widget/1.0`, world.env('operator')['NODE_EXTRA_CA_CERTS']];
    const there = world.path('operator');
    await execute(
      [
        ...operator.enter(there),
        'sh',
        '-euc',
        `for f in hello-1.0.bin hello-1.0.bin.asc; do curl -sSf --cacert ${ca} -O ${release}/$f; done
         gpgv --keyring ./keys/release.pgp hello-1.0.bin.asc hello-1.0.bin`,
      ],
      world.env('operator'),
    );
    mustBe(0, await world.verify([`${there}/hello-1.0.bin`], ['--project', 'widget', '--version', '1.0']));
    // the log is whole and bears out every proof that L has
    await expectUntouched(world, await snapshot(world), { answers: [] });
  });

  /** The signer as a service; its listening is somebody else's to look for. */
  function watchOnH() {
    const [command, ...args] = [...H.enter(world.path('cwd')), process.execPath, PROGRAM_H];
    const sign = ['sign', '--watch', '--yes', '--json'];
    const child: ChildProcess = spawn(command, [...args, ...sign], {
      env: world.env('H'),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const published: unknown[] = [];
    if (child.stdout)
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { build, state } = JSON.parse(line) as Record<string, unknown>;
        if (state === 'published') published.push(build);
      });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    return { child, published, ended };
  }
});

const OPEN = 7777;

/** Whether a connection from a host can be made within a second. */
async function connects(from: Machine, to: string): Promise<boolean> {
  const script = `timeout 1 bash -c '</dev/tcp/${to.replace(':', '/')}' 2>/dev/null && echo yes || echo no`;
  return (await from.admin(script)) === 'yes\n';
}

/** Processes of this machine that are in a network namespace. */
function inNamespace(namespace: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/ns/net`) === namespace;
    } catch {
      return false; // it has ended, or is not ours
    }
  });
}
