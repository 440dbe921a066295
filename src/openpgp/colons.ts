/**
 * gpg's `--with-colons --with-keygrip` listing (GnuPG's doc/DETAILS), as far as choosing a key needs it.
 */
import { isFingerprint } from '../records/names.ts';
import type { Fingerprint } from '../records/names.ts';

/** A primary key or subkey as gpg sees it now. */
export interface ListedKey {
  readonly fingerprint: Fingerprint;
  /** Of the certificate that it belongs to. */
  readonly primary: Fingerprint;
  readonly keygrip: string;
  /** Letters: `c` certify, `s` sign, `e` encrypt, `a` authenticate. */
  readonly capabilities: string;
  readonly onCard: boolean;
  /** In a secret listing: the secret half is not here, only a note that there is one (gpg's `#`). */
  readonly secretElsewhere: boolean;
  /** Why gpg would not sign with it, or null. */
  readonly problem: string | null;
}

/** Fields of a record, counted from one in DETAILS. */
const VALIDITY = 1;
const FINGERPRINT = 9;
const CAPABILITIES = 11;
const TOKEN = 14;

const VALIDITY_PROBLEMS: Readonly<Record<string, string>> = {
  r: 'is revoked',
  e: 'has expired',
  i: 'is invalid',
  d: 'is disabled',
};

/** All keys of a public or secret listing, in its order; keys of versions that we do not use are left out. */
export function parseColons(listing: string): ListedKey[] {
  const keys: ListedKey[] = [];
  let owner: { fingerprint: Fingerprint; problem: string | null } | null = null;
  const records = listing.split('\n').map((line) => line.split(':'));
  records.forEach((key, at) => {
    const type = key[0] ?? '';
    if (!['pub', 'sec', 'sub', 'ssb'].includes(type)) return;
    const isPrimary = type === 'pub' || type === 'sec';
    if (isPrimary) owner = null;
    const [fingerprint, keygrip] = ['fpr', 'grp'].map((name) => following(records, at, name));
    if (!fingerprint || !isFingerprint(fingerprint) || !keygrip) return;
    const own = keyProblem(key);
    if (isPrimary) owner = { fingerprint, problem: own };
    if (!owner) return;
    const capabilities = (key[CAPABILITIES] ?? '').replace(/[^a-z]/g, '');
    keys.push({
      fingerprint,
      primary: owner.fingerprint,
      keygrip,
      capabilities,
      onCard: /^[0-9A-F]{16,}$/.test(key[TOKEN] ?? ''),
      secretElsewhere: secretElsewhere(key),
      problem: owner.problem ?? own ?? (capabilities.includes('s') ? secretProblem(key) : 'may not sign'),
    });
  });
  return keys;
}

/** The value of the next record called `name` before another key begins. */
function following(records: readonly string[][], at: number, name: string): string | undefined {
  for (const record of records.slice(at + 1, at + 4)) {
    if (record[0] === name) return record[FINGERPRINT];
    if (record[0] !== 'fpr' && record[0] !== 'grp' && record[0] !== 'fp2') return undefined;
  }
  return undefined;
}

function keyProblem(key: readonly string[]): string | null {
  // capital letters are of the whole certificate; D is for one that the user disabled
  if (key[CAPABILITIES]?.includes('D')) return 'is disabled';
  return VALIDITY_PROBLEMS[key[VALIDITY] ?? ''] ?? null;
}

const secretElsewhere = (key: readonly string[]): boolean => key[TOKEN] === '#';

const secretProblem = (key: readonly string[]): string | null =>
  secretElsewhere(key) ? 'has its secret half elsewhere' : null;
