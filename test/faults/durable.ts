/**
 * What a power cut could undo, told from the order of the calls: SIGKILL does not show it, because the kernel keeps what
 * was written.
 */
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import type { Play } from './row.ts';
import { TEMPORARY } from './strace.ts';
import type { Step } from './strace.ts';

/** One test that whatever gets its name is on the disk before, and the name before anything leaves. */
export function testDurable(name: string, play: () => Play): void {
  test(`${name}: on the disk before it is named, named on the disk before anything leaves`, () => {
    const { steps } = play();
    const named = steps.filter(({ call, path }) => call === 'name' && TEMPORARY.test(path ?? ''));
    expect(named.length, 'something is named').toBeGreaterThan(0);
    for (const step of named) {
      const at = steps.indexOf(step);
      expect(
        unsynced(steps.slice(0, at), step.path ?? ''),
        `written, and not synced before ${step.to}`,
      ).toEqual([]);
      const next = steps.slice(at + 1);
      const leaves = next.findIndex(speaks);
      const meanwhile = leaves === -1 ? next : next.slice(0, leaves);
      const directory = dirname(step.to ?? '');
      // a directory that is being put together is synced as a whole before it gets its name
      if (!TEMPORARY.test(directory))
        expect(
          meanwhile.some(({ call, path }) => call === 'sync' && path === directory),
          step.to ?? '',
        ).toBe(true);
    }
  });

  test(`${name}: each entry is on the disk before the next act`, () => {
    const { steps } = play();
    for (const [at, { call, path }] of steps.entries()) {
      if (call !== 'write' || path?.endsWith('/journal') !== true) continue;
      expect(steps[at + 1]).toMatchObject({ call: 'sync', path });
    }
  });
}

/**
 * Whether a call tells anybody what was decided. Artifacts do not: they are on their way while others are still hashed, and
 * nobody is shown them before a statement names them.
 */
const speaks = ({ call, says }: Step): boolean =>
  call === 'send' && /^(?:[A-Z]+ \/(?!\S*\/blobs\b)|HTTP\/)/.test(says ?? '');

/** Files at or below the place that were written and not synced after. */
function unsynced(steps: readonly Step[], place: string): string[] {
  const open = new Set<string>();
  for (const { call, path } of steps) {
    if (path === null || (path !== place && !path.startsWith(`${place}/`))) continue;
    if (call === 'write') open.add(path);
    if (call === 'sync') open.delete(path);
  }
  return [...open];
}
