/** Keys beside the release key: what opens sealed nonces, and what approves. */
import { randomBytes } from 'node:crypto';
import { Failure } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { keyFact } from '../../openpgp/key-fact.ts';
import { encryptionProblem, openNonce, sealNonce } from '../../openpgp/sealed.ts';
import type { Project } from '../../policy/project.ts';
import { NONCE_BYTES } from '../../records/mac.ts';
import { note, ok, problem, warning } from './finding.ts';
import type { Host } from './finding.ts';
import { gnupgPlaces, heldKeys, listedKeys, runningAgent } from './gnupg.ts';
import { withProject } from './project-file.ts';

/** On the signer: that what is sealed to the encryption certificate can be opened here, by doing it. */
export const checkEncryptionKey = withProject(async (host, { encryption }) => {
  // that nothing can be sealed at all is said of the certificates
  if (encryption === null || encryptionProblem(encryption, host.now) !== null) return [];
  const { fingerprint } = encryption.primary;
  if (!(await hasSecret(host, encryption, 'e')))
    return [
      warning(
        'encryption-key',
        `gpg has no secret half here that opens what is sealed to ${fingerprint}`,
        'bring it: gpg --import FILE; or is GNUPGHOME the right one?',
      ),
    ];
  if ((await agentState(host)) !== 'runs')
    return [
      note(
        'encryption-key',
        `${fingerprint} is here; whether it opens sealed nonces is not tried without an agent`,
      ),
    ];
  const nonce = randomBytes(NONCE_BYTES);
  try {
    const opened = await openNonce(await sealNonce(nonce, encryption), { pinentry: 'error', env: host.env });
    if (opened.equals(nonce))
      return [ok('encryption-key', `${fingerprint} opens sealed nonces: tried with one`)];
    return [
      problem(
        'encryption-key',
        `${fingerprint} opens a sealed nonce to something else`,
        'is it the gpg of this system?',
      ),
    ];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const text = `${fingerprint} does not open a sealed nonce without a person: ${error.message}`;
    return [warning('encryption-key', text, error.hint)];
  }
});

/** Whether an agent runs; a check starts none. */
async function agentState({ env }: Pick<Host, 'env'>): Promise<'runs' | 'stopped' | 'hung'> {
  const agent = await runningAgent(await gnupgPlaces(env));
  if (typeof agent === 'string') return agent;
  agent.close();
  return 'runs';
}

/** On the operator's host: whose secret key is here. */
export const checkApproverKey = withProject(async (host, project) => {
  const here = await approverHere(host, project);
  if (here !== null) {
    const { fingerprint, userId } = keyFact(here);
    return [ok('approver-key', `approves as ${fingerprint} (${userId})`)];
  }
  const wanted = project.approvers.map(({ primary }) => primary.fingerprint).join(' or ');
  return [
    problem(
      'approver-key',
      `gpg has no approver’s secret key here, that would be ${wanted}`,
      'gpg --list-secret-keys; is GNUPGHOME the right one, and the card inserted?',
    ),
  ];
});

/** The first approver whose secret key is here; null if nobody's is. Throws unable. */
export async function approverHere(
  host: Pick<Host, 'env'>,
  { approvers }: Project,
): Promise<Certificate | null> {
  for (const certificate of approvers) if (await hasSecret(host, certificate, 's')) return certificate;
  return null;
}

/** Whether a key of the certificate that may encrypt or sign, and that gpg finds no fault with, has its secret here. */
async function hasSecret(
  { env }: Pick<Host, 'env'>,
  certificate: Certificate,
  capability: 'e' | 's',
): Promise<boolean> {
  const places = await gnupgPlaces(env);
  const agent = await runningAgent(places);
  try {
    const listed = await listedKeys(places, certificate.primary.fingerprint, env);
    return (await heldKeys(places, agent, listed)).some(
      ({ listed: { capabilities, problem: fault } }) =>
        capabilities.includes(capability) &&
        // an encryption key's only fault is that
        (fault === null || (capability === 'e' && fault === 'may not sign')),
    );
  } finally {
    if (typeof agent !== 'string') agent.close();
  }
}
