/**
 * One directory, several processes, no server: each judges what it writes by itself, and whoever is second judges again.
 * Nothing is replaced, what belongs together stays together, and there is one release.
 */
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import { builderCertificate } from '../../src/policy/builder-key.ts';
import { expectRefusal } from '../harness/invariants.ts';
import { litterOf } from '../harness/litter.ts';
import type { Ran } from '../harness/program.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved } from '../harness/world.ts';
import { b1, steal } from './forge.ts';
import { entries, verdicts } from './outcome.ts';

let world: World;
let depot: string;
beforeAll(async () => {
  world = await World.make();
  await world.stopServer();
  depot = world.tree();
  await mkdir(depot, { recursive: true });
});
afterAll(() => world.close());

const approve = async (version: string): Promise<Approved> => {
  const approved = await world.approve(version, ['--depot', depot]);
  mustBe(0, approved);
  return approved;
};
const sign = (args: readonly string[]): Promise<Ran> => world.sign([...args, '--depot', depot]);

/** `attest` on so many machines, each with a copy of the ticket and files of its own. */
async function attestAtOnce(ticket: string, contents: readonly string[]): Promise<Ran[]> {
  const text = await readFile(ticket);
  return Promise.all(
    contents.map(async (content, at) => {
      const copy = world.path('M', `copy-${at}.ticket`);
      await writeFile(copy, text, { mode: 0o600 });
      return world.attest(copy, { app: content }, ['--depot', depot]);
    }),
  );
}

/** Every statement that is there, by its file; each with the signature that is its own. */
async function statements(approved: Approved): Promise<Map<string, string>> {
  const { approval } = await steal(world, approved);
  const certificate = builderCertificate(approval, b1);
  const directory = join(depot, 'builds', approved.build, 'statements');
  const found = new Map<string, string>();
  for (const name of (await readdir(directory)).sort()) {
    if (!/^b1(\.\d)?\.json$/.test(name)) continue;
    const bytes = await readFile(join(directory, name));
    const verdict = verifyDetached(
      await readFile(join(directory, `${name}.sig`)),
      bytes,
      certificate,
      new Date(),
    );
    expect(verdict.ok, `${name} has the signature of its own bytes`).toBe(true);
    const envelope = await readFile(join(directory, name.replace(/json$/, 'dsse.json')), 'utf8');
    const { payload } = JSON.parse(envelope) as { readonly payload: string };
    expect(Buffer.from(payload, 'base64').equals(bytes), `${name} has the envelope of its own bytes`).toBe(
      true,
    );
    found.set(name, bytes.toString());
  }
  return found;
}

test('six builders with one ticket and other files: four are kept, each whole; and H freezes the build', async () => {
  const approved = await approve('1.0');
  const ran = await attestAtOnce(approved.ticket, ['a', 'b', 'c', 'd', 'e', 'f']);
  const said = ran.map(({ code, error }) => `${code} ${error?.code ?? 'done'}`).sort();
  expect(said, ran.map(({ stderr }) => stderr).join('\n')).toEqual([
    '0 done',
    '1 statement-not-first',
    '1 statement-not-first',
    '1 statement-not-first',
    '1 variants-full',
    '1 variants-full',
  ]);
  const kept = await statements(approved);
  expect([...kept.keys()]).toEqual(['b1.2.json', 'b1.3.json', 'b1.4.json', 'b1.json']);
  expect(new Set(kept.values()).size).toBe(4);
  expect(await litterOf(depot)).toEqual([]);

  const made = world.agent.signatures;
  const signed = await sign([approved.build]);
  expect(verdicts(signed)).toEqual(['frozen conflict']);
  expect(world.agent.signatures).toBe(made);
});

test('builders that come while H signs another build, and H again: each build once, nothing lost', async () => {
  const builds = [await approve('2.0'), await approve('2.1'), await approve('2.2')];
  const ran = await Promise.all([
    ...builds.map(({ ticket, build }) => world.attest(ticket, { app: build }, ['--depot', depot])),
    sign([]),
    sign([]),
    world.runOn('operator', ['status', '--depot', depot]),
  ]);
  for (const each of ran) if (each.code !== 0) expect(each.error?.code, each.stderr).toBe('locked');
  mustBe(0, await sign([]));
  for (const [at, { build }] of builds.entries()) {
    const release = join(depot, 'releases/widget', `2.${at}`);
    expect(await readFile(join(release, 'app'), 'utf8')).toBe(build);
    mustBe(0, await world.verify([release]));
    expect((await entries(world, build)).join(' ')).toBe('approval statement intent release');
  }
});

test('two approvals of one version at once, in one directory: H binds the version to one', async () => {
  const both = await Promise.all([approve('3.0'), approve('3.0')]);
  for (const { ticket, build } of both)
    mustBe(0, await world.attest(ticket, { app: build }, ['--depot', depot]));
  const ran = await sign(both.map(({ build }) => build));
  expect(verdicts(ran).sort()).toEqual(['published undefined', 'refused version-taken']);
});

// the last one: it leaves two logs behind
test('two copies of the state of H at once: the signatures of one of them are seen, whole, and no others', async () => {
  const { ticket, build } = await approve('4.0');
  mustBe(0, await world.attest(ticket, { app: 'app', other: 'other' }, ['--depot', depot]));
  const copy = world.path('H', 'copy');
  await cp(world.path('H', 'signer'), copy, { recursive: true });
  const ran = await Promise.all([sign([build]), sign([build, '--state', copy])]);
  const sameLog = (await readFile(join(copy, 'journal'))).equals(await readFile(world.journal));
  await rm(copy, { recursive: true });
  const said = ran.flatMap(verdicts);
  expect(said, ran.map(({ stderr }) => stderr).join('\n')).toContain('published undefined');
  for (const each of ran) if (each.code !== 0) expectRefusal(each);
  mustBe(0, await world.verify([join(depot, 'releases/widget/4.0')]));
  // one log's release: the list has exactly these signatures, and the other's are nowhere
  const list = await readFile(join(depot, 'builds', build, 'signatures.list'), 'utf8');
  const signatures = await readdir(join(depot, 'builds', build, 'signatures'));
  expect(
    list
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(66)),
  ).toEqual(signatures.sort());
  // made in the same second they are the same log, and the same signatures
  expect(ran.filter(({ code }) => code === 0)).toHaveLength(sameLog ? 2 : 1);
});
