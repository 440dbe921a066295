/** What gpg-agent.conf should say where a signer works without a person. */
import { join } from 'node:path';
import { word } from '../../host/shell.ts';
import { note, ok } from './finding.ts';
import type { Finding } from './finding.ts';
import type { AgentOptions, GnupgPlaces } from './gnupg.ts';

/** A passphrase that is forgotten sooner has to be given again before the next release. */
const LEAST_CACHE_SECONDS = 86_400;
/** gpg-agent's own, and the 400 days that stand for "until locked". */
const CACHE = { 'default-cache-ttl': 600, 'max-cache-ttl': 7_200 } as const;
const FOR_LONG = 34_560_000;

/** Says what is missing, one option at a time, and the command that adds all of it. */
export function checkAgentOptions(
  { homedir }: GnupgPlaces,
  set: AgentOptions,
  key: { readonly card: boolean; readonly passphrase: boolean },
): Finding[] {
  const missing = new Map<string, string>();
  const lack = (line: string, why: string): void => {
    if (!set.has(line)) missing.set(line, why);
  };
  lack('auto-expand-secmem', 'else it fails when it signs much at once');
  lack('no-allow-loopback-pinentry', 'else any program of this user may try passphrases');
  if (!key.card) lack('disable-scdaemon', 'no key is on a card');
  if (key.passphrase) {
    lack('allow-preset-passphrase', 'to unlock the key without a prompt');
    for (const [name, fallback] of Object.entries(CACHE)) {
      const seconds = Number(set.get(name) || fallback);
      if (seconds < LEAST_CACHE_SECONDS)
        missing.set(`${name} ${FOR_LONG}`, `now the key is locked again after ${seconds} s`);
    }
  }
  const file = join(homedir, 'gpg-agent.conf');
  if (missing.size === 0) return [ok('agent-options', `${file} is fit for a signer without a person`)];
  const listed = [...missing].map(([line, why]) => `${line} (${why})`).join(', ');
  const lines = [...missing.keys()].map(word).join(' ');
  return [
    note(
      'agent-options',
      `for a signer without a person ${file} lacks ${listed}`,
      `printf '%s\\n' ${lines} >> ${word(file)} && gpgconf --kill gpg-agent   # this locks the key`,
    ),
  ];
}
