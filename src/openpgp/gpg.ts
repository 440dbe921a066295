/**
 * What we ask gpg itself: which keys are here, a certificate, and an approver's signature, with pinentry as usual.
 */
import { unable, usage } from '../failure.ts';
import { run, withoutOurs } from '../host/process.ts';
import type { Environment, RunResult } from '../host/process.ts';
import type { Fingerprint } from '../records/names.ts';
import { parseColons } from './colons.ts';
import type { ListedKey } from './colons.ts';
import { agentLate, gpgFailure } from './gpg-error.ts';

const ANSWER_MS = 60_000;
/** A person may be looking for the card, or for the passphrase. */
const SIGNATURE_MS = 10 * 60_000;
/** Listings of large keyrings are long. */
const OUTPUT_MAX = 64 * 1024 * 1024;

/**
 * The one certificate that gpg knows by `name` (a fingerprint, or a part of a user id), binary, reduced to
 * self-signatures. Throws `usage` (`key-not-found`, `key-ambiguous`).
 */
export async function exportCertificate(name: string, env: Environment = process.env): Promise<Buffer> {
  const found = await gpg(['--with-colons', '--with-keygrip', '--list-keys', '--', name], env);
  const primaries = new Set(parseColons(found.stdout.toString()).map(({ primary }) => primary));
  const [primary, another] = primaries;
  if (!primary) throw usage('key-not-found', `gpg has no key ${name}`, 'see gpg --list-keys, or name a file');
  if (another)
    throw usage(
      'key-ambiguous',
      `gpg has several keys ${name}`,
      `name the fingerprint, ${[...primaries].join(' or ')}`,
    );
  const options = ['--no-armor', '--export-options', 'export-minimal,no-export-attributes'];
  return successful(await gpg([...options, '--export', '--', primary], env), 'export').stdout;
}

/** All keys of the certificate `primary` whose secret half gpg could reach, with what speaks against signing. */
export async function secretKeys(primary: Fingerprint, env: Environment = process.env): Promise<ListedKey[]> {
  return (await allSecretKeys(env)).filter((key) => key.primary === primary);
}

/** Which of the certificates `primaries` this user could sign with. */
export async function secretKeysHere(
  primaries: readonly Fingerprint[],
  env: Environment = process.env,
): Promise<Fingerprint[]> {
  const here = new Set(
    (await allSecretKeys(env)).filter(({ problem }) => !problem).map(({ primary }) => primary),
  );
  return primaries.filter((primary) => here.has(primary));
}

/**
 * A binary detached signature over `data` by the key that gpg picks of `localUser`, SHA-512, whatever gpg.conf
 * says; a passphrase is asked for on the terminal. Throws `unable` (`agent-no-key`, `agent-cancelled`, …).
 */
export async function detachSign(
  { localUser, data }: { localUser: Fingerprint; data: Buffer },
  env: Environment = process.env,
): Promise<Buffer> {
  const how = [
    '--no-armor',
    '--no-textmode',
    '--no-ask-sig-expire',
    '--default-sig-expire',
    '0',
    '--digest-algo',
    'SHA512',
  ];
  const what = ['--enable-special-filenames', '--output', '-', '--detach-sign', '--', '-&4'];
  const result = await run(
    'gpg',
    ['--batch', '--status-fd', '3', ...how, '--local-user', localUser, ...what],
    {
      input: 0, // ours: gpg looks there for the terminal that pinentry shall use
      fds: [data],
      env: withoutOurs(env),
      timeoutMs: SIGNATURE_MS,
      maxOutput: OUTPUT_MAX,
    },
  );
  if (result.killed === 'deadline') throw agentLate();
  const status = result.status.toString();
  if (result.code === 0 && /^\[GNUPG:\] SIG_CREATED D /m.test(status) && result.stdout.length > 0)
    return result.stdout;
  const error = /^\[GNUPG:\] (?:FAILURE sign|INV_SGNR) (\d+)/m.exec(status)?.[1];
  throw gpgFailure(Number(error ?? 0), lastLine(result));
}

/** As `secretKeys`, of every certificate that gpg knows. */
export async function allSecretKeys(env: Environment = process.env): Promise<ListedKey[]> {
  const result = await gpg(['--with-colons', '--with-keygrip', '--list-secret-keys'], env);
  return parseColons(successful(result, 'list its secret keys').stdout.toString());
}

async function gpg(args: readonly string[], env: Environment): Promise<RunResult> {
  const result = await run('gpg', ['--batch', '--no-tty', '--no-auto-check-trustdb', ...args], {
    // what it says is read, and stands in messages of ours
    env: { ...withoutOurs(env), LC_ALL: 'C.UTF-8' },
    timeoutMs: ANSWER_MS,
    maxOutput: OUTPUT_MAX,
  });
  if (result.killed === 'deadline') throw agentLate();
  return result;
}

function successful(result: RunResult, what: string): RunResult {
  if (result.code === 0) return result;
  if (/can't connect to the (gpg-)?agent/.test(result.stderr.toString()))
    throw unable(
      'agent-unreachable',
      `gpg-agent does not start: ${lastLine(result)}`,
      'see gpgconf --check-programs',
    );
  throw unable(
    'gpg-failed',
    `gpg could not ${what}: ${lastLine(result)}`,
    'see whether gpg --list-keys works',
  );
}

/** What gpg said last, for a person. */
export const lastLine = (result: RunResult): string =>
  result.stderr.toString().trim().split('\n').at(-1) || (result.killed ?? `exit status ${result.code}`);
