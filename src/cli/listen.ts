/** What the commands that serve have in common: where they listen, their certificate, and when they end. */
import { createSecureContext } from 'node:tls';
import { usage } from '../failure.ts';
import type { Address, TlsIdentity } from '../host/http-server.ts';
import { wrongUse } from './command.ts';
import { readSmallFile } from './config.ts';

export const TLS_FLAGS = {
  'tls-cert': { value: 'FILE', help: 'certificate chain (PEM): speak HTTPS' },
  'tls-key': { value: 'FILE', help: 'its private key (PEM)' },
} as const;

/** `HOST:PORT`, `[::1]:PORT`, `:PORT` or `PORT`. Throws usage. */
export function parseListen(text: string): Address {
  const [, ipv6, name, digits = ''] =
    /^(?:(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):)?([0-9]{1,5})$/.exec(text) ?? [];
  const port = digits === '' ? Number.NaN : Number(digits);
  if (!(port <= 65_535))
    throw usage('wrong-usage', `--listen: '${text}' is not HOST:PORT`, 'like 127.0.0.1:8080');
  return { host: ipv6 ?? (name || '127.0.0.1'), port };
}

/**
 * The certificate and key that the command `name` was given; empty for none. Throws usage: `wrong-usage` for one
 * without the other, `tls-malformed` if they are none, or not of each other.
 */
export function readTls(
  name: string,
  flags: Readonly<Partial<Record<keyof typeof TLS_FLAGS, string | undefined>>>,
): { readonly tls?: TlsIdentity } {
  const [certFile, keyFile] = [flags['tls-cert'], flags['tls-key']];
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

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. Call it before anybody is told that we serve. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
