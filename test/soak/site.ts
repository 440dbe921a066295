/** The project that is soaked: real keys, one L and one H that are killed and started again, and what is seen of them. */
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseProject } from '../../src/policy/project.ts';
import type { Project } from '../../src/policy/project.ts';
import { HttpDepot } from '../../src/tree/http.ts';
import type { Depot } from '../../src/tree/tree.ts';
import { CuttingProxy } from '../harness/cutting-proxy.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { World } from '../harness/world.ts';
import { Daemon } from './daemon.ts';
import { Watcher } from './watcher.ts';

/** What H alone allows: L and the operator take more, so that there is something for H to refuse. */
const NAMES = ['*.tgz', '*.bin', 'docs/**'];
const LIFETIME_HOURS = 12;

export class Site {
  readonly world: World;
  /** The operator's copy. */
  readonly project: Project;
  /** As the operator reaches it. */
  readonly depot: Depot;
  readonly l: Daemon;
  readonly h: Daemon;
  readonly watcher: Watcher;
  /** In front of L, for builders whose line breaks. */
  readonly proxy: CuttingProxy;
  /** Codes that H gave of builds that it did not sign then. */
  readonly said = new Map<string, Set<string>>();
  readonly #before = process.env['GNUPGHOME'];

  private constructor(world: World, proxy: CuttingProxy) {
    this.world = world;
    this.proxy = proxy;
    this.project = projectOf(world);
    this.depot = new HttpDepot({ url: world.url, token: null, insecureHttp: false });
    const cwd = world.path('cwd');
    const data = world.path('L', 'data');
    const listen = new URL(world.url).host;
    this.l = new Daemon({
      name: 'L',
      args: ['serve', '--data', data, '--listen', listen, '--json'],
      ...{ env: world.env('L'), cwd, log: world.path('cwd', 'L.log'), announces: true },
    });
    this.h = new Daemon({
      name: 'H',
      args: ['sign', '--watch', '--yes', '--json'],
      ...{ env: world.env('H'), cwd, log: world.path('cwd', 'H.log'), announces: false },
      said: (line) => this.#hear(line),
    });
    this.watcher = new Watcher(world.journal, world.tree('releases', world.project));
    const home = world.approverHomes[0]?.directory;
    if (home !== undefined) process.env['GNUPGHOME'] = home;
  }

  /** Makes keys and project, and starts L and H. End it with `close`. */
  static async make(): Promise<Site> {
    const home = new GnupgHome();
    const key = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
    home.addSubkey(key, 'ed25519', 'sign');
    home.addSubkey(key, 'cv25519', 'encr');
    const world = await World.make({
      ...{ threshold: 2, approvers: 2, release: { home, key }, init: ['--signer-key', key] },
    });
    try {
      // L runs as a service from now on
      await world.stopServer();
      await prepare(world, home);
      const site = new Site(world, await CuttingProxy.start(world.url));
      await site.l.start();
      await site.h.start();
      site.watcher.watch();
      return site;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  #hear(line: string): void {
    const { build, code } = JSON.parse(line) as Record<string, unknown>;
    if (typeof build !== 'string' || typeof code !== 'string') return;
    this.said.set(build, (this.said.get(build) ?? new Set()).add(code));
  }

  /** Looks until it is so; false if it is not within `ms`. */
  async until(so: () => boolean, ms: number): Promise<boolean> {
    for (const end = performance.now() + ms; performance.now() < end; await sleep(100)) if (so()) return true;
    return so();
  }

  /** What L or H wrote to standard error, in all their lives. */
  log(name: 'L' | 'H'): string {
    return readFileSync(this.world.path('cwd', `${name}.log`), 'utf8');
  }

  async close(): Promise<void> {
    this.depot.close();
    await this.watcher.close();
    await this.h.stop();
    await this.l.stop();
    await this.proxy.close();
    await this.world.close();
    if (this.#before === undefined) delete process.env['GNUPGHOME'];
    else process.env['GNUPGHOME'] = this.#before;
  }
}

/** Digest mode wants a primary key that is elsewhere; one operator has the keys of both approvers; H allows less than L. */
async function prepare(world: World, release: GnupgHome): Promise<void> {
  release.takeOffline(world.releaseKey);
  const [ada, bob] = world.approverHomes;
  const [, bobs] = world.approvers;
  if (ada && bob && bobs) {
    const secret = bob.gpg(['--passphrase', '', '--export-secret-keys', bobs]);
    ada.gpg(['--passphrase', '', '--import'], secret);
  }
  const project = world.path('H', 'countersign.toml');
  const text = (await readFile(project, 'utf8')).replace(/^digest-mode = .*$/m, 'digest-mode = true');
  await writeFile(project, text);
  await world.shareProject();
  const names = `artifacts = ${JSON.stringify(NAMES)}`;
  const lifetime = `max-lifetime = "${LIFETIME_HOURS}h"`;
  await writeFile(
    project,
    text.replace(/^artifacts = .*$/m, names).replace(/^max-lifetime = .*$/m, lifetime),
  );
}

function projectOf(world: World): Project {
  const read = (path: string): Buffer => readFileSync(world.path('operator', path));
  return parseProject(read('countersign.toml').toString(), read);
}
