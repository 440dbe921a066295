/** A release key with a passphrase, on a host without people: gpg-agent set up as docs/how-to/unattended.md says. */
import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { GnupgHome } from '../harness/gnupg.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { KEYS_MADE } from '../signer/scene.ts';
import type { Fingerprint } from '../../src/records/names.ts';

export const PASSPHRASE = 'open sesame';

const AGENT_CONF = [
  'no-allow-loopback-pinentry',
  'default-cache-ttl 34560000',
  'max-cache-ttl 34560000',
  'disable-scdaemon',
];

export class LockedKey {
  readonly home = new GnupgHome();
  readonly key: Fingerprint;
  readonly keygrip: string;
  /** Whoever is asked cancels; it writes down that it was asked. */
  readonly pinentry = new FakePinentry(this.home.directory, null);

  constructor(algorithm = 'ed25519') {
    this.home.configureAgent('s2k-count 65536'); // else each signature takes half a second
    this.key = this.home.generate({ userId: 'Release <release@example.org>', usage: 'cert', at: KEYS_MADE });
    const time = ['--faked-system-time', `${KEYS_MADE}!`];
    const subkey = [
      ...time,
      '--passphrase',
      PASSPHRASE,
      '--quick-add-key',
      this.key,
      algorithm,
      'sign',
      'never',
    ];
    this.home.gpg(subkey);
    this.keygrip = this.grips().at(-1) ?? '';
    const lines = [...AGENT_CONF, `pinentry-program ${this.pinentry.program}`];
    appendFileSync(join(this.home.directory, 'gpg-agent.conf'), lines.map((line) => `${line}\n`).join(''));
    this.home.killAgent();
  }

  private grips(): string[] {
    const listing = this.home.gpg(['--with-colons', '--with-keygrip', '--list-keys', this.key]).toString();
    return [...listing.matchAll(/^grp:+([0-9A-F]{40}):/gm)].map((match) => match[1] ?? '');
  }

  /** What a person does once after boot. A wrong passphrase is taken without a word. */
  unlock(passphrase = PASSPHRASE): void {
    const directory = execFileSync('gpgconf', ['--list-dirs', 'libexecdir'], { env: this.home.env });
    this.tell('NOP'); // gpg-preset-passphrase starts no agent
    execFileSync(join(directory.toString().trim(), 'gpg-preset-passphrase'), ['--preset', this.keygrip], {
      env: this.home.env,
      input: passphrase,
    });
  }

  lock(): void {
    this.tell(`CLEAR_PASSPHRASE --mode=normal ${this.keygrip}`);
  }

  /** Sends gpg-agent one command, starting it if need be; returns what it said. */
  tell(command: string): string {
    return execFileSync('gpg-connect-agent', [command, '/bye'], {
      env: this.home.env,
      stdio: 'pipe',
    }).toString();
  }

  get agentPid(): number {
    return Number(/^D (\d+)/m.exec(this.tell('GETINFO pid'))?.[1]);
  }

  /** How often a person would have been asked for the passphrase. */
  get asked(): number {
    return this.pinentry.heard().filter((line) => line.startsWith('GETPIN')).length;
  }
}
