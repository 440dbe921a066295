/** What a process inside each unit can still do, tried in its place on a booted host: whatever takes the program over can do no more. */
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { Host, describeBooted } from './host.ts';

/** Takes the place of the unit's program, and says what it can do, a line each. */
const BURGLAR = `
can() { if "\${@:2}" >/dev/null 2>&1; then echo "$1"; fi; }
perl() { /usr/bin/perl -MIO::Socket::INET -MIO::Socket::UNIX -e "$1 or exit 1"; }
can 'open an IP socket' perl 'IO::Socket::INET->new(Proto => "udp", PeerAddr => "127.0.0.1:9")'
can 'be in the network' test "$(readlink /proc/self/ns/net)" = "$(cat /etc/countersign/network)"
can 'listen' perl 'IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")'
can 'talk to gpg-agent' perl 'IO::Socket::UNIX->new("/run/countersign-agent/S.gpg-agent")'
can 'read the release key' cat /var/lib/countersign-agent/private-keys-v1.d/key
can 'read the log key' cat /var/lib/countersign/signer/log-key
can 'read what waits on the depot' ls /var/lib/countersign-depot/builds
can 'read the ticket' cat "\${CREDENTIALS_DIRECTORY-}/ticket"
can 'read stored credentials' cat /etc/credstore/ticket
can 'read the passphrase' cat "\${CREDENTIALS_DIRECTORY-}/countersign-passphrase"
can 'use the signer token' cat "\${CREDENTIALS_DIRECTORY-}/signer-token"
can 'use the witness key' cat /var/lib/countersign-witness/witness-key
can 'write what was fetched' touch /var/spool/countersign/in/file
can 'write what was decided' touch /var/spool/countersign/out/file
can 'change the project file' touch /etc/countersign/countersign.toml
can 'change the program' touch /usr/local/bin/countersign
can 'read /root' ls /root
can 'read /home' ls /home/ada
can 'see the first process' test -e /proc/1
can 'make a namespace' unshare --user true
can 'become root' grep -q '^CapBnd:.*[1-9a-f]' /proc/self/status
`;

/** All that each of them can do. */
const CAN: Record<string, readonly string[]> = {
  'countersign-depot': ['read what waits on the depot'],
  'countersign-agent': ['talk to gpg-agent', 'read the release key'],
  'countersign-unlock': ['talk to gpg-agent', 'read the release key', 'read the passphrase'],
  'countersign-signer': ['be in the network', 'open an IP socket', 'talk to gpg-agent', 'read the log key'],
  'countersign-sync-in': [
    'be in the network',
    'open an IP socket',
    'use the signer token',
    'write what was fetched',
  ],
  'countersign-sign': ['talk to gpg-agent', 'read the log key', 'write what was decided'],
  'countersign-sync-out': ['be in the network', 'open an IP socket', 'use the signer token'],
  'countersign-witness': ['be in the network', 'open an IP socket', 'listen', 'use the witness key'],
  'countersign-monitor': ['be in the network', 'open an IP socket'],
  'countersign-attest': ['be in the network', 'open an IP socket', 'read the ticket'],
};

test('every service is tried', () => {
  const services = readdirSync(new URL('../../systemd', import.meta.url))
    .filter((name) => name.endsWith('.service'))
    .map((name) => name.replace('.service', ''));
  expect(Object.keys(CAN).sort()).toEqual(services.sort());
});

await describeBooted('somebody who took over', () => {
  let host: Host;

  beforeAll(async () => {
    host = await Host.make('host');
    await host.boot();
    const [, install = ''] = await shellBlocks('docs/how-to/three-hosts.md', 'Install');
    await host.sh(`cd /mnt\n${install}
      secret() { install -D -m 600 -o "$2" /dev/null "$1"; }
      secret /var/lib/countersign-agent/private-keys-v1.d/key countersign-agent
      secret /var/lib/countersign/signer/log-key countersign
      secret /var/lib/countersign/signer/signer-token root
      secret /etc/credstore/ticket root
      secret /root/secret root
      install -d -m 700 /var/lib/private && install -d /home/ada /var/lib/build /var/lib/private/countersign-depot/builds
      ln -s private/countersign-depot /var/lib/countersign-depot
      secret /var/lib/private/countersign-witness/witness-key root
      ln -s private/countersign-witness /var/lib/countersign-witness
      touch /etc/countersign/countersign.toml /etc/countersign/depot /etc/countersign/witness
      readlink /proc/1/ns/net >/etc/countersign/network
      mkdir -p /etc/credstore.encrypted && echo secret | systemd-creds encrypt --name=countersign-passphrase - /etc/credstore.encrypted/countersign-passphrase
      printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >/etc/systemd/system/build.service`);
  });
  afterAll(() => host?.remove());

  test.each(Object.keys(CAN))('%s', async (unit) => {
    const place = `/run/systemd/system/${unit}.service.d`;
    const said = await host.sh(
      `cat >/usr/local/bin/burglar
      mkdir -p ${place}
      printf '%s\\n' [Service] Type=oneshot Restart=no ExecStartPre= ExecStart= 'ExecStart=/bin/bash /usr/local/bin/burglar' \
        StandardOutput=append:/run/said >${place}/zz-burglar.conf
      rm -f /run/said && systemctl daemon-reload
      systemctl restart ${unit}
      rm -r ${place} && systemctl stop ${unit} && systemctl daemon-reload
      sort -u /run/said # his call to gpg-agent may have started him twice`,
      BURGLAR,
    );
    expect(said.trimEnd().split('\n').sort()).toEqual([...(CAN[unit] ?? [])].sort());
  });

  test('the burglar knows how: without these units he can do all of it', async () => {
    const said = await host.sh(
      `cat >/usr/local/bin/burglar
      printf '%s\\n' [Service] Type=oneshot 'ExecStart=/bin/bash /usr/local/bin/burglar' \
        LoadCredential=ticket LoadCredential=signer-token:/var/lib/countersign/signer/signer-token \
        LoadCredentialEncrypted=countersign-passphrase \
        StandardOutput=file:/run/said-freely >/run/systemd/system/burglar.service
      systemctl daemon-reload && systemctl start burglar && cat /run/said-freely`,
      BURGLAR,
    );
    const attempts = [...BURGLAR.matchAll(/^can '(.*?)'/gm)].map((match) => match[1]);
    expect(said.trimEnd().split('\n')).toEqual(attempts);
  });
});
