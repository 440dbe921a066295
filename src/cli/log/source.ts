/** Which log is meant, and whose checkpoints are believed. */
import { existsSync } from 'node:fs';
import type { List } from '../../audit/leftovers.ts';
import { Failure, usage } from '../../failure.ts';
import type { Project } from '../../policy/project.ts';
import { parseVerifierKey } from '../../tlog/note.ts';
import type { VerifierKey } from '../../tlog/note.ts';
import { unwitnessed } from '../../tlog/proof.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { DirectoryTree } from '../../tree/directory.ts';
import { parseLocation } from '../../tree/location.ts';
import type { Location } from '../../tree/location.ts';
import { openLog } from '../../tree/log/reader.ts';
import type { LogFiles } from '../../tree/log/reader.ts';
import { sayAway } from '../away.ts';
import type { Globals } from '../command.ts';
import { wrongUse } from '../command.ts';
import { depotLocation, loadProject, readSmallFile } from '../config.ts';
import type { Terminal } from '../terminal.ts';

export const LOG_FLAG = {
  log: { value: 'URL|DIR', help: 'a depot, or the log itself (C2SP tlog-tiles); else the depot' },
} as const;

export const KEY_FLAG = {
  'log-key': {
    value: 'VKEY|FILE',
    help: 'the verifier key of a log of somebody else, whose entries are then only bytes; no project file is read',
  },
} as const;

interface Flags {
  readonly log?: string | undefined;
  readonly 'log-key'?: string | undefined;
}

interface Asked {
  readonly globals: Globals;
  readonly terminal: Terminal;
}

export interface Source {
  readonly files: LogFiles;
  readonly trust: LogTrust;
  /** Null for a log of somebody else. */
  readonly project: Project | null;
  readonly location: Location;
}

/** Opens the log that the command line names. Throws usage, unable. */
export async function openSource(name: string, flags: Flags, { globals, terminal }: Asked): Promise<Source> {
  const key = flags['log-key'];
  if (key === undefined) return openProjectLog(flags, { globals, terminal });
  const place = flags.log ?? globals.depot;
  if (place === undefined) throw wrongUse(name, '--log-key needs --log, which says where that log is');
  const verifier = readKey(key);
  const location = parseLocation(place);
  const trust = unwitnessed({ origin: verifier.name, key: verifier });
  return { files: await openLog(location, sayAway(terminal)), trust, project: null, location };
}

/** A file's, or what was typed. Throws usage. */
function readKey(given: string): VerifierKey {
  const isFile = existsSync(given);
  try {
    return parseVerifierKey((isFile ? readSmallFile(given).toString() : given).trim());
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    const what = isFile ? error.message : `no such file, and ${error.message}`;
    throw usage('log-key', `--log-key ${given}: ${what}`, 'like example.com/log+01234567+AQ…', error);
  }
}

/** As `openSource`, of the project's log. */
export async function openProjectLog(
  flags: Flags,
  { globals, terminal }: Asked,
): Promise<Source & { readonly project: Project }> {
  const { project } = loadProject(globals);
  const location = flags.log === undefined ? depotLocation(project, globals) : parseLocation(flags.log);
  return { files: await openLog(location, sayAway(terminal)), trust: project.log, project, location };
}

/** Lists the names in a directory of the log; null where it is not in a directory. Throws unable. */
export async function listOf(location: Location): Promise<List | null> {
  if (location.kind === 'url') return null;
  const tree = await DirectoryTree.open(location.directory);
  if ((await tree.size('log/checkpoint')) !== null)
    return (directory) => tree.list(directory === '.' ? 'log' : `log/${directory}`);
  // what lies beside a log that has the directory to itself may be anything
  return async (directory) => (directory === '.' ? [] : tree.list(directory));
}
