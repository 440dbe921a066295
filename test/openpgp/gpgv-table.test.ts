/**
 * The table of what gpgv says, row by row: first gpgv itself, so that a change of gpgv is noticed; then our wrapper and
 * our own verifier, which must both give the wanted verdict; then wrappers with a mistake, which must not.
 */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseCertificate } from '../../src/openpgp/certificate.ts';
import { verifyWithGpgv } from '../../src/openpgp/gpgv.ts';
import { verifyDetached } from '../../src/openpgp/verify.ts';
import type { SignatureVerdict } from '../../src/openpgp/verify.ts';
import { GnupgHome } from '../harness/gnupg.ts';
import { DOCUMENT, tableRows } from '../harness/gpgv-rows.ts';
import type { Row } from '../harness/gpgv-rows.ts';
import { isGpgv24, rawGpgv } from '../harness/gpgv.ts';
import { MUTANTS } from '../harness/mutants.ts';
import type { Wrapper } from '../harness/mutants.ts';

const home = new GnupgHome();
const rows = tableRows(home);
const now = new Date();
const gpgv24 = isGpgv24();

afterAll(() => home.close());

const documentOf = (row: Row): Buffer => row.document ?? row.data[0] ?? DOCUMENT;

const ownVerdict = (row: Row): SignatureVerdict =>
  verifyDetached(row.signature, documentOf(row), parseCertificate(row.certificate ?? row.keyring), now);

const gpgvVerdict = (row: Row): Promise<SignatureVerdict> =>
  verifyWithGpgv({
    signature: row.signature,
    data: row.missing ? { file: join(home.directory, row.missing) } : documentOf(row),
    certificate: parseCertificate(row.certificate ?? row.keyring),
    now,
  });

const realWrapper: Wrapper = async (row) =>
  gpgvVerdict(row).then(
    ({ ok }) => ok,
    () => false,
  );

/** The named row, for those that are looked at once more. */
function named(name: string): Row {
  const found = rows.find((row) => row.name === name);
  if (!found) throw new Error(`no row ${name}`);
  return found;
}

describe.each(rows)('$name', (row) => {
  test('what gpgv itself says', async () => {
    const [code, keywords, detail = /^/] = (gpgv24 && row.said24) || row.said;
    const said = await rawGpgv(row);
    expect({ code: said.code, keywords: said.keywords }).toEqual({ code, keywords });
    expect(said.status).toMatch(detail);
  });

  test.skipIf(row.missing)(`we ${row.wanted} it, through gpgv and by ourselves`, async () => {
    const [own, gpgv] = [ownVerdict(row), await gpgvVerdict(row)];
    expect([own.ok, gpgv.ok]).toEqual(row.wanted === 'accept' ? [true, true] : [false, false]);
    if (own.ok) expect(gpgv).toEqual(own);
  });
});

describe('the wrong way to call gpgv', () => {
  const { signature, data, keyring } = named('good');

  test('a keyring that is missing, or a relative name, is looked for elsewhere', async () => {
    for (const name of ['/nonexistent/ring.pgp', 'ring.pgp']) {
      const options = () => ['--homedir', '/nonexistent', '--keyring', name];
      const said = await rawGpgv({ signature, data, keyring }, { options });
      expect(said.code).toBe(2);
      expect(said.keywords).toMatch(/^(ERROR )+ERRSIG NO_PUBKEY$/);
    }
  });

  test('SHA-1 is refused by gpgv only if it is told to', async () => {
    const options = (ring: string) => [
      '--homedir',
      '/nonexistent',
      '--weak-digest',
      'SHA1',
      '--keyring',
      ring,
    ];
    expect(await rawGpgv(named('SHA-1 digest'), { options })).toMatchObject({ code: 2 });
  });

  test('a name forges status lines where they share a descriptor with messages; gpgv 2.4 escapes it', async () => {
    const row = named('a missing file whose name is two status lines');
    expect((await rawGpgv(row, { statusFd: 2 })).keywords).toBe(gpgv24 ? '' : 'GOODSIG VALIDSIG');
    expect((await rawGpgv(row, { statusFd: 3 })).keywords).toBe('');
    await expect(gpgvVerdict(row)).rejects.toMatchObject({ kind: 'unable', code: 'data-unreadable' });
  });
});

/** The rows of which a wrapper says something else than is wanted. */
async function killers(wrapper: Wrapper): Promise<string[]> {
  const wrong = [];
  for (const row of rows) if ((await wrapper(row)) !== (row.wanted === 'accept')) wrong.push(row.name);
  return wrong;
}

describe('a wrapper that looks at', () => {
  const deaths: Record<string, string[]> = {
    'the exit code alone': ['expired key, signed while valid', 'revoked key in the keyring', 'SHA-1 digest'],
    'VALIDSIG alone': ['good then bad', 'trailing garbage', 'expired signature', 'two clearsigned documents'],
    'exit code, GOODSIG and VALIDSIG': [
      'signature dated a year ahead',
      'text mode, line endings changed',
      'SHA-1 digest',
    ],
    'a merged error stream': gpgv24
      ? ['trailing garbage']
      : ['a missing file whose name is two status lines'],
  };

  test.each(Object.entries(MUTANTS))('%s is killed by the table', async (name, mutant) => {
    expect(await killers(mutant)).toEqual(expect.arrayContaining(deaths[name] ?? ['no such row']));
  });

  test('all that must be looked at survives it', async () => {
    expect(await killers(realWrapper)).toEqual([]);
  });
});
