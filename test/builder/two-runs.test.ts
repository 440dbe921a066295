/** Two runs of `attest` that were given one ticket file: the key's one statement is the one that leaves. */
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Depot } from '../../src/tree/tree.ts';
import { Site, instead } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await Site.make();
  site.put({ app: 'app' });
});
afterEach(() => site.close());

/** The depot as it is, but that `before` comes first when a file is read there, the first time. */
function beforeReading(before: () => Promise<unknown>): void {
  const { connect } = site;
  site.connect = (token) => {
    const depot = connect(token);
    let first = true;
    const read: Depot['read'] = async (...args) => {
      if (first) {
        first = false;
        site.connect = connect;
        await before();
      }
      return depot.read(...args);
    };
    return instead(depot, 'read', read);
  };
}

test('one that signs when the other is done says so, and what it signed does not leave', async () => {
  beforeReading(() => site.attest());
  await expect(site.attest()).rejects.toMatchObject({ kind: 'refused', code: 'ticket-used' });
  expect(await site.statement()).not.toBeNull();
  expect(await site.statement('statements/b1.2.json')).toBeNull();
  expect(existsSync(site.ticketFile)).toBe(false);
  expect(site.left()).toEqual([]);
});

test('one that signs while the other sends is told to run again, and then sends the same', async () => {
  const { connect } = site;
  beforeReading(async () => {
    const cut = () => Promise.reject(new Error('the power is cut here'));
    site.connect = (token) => instead(connect(token), 'submit', cut);
    await expect(site.attest()).rejects.toThrow('the power is cut here');
    site.connect = connect;
  });
  await expect(site.attest()).rejects.toMatchObject({ kind: 'unable', code: 'pending-taken' });
  expect(site.holdsSecret()).toBe(false);
  expect(await site.attest()).toMatchObject({ resumed: true });
  expect(await site.statement('statements/b1.2.json')).toBeNull();
  expect(site.left()).toEqual([]);
});
