/** The programs that a role calls: there, and new enough. */
import { Failure } from '../../failure.ts';
import { run } from '../../host/process.ts';
import { ok, problem, PROBE_MS } from './finding.ts';
import type { Check, Finding, Role } from './finding.ts';

interface Program {
  readonly name: string;
  /** The Debian package. */
  readonly from: string;
  readonly roles: readonly Role[];
  /** Major and minor version. */
  readonly oldest?: readonly [number, number];
}

const PROGRAMS: readonly Program[] = [
  { name: 'gpg', from: 'gnupg', roles: ['signer', 'operator'], oldest: [2, 2] },
  { name: 'gpg-agent', from: 'gpg-agent', roles: ['signer', 'operator'], oldest: [2, 2] },
  { name: 'gpgconf', from: 'gpgconf', roles: ['signer', 'operator'] },
  { name: 'gpgv', from: 'gpgv', roles: ['signer', 'depot', 'operator'], oldest: [2, 2] },
  { name: 'flock', from: 'util-linux', roles: ['signer'] },
];

export const checkPrograms: Check = async ({ role }) => {
  const needed = PROGRAMS.filter(({ roles }) => roles.includes(role));
  const looked = await Promise.all(needed.map(look));
  const findings = looked.filter((each) => typeof each !== 'string');
  if (findings.length > 0) return findings;
  const here = looked.filter((each) => typeof each === 'string');
  return [ok('programs', here.length === 0 ? 'needs none but Node' : here.join(', '))];
};

/** The program with its version, or what is wrong with it. */
async function look({ name, from, oldest }: Program): Promise<string | Finding> {
  const answer = await run(name, ['--version'], { timeoutMs: PROBE_MS, maxOutput: 64 * 1024 }).catch(
    (error: unknown) => {
      if (error instanceof Failure) return error;
      throw error;
    },
  );
  if (answer instanceof Failure) return problem('programs', `${name} is not here`, `apt install ${from}`);
  const version = /\b(\d+)\.(\d+)(?:\.\d+)?/.exec(answer.stdout.toString());
  const [words = '', major, minor] = version ?? [];
  if (!oldest) return name;
  if (version === null || answer.killed !== null)
    return problem('programs', `${name} does not say its version`, `apt install --reinstall ${from}`);
  const old = Number(major) < oldest[0] || (Number(major) === oldest[0] && Number(minor) < oldest[1]);
  if (!old) return `${name} ${words}`;
  return problem('programs', `${name} ${words} is older than ${oldest.join('.')}`, `apt install ${from}`);
}
