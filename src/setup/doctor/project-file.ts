/** The project file and its keys: there, understood, and nobody else's to write. */
import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from '../../failure.ts';
import { dearmorKey } from '../../openpgp/armor.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { foreign, openToAll } from '../../host/permissions.ts';
import { word } from '../../host/shell.ts';
import { note, ok, problem } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';

export const checkProjectFile: Check = async (host) => {
  const { project } = host;
  if (project instanceof Failure) return [unread(host, project)];
  const { name, threshold, approvers } = project;
  const text = `project ${name} (${host.file}), ${threshold} of ${approvers.length} to approve`;
  return [ok('project-file', text), ...permissions(host)];
};

function unread({ role, file, named }: Host, failure: Failure): Finding {
  // a key file that it names may be missing too
  if (failure.code !== 'config-missing' || !failure.message.includes(file))
    return problem('project-file', failure.message, failure.hint);
  if (role === 'builder' && !named)
    return note(
      'project-file',
      `no ${file}: a builder needs none`,
      'on the signer: countersign init; elsewhere copy countersign.toml and keys/ from there, or name it: -c FILE',
    );
  const directory = word(dirname(file));
  return problem(
    'project-file',
    failure.message,
    role === 'signer'
      ? `countersign init --dir ${directory}   # or name it: -c FILE`
      : `copy countersign.toml and keys/ from the signer to ${directory}, or name it: -c FILE`,
  );
}

/** Whoever may write these files says who may approve. */
function permissions({ role, file, keyFiles }: Host): Finding[] {
  const open = [file, ...keyFiles.keys()].map(openToAll).filter((place) => place !== null);
  const findings = [...new Set(open)].map((place) =>
    problem('permissions', `everybody on this host may write ${place}`, `chmod o-w ${word(place)}`),
  );
  const others = [file, ...keyFiles.keys()].map(foreign).filter((place) => place !== null);
  if (role === 'signer')
    for (const place of new Set(others))
      findings.push(
        problem(
          'permissions',
          `${place} belongs to user ${lstatSync(place).uid}, who so decides what the release key signs`,
          `chown ${process.geteuid?.()} ${word(place)}`,
        ),
      );
  if (findings.length > 0) return findings;
  return [ok('permissions', 'nobody but its owner and group may write the project file and its keys')];
}

/** The file that a certificate of the project lies in, as a word of a shell command. */
export function keyFile({ keyFiles }: Host, certificate: Certificate): string {
  const found = [...keyFiles].find(([, bytes]) => dearmorKey(bytes).equals(certificate.bytes));
  return word(found?.[0] ?? 'keys/');
}

/** The same of the encryption certificate, which the project file names last: the release key's may be the same, in another file. */
export function encryptionFile({ keyFiles }: Host, certificate: Certificate): string {
  const found = [...keyFiles].findLast(([, bytes]) => dearmorKey(bytes).equals(certificate.bytes));
  return word(found?.[0] ?? 'keys/');
}

/** A check that is about the project, where there is one; what is wrong with its file is said elsewhere. */
export const withProject =
  (check: (host: Host, project: Exclude<Host['project'], Failure>) => Promise<readonly Finding[]>): Check =>
  async (host) =>
    host.project instanceof Failure ? [] : check(host, host.project);
