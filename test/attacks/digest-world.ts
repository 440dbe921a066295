/** Worlds for digest mode: the project allows it, and H has a subkey that can only sign, unless told. */
import { readFile, writeFile } from 'node:fs/promises';
import type { StatedSubject } from '../../src/records/statement.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { hashStateOf } from '../harness/hash-state.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved, Files, WorldOptions } from '../harness/world.ts';
import { statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';

/** `algorithm`: of the subkey. */
export async function digestWorld(algorithm = 'ed25519'): Promise<World> {
  const home = new GnupgHome();
  const key = home.generate({ userId: 'Release <release@example.org>', usage: 'cert' });
  home.addSubkey(key, algorithm, 'sign');
  home.takeOffline(key);
  return allowing({ release: { home, key } });
}

/** A world with one key that certifies and signs. */
export const certifyingWorld = (): Promise<World> => allowing({ primarySigns: true });

async function allowing(options: WorldOptions): Promise<World> {
  const world = await World.make(options);
  await setDigestMode(world, true);
  return world;
}

/** Allows it, or not, on every host. */
export async function setDigestMode(world: World, allowed: boolean): Promise<void> {
  const file = world.path('H', 'countersign.toml');
  const toml = await readFile(file, 'utf8');
  await writeFile(file, toml.replace(/^digest-mode = .*/m, `digest-mode = ${allowed}`));
  await world.shareProject();
  await world.stopServer();
  await world.startServer();
}

/** `approve --mode digest`, and what a thief of its ticket has. */
export async function approveDigest(world: World, version: string): Promise<Approved & Held> {
  const ran = await world.approve(version, ['--mode', 'digest']);
  mustBe(0, ran);
  return { ...ran, ...(await steal(world, ran)) };
}

/** The subjects that an honest builder states of these artifacts in digest mode. */
export const statedSubjects = (held: Parameters<typeof statementOf>[0], contents: Files): StatedSubject[] =>
  statementOf(held, contents).subjects.map((subject) => ({
    ...subject,
    sha256State: hashStateOf(Buffer.from(contents[subject.name] ?? '')),
  }));
