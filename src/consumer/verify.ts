/**
 * `verify`: is this file what the project released? Protocol §7, the part that needs no network beside the
 * release itself.
 */
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Failure, usage } from '../failure.ts';
import { orNull } from '../host/files.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { Project } from '../policy/project.ts';
import { isProjectName, isVersion } from '../records/names.ts';
import { releaseDir } from '../records/paths.ts';
import { checkFile } from './artifact.ts';
import { DirectoryCopy, UrlCopy, holdsRelease, isUrl } from './copy.ts';
import type { ReleaseCopy } from './copy.ts';
import { checkRelease } from './release.ts';
import type { CheckedRelease, Expected } from './release.ts';
import { verifySignatures } from './signature-only.ts';
import { unjudged } from './verdict.ts';
import type { FileVerdict, Finding, Outcome, Verdict } from './verdict.ts';
import { checkWholeCopy } from './whole-copy.ts';

/** What the consumer trusts: a project file, or the release certificate alone. */
export type Trust =
  | { readonly kind: 'project'; readonly project: Project }
  | { readonly kind: 'key'; readonly certificate: Certificate };

export interface VerifyOptions {
  /** Files, or directories that each hold a whole release. */
  readonly paths: readonly string[];
  readonly trust: Trust;
  /** `--release`: URL or directory; null: beside the file, else in the project's depot. */
  readonly release: string | null;
  /** `--depot`: URL or directory that holds `releases/`; null: the project's. */
  readonly depot: string | null;
  /** `--project`, `--version`: what the release must be. */
  readonly project: string | null;
  readonly version: string | null;
  /** `--offline`: read nothing over the network. */
  readonly offline: boolean;
  readonly now: Date;
  /** Bytes read of a file so far; many a second. */
  readonly progress?: (file: string, done: number, bytes: number) => void;
}

/** Artifact names have at most eight parts: so far above a file its release may lie. */
const MAX_DEPTH = 8;

/**
 * Verifies. Returns a verdict, also a bad one; the caller maps it to the exit status (valid 0, not-valid 1,
 * signature-only 1 unless `--signature-only`, incomplete 3).
 * Throws usage (nothing to look the file up in), unable (network, disk).
 */
export async function verifyFiles(options: VerifyOptions): Promise<Verdict> {
  const { trust } = options;
  if (trust.kind === 'key')
    return verifySignatures(options.paths, options.release, trust.certificate, options);

  const targets = await findTargets(options, trust.project);
  const [first, ...others] = targets;
  if (first === undefined) throw usage('no-file', 'there is no file to verify');
  if (others.some(({ copy }) => copy.where !== first.copy.where))
    throw usage(
      'several-releases',
      'these files are of different releases',
      'verify them one release at a time',
    );
  try {
    return await judge(first.copy, targets, trust.project, options);
  } catch (error) {
    const outcome = error instanceof Failure ? outcomeOf(error) : null;
    if (!(error instanceof Failure) || outcome === null) throw error;
    const files = targets.map(({ path }) => unjudged(path));
    return verdict(outcome, files, null, [], [{ code: error.code, text: error.message }]);
  } finally {
    if (first.copy instanceof UrlCopy) first.copy.close();
  }
}

/** The release once, then each file. */
async function judge(
  copy: DirectoryCopy | UrlCopy,
  targets: readonly Target[],
  project: Project,
  options: VerifyOptions,
): Promise<Verdict> {
  const release = await checkRelease(copy, project, expected(copy, options), options.now);
  const report = options.progress ?? (() => {});
  const files: FileVerdict[] = [];
  const findings: Finding[] = [];
  const checked = [...release.checked];
  for (const target of targets) {
    if (target.whole && copy instanceof DirectoryCopy) {
      const all = await checkWholeCopy(copy, release, report);
      files.push(...all.files);
      findings.push(...all.findings);
      checked.push(
        `all ${all.files.length} artifacts of ${copy.where}: size, SHA-256 and signature; nothing else lies there`,
      );
      continue;
    }
    const file = await checkFile(target.path, release, (done, bytes) => report(target.path, done, bytes));
    files.push(file);
    checked.push(`${target.path}: name, size, SHA-256 and signature`);
  }
  const valid = findings.length === 0 && files.every((file) => file.valid);
  return verdict(valid ? 'valid' : 'not-valid', files, release, checked, findings);
}

/**
 * What the release must be: as the caller says, else as it is served. In a depot the place of a release names its
 * project and version, and an old one must not be passed off there as a new one.
 */
function expected({ where }: ReleaseCopy, { project, version }: VerifyOptions): Expected {
  const [, servedProject = null, servedVersion = null] = /\/releases\/([^/]+)\/([^/]+)$/.exec(where) ?? [];
  return { project: project ?? servedProject, version: version ?? servedVersion };
}

/** A refusal is a verdict, a record that is too large too; an incomplete copy is none; other faults are not about the release. */
function outcomeOf({ kind, code }: Failure): Outcome | null {
  if (kind === 'refused' || code === 'too-large') return 'not-valid';
  return code === 'release-incomplete' ? 'incomplete' : null;
}

const verdict = (
  outcome: Outcome,
  files: readonly FileVerdict[],
  release: CheckedRelease | null,
  checked: readonly string[],
  findings: readonly Finding[],
): Verdict => ({
  outcome,
  files,
  release: release?.facts ?? null,
  signature: null,
  findings,
  checked,
  notChecked: release === null ? [] : notChecked(release),
});

/** What a reader might take for checked. */
function notChecked({ facts }: CheckedRelease): string[] {
  const { log, assurance } = facts;
  return [
    `whether the log still is what it was at entry ${log.index}, and whether a later entry revokes this build`,
    'witnesses of the log: the project has none',
    'the DSSE envelopes, which repeat the statements for other tools',
    ...(assurance === 'single-builder' ? ['whether another builder makes the same bytes'] : []),
  ];
}

/** A path to verify, and the copy of the release to look it up in. */
interface Target {
  readonly path: string;
  /** A directory, itself the copy. */
  readonly whole: boolean;
  readonly copy: DirectoryCopy | UrlCopy;
}

async function findTargets(options: VerifyOptions, project: Project): Promise<Target[]> {
  const named = options.release === null ? null : openCopy(options.release, options);
  const targets: Target[] = [];
  for (const path of options.paths) {
    const status = await orNull(stat(path), `look at ${path}`);
    if (status === null) throw usage('no-such-file', `${path} is not there`);
    if (status.isDirectory()) {
      targets.push({ path, whole: true, copy: new DirectoryCopy(resolve(path)) });
      continue;
    }
    const copy = named ?? (await copyBeside(path)) ?? targets[0]?.copy ?? copyInDepot(options, project);
    targets.push({ path, whole: false, copy });
  }
  return targets;
}

function openCopy(where: string, { offline }: VerifyOptions): DirectoryCopy | UrlCopy {
  if (!isUrl(where)) return new DirectoryCopy(resolve(where));
  if (offline) throw usage('offline', '--release is a URL, and --offline reads nothing over the network');
  return new UrlCopy(where);
}

/** The nearest directory at or above the file that holds records of a release. */
async function copyBeside(path: string): Promise<DirectoryCopy | null> {
  let directory = dirname(resolve(path));
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (await holdsRelease(directory)) return new DirectoryCopy(directory);
    directory = dirname(directory);
  }
  return null;
}

/** The release of `--version` in the depot. */
function copyInDepot(options: VerifyOptions, project: Project): DirectoryCopy | UrlCopy {
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
  const place = releaseDir(name, version);
  return openCopy(isUrl(depot) ? `${depot.replace(/\/+$/, '')}/${place}` : join(depot, place), options);
}
