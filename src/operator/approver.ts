/** The person who asks: which approver of the project file it is, and their signature. */
import { unable, usage } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { now } from '../host/clock.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { detachSign, secretKeysHere } from '../openpgp/gpg.ts';
import { verifyDetached } from '../openpgp/verify.ts';
import type { Project } from '../policy/project.ts';
import type { Fingerprint } from '../records/names.ts';

/** The approver asked for, or the one whose secret key is here. Throws usage. */
export async function chooseApprover(project: Project, wanted: string | null): Promise<Certificate> {
  const all = project.approvers.map(({ primary }) => primary.fingerprint);
  const chosen = wanted?.replace(/^0x|\s/g, '').toUpperCase();
  if (chosen !== undefined && !all.some((approver) => approver === chosen))
    throw notAnApprover(project, wanted ?? '');
  const here = await secretKeysHere(
    chosen === undefined ? all : all.filter((approver) => approver === chosen),
  );
  const [only, another] = here;
  if (another !== undefined)
    throw usage(
      'approver-ambiguous',
      'the keys of several approvers are here',
      `choose one: --approver ${here.join(' or ')}`,
    );
  const certificate = project.approvers.find(({ primary }) => primary.fingerprint === only);
  if (certificate !== undefined) return certificate;
  throw usage(
    'approver-missing',
    chosen === undefined ? 'no approver can sign here' : `approver ${chosen} can't sign here`,
    `gpg --list-secret-keys must show one of ${all.join(', ')}`,
  );
}

const notAnApprover = (project: Project, key: string): Failure =>
  usage(
    'approver-unknown',
    `${key} is no approver of ${project.name}`,
    `the project file names ${project.approvers.map(({ primary }) => primary.fingerprint).join(', ')}`,
  );

/**
 * The approver's detached signature over `bytes`, made by gpg and checked here: the depot and H will do the same,
 * and say less about it. Throws unable (agent, gpg, `signature-unusable`).
 */
export async function signAsApprover(
  project: Project,
  approver: Fingerprint,
  bytes: Buffer,
): Promise<Buffer> {
  const certificate = project.approvers.find(({ primary }) => primary.fingerprint === approver);
  if (certificate === undefined) throw notAnApprover(project, approver);
  const signature = await detachSign({ localUser: approver, data: bytes });
  // a person may have taken an hour over the passphrase: the time is now, not that of the question
  const verdict = verifyDetached(signature, bytes, certificate, now());
  if (!verdict.ok)
    throw unable(
      'signature-unusable',
      `gpg signed, but not as the project file asks: ${verdict.reason}`,
      'is the approver certificate in keys/ up to date with the one in gpg?',
    );
  return signature;
}
