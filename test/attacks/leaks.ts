/** What to look for where a secret may have leaked to, and the places to look. */
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { parseTicket } from '../../src/records/ticket.ts';
import { craftKeyOf } from './craft-keys.ts';
import { PROGRAM } from '../harness/program.ts';
import type { World } from '../harness/world.ts';

/** Every secret that is known by now, in each form that a program could write it in. */
export class Secrets {
  readonly #forms: { readonly what: string; readonly bytes: Buffer }[] = [];

  /** The signer's own: its log key and its token. */
  static async ofSigner(world: World): Promise<Secrets> {
    const secrets = new Secrets();
    const read = (name: string): Promise<string> => readFile(world.path('H', 'signer', name), 'utf8');
    secrets.add('signer token', Buffer.from((await read('signer-token')).trim(), 'base64url'));
    const logKey = (await read('log-key')).trim();
    // PRIVATE+KEY+<name>+<id>+<base64 of an octet and the seed>
    secrets.add('log key', Buffer.from(logKey.split('+').slice(4).join('+'), 'base64').subarray(1));
    return secrets;
  }

  /** The private half and the upload token, also as they stand in the ticket: base64 in base64. Returns its line. */
  async addTicket(path: string): Promise<string> {
    const line = (await readFile(path, 'utf8')).trim();
    const { uploadToken, secret } = parseTicket(line);
    this.add('upload token', Buffer.from(uploadToken, 'base64url'));
    this.add('upload token', Buffer.from(uploadToken));
    if (secret.scheme !== 'keypair' && secret.nonce !== null) {
      this.add('nonce', Buffer.from(secret.nonce, 'base64url'));
      this.add('nonce', Buffer.from(secret.nonce));
    }
    if (secret.scheme === 'mac' || secret.secretKey === null) return line;
    const { privateKey } = craftKeyOf(Buffer.from(secret.secretKey, 'base64'));
    this.add('ephemeral key', privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32));
    this.add('ephemeral key', Buffer.from(secret.secretKey));
    return line;
  }

  add(what: string, secret: Buffer): void {
    const texts = [
      secret.toString('hex'),
      secret.toString('hex').toUpperCase(),
      secret.join(','),
      secret.join(', '),
    ];
    for (const shift of [0, 1, 2]) {
      // its characters that depend on nothing around it, wherever it begins in what is encoded
      const encoded = Buffer.concat([Buffer.alloc(shift), secret]).toString('base64');
      const own = encoded.slice(Math.ceil((shift * 4) / 3), Math.floor(((shift + secret.length) * 4) / 3));
      texts.push(own, own.replaceAll('+', '-').replaceAll('/', '_'));
    }
    for (const bytes of [secret, ...texts.map((text) => Buffer.from(text))])
      this.#forms.push({ what, bytes });
  }

  /** Which of them are in there. */
  in(bytes: Buffer | string): string[] {
    const haystack = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes);
    return [...new Set(this.#forms.filter((form) => haystack.includes(form.bytes)).map(({ what }) => what))];
  }

  /** The files below a directory that hold one of them, as `path: what`. */
  async below(directory: string): Promise<string[]> {
    const found: string[] = [];
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      for (const what of this.in(await readFile(path)))
        found.push(`${path.slice(directory.length + 1)}: ${what}`);
    }
    return found.sort();
  }
}

const PROGRAMS = ['gpg', 'gpgv', 'gpgconf', 'git', 'flock', 'sh'];

/** Programs in front of the true ones, which note what they were given: arguments, environment, descriptors. */
export class Notes {
  /** For the environment of a command. */
  readonly path: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.path = `${join(directory, 'bin')}:${process.env['PATH']}`;
  }

  static async take(directory: string): Promise<Notes> {
    await mkdir(join(directory, 'bin'), { recursive: true });
    await mkdir(join(directory, 'notes'));
    for (const name of PROGRAMS) {
      const real = execFileSync('/bin/sh', ['-c', `command -v ${name}`])
        .toString()
        .trim();
      const note = `${join(directory, 'notes', name)}.$$`;
      const script = `#!/bin/sh\n{ cat /proc/$$/cmdline /proc/$$/environ; ls -l /proc/$$/fd; } > ${note}\nexec ${real} "$@"\n`;
      await writeFile(join(directory, 'bin', name), script);
      await chmod(join(directory, 'bin', name), 0o755);
    }
    return new Notes(directory);
  }

  /** Which programs were called, by name. */
  async called(): Promise<string[]> {
    const names = await readdir(join(this.#directory, 'notes'));
    return [...new Set(names.map((name) => name.replace(/\.\d+$/, '')))].sort();
  }

  /** The notes that hold a secret. */
  leaks(secrets: Secrets): Promise<string[]> {
    return secrets.below(join(this.#directory, 'notes'));
  }
}

/** Whether strace works here: it is not everywhere, and not everywhere allowed. */
export function canTrace(): boolean {
  const works = spawnSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0;
  if (!works) console.log('skipped without strace: what programs write and start');
  return works;
}

export interface Call {
  readonly call: string;
  /** Of what is written to: a file, SOCKET, PIPE, or what the system calls it. Empty for a program that is started. */
  readonly path: string;
  readonly data: Buffer;
}

const TRACED = 'execve,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg';

/** Runs a command as `World.runOn` does, under strace. Returns what it and its children wrote and started. */
export async function trace(
  world: World,
  host: Parameters<World['env']>[0],
  args: readonly string[],
): Promise<Call[]> {
  const output = world.path('cwd', 'strace');
  const how = ['-f', '-qq', '-yy', '-v', '-xx', '-s', '1000000', '-e', `trace=${TRACED}`, '-o', output];
  const child = spawn('strace', [...how, process.execPath, PROGRAM, ...args], {
    cwd: world.path('cwd'),
    // writes through a ring would go unseen
    env: { ...world.env(host), UV_USE_IO_URING: '0' },
    stdio: 'ignore',
  });
  await new Promise((resolve) => child.once('close', resolve));
  const lines = (await readFile(output, 'latin1')).trimEnd().split('\n');
  await rm(output);
  return lines.map((line) => {
    const decoded = line.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    const [, call = '', path = ''] = /^\d+ +(\w+)\((?:\d+<([^>]*)>)?/.exec(decoded) ?? [];
    const name = call.replace(/^p?write(64|v|v2)?$|^send.*/, 'write');
    return {
      call: name,
      // what children are given on descriptors travels in sockets, too
      path: path.startsWith('TCP') ? 'SOCKET' : /^UNIX|^pipe/.test(path) ? 'PIPE' : path,
      data: Buffer.from(decoded, 'latin1'),
    };
  });
}
