/**
 * A release key on an emulated OpenPGP card, in a GnuPG home of its own. The card lives in this process: whatever
 * talks to it must not be waited for synchronously.
 */
import { execFile } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Fingerprint } from '../../src/records/names.ts';
import { toFingerprint } from '../../src/records/names.ts';
import { CardReader } from '../harness/card-reader.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { OpenpgpCard, PIN } from '../harness/openpgp-card.ts';
import { FakePinentry } from '../harness/pinentry.ts';
import { until } from '../harness/until.ts';

const run = promisify(execFile);

export class CardKey {
  readonly home: GnupgHome;
  readonly reader: CardReader;
  readonly card: OpenpgpCard;
  readonly key: Fingerprint;
  #pinentry: FakePinentry;

  private constructor(
    home: GnupgHome,
    reader: CardReader,
    card: OpenpgpCard,
    pinentry: FakePinentry,
    key: Fingerprint,
  ) {
    this.home = home;
    this.reader = reader;
    this.card = card;
    this.#pinentry = pinentry;
    this.key = key;
  }

  /** Makes a certificate with the card's key. The card is in the reader then, and its PIN is verified. */
  static async make(): Promise<CardKey> {
    const home = new GnupgHome();
    const reader = await CardReader.start(home.directory);
    Object.assign(home.env, reader.env);
    writeFileSync(join(home.directory, 'scdaemon.conf'), 'disable-ccid\nreader-port Virtual PCD 00 00\n');
    const pinentry = new FakePinentry(home.directory, PIN);
    appendFileSync(join(home.directory, 'gpg-agent.conf'), `pinentry-program ${pinentry.program}\n`);
    const card = new OpenpgpCard();
    await reader.insert(card);
    await until('scdaemon sees the card', async () => (await serial(home)) !== null);
    return new CardKey(home, reader, card, pinentry, await certify(home));
  }

  /** Puts a card in, and waits until scdaemon has seen it. */
  async insert(card: OpenpgpCard): Promise<void> {
    await this.reader.insert(card);
    await until(
      'scdaemon sees the card',
      async () => (await serial(this.home))?.includes(card.serial) === true,
    );
  }

  /** Pulls the card out, and waits until scdaemon has noticed. */
  async remove(): Promise<void> {
    await this.reader.remove();
    await until('scdaemon misses the card', async () => (await serial(this.home)) === null);
  }

  /** From now on whoever is asked for the PIN gives this one, or cancels. */
  answer(pin: string | null): void {
    this.#pinentry = new FakePinentry(this.home.directory, pin);
  }

  /** How often a person would have been asked for the PIN. */
  get asked(): number {
    return this.#pinentry.heard().filter((line) => line.startsWith('GETPIN')).length;
  }

  async close(): Promise<void> {
    await run('gpgconf', ['--kill', 'all'], { env: this.home.env });
    await this.reader.close();
  }
}

/** The serial number of the card that scdaemon sees. */
async function serial({ env }: GnupgHome): Promise<string | null> {
  const { stdout } = await run('gpg-connect-agent', ['SCD SERIALNO', '/bye'], { env });
  return /^S SERIALNO (\w+)/m.exec(stdout)?.[1] ?? null;
}

/** A certificate for the key that is on the card, or in the token, that gpg-agent sees. */
export async function certify(
  { env, directory }: GnupgHome,
  type = 'eddsa\nKey-Curve: ed25519',
): Promise<Fingerprint> {
  const learnt = await run('gpg-connect-agent', ['LEARN --sendinfo', '/bye'], { env });
  const grip = /^S KEYPAIRINFO ([0-9A-F]{40}) /m.exec(learnt.stdout)?.[1] ?? '';
  const parameters = [
    ...[`Key-Type: ${type}`, `Key-Grip: ${grip}`, 'Key-Usage: sign', 'Creation-Date: 20260101T000000'],
    ...['Expire-Date: 0', 'Name-Real: Release', 'Name-Email: release@example.org', '%commit', ''],
  ];
  const file = join(directory, 'new-key');
  writeFileSync(file, parameters.join('\n'));
  const { stdout } = await run('gpg', ['--batch', '--quiet', '--status-fd', '1', '--generate-key', file], {
    env,
  });
  return toFingerprint(/KEY_CREATED . ([0-9A-F]{40})/.exec(stdout)?.[1], 'a new key');
}
