/** The directory that `serve` serves. */
import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { orNull } from '../../host/files.ts';
import { openToAll } from '../../host/permissions.ts';
import { note, ok, problem, word } from './finding.ts';
import type { Check } from './finding.ts';

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
  const place = status === null ? await above(data) : data;
  const open = openToAll(place);
  if (open !== null)
    return [problem('data', `everybody on this host may write ${open}`, `chmod o-w ${word(open)}`)];
  const writable = await access(place, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!writable) {
    const cure = `install -d -o "$(id -un)" ${word(data)}   # as root`;
    return [problem('data', `${place} can’t be written by this user`, cure)];
  }
  return [
    ok('data', status === null ? `${data} is not there yet: serve makes it` : `${data} can be written`),
  ];
};

/** The directory in which it would be made. */
async function above(path: string): Promise<string> {
  const parent = dirname(path);
  return (await orNull(stat(parent), `look at ${parent}`)) === null ? above(parent) : parent;
}
