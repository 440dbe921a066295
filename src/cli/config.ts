/** Finds and loads the project file, and opens the depot that it or the command line names. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { unable, usage } from '../failure.ts';
import type { GateRules } from '../policy/gate/rules.ts';
import type { ReadAuthority } from '../policy/gate/token.ts';
import { parseProject } from '../policy/project.ts';
import type { Project } from '../policy/project.ts';
import { now } from '../host/clock.ts';
import { makeDirectory } from '../host/files.ts';
import { foreign, openToAll } from '../host/permissions.ts';
import { word } from '../host/shell.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { GatedDepot } from '../tree/gated.ts';
import { HttpDepot } from '../tree/http.ts';
import type { Broken } from '../host/http.ts';
import { pausesWithin } from '../host/patience.ts';
import { parseLocation } from '../tree/location.ts';
import type { Location } from '../tree/location.ts';
import type { Depot } from '../tree/tree.ts';
import type { Globals } from './command.ts';
import type { Terminal } from './terminal.ts';

/** A project file and each of its keys are small; anything else is a mistake in the path. */
const MAX_FILE = 1024 * 1024;

export interface Loaded {
  readonly project: Project;
  /** Where the project file lies: keys/ is beside it, on the signer signer/ too. */
  readonly directory: string;
}

/**
 * Loads the project file that `-c`, `$COUNTERSIGN_CONFIG` or the working directory names; `read` reads it and its keys.
 * Throws usage, unable.
 */
export function loadProject(globals: Globals, read: typeof readSmallFile = readSmallFile): Loaded {
  const named = namedFile(globals);
  const file = projectFile(globals);
  const directory = dirname(file);
  const toml = read(file, named === undefined ? 'give it with -c FILE, or go where it is' : 'check the path');
  return {
    project: parseProject(toml.toString('utf8'), (path) => read(join(directory, path))),
    directory,
  };
}

/** The project file as somebody named it: `-c`, or `$COUNTERSIGN_CONFIG`. */
export const namedFile = (globals: Globals): string | undefined =>
  globals.config ?? (process.env['COUNTERSIGN_CONFIG'] || undefined);

/** Where the project file is, or would be. */
export const projectFile = (globals: Globals): string => resolve(namedFile(globals) ?? 'countersign.toml');

/**
 * As `readSmallFile`, where the release key is: throws usage(`config-permissions`) for a file that everybody on this
 * host, or another user, may write or replace, and so name approvers of their own in it.
 */
export function readGuardedFile(file: string, hint?: string): Buffer {
  const bytes = readSmallFile(file, hint);
  const open = openToAll(file);
  if (open !== null)
    throw usage('config-permissions', `everybody on this host may write ${open}`, `chmod o-w ${word(open)}`);
  const others = foreign(file);
  if (others !== null)
    throw usage(
      'config-permissions',
      `${others} belongs to another user, who so decides what the release key signs`,
      `chown ${process.geteuid?.()} ${word(others)}`,
    );
  return bytes;
}

/** A small file that the configuration or the command line names. Throws usage if it is not there, unable. */
export function readSmallFile(file: string, hint = 'check the path'): Buffer {
  try {
    const status = statSync(file);
    if (!status.isFile()) throw usage('config-missing', `${file} is not a regular file`, hint);
    if (status.size > MAX_FILE)
      throw usage('config-malformed', `${file} is larger than ${MAX_FILE} bytes`, hint);
    return readFileSync(file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error;
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR')
      throw usage('config-missing', `no file ${file}`, hint, error);
    throw unable('disk', `cannot read ${file}: ${error.message}`, '', error);
  }
}

/** Where the depot is: `--depot`, else what the project says. Throws usage. */
export function depotLocation(project: Project, globals: Globals): Location {
  const depot = globals.depot ?? project.depot;
  if (depot === null)
    throw usage('no-depot', 'the project file names no depot', 'give it with --depot URL|DIR');
  return parseLocation(depot);
}

export interface DepotRules {
  /** What a depot in a directory is written by. */
  readonly rules: GateRules;
  /** Tokens may travel over plain HTTP to other hosts. */
  readonly insecureHttp: boolean;
}

/** What a project file says to that. */
export const rulesOf = (project: Project): DepotRules => ({
  rules: project,
  insecureHttp: project.insecureHttp,
});

/**
 * Makes the directory of a depot that is about to be, and says so; its parent must be there, or it is a stick that is not.
 * Throws unable: `no-depot`, `disk`.
 */
export async function makeDepot(location: Location, terminal: Terminal): Promise<void> {
  if (location.kind === 'url' || existsSync(location.directory)) return;
  await DirectoryTree.open(dirname(location.directory));
  await makeDirectory(location.directory, 0o755);
  terminal.say(`made ${location.directory}: it was not there`);
}

/** An approver's signed request for artifacts in quarantine. */
interface Reader {
  readonly readRequest: ReadAuthority;
}

interface Waiting {
  /** For how long a depot that does not answer is asked again. */
  readonly patienceMs?: number;
  /** Who is told that it is. */
  readonly broken?: Broken;
}

/**
 * Opens a depot, with a token or a read request where there is one; a directory must be there, and whoever may read it
 * needs no request. Throws usage, unable.
 */
export async function openDepot(
  { rules, insecureHttp }: DepotRules,
  location: Location,
  credential: Buffer | Reader | null = null,
  { patienceMs, broken }: Waiting = {},
): Promise<Depot> {
  const isReader = credential !== null && 'readRequest' in credential;
  const token = isReader ? credential.readRequest : credential;
  if (location.kind === 'url') {
    const timing =
      patienceMs === undefined ? {} : { backOffMs: pausesWithin(patienceMs), waitsForRoom: true };
    return new HttpDepot({ url: location.url, token, insecureHttp, timing, broken });
  }
  const tree = await DirectoryTree.open(location.directory);
  const depot = GatedDepot.over({ tree, rules, now });
  if (isReader) return depot.asCarrier();
  // who has a token is going to write, and should not sign first
  if (token !== null) await tree.requireOwn();
  return depot.as(token);
}
