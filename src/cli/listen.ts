/** What the commands that serve have in common: where they listen, their certificate, and when they end. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { usage } from '../failure.ts';
import type { Address, TlsIdentity } from '../host/http-server.ts';
import { wrongUse } from './command.ts';
import { readSmallFile } from './config.ts';

export const TLS_FLAGS = {
  'tls-cert': { value: 'FILE', help: 'certificate chain (PEM): speak HTTPS' },
  'tls-key': { value: 'FILE', help: 'its private key (PEM)' },
} as const;

type TlsFlags = Readonly<Partial<Record<keyof typeof TLS_FLAGS, string | undefined>>>;

/** `HOST:PORT`, `[::1]:PORT`, `:PORT` or `PORT`. Throws usage, naming the flag. */
export function parseListen(text: string, flag = '--listen'): Address {
  const [, ipv6, name, digits = ''] =
    /^(?:(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):)?([0-9]{1,5})$/.exec(text) ?? [];
  const port = digits === '' ? Number.NaN : Number(digits);
  if (!(port <= 65_535))
    throw usage('wrong-usage', `${flag}: '${text}' is not HOST:PORT`, 'like 127.0.0.1:8080');
  return { host: ipv6 ?? (name || '127.0.0.1'), port };
}

/**
 * The certificate and key that the command `name` was given; empty for none. Throws usage: `wrong-usage` for one
 * without the other, `tls-malformed` if they are none, or not of each other.
 */
export function readTls(name: string, flags: TlsFlags): { readonly tls?: TlsIdentity } {
  const { 'tls-cert': certFile, 'tls-key': keyFile } = flags;
  if ((certFile === undefined) !== (keyFile === undefined))
    throw wrongUse(name, '--tls-cert and --tls-key go together');
  if (certFile === undefined || keyFile === undefined) return {};
  const tls = { cert: readSmallFile(certFile), key: readSmallFile(keyFile) };
  try {
    createSecureContext(tls);
    return { tls };
  } catch (error) {
    const what = `${certFile} and ${keyFile} are no certificate (PEM) and its key`;
    throw usage('tls-malformed', what, 'check both files', error);
  }
}

/** Those flags; or the files that the service manager gave as the credentials `tls-cert` and `tls-key`. */
export function tlsFiles(
  flags: TlsFlags,
  { CREDENTIALS_DIRECTORY: directory }: Readonly<NodeJS.ProcessEnv>,
): TlsFlags {
  const { 'tls-cert': cert, 'tls-key': key } = flags;
  if (!directory || cert !== undefined || key !== undefined) return flags;
  const given = { 'tls-cert': join(directory, 'tls-cert'), 'tls-key': join(directory, 'tls-key') };
  return Object.values(given).every((file) => existsSync(file)) ? given : flags;
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. Call it before anybody is told that we serve. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
