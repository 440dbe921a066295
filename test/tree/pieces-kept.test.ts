/** What a sender has begun and not ended: so much of it is kept. */
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import type { Sha256 } from '../../src/records/names.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { GatedDepot } from '../../src/tree/gated.ts';
import { approval, approvalFiles, build, builderEntry, tokens } from '../policy/scene.ts';
import { makeDepot } from './depot.ts';

test('of one sender sixty-four stay: the oldest goes', async () => {
  const here = await makeDepot();
  onTestFinished(() => here.remove());
  const artifacts = { patterns: ['**'], maxCount: 100, maxBytes: 1000, maxTotalBytes: 100_000 };
  const builders = { b1: builderEntry('b1'), b2: builderEntry('b2') };
  await here.depot.submit(build, approvalFiles({ ...approval, artifacts, builders }));
  const cut = async (depot: GatedDepot, digest: Sha256): Promise<void> => {
    const source = Readable.from(
      (async function* () {
        yield Buffer.from('half');
        await Promise.resolve();
        throw new Error('cut');
      })(),
      { objectMode: false },
    );
    const sending = depot.continueBlob(build, { sha256: digest, size: 8 }, 0, source);
    await expect(sending).rejects.toThrow('cut');
  };
  const digests = Array.from({ length: 66 }, (_, at) => sha256Hex(`blob ${at}`));
  const other = here.depot.as(tokens.b2);
  const others = sha256Hex('of another');
  await cut(other, others);
  for (const digest of digests) await cut(here.builder, digest);
  const offsets = await Promise.all(digests.map((digest) => here.builder.uploadOffset(build, digest)));
  expect(offsets).toEqual([0, 0, ...digests.slice(2).map(() => 4)]);
  expect(await other.uploadOffset(build, others), 'of another').toBe(4);
});
