/** docs/how-to/nginx.md, typed into a booted host: nginx reads what is published, and there is no way from it to what waits. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { Host, describeBooted } from './host.ts';

/** In the place of the depot's program: makes files where and as it would. */
const DEPOT = `
cd /var/lib/countersign-depot
for each in builds/b/blobs releases/widget/1.0; do
  mkdir -p "$each" && echo "$1" >"$each/$1"
done
mkdir -p log && echo "$1" >log/checkpoint`;

await describeBooted('nginx before the depot', () => {
  let host: Host;
  const start = (file: string): string => `printf '%s\\n' ${file} >/etc/countersign/file
    systemctl restart countersign-depot`;

  beforeAll(async () => {
    host = await Host.make('nginx');
    await host.boot();
    const [install = ''] = await shellBlocks('docs/how-to/three-hosts.md', 'Install');
    await host.sh(`cd /mnt\n${install}`);
    await host.sh(
      `cat >/usr/local/bin/depot
      mkdir -p /run/systemd/system/countersign-depot.service.d /etc/countersign /etc/nginx /var/log/nginx /var/lib/nginx
      printf '%s\\n' [Unit] Requires= After= [Service] Type=oneshot WatchdogSec=0 RemainAfterExit=yes ExecStart= \\
        'ExecStart=/bin/sh -c "/bin/sh -eu /usr/local/bin/depot $(cat /etc/countersign/file)"' \\
        >/run/systemd/system/countersign-depot.service.d/zz.conf
      echo 'user www-data; pid /run/nginx.pid; events {} http { server { listen 127.0.0.1:80; root /srv/countersign; } }' >/etc/nginx/nginx.conf
      systemctl daemon-reload`,
      DEPOT,
    );
    await host.sh(start('before'));
    const [allow = ''] = await shellBlocks('docs/how-to/nginx.md', 'What nginx may read');
    await host.sh(`echo after >/etc/countersign/file\n${allow}`);
  });
  afterAll(() => host?.remove());

  test('what is published it reads, whenever that was made', async () => {
    for (const name of ['before', 'after'])
      expect(await host.sh(`curl -sf http://127.0.0.1/releases/widget/1.0/${name}`)).toBe(`${name}\n`);
    await host.sh(start('later'));
    expect(await host.sh('curl -sf http://127.0.0.1/releases/widget/1.0/later')).toBe('later\n');
    expect(await host.sh('curl -sf http://127.0.0.1/log/checkpoint')).toBe('later\n');
  });

  test('what waits it does not see, nor does anybody else', async () => {
    expect(await host.try('curl -s -o /dev/null -w %{http_code} http://127.0.0.1/builds/b/blobs/after')).toBe(
      '404',
    );
    const as = 'setpriv --reuid=www-data --regid=www-data --clear-groups';
    const worker = `nsenter --mount --target="$(cat /run/nginx.pid)" ${as}`;
    expect(await host.sh(`${worker} ls /srv/countersign`)).toBe('log\nreleases\n');
    for (const who of [worker, as]) {
      expect(await host.try(`${who} ls /var/lib/private/countersign-depot`)).toContain('Permission denied');
      expect(await host.try(`${who} cat /var/lib/countersign-depot/releases/widget/1.0/after`)).toContain(
        'Permission denied',
      );
    }
    expect(await host.try(`${worker} touch /srv/countersign/releases/x`)).toContain('Read-only file system');
  });
});
