/** A ticket used again: it signs once, so a further run succeeds only for what it signed. */
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AttestOptions } from '../../src/builder/attest.ts';
import { formatTicket } from '../../src/records/ticket.ts';
import { Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await Site.make();
  site.put({ app: 'x', 'sub/b': 'y' });
});
afterEach(() => site.close());

/** `attest --ticket -`, a ticket that stays. */
const again = (more: Partial<AttestOptions> = {}) =>
  site.attest({
    ticket: '-',
    stdin: Readable.from([Buffer.from(formatTicket(site.ticket))]),
    environment: { PATH: process.env['PATH'], STATE_DIRECTORY: join(site.directory, 'state') },
    ...more,
  });

test('the same files: nothing is done, nothing is wrong', async () => {
  const first = await again();
  expect(await again()).toEqual({ ...first, uploaded: 0, resumed: true });
  expect(site.warnings).toEqual([]);
});

describe('other files than those that were signed are refused, and the first is named', () => {
  test.each<[string, () => Partial<AttestOptions> | void, RegExp]>([
    ['other bytes', () => site.put({ 'sub/b': 'Y' }), /: sub\/b has other bytes/],
    ['one more', () => site.put({ 'sub/c': 'y' }), /: sub\/c is not among/],
    ['one that is no artifact at all', () => site.put({ '.env': 'y' }), /: \.env is not among/],
    [
      'a link in the place of one',
      () => {
        rmSync(join(site.base, 'app'));
        symlinkSync('sub/b', join(site.base, 'app'));
      },
      /: app is not among/,
    ],
    [
      'fewer',
      () => ({ paths: [join(site.base, 'app')] }),
      /: sub\/b, which it signed, is not among the paths/,
    ],
    ['one left out', () => ({ exclude: ['app'] }), /: app, which it signed, is not among the paths/],
    ['another base', () => ({ base: site.directory }), /: out\/app is not among/],
    [
      'one that only the command would make, which is not run again',
      () => ({ run: `touch ${site.base}/new`, paths: [join(site.base, 'new')] }),
      /: new is not among/,
    ],
  ])('%s', async (_, change, message) => {
    await again();
    const more = change();
    await expect(again(more ?? {})).rejects.toMatchObject({
      kind: 'refused',
      code: 'artifacts-differ',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(/signs once.*new approval/),
    });
  });
});

test('files that are not there any more: the depot has them, so that is a warning', async () => {
  await again();
  rmSync(join(site.base, 'sub'), { recursive: true });
  expect(await again({ paths: [site.base, join(site.base, 'sub')] })).toMatchObject({ resumed: true });
  expect(site.warnings).toEqual([expect.stringContaining('sub/b is not here any more')]);
  rmSync(site.base, { recursive: true });
  expect(await again()).toMatchObject({ resumed: true, artifacts: 2 });
});
