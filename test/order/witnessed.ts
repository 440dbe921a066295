/** A world whose project asks for witnesses. */
import { readFile, writeFile } from 'node:fs/promises';
import { parseVerifierKey } from '../../src/tlog/note.ts';
import type { World } from '../harness/world.ts';
import type { WitnessHost } from '../witness/host.ts';

/** The log of the world's project, as its file says. */
export async function logOf(world: World) {
  const toml = await readFile(world.path('H', 'countersign.toml'), 'utf8');
  const key = parseVerifierKey(/^key = "([^"]+)"$/m.exec(toml)?.[1] ?? '');
  return { origin: key.name, key };
}

/** From now on releases wait for `quorum` of them, which are started if they don't run. */
export async function witnessedBy(
  world: World,
  witnesses: readonly WitnessHost[],
  quorum: number,
): Promise<void> {
  const log = await logOf(world);
  for (const witness of witnesses) if (witness.url === '') await witness.start([log]);
  const file = world.path('H', 'countersign.toml');
  const toml = (await readFile(file, 'utf8')).replace(
    /^witness-quorum.*\n+|\n\[\[witnesses\]\]\n.*\n.*\n/gm,
    '',
  );
  const tables = witnesses.map(({ key, url }) => `\n[[witnesses]]\nkey = "${key.text}"\nurl = "${url}"\n`);
  const first = witnesses.length > 0 ? `witness-quorum = ${quorum}\n` : '';
  await writeFile(file, toml.replace(/^(threshold = .*\n)/m, `$1${first}`) + tables.join(''));
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
}
