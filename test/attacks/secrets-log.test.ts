/**
 * The keys that sign the log and its cosignatures: each in its one place, whoever has been at work, and in nothing that is
 * printed, served, mirrored or remembered. H's may be a credential of systemd's, and is then nowhere in its state.
 */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateNoteKey } from '../../src/tlog/note.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import { witnessedBy } from '../order/witnessed.ts';
import { WitnessHost } from '../witness/host.ts';
import { Secrets } from './leaks.ts';
import { expectSigned } from './outcome.ts';

let world: World;
let secrets: Secrets;
let witness: WitnessHost;
const printed: Ran[] = [];

beforeAll(async () => {
  world = await World.make();
  witness = new WitnessHost(world.path('witness'));
  await witnessedBy(world, [witness], 1);
  secrets = await Secrets.ofSigner(world);
  const key = await readFile(world.path('witness', 'witness-key'), 'utf8');
  // PRIVATE+KEY+<name>+<id>+<base64 of an octet and the seed>
  const seed = key.trim().split('+').slice(4).join('+');
  secrets.add('witness key', Buffer.from(seed, 'base64').subarray(1));
});
afterAll(async () => {
  await witness.stop();
  await world.close();
});

const run = async (host: 'H' | 'operator', args: readonly string[], env = {}): Promise<Ran> => {
  const ran = await world.runOn(host, [...args, '-v', '--json'], { env });
  printed.push(ran);
  return ran;
};

async function expectKept(...files: string[]): Promise<void> {
  for (const ran of printed) expect(secrets.in(ran.stdout + ran.stderr)).toEqual([]);
  expect(secrets.in(world.serverLog.join('\n') + witness.said.join('\n'))).toEqual([]);
  const own = ['H/signer/signer-token: signer token', 'witness/witness-key: witness key'];
  expect(await secrets.below(world.directory)).toEqual([...files, ...own].sort());
}

const sealed = async (version: string): Promise<string> => {
  const { build, ticket } = await world.approve(version);
  mustBe(0, await world.attest(ticket, { app: version }));
  return build;
};

test('signing, cosigning, mirroring, monitoring, recovering leave each key in its one place', async () => {
  await sealed('1.0');
  mustBe(0, await run('H', ['sign', '--yes']));
  mustBe(0, await run('H', ['sign', '--recover', '--yes']));
  mustBe(0, await run('operator', ['log', 'verify']));
  mustBe(0, await run('operator', ['log', 'show']));
  mustBe(0, await run('operator', ['log', 'monitor', '--state', world.path('operator', 'monitor')]));
  mustBe(0, await run('operator', ['sync', world.url, world.path('mirror')]));
  expect(await readFile(world.path('mirror', 'log/checkpoint'))).toEqual(
    await readFile(world.tree('log/checkpoint')),
  );
  await expectKept('H/signer/log-key: log key');
});

test('a log key that is a credential: the state is without, and signs all the same', async () => {
  const credentials = world.path('H', 'credentials');
  await mkdir(credentials, { mode: 0o700 });
  await rename(world.path('H', 'signer', 'log-key'), `${credentials}/log-key`);
  await chmod(`${credentials}/log-key`, 0o400);
  const build = await sealed('2.0');
  const without = await run('H', ['sign', '--yes']);
  expect(`${without.code} ${without.error?.code}`).toBe('2 state-missing');

  const env = { CREDENTIALS_DIRECTORY: credentials };
  mustBe(0, await run('H', ['sign', build, '--yes'], env));
  mustBe(0, await run('operator', ['verify', world.tree('releases/widget/2.0')]));
  await expectKept('H/credentials/log-key: log key');

  const sound = await run('H', ['doctor', '--role', 'signer'], env);
  expect(sound.json.filter((line) => line['check'] === 'state')).toMatchObject([{ level: 'ok' }]);

  // another key there is not this log's
  await chmod(`${credentials}/log-key`, 0o600);
  const kept = await readFile(`${credentials}/log-key`);
  const name = kept.toString().split('+')[2] ?? '';
  for (const wrong of [`${generateNoteKey(name).signer}\n`, kept.subarray(0, -9), '', 'x'.repeat(5000)]) {
    await writeFile(`${credentials}/log-key`, wrong);
    const ran = await run('H', ['sign', '--yes'], env);
    expect(ran.code, ran.stderr).toBeOneOf([1, 2, 3]);
  }
  await writeFile(`${credentials}/log-key`, kept);
  await expectKept('H/credentials/log-key: log key');
  await rename(`${credentials}/log-key`, world.path('H', 'signer', 'log-key'));
  await expectSigned(world, await sealed('2.1'), '2.1', { app: '2.1' });
});
