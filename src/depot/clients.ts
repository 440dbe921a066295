/**
 * Whom a request is from, for limits that hold for each: an address, IPv6 by its /64, as one host has all of that. Behind
 * a proxy that we were told of, the one that it names.
 */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv4 } from 'node:net';
import type { Socket } from 'node:net';
import { usage } from '../failure.ts';

declare const brand: unique symbol;
/** An IPv4 address, or the /64 of an IPv6 one: one text for each. */
export type Client = string & { readonly [brand]: 'Client' };

/** Addresses whose X-Forwarded-For is believed, and this machine's. */
export class Clients {
  readonly #proxies = new BlockList();

  /** `proxies`: addresses and networks, `10.0.0.0/8`. Throws usage(`wrong-usage`). */
  constructor(proxies: readonly string[] = []) {
    for (const proxy of proxies) addTo(this.#proxies, proxy);
  }

  /** Whose a connection is; null for this machine's own, which no limit is for, and for a proxy's, which are many clients'. */
  ofConnection({ remoteAddress }: Pick<Socket, 'remoteAddress'>): Client | null {
    const address = plain(remoteAddress ?? '');
    return isIP(address) === 0 || isHere(address) || this.#isProxy(address) ? null : clientOf(address);
  }

  /** Whose a request is; null for this machine's own. A proxy that does not say is a client itself. */
  ofRequest({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): Client | null {
    const address = plain(socket.remoteAddress ?? '');
    if (isIP(address) === 0) return null;
    if (!this.#isProxy(address)) return isHere(address) ? null : clientOf(address);
    return clientOf(this.#named(headers['x-forwarded-for']) ?? address);
  }

  /** Whether a connection is of a proxy that we were told of. */
  isProxy({ remoteAddress }: Pick<Socket, 'remoteAddress'>): boolean {
    const address = plain(remoteAddress ?? '');
    return isIP(address) !== 0 && this.#isProxy(address);
  }

  /** The last that is no proxy: what stands before it anybody may have written. Null if there is none, or no address. */
  #named(forwarded: string | readonly string[] | undefined): string | null {
    const names = String(forwarded ?? '').split(',');
    for (const name of names.reverse()) {
      const address = plain(name.trim());
      if (isIP(address) === 0) return null;
      if (!this.#isProxy(address)) return address;
    }
    return null;
  }

  #isProxy(address: string): boolean {
    return this.#proxies.check(address, familyOf(address));
  }
}

/** Whether an address is this machine, as its own programs call it. */
export const isHere = (address: string): boolean =>
  plain(address).startsWith('127.') || plain(address) === '::1';

/** An IPv4 address in IPv6 is that IPv4 address; a zone is none of an address. */
function plain(address: string): string {
  const [text = ''] = address.split('%');
  const mapped = /^::ffff:([0-9.]+)$/i.exec(text)?.[1];
  return mapped !== undefined && isIPv4(mapped) ? mapped : text;
}

function clientOf(address: string): Client {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place that makes the brand
  return (isIPv4(address) ? address : `${prefix64(address)}::/64`) as Client;
}

/** The first four groups of an IPv6 address, each in one way. */
function prefix64(address: string): string {
  const [before = '', after] = address.split('::');
  const groups = before === '' ? [] : before.split(':');
  const behind = after === undefined || after === '' ? [] : after.split(':');
  // an address with dots at its end has two groups there
  const length = (some: readonly string[]): number => some.length + (some.at(-1)?.includes('.') ? 1 : 0);
  if (after !== undefined)
    groups.push(...Array<string>(8 - length(groups) - length(behind)).fill('0'), ...behind);
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv4(address) ? 'ipv4' : 'ipv6');

function addTo(list: BlockList, proxy: string): void {
  const [, address = '', bits] = /^([0-9A-Fa-f.:]+)(?:\/([1-9][0-9]{0,2}))?$/.exec(proxy) ?? [];
  const family = isIP(address);
  const most = family === 4 ? 32 : 128;
  if (family === 0 || Number(bits ?? most) > most) {
    throw usage(
      'wrong-usage',
      `--proxy: '${proxy}' is neither an address nor a network`,
      'like 127.0.0.1, 10.0.0.0/8 or fd00::/8',
    );
  }
  list.addSubnet(address, Number(bits ?? most), familyOf(address));
}
