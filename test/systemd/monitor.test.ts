/** The monitor's unit on a host that systemd has booted: an alert is a failed unit until somebody has seen to it. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseSignerKey } from '../../src/tlog/note.ts';
import { shellBlocks } from '../harness/document.ts';
import { MadeLog, entries, leaves } from '../harness/made-log.ts';
import { World } from '../harness/world.ts';
import { Host, describeBooted } from './host.ts';

await describeBooted('a monitor with systemd', () => {
  let world: World;
  let host: Host;
  let log: MadeLog;

  beforeAll(async () => {
    [world, host] = await Promise.all([World.make(), Host.make('monitor')]);
    await host.boot();
    const [install = ''] = await shellBlocks('docs/how-to/three-hosts.md', 'Install');
    await host.sh(`cd /mnt\n${install}`);
    const toml = readFileSync(world.path('H', 'countersign.toml'), 'utf8');
    writeFileSync(
      world.path('operator', 'countersign.toml'),
      toml.replace(/^depot = .*$/m, 'depot = "/srv/depot"'),
    );
    await carry('operator', 'countersign.toml keys', '/etc/countersign');
    const key = readFileSync(world.path('H', 'signer', 'log-key'), 'utf8').trim();
    log = new MadeLog(world.path('made', 'log'), parseSignerKey(key));
  });
  afterAll(async () => {
    await host?.remove();
    await world?.close();
  });

  async function carry(from: string, names: string, to: string): Promise<void> {
    const packed = execFileSync('tar', ['-C', world.path(from), '-c', ...names.split(' ')]).toString(
      'base64',
    );
    await host.sh(
      `mkdir -p ${to} && base64 -d | tar -C ${to} --no-same-owner -x && chmod -R go+rX ${to}`,
      packed,
    );
  }
  async function grow(size: number): Promise<void> {
    log.add(leaves(entries(size - log.size, log.size)));
    await carry('made', 'log', '/srv/depot');
  }
  /** How a look ends: its exit status, and what it says. */
  async function look(): Promise<string> {
    const unit = 'countersign-monitor.service';
    return host.sh(`cd /; cursor=$(journalctl -n 0 --show-cursor -q | sed -n 's/^-- cursor: //p')
      systemctl start ${unit} || true
      systemctl show -P ExecMainStatus ${unit}
      journalctl --sync; journalctl -q -o cat -u ${unit} --after-cursor="$cursor"`);
  }

  test(
    'says what nobody expected, remembers what it saw, and is enabled as the document says',
    { timeout: 120_000 },
    async () => {
      await host.sh('echo 1.0 >/etc/countersign/expected');
      await grow(8);
      for (let times = 0; times < 2; times++) {
        const said = await look();
        expect(said).toMatch(/^1\n/);
        expect(said).toContain('ALERT unexpected-release  nobody expected the release of 1.1,');
      }
      await host.sh('echo 1.1 >>/etc/countersign/expected');
      expect(await look()).toMatch(/^0\n/);

      // another log, from the fourth entry on
      const fork = new MadeLog(world.path('made', 'log'), log.signer);
      fork.add(leaves([...entries(4), ...entries(8, 8)]));
      await carry('made', 'log', '/srv/depot');
      const said = await look();
      expect(said).toMatch(/^1\n/);
      expect(said).toContain('ALERT fork');
      expect(await host.sh('ls /var/lib/private/countersign-monitor')).toMatch(
        /^state\nstate\.fork-[0-9a-f]{16}\n$/,
      );

      await host.sh('systemctl enable --now countersign-monitor.timer');
      expect(await host.sh('systemctl list-timers --no-legend')).toContain('countersign-monitor.service');
    },
  );
});
