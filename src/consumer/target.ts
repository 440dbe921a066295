/** What is to be verified, and where its release lies: named, above the file, or in the depot. */
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { unable, usage } from '../failure.ts';
import { orNull } from '../host/files.ts';
import type { Broken } from '../host/http.ts';
import type { Project } from '../policy/project.ts';
import { isProjectName, isVersion } from '../records/names.ts';
import { releaseDir, releaseProofFile } from '../records/paths.ts';
import { PROOF_MAX } from '../tlog/proof.ts';
import { DirectoryCopy, UrlCopy, holdsRelease, isUrl, record } from './copy.ts';

export interface Where {
  /** Files, or directories that each hold a whole release. */
  readonly paths: readonly string[];
  /** `--release`: URL or directory; null: beside the file, else in the project's depot. */
  readonly release: string | null;
  /** `--depot`: URL or directory that holds `releases/`; null: the project's. */
  readonly depot: string | null;
  /** `--project`, `--version`: what the release must be. */
  readonly project: string | null;
  readonly version: string | null;
  /** `--offline`: read nothing over the network. */
  readonly offline: boolean;
  /** Told when a server is asked again. */
  readonly broken?: Broken;
}

/** Artifact names have at most eight parts: so far above a file its release may lie. */
const MAX_DEPTH = 8;

/** A path to verify, and the copy of the release to look it up in. */
export interface Target {
  readonly path: string;
  readonly size: number;
  /** A directory, itself the copy. */
  readonly whole: boolean;
  readonly copy: DirectoryCopy | UrlCopy;
  /** Where in a depot the release must be; null: something of it was seen, or it was named by `--release`. */
  readonly place: Place | null;
}

interface Place {
  /** Project and version. */
  readonly name: string;
  readonly depot: string;
}

/**
 * Where to look each path up. Throws usage (`no-such-file`, `release-unknown`, `offline`), unable('disk').
 */
export async function findTargets(options: Where, project: Project): Promise<Target[]> {
  const named = options.release === null ? null : openCopy(options.release, '--release', options);
  const targets: Target[] = [];
  const looked = new Map<string, DirectoryCopy | null>();
  for (const path of options.paths) {
    const status = await orNull(stat(path), `look at ${path}`);
    if (status === null)
      throw usage(
        'no-such-file',
        `${path} is not there`,
        'name a file, or the directory of a whole release; --version V says of which release a file is',
      );
    const { size } = status;
    if (status.isDirectory()) {
      targets.push({ path, size, whole: true, copy: new DirectoryCopy(resolve(path)), place: null });
      continue;
    }
    const copy = named ?? (await copyAbove(dirname(resolve(path)), looked)) ?? targets[0]?.copy;
    const found = copy === undefined ? copyInDepot(options, project) : { copy, place: null };
    targets.push({ path, size, whole: false, ...found });
  }
  return targets;
}

function openCopy(where: string, what: string, { offline, broken }: Where): DirectoryCopy | UrlCopy {
  if (!isUrl(where)) return new DirectoryCopy(resolve(where));
  if (offline)
    throw usage(
      'offline',
      `${what} is a URL, and --offline reads nothing over the network`,
      'copy the release to this host, then --release DIR',
    );
  return new UrlCopy(where, broken);
}

/** The nearest directory, this or above it, that holds records of a release; `looked`: what was found for others. */
async function copyAbove(
  directory: string,
  looked: Map<string, DirectoryCopy | null>,
): Promise<DirectoryCopy | null> {
  const known = looked.get(directory);
  if (known !== undefined) return known;
  let found: DirectoryCopy | null = null;
  let at = directory;
  for (let depth = 0; depth < MAX_DEPTH && found === null; depth++) {
    if (await holdsRelease(at)) found = new DirectoryCopy(at);
    at = dirname(at);
  }
  looked.set(directory, found);
  return found;
}

/** The release of `--version` in the depot. */
function copyInDepot(options: Where, project: Project): Pick<Target, 'copy' | 'place'> {
  const depot = options.depot ?? project.depot;
  const version = options.version;
  if (depot === null || version === null)
    throw usage(
      'release-unknown',
      'there is no release beside the file to look it up in',
      version === null
        ? 'say which: --version V, or --release URL|DIR'
        : 'say where: --release URL|DIR, or --depot',
    );
  const name = options.project ?? project.name;
  if (!isVersion(version) || !isProjectName(name))
    throw usage('release-unknown', 'no release can have this name');
  const directory = releaseDir(name, version);
  const where = isUrl(depot) ? `${depot.replace(/\/+$/, '')}/${directory}` : join(depot, directory);
  return {
    copy: openCopy(where, 'the depot', options),
    place: { name: `${name} ${version}`, depot },
  };
}

/** A depot has a release if and only if it has its proof. Throws unable `release-missing`. */
export async function requireRelease({ copy, place }: Target): Promise<void> {
  if (place === null || (await copy.read(record(releaseProofFile), PROOF_MAX)) !== null) return;
  throw unable('release-missing', `there is no ${place.name} in the depot ${place.depot}`);
}
