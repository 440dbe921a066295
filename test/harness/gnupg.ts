/**
 * A GnuPG home of its own in a temporary directory: real keys, a real agent, gone at the end.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toFingerprint } from '../../src/records/names.ts';
import type { Fingerprint } from '../../src/records/names.ts';

export interface KeyRequest {
  readonly userId: string;
  /** As gpg's --quick-generate-key names them: ed25519, rsa3072, nistp256. */
  readonly algorithm?: string;
  readonly usage?: string;
  /** A date or a number of seconds (`seconds=60`); never by default. */
  readonly expires?: string;
  /** What gpg believes the time to be, such as `20200101T000000`. */
  readonly at?: string;
  readonly passphrase?: string;
}

export class GnupgHome {
  readonly directory: string;
  /** For a child process that is to use this home. */
  readonly env: Record<string, string>;

  constructor() {
    // sockets have short names: not below a long temporary directory
    this.directory = mkdtempSync(join(tmpdir(), 'cs-'));
    const path = process.env['PATH'] ?? '/usr/bin:/bin';
    this.env = { PATH: path, HOME: this.directory, GNUPGHOME: this.directory, LANG: 'C' };
    writeFileSync(join(this.directory, 'gpg-agent.conf'), 'auto-expand-secmem\nallow-preset-passphrase\n');
  }

  /** Adds a line to the agent's configuration; a running agent ends, with all that it remembers. */
  configureAgent(line: string): void {
    appendFileSync(join(this.directory, 'gpg-agent.conf'), `${line}\n`);
    this.killAgent();
  }

  killAgent(): void {
    execFileSync('gpgconf', ['--kill', 'gpg-agent'], { env: this.env, stdio: 'ignore' });
  }

  /** Runs gpg here; throws with what it said if it fails. */
  gpg(args: readonly string[], input: Buffer | string = ''): Buffer {
    const quiet = ['--batch', '--quiet', '--no-tty', '--pinentry-mode', 'loopback'];
    return execFileSync('gpg', [...quiet, ...args], {
      env: this.env,
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /** Makes a key and returns its fingerprint. */
  generate(request: KeyRequest): Fingerprint {
    const { userId, algorithm = 'ed25519', usage = 'sign', expires = 'never', passphrase = '' } = request;
    const time = request.at ? ['--faked-system-time', `${request.at}!`] : [];
    const key = [userId, algorithm, usage, expires];
    const options = [...time, '--passphrase', passphrase, '--status-fd', '1'];
    const said = this.gpg([...options, '--quick-generate-key', ...key]).toString();
    return toFingerprint(/KEY_CREATED . ([0-9A-F]{40})/.exec(said)?.[1], 'a new key');
  }

  /** Adds a subkey and returns its fingerprint, the newest of the certificate. */
  addSubkey(primary: Fingerprint, algorithm: string, usage: string, expires = 'never'): Fingerprint {
    this.gpg(['--passphrase', '', '--quick-add-key', primary, algorithm, usage, expires]);
    const listing = this.gpg(['--with-colons', '--list-keys', primary]).toString();
    return toFingerprint([...listing.matchAll(/^fpr:+([0-9A-F]{40}):/gm)].at(-1)?.[1], 'a new subkey');
  }

  /** Leaves the subkeys alone here, as on a host whose primary key is offline. */
  takeOffline(primary: Fingerprint): void {
    const agent = ['gpg-connect-agent', `DELETE_KEY --force ${this.keygrip(primary)}`, '/bye'] as const;
    const [program, ...args] = agent;
    const said = execFileSync(program, args, { env: this.env }).toString();
    if (said !== 'OK\n') throw new Error(`gpg-agent: ${said}`);
  }

  /** Imports the revocation that gpg made with the key; a colon keeps it from being used by mistake. */
  revoke(key: Fingerprint): void {
    const file = readFileSync(join(this.directory, 'openpgp-revocs.d', `${key}.rev`), 'utf8');
    this.gpg(['--import'], file.replace(':-----BEGIN', '-----BEGIN'));
  }

  /** The binary certificate. */
  export(key: string): Buffer {
    return this.gpg(['--export', key]);
  }

  /** The keygrip that gpg-agent knows a key or subkey by. */
  keygrip(fingerprint: Fingerprint): string {
    const listing = this.gpg(['--with-colons', '--with-keygrip', '--list-keys', fingerprint]).toString();
    const after = listing.slice(listing.indexOf(`:${fingerprint}:`));
    return /^grp:+([0-9A-F]{40}):/m.exec(after)?.[1] ?? '';
  }

  /** A binary detached signature, with gpg's own options in `more`. */
  sign(key: string, data: Buffer, more: readonly string[] = []): Buffer {
    return this.gpg([...more, '--local-user', key, '--detach-sign', '--output', '-'], data);
  }

  /** The revocation that gpg made with the key, ready to be imported. */
  revocationCertificate(key: Fingerprint): Buffer {
    const file = readFileSync(join(this.directory, 'openpgp-revocs.d', `${key}.rev`), 'utf8');
    // gpg puts a colon in front, against revoking by accident
    return Buffer.from(file.slice(file.indexOf(':-----BEGIN') + 1));
  }

  /** Stops the agent and removes everything. */
  close(): void {
    execFileSync('gpgconf', ['--kill', 'all'], { env: this.env, stdio: 'ignore' });
    rmSync(this.directory, { recursive: true, force: true });
  }
}
