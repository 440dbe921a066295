/** The directory of this user's keys: nobody else's to look into. */
import { stat } from 'node:fs/promises';
import { orNull } from '../../host/files.ts';
import { openToAll } from '../../host/permissions.ts';
import { word } from '../../host/shell.ts';
import { ok, problem } from './finding.ts';
import type { Check } from './finding.ts';
import { gnupgPlaces } from './gnupg.ts';

export const checkGnupgHome: Check = async ({ env }) => {
  const { homedir } = await gnupgPlaces(env);
  const status = await orNull(stat(homedir), `look at ${homedir}`);
  if (status === null)
    return [problem('gnupg-home', `no ${homedir}: GnuPG has no keys here`, 'is GNUPGHOME the right one?')];
  if ((status.mode & 0o077) !== 0)
    return [problem('gnupg-home', `other users may look into ${homedir}`, `chmod go= ${word(homedir)}`)];
  const open = openToAll(homedir);
  if (open !== null)
    return [problem('gnupg-home', `everybody on this host may write ${open}`, `chmod o-w ${word(open)}`)];
  return [ok('gnupg-home', `${homedir} is this user’s alone`)];
};
