/** The depot as a service: its socket, which outlives it; its watchdog; its end; its certificate. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { Host, describeBooted } from './host.ts';

const DEPOT = 'http://127.0.0.1:8080';
const ready = `curl -sf ${DEPOT}/readyz`;

await describeBooted('the depot as a service', () => {
  let host: Host;

  beforeAll(async () => {
    host = await Host.make('depot');
    await host.boot();
    const [install = ''] = await shellBlocks('docs/how-to/three-hosts.md', 'Install');
    const [start = ''] = await shellBlocks('docs/how-to/three-hosts.md', 'L, the depot');
    await host.sh(`cd /mnt\n${install}
      for name in release ada; do gpg --batch --passphrase '' --quick-gen-key $name@example.org ed25519 sign,cert never; done
      fpr() { gpg --with-colons --list-keys $1@example.org | awk -F: '/^fpr/{print $10; exit}'; }
      cd && countersign init --dir /etc/countersign --project hello --release-key $(fpr release) \
        --approver $(fpr ada) --depot ${DEPOT}
      rm -r /etc/countersign/signer # that is for H
      # systemd takes half a minute in its unit; we don't wait that long
      mkdir -p /etc/systemd/system/countersign-depot.service.d
      printf '%s\\n' [Service] WatchdogSec=3 >/etc/systemd/system/countersign-depot.service.d/test.conf
      systemctl daemon-reload
      ${start}`);
  });
  afterAll(() => host?.remove());

  const property = async (name: string): Promise<string> =>
    (await host.sh(`systemctl show --value --property=${name} countersign-depot`)).trim();

  test('is ready once it says so, and says what it does', async () => {
    expect(await host.sh(ready)).toBe('{"ready":true}\n');
    expect(await property('StatusText')).toBe(`serving on ${DEPOT}`);
    expect(await host.sh('systemctl is-enabled countersign-depot.socket')).toBe('enabled\n');
  });

  test('nobody is refused while it starts again', async () => {
    const answers = await host.sh(`
      for i in $(seq 60); do curl -s -o /dev/null -w '%{http_code}\\n' ${DEPOT}/releases/ || echo refused; sleep 0.05; done >/run/answers &
      for i in 1 2 3; do sleep 0.2; systemctl restart countersign-depot; done
      wait; sort /run/answers | uniq -c`);
    expect(answers.trim()).toBe('60 200');
  });

  test('its first connection starts it', async () => {
    await host.sh('systemctl stop countersign-depot');
    expect(await host.sh(ready)).toBe('{"ready":true}\n');
  });

  test('one that stands still is killed, and another takes its place', async () => {
    const before = await property('MainPID');
    await host.sh(`kill -STOP ${before}`);
    // who connects meanwhile gets an answer, late
    expect(await host.sh(`curl -sf --max-time 60 --retry 5 --retry-all-errors ${DEPOT}/readyz`)).toBe(
      '{"ready":true}\n',
    );
    expect(await property('MainPID')).not.toBe(before);
    expect(await host.sh('journalctl --unit countersign-depot --output cat')).toContain('watchdog');
  });

  test('it ends as a service should, with its log in the journal, one JSON object a line', async () => {
    await host.sh(ready);
    await host.sh('systemctl stop countersign-depot.socket countersign-depot');
    expect(await property('Result')).toBe('success');
    const lines = await host.sh('journalctl --output cat _SYSTEMD_UNIT=countersign-depot.service');
    const ours = lines.split('\n').filter((line) => line.startsWith('{'));
    const said = ours.map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(said).toContain('listening');
    expect(said.at(-1)).toBe('stopped');
    expect(lines).not.toContain('could not be told');
  });

  test('with a certificate as a credential it speaks TLS; a new one needs no restart of the socket', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'cs-tls-'));
    const [cert, key] = [join(directory, 'cert'), join(directory, 'key')];
    const names = [
      '-subj',
      '/CN=depot',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-keyout',
      key,
      '-out',
      cert,
    ];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', ...names], { stdio: 'pipe' });
    await host.sh('mkdir -p /etc/depot-tls && cat >/etc/depot-tls/cert', readFileSync(cert, 'utf8'));
    await host.sh('cat >/etc/depot-tls/key', readFileSync(key, 'utf8'));
    rmSync(directory, { recursive: true });
    await host.sh(`
      printf '%s\\n' [Service] LoadCredential=tls-cert:/etc/depot-tls/cert LoadCredential=tls-key:/etc/depot-tls/key \
        >/etc/systemd/system/countersign-depot.service.d/tls.conf
      systemctl daemon-reload && systemctl start countersign-depot`);
    const https = 'curl -sf --cacert /etc/depot-tls/cert https://127.0.0.1:8080/readyz';
    expect(await host.sh(https)).toBe('{"ready":true}\n');
    await host.sh('systemctl reload countersign-depot');
    await host.until("journalctl --unit countersign-depot --output cat | grep 'read again'");
    expect(await host.sh(https)).toBe('{"ready":true}\n');
  });
});
