/** `doctor`: looks at this host, changes nothing, asks nobody for a passphrase, signs nothing. */
import { stat } from 'node:fs/promises';
import { Failure } from '../failure.ts';
import { orNull } from '../host/files.ts';
import { checkCertificates } from './doctor/certificates.ts';
import { checkData } from './doctor/data.ts';
import { checkDepot } from './doctor/depot.ts';
import { checkEnvironment } from './doctor/environment.ts';
import { ok, problem } from './doctor/finding.ts';
import type { Check, CheckCode, Finding, Host, Role } from './doctor/finding.ts';
import { checkGnupgHome } from './doctor/gnupg-home.ts';
import { checkMemory } from './doctor/memory.ts';
import { checkMisplaced } from './doctor/misplaced.ts';
import { checkNode } from './doctor/node.ts';
import { approverHere, checkApproverKey, checkEncryptionKey } from './doctor/other-keys.ts';
import { checkPrograms } from './doctor/programs.ts';
import { checkProjectFile } from './doctor/project-file.ts';
import { checkReleaseKey } from './doctor/release-key.ts';
import { checkSpace } from './doctor/space.ts';
import { checkState } from './doctor/state.ts';
import { checkTicket, givenTicket } from './doctor/ticket.ts';
import { checkTickets } from './doctor/tickets.ts';

type Named = readonly [CheckCode, Check];

const EVERYWHERE: readonly Named[] = [
  ['node', checkNode],
  ['programs', checkPrograms],
  ['environment', checkEnvironment],
  ['project-file', checkProjectFile],
  ['misplaced', checkMisplaced],
];

const CHECKS: Readonly<Record<Role, readonly Named[]>> = {
  signer: [
    ...EVERYWHERE,
    ['state', checkState],
    ['certificates', checkCertificates],
    ['gnupg-home', checkGnupgHome],
    ['release-key', checkReleaseKey],
    ['encryption-key', checkEncryptionKey],
    ['depot', checkDepot],
    ['space', checkSpace],
    ['memory', checkMemory],
  ],
  depot: [
    ...EVERYWHERE,
    ['certificates', checkCertificates],
    ['data', checkData],
    ['depot', checkDepot],
    ['space', checkSpace],
  ],
  builder: [
    ...EVERYWHERE,
    ['ticket', checkTicket],
    ['tickets', checkTickets],
    ['depot', checkDepot],
    ['space', checkSpace],
    ['memory', checkMemory],
  ],
  operator: [
    ...EVERYWHERE,
    ['certificates', checkCertificates],
    ['gnupg-home', checkGnupgHome],
    ['approver-key', checkApproverKey],
    ['tickets', checkTickets],
    ['depot', checkDepot],
    ['space', checkSpace],
  ],
};

export interface Diagnosis {
  readonly findings: readonly Finding[];
  /** Checks that could not be made; each is a finding too. */
  readonly blind: readonly CheckCode[];
}

/** Makes every check of the host's role, or of the one that it seems to have where nobody said. */
export async function diagnose(host: Omit<Host, 'role'>, told: Role | null): Promise<Diagnosis> {
  const guess = told === null ? await guessRole(host) : null;
  const role = told ?? guess?.role ?? 'builder';
  const blind: CheckCode[] = [];
  const findings = await Promise.all(
    CHECKS[role].map(async ([code, check]) => {
      try {
        return await check({ ...host, role });
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        blind.push(code);
        return [problem(code, `could not look: ${error.message}`, error.hint)];
      }
    }),
  );
  const why = guess === null ? `looked at as ${role}` : `assumed to be the ${role}: ${guess.because}`;
  const hint = guess === null ? '' : 'countersign doctor --role signer|depot|builder|operator';
  return { findings: [ok('role', why, hint), ...findings.flat()], blind };
}

/** What this host seems to be, by what lies on it. */
async function guessRole(
  host: Omit<Host, 'role'>,
): Promise<{ readonly role: Role; readonly because: string }> {
  const { state, file, project, data } = host;
  if ((await orNull(stat(state), `look at ${state}`)) !== null)
    return { role: 'signer', because: `${state} is here` };
  if ((await givenTicket(host)) !== null) return { role: 'builder', because: 'it was given a ticket' };
  if (data !== null) return { role: 'depot', because: 'it has --data' };
  if (project instanceof Failure && project.code === 'config-missing')
    return { role: 'builder', because: `there is no ${file}` };
  if (!(project instanceof Failure) && (await approverHere(host, project)) !== null)
    return { role: 'operator', because: 'an approver’s secret key is here' };
  return { role: 'depot', because: 'there is a project file, and no secret of a signer or an approver' };
}
