/** `attest` in a process of its own, at the scene's time, so that it can be killed: its arguments are one JSON. */
import { Readable } from 'node:stream';
import { attest } from '../../src/builder/attest.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { now } from '../policy/scene.ts';

interface Given {
  readonly ticket: string;
  readonly base: string;
  readonly depot: string;
  readonly run: string | null;
  readonly runAs: string | null;
}

const { ticket, base, depot, run, runAs } = JSON.parse(process.argv[2] ?? '') as Given;
await attest(
  {
    ...{ ticket, base, paths: [base], exclude: [], run, runAs, timeout: 0 },
    environment: process.env,
    stdin: Readable.from([]),
    now: () => now,
    connect: async ({ token, rules }) => {
      const tree = await DirectoryTree.open(depot);
      return GatedDepot.over({ tree, rules, now: () => now }).as(token);
    },
  },
  () => {},
);
