/** The directory that `serve` serves. */
import { access, constants, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from '../../failure.ts';
import { orNull } from '../../host/files.ts';
import { openToAll } from '../../host/permissions.ts';
import { word } from '../../host/shell.ts';
import { requireOwn } from '../../tree/own.ts';
import { note, ok, problem } from './finding.ts';
import type { Check } from './finding.ts';

export const checkData: Check = async (host) => {
  const { depot } = host;
  // a project may name the depot's own directory, of which `depot` says whether it is there
  const named = depot !== null && 'directory' in depot ? depot.directory : null;
  const data = host.data ?? named;
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
    const cure = `install -d -o ${process.geteuid?.()} ${word(data)}   # as root`;
    return [problem('data', `${place} can’t be written by this user`, cure)];
  }
  try {
    if (status !== null) await requireOwn(await realpath(data));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [problem('data', error.message, error.hint)];
  }
  if (status !== null) return [ok('data', `${data} can be written`)];
  if (host.data === null) return [];
  return [
    note('data', `${data} is not there yet: serve makes it`, 'is its name right, and what it is on mounted?'),
  ];
};

/** The directory in which it would be made. */
async function above(path: string): Promise<string> {
  const parent = dirname(path);
  return (await orNull(stat(parent), `look at ${parent}`)) === null ? above(parent) : parent;
}
