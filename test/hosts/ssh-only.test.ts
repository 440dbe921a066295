/**
 * L reached by ssh and rsync alone, as docs/how-to/ssh-only.md says: what stands there is typed on four hosts. L serves
 * nothing.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shellBlocks } from '../harness/document.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { PROGRAM, PROGRAM_H } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { mustBe } from '../harness/world.ts';
import type { World } from '../harness/world.ts';
import type { Machine } from './machine.ts';
import { describeHosts, execute } from './namespaces.ts';
import { PORT, Site } from './site.ts';

describeHosts('L reached by ssh and rsync alone', () => {
  let site: Site;
  let world: World;
  beforeAll(async () => {
    site = await Site.make({ project: 'hello' });
    ({ world } = site);
    await world.stopServer();
  });
  afterAll(() => site.close());

  /** Types commands on a host, in its own directory. Returns what they print; throws with what they say. */
  function type(name: Name, host: Machine, commands: string): Promise<string> {
    const ssh = site.sshCommand(name).join(' ');
    const program = name === 'H' ? PROGRAM_H : PROGRAM;
    const setup = `export RSYNC_RSH='${ssh}'
      ssh() { command ${ssh} "$@"; }
      countersign() { ${process.execPath} ${program} "$@"; }`;
    const script = commands
      .replaceAll('/srv/depot', world.tree())
      .replaceAll('/srv/incoming', world.path('L', 'incoming'))
      .replaceAll('/etc/countersign/countersign.toml', world.path('L', 'countersign.toml'))
      .replaceAll('depot.example.org countersign', `depot.example.org ${process.execPath} ${PROGRAM}`)
      // a person answers y
      .replaceAll(/^countersign (approve|sign) .*$/gm, '$& --yes');
    const command = ['bash', '-eo', 'pipefail', '-c', `${setup}\n${script}`];
    return execute([...host.enter(world.path(name)), ...command], world.env(name));
  }

  /** The commands of a section, for another version. */
  const section = async (heading: string, version: string): Promise<string> =>
    (await shellBlocks(DOCUMENT, heading)).join('\n').replaceAll('1.0', version);

  /** A build that M has sealed: `hello-<version>.tar.gz`, of so many bytes. */
  async function seal(version: string, bytes: number, edit = (commands: string) => commands): Promise<void> {
    const [operator, M] = [site.host('operator'), await site.builder()];
    await type('operator', operator, edit(await section('The operator', version)));
    await site.bring(M, world.path('operator', 'tickets', 'b1.ticket'));
    const make = `head -c ${bytes} /dev/urandom > hello-${version}.tar.gz`;
    await type('M', M, `${make}\n${edit(await section('M, the builder', version))}`);
    await M.end();
  }

  /** Anybody gets it and finds it valid, and L has all of it. */
  async function expectReleased(version: string): Promise<void> {
    const anybody = await section('Anybody', version);
    expect(await type('operator', site.host('operator'), anybody)).toMatch(/^valid/m);
    mustBe(0, await world.runOn('L', ['verify', world.tree('releases', 'hello', version)]));
    await expectUntouched(world, await snapshot(world), { answers: [] });
  }

  test('H’s copy is cut off: it signs nothing, and signs when the rest is there', async () => {
    const [H, L] = [site.host('H'), site.host('L')];
    await seal('1.0', LARGE);
    const commands = await section('H, the signer', '1.0');
    const began = H.traffic().received;
    await L.slow(8_000);
    const copying = type('H', H, commands);
    const cut = expect(copying).rejects.toThrow('connection unexpectedly closed');
    await until('a third is copied', () => H.traffic().received > began + LARGE / 3);
    await H.bar(PORT.ssh);
    await cut;
    const partial = await type('H', H, commands.replaceAll(/^rsync .*$/gm, ''));
    expect(partial).toContain('it waits for the statement');
    expect(world.agent.signatures).toBe(0);

    await H.unbar();
    await L.hurry();
    expect(await type('H', H, commands)).toContain('published');
    expect(world.agent.signatures, 'one set').toBe(2);
    expect(await H.listening()).toBe('');
    await expectReleased('1.0');
  });

  test('with countersign on L, which takes from what comes in by its own gate', async () => {
    const taking = await section('With countersign on L', '1.1');
    const incoming = (commands: string): string =>
      `${commands.replaceAll(/(--ignore-existing .*:\/srv\/)depot/g, '$1incoming')}\n${taking}`;
    await seal('1.1', 100, incoming);
    const signing = await type('H', site.host('H'), incoming(await section('H, the signer', '1.1')));
    expect(signing).toContain('hello 1.1 is published there');
    await expectReleased('1.1');
  });
});

const DOCUMENT = 'docs/how-to/ssh-only.md';
const LARGE = 3_000_000;

type Name = 'H' | 'M' | 'operator';
