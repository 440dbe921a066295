/** docs/how-to/witness.md, typed: a witness of somebody else, and a project that wants its cosignature. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseProject } from '../../src/policy/project.ts';
import { cosignaturesOf, parseWitnessKey } from '../../src/tlog/cosignature.ts';
import { openNote } from '../../src/tlog/note.ts';
import { shellBlocks } from '../harness/document.ts';
import { PROGRAM } from '../harness/program.ts';
import { World, freePort, mustBe } from '../harness/world.ts';

const run = promisify(execFile);

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

const project = (host: string) =>
  parseProject(readFileSync(world.path(host, 'countersign.toml'), 'utf8'), (path) =>
    readFileSync(world.path(host, path)),
  );

test('run one, add it to a project, release, and see what it says', async () => {
  const { log } = project('H');
  await world.release('0.9', { hello: 'from before' });
  const url = `http://127.0.0.1:${await freePort()}`;
  const type = async (heading: string): Promise<string> =>
    (await shellBlocks('docs/how-to/witness.md', heading))
      .join('\n')
      .replaceAll('https://witness.example.org', url)
      .replaceAll('127.0.0.1:8081', new URL(url).host);
  // a person waits for its first lines, reads the key there, and goes to H
  const script = `
    countersign() { exec '${PROGRAM}' "$@"; }
    trap 'kill %1; wait' EXIT
    ${(await type('Run one')).replace(' &\n', ' >said &\n')}
    until grep -q '^listening' said; do sleep 0.05; kill -0 %1; done
    KEY=$(sed -n 's/^key = "\\(.*\\)"/\\1/p' said)
    (cd '${world.path('H')}'; ${await type('Add it to a project')})
    echo "$KEY"; read -r done
    ${await type('See what it says')}`;
  const child = run('bash', ['-eo', 'pipefail', '-c', script], {
    cwd: world.path('cwd'),
    env: { ...world.env('M'), LOG: log.key.text, ORIGIN: log.origin },
    timeout: 60_000,
  });
  const key = await new Promise<string>((resolve, reject) => {
    child.child.stdout?.once('data', (data) => resolve(String(data).trim()));
    child.catch(reject);
  });
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
  expect(project('L').witnesses).toMatchObject([{ key: { text: key }, url }]);

  await world.release('1.0', { hello: 'witnessed' });
  child.child.stdin?.end('\n');
  const note = (await child).stdout.slice(key.length + 1);
  expect(openNote(note, log.key)).toContain(log.origin);
  expect(cosignaturesOf(note, [parseWitnessKey(key)])).toHaveLength(1);
  mustBe(0, await world.verify([world.tree('releases', 'widget', '1.0', 'hello')]));
  const proof = readFileSync(world.tree('releases', 'widget', '1.0', 'countersign', 'release.proof'), 'utf8');
  expect(proof).toContain('— witness.example.org/w1 ');

  // A release from before has no cosignature of its own, but the witness has cosigned a log that contains it.
  const before = world.tree('releases', 'widget', '0.9', 'hello');
  const verified = await world.verify([before]);
  mustBe(0, verified);
  expect(verified.json).toMatchObject([
    { release: { quorum: 1, witnesses: [{ name: 'witness.example.org/w1' }] } },
  ]);
  const offline = await world.verify([before], ['--offline']);
  expect(offline).toMatchObject({ code: 1, json: [{ code: 'witnesses-missing' }] });
  const status = await world.runOn('operator', ['status', '--json']);
  expect(status.json.map(({ state }) => state)).toEqual(['published', 'published']);
});
