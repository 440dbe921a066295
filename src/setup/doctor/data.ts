/** The directory that `serve` serves. */
import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { orNull } from '../../host/files.ts';
import { note, ok, problem, word } from './finding.ts';
import type { Check } from './finding.ts';
import { openToAll } from './permissions.ts';

export const checkData: Check = async ({ data }) => {
  if (data === null)
    return [
      note(
        'data',
        'nobody said where the depot lies: not looked at',
        'countersign doctor --role depot --data DIR',
      ),
    ];
  const status = await orNull(stat(data), `look at ${data}`);
  if (status !== null && !status.isDirectory())
    return [problem('data', `${data} is no directory`, 'name another: --data DIR')];
  const findings = (await openToAll(data)).map((place) =>
    problem('data', `everybody on this host may write ${place}`, `chmod o-w ${word(place)}`),
  );
  const place = status === null ? dirname(data) : data;
  const writable = await access(place, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!writable)
    findings.push(
      problem(
        'data',
        `${place} can’t be written by this user`,
        `install -d -o "$(id -un)" ${word(data)}   # as root`,
      ),
    );
  if (findings.length > 0) return findings;
  return [
    ok('data', status === null ? `${data} is not there yet: serve makes it` : `${data} can be written`),
  ];
};
