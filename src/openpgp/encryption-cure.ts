/** What makes a certificate good for sealing nonces again, where its primary key is. */
import type { Certificate } from './certificate.ts';
import { encryptionPurposeProblem, expiryOf } from './key-status.ts';

/** Commands for gpg, in order, before it is exported anew; null where only another key helps. Takes one that can't be sealed to. */
export function encryptionCure({ primary, keys }: Certificate, now: Date): string[] | null {
  const own = keys.find(({ isPrimary }) => isPrimary);
  if (own?.revoked === true) return null;
  const { fingerprint } = primary;
  const renew = `gpg --quick-set-expire ${fingerprint} 2y`;
  const ended = (status: Certificate['keys'][number]): boolean =>
    expiryOf(status, now) <= now.getTime() / 1000;
  const commands = own !== undefined && ended(own) ? [renew] : [];
  const sealing = keys.filter((key) => !key.isPrimary && encryptionPurposeProblem(key, now) === null);
  const usable = sealing.filter(({ revoked }) => !revoked);
  // where the primary key alone has ended, it alone is renewed
  if (usable.some((key) => !ended(key)) && commands.length > 0) return commands;
  const [newest] = usable.filter(ended).toSorted((a, b) => b.key.created - a.key.created);
  commands.push(
    newest === undefined
      ? `gpg --quick-add-key ${fingerprint} cv25519 encr 2y`
      : `${renew} ${newest.key.fingerprint}`,
  );
  return commands;
}
