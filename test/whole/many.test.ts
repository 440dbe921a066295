/**
 * A release of thousands of artifacts, each role a process, over HTTP: no process for an artifact, no signature twice,
 * and a signer that is killed among them goes on where it was. `npm run test:scale` does it with 100,000.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rawGpgv } from '../harness/gpgv.ts';
import { World, mustBe } from '../harness/world.ts';
import type { RunMore } from '../harness/world.ts';

const SCALE = process.env['SCALE'] !== undefined;
const COUNT = Number(process.env['SCALE'] ?? 2_000);
/** What one command may take; no test of how long it takes. */
const more: RunMore = { timeoutMs: SCALE ? 3_600_000 : 120_000 };
const deadline = SCALE ? 4 * 3_600_000 : 180_000;

/** So many signatures may be in the agent's hands, or made and not kept yet, when H loses its power. */
const KEPT_AT_ONCE = 600;

const name = (i: number): string => `d${i % 100}/f${i}`;
const content = (i: number): string => `artifact ${i}\n`.repeat(1 + (i % 300));

let world: World;
let bin: string;
const path = process.env['PATH'];
beforeAll(async () => {
  // programs that say that they were run, and run the real ones
  bin = mkdtempSync(join(tmpdir(), 'cs-bin-'));
  for (const program of ['gpg', 'gpgv', 'gpgconf', 'gpg-connect-agent']) {
    const real = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
    writeFileSync(join(bin, program), `#!/bin/sh\necho ${program} >>${bin}/runs\nexec ${real} "$@"\n`);
    chmodSync(join(bin, program), 0o755);
  }
  process.env['PATH'] = `${bin}:${path}`;
  world = await World.make();
}, deadline);
afterAll(async () => {
  process.env['PATH'] = path;
  await world?.close();
  rmSync(bin, { recursive: true, force: true });
});

test(
  `${COUNT} artifacts, and a signer that is killed in the middle`,
  async () => {
    const approved = await world.approve('1.0', [`--max-count=${COUNT}`]);
    mustBe(0, approved);
    const base = world.path('M', 'many');
    for (let i = 0; i < COUNT; i++) {
      if (i < 100) mkdirSync(join(base, `d${i}`), { recursive: true });
      writeFileSync(join(base, name(i)), content(i));
    }
    rmSync(join(bin, 'runs'), { force: true });
    const attest = ['attest', '--ticket', approved.ticket, '--base', base, base, '--json'];
    const attested = await world.runOn('M', attest, more);
    mustBe(0, attested);
    expect(attested.json).toMatchObject([{ artifacts: COUNT }]);

    // killed when half of the signatures are made
    const power = new AbortController();
    world.agent.before = () => {
      if (world.agent.signatures === COUNT / 2) power.abort();
    };
    expect((await world.sign([], { ...more, kill: power.signal })).code).toBeNull();
    const before = world.agent.signatures;
    expect(before).toBeLessThan(COUNT);
    const signed = await world.sign([], more);
    mustBe(0, signed);

    // every document once, and of the first half only what was not kept yet again
    expect(new Set(world.agent.digests).size).toBe(COUNT + 1);
    expect(world.agent.signatures - before).toBeGreaterThanOrEqual(COUNT + 1 - before);
    expect(world.agent.signatures - (COUNT + 1)).toBeLessThanOrEqual(KEPT_AT_ONCE);

    const release = world.tree('releases/widget/1.0');
    const verified = await world.runOn('operator', ['verify', release, '--json'], more);
    mustBe(0, verified);
    const [verdict] = verified.json;
    expect(verdict).toMatchObject({ outcome: 'valid', release: { artifacts: COUNT } });

    // no process for an artifact
    const runs = readFileSync(join(bin, 'runs'), 'utf8').trim().split('\n');
    expect(runs.length, runs.join(' ')).toBeLessThan(60);

    // and what people have without us: all of it, and a sample
    execFileSync('sha256sum', ['--check', '--quiet', '--strict', 'SHA256SUMS'], { cwd: release });
    const keyring = world.releaseHome.export(world.releaseKey);
    for (const artifact of ['SHA256SUMS', ...[0, COUNT / 2, COUNT - 1].map(name)]) {
      const file = (suffix: string): Buffer => readFileSync(join(release, `${artifact}${suffix}`));
      const answer = await rawGpgv({ signature: file('.asc'), data: [file('')], keyring });
      expect(answer, artifact).toMatchObject({ code: 0, keywords: 'GOODSIG VALIDSIG' });
    }

    // memory: what is in hand, and of each artifact no more than its name, size, digests and signature
    const peaks = { attest: attested.peakKiB, sign: signed.peakKiB, verify: verified.peakKiB };
    if (SCALE) console.log(COUNT, 'artifacts, KiB at most:', peaks);
    for (const [role, peakKiB] of Object.entries(peaks))
      expect(peakKiB, `${role}, in KiB`).toBeLessThan(120 * 1024 + 10 * COUNT);
  },
  deadline,
);
