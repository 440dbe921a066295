/** docs/how-to/witness.md as a service, typed into a host that systemd has booted. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { Log, originHash } from '../witness/log.ts';
import { Host, describeBooted } from './host.ts';

await describeBooted('a witness with systemd', () => {
  const log = new Log('log.example/one');
  let host: Host;
  beforeAll(async () => {
    host = await Host.make('witness');
    await host.boot();
  });
  afterAll(() => host?.remove());

  const URL = 'http://127.0.0.1:8081';
  const add = (old: number, size: number): Promise<string> =>
    host.sh(
      `curl -sS -o /dev/null -w '%{http_code}' --data-binary @- ${URL}/add-checkpoint`,
      log.body({ old, size }),
    );
  const listening = (): Promise<void> => host.until(`curl -sS ${URL}/`);

  test('it makes its key, says it, remembers, and keeps the key encrypted', async () => {
    const [install = ''] = await shellBlocks('docs/how-to/three-hosts.md', 'Install');
    const [start = '', encrypt = ''] = await shellBlocks('docs/how-to/witness.md', 'As a service');
    await host.sh(`cd /mnt\n${install}`);
    await host.sh(`LOG='${log.key.text}'\n${start}`);
    await listening();
    expect(await add(0, 5)).toBe('200');
    const journal = await host.sh('journalctl --unit countersign-witness --output cat');
    expect(journal).toMatch(/^key = "witness\.example\.org\/w1\+[0-9a-f]{8}\+B\S+"$/m);

    await host.sh(encrypt);
    await listening();
    expect(await host.sh('ls -A /var/lib/countersign-witness/ /var/lib/private')).not.toMatch(
      /^witness-key$/m,
    );
    expect(await add(0, 7)).toBe('409');
    expect(await add(5, 7)).toBe('200');
    expect(await host.sh(`curl -sSf ${URL}/${originHash(log.origin)}/checkpoint`)).toContain(log.text(7));

    // one that is not as it was left does not start, and says why
    await host.sh('systemctl stop countersign-witness; rm /var/lib/countersign-witness/checkpoints/*');
    await host.sh('systemctl start countersign-witness');
    await host.until("journalctl --unit countersign-witness | grep 'is damaged'");
  });
});
