/** GnuPG as it is set up for this user, looked at without starting or changing anything of it. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, unable } from '../../failure.ts';
import { orNull, readFileBounded } from '../../host/files.ts';
import { run, withoutOurs } from '../../host/process.ts';
import type { Environment, RunResult } from '../../host/process.ts';
import { AssuanConnection } from '../../openpgp/assuan.ts';
import { parseColons } from '../../openpgp/colons.ts';
import type { ListedKey } from '../../openpgp/colons.ts';
import type { Fingerprint } from '../../records/names.ts';
import { PROBE_MS } from './finding.ts';

const OUTPUT_MAX = 64 * 1024 * 1024;
const CONFIGURATION_MAX = 1024 * 1024;

/** What `gpgconf --list-dirs` says. */
export interface GnupgPlaces {
  readonly homedir: string;
  readonly sysconfdir: string;
  readonly libexecdir: string;
  readonly agentSocket: string;
}

/** Throws unable. */
export async function gnupgPlaces(env: Environment): Promise<GnupgPlaces> {
  const said = successful('gpgconf --list-dirs', await ask('gpgconf', ['--list-dirs'], env));
  const places = new Map(
    said
      .split('\n')
      .map((line) => line.split(':'))
      .map(([name = '', value = '']) => [name, decodeURIComponent(value)]),
  );
  const place = (name: string): string => {
    const value = places.get(name);
    if (value) return value;
    throw unable('gpgconf-failed', `gpgconf --list-dirs does not say ${name}`, 'see gpgconf --list-dirs');
  };
  return {
    homedir: place('homedir'),
    sysconfdir: place('sysconfdir'),
    libexecdir: place('libexecdir'),
    agentSocket: place('agent-socket'),
  };
}

/**
 * The public keys of a certificate as gpg lists them, empty if gpg does not have it. No agent is started, and no
 * keyring made. Throws unable.
 */
export async function listedKeys(
  { homedir }: GnupgPlaces,
  primary: Fingerprint,
  env: Environment,
): Promise<ListedKey[]> {
  const rings = ['pubring.kbx', 'pubring.gpg', 'public-keys.d'].map((name) => join(homedir, name));
  const present = await Promise.all(rings.map((ring) => orNull(stat(ring), `look at ${ring}`)));
  if (present.every((ring) => ring === null)) return [];
  // for public keys gpg starts no agent
  const passive = ['--batch', '--no-tty', '--lock-never', '--no-auto-check-trustdb'];
  const how = [...passive, '--trust-model', 'always', '--with-colons', '--with-keygrip'];
  const result = await ask('gpg', [...how, '--list-keys', '--', primary], env);
  // there is no such key
  if (result.code === 2 && !/^pub:/m.test(result.stdout.toString())) return [];
  return parseColons(successful('gpg --list-keys', result)).filter((key) => key.primary === primary);
}

/** Option names to their values; empty where they have none. */
export type AgentOptions = ReadonlyMap<string, string>;

/** The agent's options, in the order in which gpg-agent reads its two files. Throws unable(`disk`). */
export async function agentOptions({ homedir, sysconfdir }: GnupgPlaces): Promise<AgentOptions> {
  // gpgconf --list-options knows neither auto-expand-secmem nor allow-preset-passphrase
  const options = new Map<string, string>();
  for (const directory of [sysconfdir, homedir]) {
    const text =
      (await readFileBounded(join(directory, 'gpg-agent.conf'), CONFIGURATION_MAX))?.toString() ?? '';
    for (const line of text.split('\n')) {
      const [, name, value = ''] = /^\s*(?:--)?([a-z][a-z0-9-]*)\s*(.*?)\s*$/.exec(line) ?? [];
      if (name) options.set(name, value);
    }
  }
  return options;
}

/** `stopped`: nobody listens at its socket. `hung`: somebody does, and says nothing. */
export type AgentState = AssuanConnection | 'stopped' | 'hung';

/** Connects to the agent if one runs, and starts none. Whoever gets a connection closes it. */
export async function runningAgent({ agentSocket }: GnupgPlaces): Promise<AgentState> {
  try {
    return await AssuanConnection.open(agentSocket, PROBE_MS);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.code === 'agent-timeout' ? 'hung' : 'stopped';
  }
}

/** What is known of the secret half of a key. */
interface SecretHalf {
  readonly onCard: boolean;
  /** Null where no agent runs to say it, or where it does not know. */
  readonly passphrase: 'none' | 'needed' | 'known' | null;
}

/** A key whose secret half is here. */
export interface HeldKey {
  readonly listed: ListedKey;
  readonly secret: SecretHalf;
}

/** The listed keys whose secret half is here. Throws unable. */
export async function heldKeys(
  places: GnupgPlaces,
  agent: AgentState,
  listed: readonly ListedKey[],
): Promise<HeldKey[]> {
  const held: HeldKey[] = [];
  for (const key of listed) {
    const secret = await secretHalf(places, agent, key.keygrip);
    if (secret) held.push({ listed: key, secret });
  }
  return held;
}

/** The secret half, null if it is not here: as a running agent says, else by its file. Throws unable. */
async function secretHalf(
  { homedir }: GnupgPlaces,
  agent: AgentState,
  keygrip: string,
): Promise<SecretHalf | null> {
  if (!(agent instanceof AssuanConnection)) {
    const file = join(homedir, 'private-keys-v1.d', `${keygrip}.key`);
    return (await orNull(stat(file), `look at ${file}`)) && { onCard: false, passphrase: null };
  }
  const answer = await agent.command(`KEYINFO --data ${keygrip}`, PROBE_MS);
  // keygrip, type, serial number, id, cached, protection, …
  const [, type, , , cached, protection] = answer.ok ? answer.data.toString().trim().split(' ') : [];
  if (type !== 'D' && type !== 'T') return null;
  if (type === 'T') return { onCard: true, passphrase: null };
  if (protection === 'C') return { onCard: false, passphrase: 'none' };
  return { onCard: false, passphrase: cached === '1' ? 'known' : 'needed' };
}

const ask = (program: string, args: readonly string[], env: Environment): Promise<RunResult> =>
  run(program, args, { env: withoutOurs(env), timeoutMs: PROBE_MS, maxOutput: OUTPUT_MAX });

function successful(what: string, { code, killed, stdout, stderr }: RunResult): string {
  if (code === 0) return stdout.toString();
  const why = killed ?? (stderr.toString().trim().split('\n').at(-1) || `exit status ${code}`);
  throw unable('gpg-failed', `${what}: ${why}`, 'see gpgconf --check-programs');
}
