/** The depot: what it takes is whole or not there, and what it shows is a whole release, whatever fails at it. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { toBuildId } from '../../src/records/names.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe } from '../harness/world.ts';
import { asked } from './asked.ts';
import { cutUpload } from './cut-upload.ts';
import { testDurable } from './durable.ts';
import { sweeps } from './gone.ts';
import { released } from './released.ts';
import { showSteps, testAllCalls, testRows } from './row.ts';
import type { Play } from './row.ts';
import { SERVE } from './rows.ts';
import { served } from './server.ts';
import { FILES, Theatre } from './theatre.ts';
import { filesBelow } from './whole.ts';

let theatre: Theatre;
const plays = new Map<string, Play>();

beforeAll(async () => {
  theatre = await Theatre.open();
  const { world } = theatre;
  // all in one request, and none before the seal, so that the calls come in one order
  const files = { ...FILES, 'app-1.0.tar.gz': Buffer.alloc(15_000, 'app') };
  const { build, ticket } = await world.approve('1.0', ['--max-count', `${Object.keys(files).length}`]);
  const base = await world.place(files);
  const attest = (): Promise<Ran> =>
    world.runOn('M', ['attest', '--ticket', ticket, '--base', base, base, '--json']);

  const approved = theatre.save();
  const records = readRecords(world.tree('builds', build));
  rmSync(world.tree('builds', build), { recursive: true });
  const asked = theatre.save();
  approved.restore();
  mustBe(0, await attest());
  const attested = theatre.save();

  const submit = (): Promise<Ran> => submitted(world.url, build, records);
  plays.set(
    'approval',
    await released(asked, build, '1.0', {
      act: (traced) => served(world, traced, submit),
      async again() {
        mustBe(0, await submit());
        mustBe(0, await attest());
        mustBe(0, await world.sign());
      },
    }),
  );
  plays.set(
    'statement',
    await released(approved, build, '1.0', {
      act: (traced) => served(world, traced, attest),
      async again() {
        const ran = await attest();
        if (ran.error?.code !== 'ticket-missing') mustBe(0, ran);
        mustBe(0, await world.sign());
      },
      mayLeave: /b1\.ticket\.pending\//,
    }),
  );
  plays.set(
    'release',
    await released(attested, build, '1.0', {
      act: (traced) => served(world, traced, () => world.sign()),
      again: async () => mustBe(0, await world.sign()),
    }),
  );
  asked.restore();
  plays.set('upload', await cutUpload(theatre));
  asked.restore();
  plays.set('sweep', await sweeps(theatre));
  for (const play of plays.values()) showSteps(play);
}, 120_000);
afterAll(() => theatre?.close());

function playOf(name: string): Play {
  const play = plays.get(name);
  if (play === undefined) throw new RangeError(name);
  return play;
}

testRows(SERVE, ({ step }) => playOf(step.split(':')[0] ?? ''));
for (const name of ['approval', 'statement', 'release', 'upload']) {
  testAllCalls(`serve, ${name}`, SERVE, () => playOf(name));
  testDurable(`serve, ${name}`, () => playOf(name));
}

/** What `approve` sent, as its last act. */
const submitted = (url: string, build: string, records: ReadonlyMap<string, Buffer>): Promise<Ran> =>
  asked(url, null, (depot) => depot.submit(toBuildId(build, 'build'), records));

const readRecords = (directory: string): Map<string, Buffer> =>
  new Map(filesBelow(directory).map((file) => [file, readFileSync(join(directory, file))]));
