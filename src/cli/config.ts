/** Finds and loads the project file, and opens the depot that it or the command line names. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { unable, usage } from '../failure.ts';
import { parseProject } from '../policy/project.ts';
import type { Project } from '../policy/project.ts';
import { HttpDepot } from '../tree/http.ts';
import type { Depot } from '../tree/tree.ts';
import type { Globals } from './command.ts';

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
  const named = globals.config ?? (process.env['COUNTERSIGN_CONFIG'] || undefined);
  const file = resolve(named ?? 'countersign.toml');
  const directory = dirname(file);
  const toml = read(file, named === undefined ? 'give it with -c FILE, or go where it is' : 'check the path');
  return {
    project: parseProject(toml.toString('utf8'), (path) => read(join(directory, path))),
    directory,
  };
}

/**
 * As `readSmallFile`, where the release key is: throws usage(`config-permissions`) for a file that everybody on this
 * host may write or replace, and so name approvers of their own in it.
 */
export function readGuardedFile(file: string, hint?: string): Buffer {
  const bytes = readSmallFile(file, hint);
  for (const path of [file, dirname(file)]) {
    const status = statSync(path);
    // in a directory like /tmp nobody replaces the file of another
    if ((status.mode & 0o002) === 0 || (status.isDirectory() && (status.mode & 0o1000) !== 0)) continue;
    throw usage('config-permissions', `everybody on this host may write ${path}`, `chmod o-w ${path}`);
  }
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

/** The depot's URL: `--depot`, else the project's. Throws usage. */
export function depotUrl(project: Project, globals: Globals): string {
  const url = globals.depot ?? project.depot;
  if (url === null) throw usage('no-depot', 'the project file names no depot', 'give it with --depot URL');
  return url;
}

/** Opens the depot that `--depot` or the project names, with a token where there is one. Throws usage. */
export function openDepot(project: Project, globals: Globals, token: Buffer | null = null): Depot {
  return new HttpDepot({ url: depotUrl(project, globals), token, insecureHttp: project.insecureHttp });
}
