/** The signer's GnuPG: its agent, the release key behind it, and whether both work without a person. */
import { join } from 'node:path';
import { Failure } from '../../failure.ts';
import type { ListedKey } from '../../openpgp/colons.ts';
import type { Project } from '../../policy/project.ts';
import { chooseReleaseKey } from '../../signer/release-key.ts';
import { checkAgentOptions } from './agent-options.ts';
import { note, ok, problem, warning, word } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';
import { gnupgPlaces, listedKeys, runningAgent, secretHalf } from './gnupg.ts';
import type { AgentState, GnupgPlaces, SecretHalf } from './gnupg.ts';

export const checkReleaseKey: Check = async (host) => {
  const { project } = host;
  const places = await gnupgPlaces(host.env);
  const agent = await runningAgent(places);
  try {
    const findings = [agentFinding(agent, places)];
    if (!(project instanceof Failure)) findings.push(...(await keyFindings(host, project, places, agent)));
    return findings;
  } finally {
    if (typeof agent !== 'string') agent.close();
  }
};

function agentFinding(agent: AgentState, { agentSocket }: GnupgPlaces): Finding {
  if (agent === 'hung')
    return problem(
      'agent',
      `gpg-agent at ${agentSocket} does not answer`,
      'gpgconf --kill gpg-agent   # if that hangs too, kill its process: pgrep -a gpg-agent',
    );
  if (agent === 'stopped')
    return note('agent', 'gpg-agent does not run: what needs it will start it', 'gpgconf --launch gpg-agent');
  return ok('agent', `gpg-agent answers at ${agentSocket}`);
}

interface Held {
  readonly listed: ListedKey;
  readonly secret: SecretHalf;
}

async function keyFindings(
  host: Host,
  project: Project,
  places: GnupgPlaces,
  agent: AgentState,
): Promise<Finding[]> {
  const { fingerprint } = project.release.certificate.primary;
  const listed = await listedKeys(places, fingerprint, host.env);
  if (listed.length === 0)
    return [
      problem(
        'release-key',
        `gpg has no release key ${fingerprint} in ${places.homedir}`,
        'bring its subkey: gpg --import FILE; or is GNUPGHOME the right one?',
      ),
    ];
  const held: Held[] = [];
  for (const key of listed) {
    const secret = await secretHalf(places, agent, key.keygrip);
    if (secret) held.push({ listed: key, secret });
  }
  return [...signing(host, project, held, places), ...certifying(held), ...(await options(held, places))];
}

/** The key that `sign` would use, by its own choice, and whether it is locked. */
function signing(host: Host, project: Project, held: readonly Held[], places: GnupgPlaces): Finding[] {
  try {
    const secret = held.map(({ listed }) => listed);
    const { key, keygrip } = chooseReleaseKey(project, secret, host.now);
    const half = held.find(({ listed }) => listed.keygrip === keygrip)?.secret;
    const where = half?.onCard ? ', on a card' : '';
    return [
      ok('release-key', `${key.fingerprint} signs (${key.curve ?? key.algorithm}${where})`),
      ...lock(keygrip, half, places),
    ];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [problem('release-key', error.message, error.hint)];
  }
}

function lock(keygrip: string, half: SecretHalf | undefined, { libexecdir }: GnupgPlaces): Finding[] {
  if (half?.passphrase === 'none')
    return [
      note(
        'release-key-passphrase',
        'the release key has no passphrase: whoever reads the disk of this host, or a backup of it, has it',
        `gpg-connect-agent 'PASSWD ${keygrip}' /bye`,
      ),
    ];
  if (half?.passphrase === 'known') return [ok('release-key-locked', 'the release key is unlocked')];
  if (half?.passphrase !== 'needed') return [];
  const preset = join(libexecdir, 'gpg-preset-passphrase');
  return [
    note(
      'release-key-locked',
      'the release key is locked: sign asks for its passphrase, and fails where nobody is there',
      `${word(preset)} --preset ${keygrip}   # reads the passphrase from standard input`,
    ),
  ];
}

function certifying(held: readonly Held[]): Finding[] {
  const primary = held.find(({ listed }) => listed.capabilities.includes('c'))?.listed.fingerprint;
  if (primary === undefined) return [];
  return [
    warning(
      'release-key-certifies',
      `release key ${primary} can certify, and its secret is on this host: whoever takes the host can make ` +
        'new keys that everybody believes. Keep the primary key offline, and only a subkey that signs here',
      `umask 077 && gpg --export-secret-keys ${primary} > primary.pgp && gpg --export-secret-subkeys ${primary} > subkeys.pgp && ` +
        `gpg --delete-secret-keys ${primary} && gpg --import subkeys.pgp   # then take primary.pgp offline`,
    ),
  ];
}

async function options(held: readonly Held[], places: GnupgPlaces): Promise<Finding[]> {
  const halves = held.map(({ secret }) => secret);
  return checkAgentOptions(places, {
    card: halves.some(({ onCard }) => onCard),
    passphrase: halves.some(({ passphrase }) => passphrase === 'needed' || passphrase === 'known'),
  });
}
