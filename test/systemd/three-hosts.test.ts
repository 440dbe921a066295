/**
 * docs/how-to/three-hosts.md, typed by an administrator into four hosts that systemd has booted, and what a release, a
 * wrong passphrase and a restart then meet.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { Host, describeBooted } from './host.ts';

const DOCUMENT = 'docs/how-to/three-hosts.md';
const DEPOT = 'http://127.0.0.1:8080';
const PASSPHRASE = 'correct horse battery staple';

await describeBooted('three hosts with systemd', () => {
  let depot: Host;
  let signer: Host;
  let builder: Host;
  let operator: Host;
  /** What the administrator knows: fingerprints, and where keys lie. */
  let facts = '';
  let functions = '';

  beforeAll(async () => {
    [depot, signer, builder, operator] = await Promise.all([
      Host.make('depot'),
      Host.make('signer'),
      Host.make('builder'),
      Host.make('operator'),
    ]);
    await depot.boot();
    await Promise.all([signer, builder, operator].map((host) => host.boot({ network: depot })));
    functions = /^agent.*\nsigner.*$/m.exec(await block('The release key', 1))?.[0] ?? '';
  });
  afterAll(async () => {
    for (const host of [operator, builder, signer, depot]) await host?.remove();
  });

  const block = async (heading: string, index: number): Promise<string> =>
    (await shellBlocks(DOCUMENT, heading))[index] ?? '';

  /** Types a shell block of a section into a host, by somebody who gives `typed` as the passphrase. */
  async function type(host: Host, heading: string, index: number, typed = PASSPHRASE): Promise<string> {
    const script = (await block(heading, index)).replaceAll('https://depot.example.org', DEPOT);
    const person = `systemd-ask-password() { printf '%s' '${typed}'; }`;
    return host.sh([facts, functions, person, heading === 'Install' ? 'cd /mnt' : '', script].join('\n'));
  }

  /** Carries files of a directory to another host. */
  async function carry(from: Host, directory: string, names: string, to: Host, where: string): Promise<void> {
    const packed = await from.sh(`tar -C ${directory} -c ${names} | base64`);
    await to.sh(`mkdir -p ${where} && base64 -d | tar -C ${where} -x`, packed);
  }

  /** The operator allows a build. */
  async function approve(version: string): Promise<void> {
    const command = (await block('The operator', 0)).replace('approve 1.0', `approve ${version} --yes`);
    await operator.sh(`cd /root/hello && rm -rf ~/tickets && ${command}`);
  }

  /** M builds a version and attests it, with a ticket in a file. */
  async function build(version: string): Promise<void> {
    await builder.sh(
      `sed -i 's/hello-[0-9.]*.tar/hello-${version}.tar/' /usr/local/bin/build-release; rm -rf /var/lib/build/dist; systemctl stop build`,
    );
    await carry(operator, '/root/tickets', 'b1.ticket', builder, '/root');
    await type(builder, 'M, the builder', 1);
  }

  /** A consumer downloads the artifact, and checks it with gpgv alone. */
  const download = (version: string): Promise<string> =>
    operator.sh(`
      gpg --export release@example.org >/root/release.gpg
      cd "$(mktemp -d)"
      curl -sSf -O ${DEPOT}/releases/hello/${version}/hello-${version}.tar.gz -O ${DEPOT}/releases/hello/${version}/hello-${version}.tar.gz.asc
      gpgv --status-fd 1 --keyring /root/release.gpg hello-${version}.tar.gz.asc hello-${version}.tar.gz`);
  /** There is a new back-up of H, and what was stopped for it runs again. */
  async function expectBackup(unit: string): Promise<void> {
    const backup = '/root/signer.tar.gz';
    expect(await signer.sh(`tar -tzf ${backup} && rm ${backup}`)).toMatch(/^signer\/journal$/m);
    expect(await signer.sh(`systemctl is-active ${unit}`)).toBe('active\n');
  }

  const released = (version: string): string =>
    `curl -sSf ${DEPOT}/releases/hello/${version}/countersign/release.proof`;

  test('the first hour: programs, keys, the project, units', async () => {
    for (const host of [depot, builder, operator]) await type(host, 'Install', 0);
    await type(signer, 'Install', 1);

    const fingerprint = (name: string): string =>
      `$(gpg --with-colons --list-keys ${name}@example.org | awk -F: '/^fpr/{print $10; exit}')`;
    const known = await operator.sh(`
      for person in ada grace; do
        gpg --batch --passphrase '' --quick-gen-key "$person@example.org" ed25519 sign never
        gpg --armor --export "$person@example.org" >/root/$person.asc
      done
      gpg --batch --yes --delete-secret-keys ${fingerprint('grace')} # she is elsewhere
      echo s2k-count 65536 >/root/.gnupg/gpg-agent.conf && gpgconf --kill gpg-agent # takes no half second a key
      printf '%s\\n' batch 'pinentry-mode loopback' 'passphrase ${PASSPHRASE}' >/root/.gnupg/gpg.conf
      gpg --quick-gen-key release@example.org ed25519 cert never
      echo RELEASE=${fingerprint('release')} ADA=${fingerprint('ada')} GRACE=${fingerprint('grace')}`);
    facts = `export KEYS=/root ${known.trim()}`;
    await type(operator, 'The release key', 0);
    await carry(operator, '/root', 'subkeys.pgp ada.asc grace.asc', signer, '/root');
    await type(signer, 'The release key', 1);
    for (const host of [operator, signer]) await host.sh('rm subkeys.pgp');
    await type(signer, 'The release key', 2);
    await carry(signer, '/etc/countersign', 'countersign.toml keys', depot, '/etc/countersign');
    await carry(signer, '/etc/countersign', 'countersign.toml keys', operator, '/root/hello');

    await expect(type(signer, 'The release key', 3, 'wrong')).rejects.toThrow('the passphrase is wrong');
    await type(signer, 'The release key', 3);
    await type(depot, 'L, the depot', 0);
    await type(signer, 'H, the signer', 0);
    for (const [host, units] of [
      [depot, 'countersign-depot'],
      [signer, 'countersign-signer countersign-agent.socket countersign-agent'],
    ] as const)
      expect(await host.sh(`systemctl is-active ${units}`)).toMatch(/^(active\n)+$/);
  });

  test('a release: M builds and attests while it boots, H signs unattended, gpgv is content', async () => {
    await operator.sh(`
      cd /root/hello && git init -q && git add countersign.toml keys
      git -c user.name=Ada -c user.email=ada@example.org commit -qm hello
      git remote add origin https://git.example.org/hello`);
    await approve('1.0');

    await type(builder, 'M, the builder', 0);
    await builder.sh(`cat >/usr/local/bin/build-release <<'BUILD'
#!/bin/sh -eu
mkdir -p dist && echo "hello, $(id -un)" >dist/hello.txt
tar -C dist -czf dist/hello-1.0.tar.gz hello.txt && rm dist/hello.txt
# a build script that wants the ticket
find /run/credentials /run/host/credentials /etc/credstore -exec cat {} + >stolen 2>&1 || true
env >>stolen
BUILD
      chmod 755 /usr/local/bin/build-release`);
    await builder.stop();
    const ticket = join(operator.root, 'root/tickets/b1.ticket');
    await builder.boot({ network: depot, credential: { name: 'ticket', file: ticket } });

    await operator.until(released('1.0'));
    expect(await download('1.0')).toMatch(/^\[GNUPG:\] VALIDSIG /m);
    const stolen = await builder.sh('cat /var/lib/build/stolen');
    expect(stolen).toContain('Permission denied');
    expect(stolen).not.toContain('countersign-ticket');
  });

  test('a second ticket, as a file on M; the key is locked, the build waits, the key is unlocked', async () => {
    await type(signer, 'Day by day', 2);
    await approve('1.1');
    await builder.stop();
    await builder.boot({ network: depot });
    await build('1.1');

    await signer.until(`journalctl -u countersign-signer -o cat | grep 'locked'`);
    expect(await operator.try(`${released('1.1')} -o /dev/null || echo not yet`)).toContain('not yet');
    await type(signer, 'The release key', 3);
    await operator.until(released('1.1'));
    expect(await download('1.1')).toMatch(/^\[GNUPG:\] VALIDSIG /m);
  });

  test('a new release subkey, a back-up, a new program; then all boot again, and nobody unlocks', async () => {
    await type(operator, 'The release key', 0);
    await carry(operator, '/root', 'subkeys.pgp', signer, '/root');
    await type(signer, 'The release key', 1);
    await type(signer, 'The release key', 4);
    await type(signer, 'Day by day', 5);
    await expectBackup('countersign-signer');
    await type(signer, 'Day by day', 7);
    await carry(signer, '/etc/countersign', 'keys', depot, '/etc/countersign');
    await type(depot, 'Day by day', 3);
    await type(signer, 'Day by day', 3);
    await signer.stop();
    await signer.boot({ network: depot });
    expect(await type(signer, 'Day by day', 0)).toMatch(
      /^ok +release-key-locked: gpg-agent has a passphrase/m,
    );

    await approve('2.0');
    await build('2.0');
    await operator.until(released('2.0'));
    const newest = await operator.sh(
      `gpg --with-colons --list-keys release@example.org | awk -F: '/^fpr/{f=$10} END{print f}'`,
    );
    expect(await download('2.0')).toContain(`VALIDSIG ${newest.trim()}`);
  });

  test('H in two halves: the one with the key has no network, and a release comes out all the same', async () => {
    await signer.sh('systemctl stop countersign-signer');
    await approve('2.1');
    await build('2.1');
    await type(signer, 'H in two halves', 0);
    await operator.until(released('2.1'));
    expect(await download('2.1')).toMatch(/^\[GNUPG:\] VALIDSIG /m);
    const rounds = await signer.sh("journalctl --output=cat --unit 'countersign-s*'");
    expect(rounds).not.toMatch(/fail|proceeding without/i);

    await type(signer, 'Day by day', 6);
    await expectBackup('countersign-sync.timer');
    expect(await signer.try('systemctl is-active countersign-signer')).not.toMatch(/^active/m);
    await signer.sh('systemctl stop countersign-sync.timer');
    await type(signer, 'Day by day', 4);
    await expectBackup('countersign-agent.socket');
  });

  test('every unit starts again and stops cleanly, and no journal has a secret', async () => {
    const state = await signer.sh(
      'cat /var/lib/countersign/signer/log-key /var/lib/countersign/signer/signer-token',
    );
    const secrets = [PASSPHRASE, 'countersign-ticket-v1', ...state.trim().split('\n')];
    for (const [host, units] of [
      [depot, ['countersign-depot.service']],
      [
        signer,
        [
          'countersign-signer.service',
          'countersign-unlock.service',
          'countersign-agent.service',
          'countersign-agent.socket',
        ],
      ],
      [builder, ['countersign-attest.service', 'build.service']],
    ] as const) {
      for (const unit of units) {
        if (!/attest|build/.test(unit))
          await host.sh(`systemctl restart ${unit} && systemctl is-active ${unit}`);
        await host.sh(`systemctl stop ${unit}`);
        expect(await host.sh(`systemctl show --value --property=Result ${unit}`), unit).toBe('success\n');
      }
      const journal = await host.sh('journalctl --no-pager --output=json');
      expect(
        secrets.filter((secret) => journal.includes(secret)),
        host.name,
      ).toEqual([]);
    }
  });
});
