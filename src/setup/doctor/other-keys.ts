/** Keys beside the release key: what opens sealed nonces, and what approves. */
import type { Certificate } from '../../openpgp/certificate.ts';
import { keyFact } from '../../openpgp/key-fact.ts';
import type { Project } from '../../policy/project.ts';
import { ok, problem, warning } from './finding.ts';
import type { Host } from './finding.ts';
import { gnupgPlaces, heldKeys, listedKeys, runningAgent } from './gnupg.ts';
import { withProject } from './project-file.ts';

/** On the signer: the secret half of the encryption certificate, where the project has one. */
export const checkEncryptionKey = withProject(async (host, { encryption }) => {
  if (encryption === null) return [];
  const { fingerprint } = encryption.primary;
  if (await hasSecret(host, encryption, 'e'))
    return [ok('encryption-key', `${fingerprint} opens sealed nonces`)];
  return [
    warning(
      'encryption-key',
      `gpg has no secret half here that opens what is sealed to ${fingerprint}`,
      'bring it: gpg --import FILE; or is GNUPGHOME the right one?',
    ),
  ];
});

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
