/** `npm run test:scale`: an artifact of 8 GiB on its whole way, in the memory of a small one. `npm test` passes it over. */
import { open } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { World, mustBe } from '../harness/world.ts';

const GIB = 1024 ** 3;
const HOUR = 3_600_000;

let world: World | undefined;
afterEach(() => world?.close());

test.runIf(process.env['SCALE'] !== undefined)(
  'an artifact of 8 GiB: no role takes 120 MB for it',
  async () => {
    world = await World.make();
    const approved = await world.approve('1.0', ['--max-size=8GiB', '--max-total=8GiB']);
    mustBe(0, approved);
    const base = await world.place({});
    const file = await open(`${base}/disk.img`, 'w');
    await file.truncate(8 * GIB);
    // not all of it the same
    for (let at = 0; at < 8; at++) await file.write(`GiB ${at}`, at * GIB + 4095);
    await file.close();
    const attest = ['attest', '--ticket', approved.ticket, '--base', base, base, '--json'];
    const attested = await world.runOn('M', attest, { timeoutMs: HOUR });
    mustBe(0, attested);
    const signed = await world.sign([], { timeoutMs: HOUR });
    mustBe(0, signed);
    const release = world.tree('releases/widget/1.0');
    const verified = await world.runOn('operator', ['verify', release, '--json'], { timeoutMs: HOUR });
    mustBe(0, verified);
    expect(verified.json).toMatchObject([{ outcome: 'valid' }]);
    const peaks = {
      attest: attested.peakKiB,
      sign: signed.peakKiB,
      verify: verified.peakKiB,
      serve: world.serverPeakKiB,
    };
    for (const [role, peakKiB] of Object.entries(peaks))
      expect(peakKiB / 1024, `${role}, in MiB`).toBeLessThan(120);
  },
  HOUR,
);
