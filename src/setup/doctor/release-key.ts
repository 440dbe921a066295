/** The signer's GnuPG: its agent, the release key behind it, and whether both work without a person. */
import { join } from 'node:path';
import { word } from '../../host/shell.ts';
import { Failure } from '../../failure.ts';
import type { Project } from '../../policy/project.ts';
import { chooseReleaseKey } from '../../signer/release-key.ts';
import { checkAgentOptions } from './agent-options.ts';
import { certifying } from './certifying.ts';
import { note, ok, problem } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';
import { agentOptions, gnupgPlaces, heldKeys, listedKeys, runningAgent } from './gnupg.ts';
import type { AgentOptions, AgentState, GnupgPlaces, HeldKey } from './gnupg.ts';

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
  const held = await heldKeys(places, agent, listed);
  const options = await agentOptions(places);
  const halves = held.map(({ secret }) => secret);
  return [
    ...signing(host, project, held, places, options),
    ...certifying(host, project, held),
    ...checkAgentOptions(places, options, {
      card: halves.some(({ onCard }) => onCard),
      // unknown while no agent runs
      passphrase: halves.some(({ onCard, passphrase }) => !onCard && passphrase !== 'none'),
    }),
  ];
}

/** The key that `sign` would use, by its own choice, and whether it is locked. */
function signing(
  host: Host,
  project: Project,
  held: readonly HeldKey[],
  places: GnupgPlaces,
  options: AgentOptions,
): Finding[] {
  try {
    const secret = held.map(({ listed }) => listed);
    const { key, keygrip } = chooseReleaseKey(project, secret, host.now);
    const half = held.find(({ listed }) => listed.keygrip === keygrip)?.secret;
    const where = half?.onCard ? ', on a card' : '';
    return [
      ok('release-key', `${key.fingerprint} signs (${key.curve ?? key.algorithm}${where})`),
      ...lock(keygrip, half?.passphrase ?? null, places, options),
    ];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [problem('release-key', error.message, error.hint)];
  }
}

function lock(
  keygrip: string,
  passphrase: HeldKey['secret']['passphrase'],
  { libexecdir }: GnupgPlaces,
  options: AgentOptions,
): Finding[] {
  if (passphrase === 'none')
    return [
      note(
        'release-key-passphrase',
        'the release key has no passphrase: whoever reads the disk of this host, or a backup of it, has it',
        `gpg-connect-agent 'PASSWD ${keygrip}' /bye`,
      ),
    ];
  if (passphrase === 'known') {
    const text =
      'gpg-agent has a passphrase for the release key; whether it is the right one only a signature shows';
    return [ok('release-key-locked', text)];
  }
  if (passphrase !== 'needed') return [];
  const preset = `${word(join(libexecdir, 'gpg-preset-passphrase'))} --preset ${keygrip}`;
  return [
    note(
      'release-key-locked',
      'the release key is locked: sign asks for its passphrase, and fails where nobody is there',
      options.has('allow-preset-passphrase')
        ? `${preset}   # reads the passphrase from standard input`
        : `first allow-preset-passphrase, see agent-options; then ${preset}`,
    ),
  ];
}
