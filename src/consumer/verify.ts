/**
 * `verify`: is this file what the project released? Protocol §7: the release by itself, then what its log says since.
 */
import { Failure, usage } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { Project } from '../policy/project.ts';
import { checkFile } from './artifact.ts';
import type { FileProgress } from './artifact.ts';
import { DirectoryCopy, UrlCopy, findingOf } from './copy.ts';
import type { ReleaseCopy } from './copy.ts';
import { checkRelease } from './release.ts';
import type { CheckedRelease, Expected } from './release.ts';
import { verifySignatures } from './signature-only.ts';
import { readOn } from './read-on.ts';
import type { Reading } from './read-on.ts';
import { findTargets, requireRelease } from './target.ts';
import type { Target, Where } from './target.ts';
import { badOutcome, unjudged } from './verdict.ts';
import { sightings } from './witnesses.ts';
import type { FileVerdict, Finding, Verdict } from './verdict.ts';
import { checkWholeCopy, judgeAll, withFinding } from './whole-copy.ts';

/** What the consumer trusts: a project file, or the release certificate alone. */
export type Trust =
  | { readonly kind: 'project'; readonly project: Project }
  | { readonly kind: 'key'; readonly certificate: Certificate };

export interface VerifyOptions extends Where {
  readonly trust: Trust;
  /** `--signature-only`: a file with no release to look it up in is judged by the `.asc` beside it. */
  readonly signatureOnly: boolean;
  readonly now: Date;
  /** Bytes read so far, of all files, and the file at hand; many a second. */
  readonly progress?: (file: string, done: number, bytes: number) => void;
  /** Entries read of the log so far. */
  readonly readingLog?: (done: number, entries: number) => void;
}

/**
 * Verifies. Returns a verdict, also a bad one; the caller maps it to the exit status (valid 0, not-valid 1,
 * signature-only 1 unless `--signature-only`, incomplete 3).
 * Throws usage (nothing to look the file up in), unable (network, disk).
 */
export async function verifyFiles(options: VerifyOptions): Promise<Verdict> {
  const { trust, paths, project: name, version } = options;
  const unnamed = name === null && version === null;
  if (trust.kind === 'key') {
    if (unnamed) return verifySignatures(paths, options.release, trust.certificate, options);
    throw usage(
      'key-alone',
      'a signature does not say of which project and version a file is: --key alone cannot check that',
      'give the project file (-c countersign.toml) instead of --key, or leave --project and --version out',
    );
  }

  const targets = await findTargets(options, trust.project).catch((error: unknown) => {
    const alone = options.signatureOnly && unnamed;
    if (alone && error instanceof Failure && error.code === 'release-unknown') return null;
    throw error;
  });
  if (targets === null) return verifySignatures(paths, null, trust.project.release.certificate, options);
  const [first, ...others] = targets;
  if (first === undefined) throw usage('no-file', 'there is no file to verify');
  const other = others.find(({ copy }) => copy.where !== first.copy.where);
  if (other !== undefined)
    throw usage(
      'several-releases',
      `these files are looked up in different places: ${first.copy.where} and ${other.copy.where}`,
      'verify what lies in one copy of a release at a time',
    );
  try {
    await requireRelease(first);
    return await judge(first.copy, targets, trust.project, options);
  } catch (error) {
    const finding = findingOf(error);
    if (finding === null) throw error;
    const files = targets.map(({ path }) => unjudged(path));
    return verdict({ files, findings: [finding] });
  } finally {
    if (first.copy instanceof UrlCopy) first.copy.close();
  }
}

/** The release once, what the log says of it, then each file. */
async function judge(
  copy: DirectoryCopy | UrlCopy,
  targets: readonly Target[],
  project: Project,
  options: VerifyOptions,
): Promise<Verdict> {
  const alone = await checkRelease(copy, project, expected(copy, options), options.now);
  const files: FileVerdict[] = [];
  const findings: Finding[] = [];
  const reading = await readOn(alone, project, options);
  const release = witnessedBy(alone, reading);
  const checked = [...release.checked, ...reading.checked];
  if (release.unwitnessed !== null && reading.findings.length === 0)
    return verdict({ files: targets.map(({ path }) => unjudged(path)), findings: [release.unwitnessed] });
  if (reading.findings.length > 0)
    return verdict({
      files: targets.map(({ path }) => unjudged(path)),
      findings: [],
      checked,
      release,
      reading,
    });
  const isWhole = ({ whole }: Target): boolean => whole && copy instanceof DirectoryCopy;
  const report = progressOf(targets, isWhole, release, options);
  const singles = targets.filter((target) => !isWhole(target));
  const judged = await judgeAll(singles, ({ path }) =>
    withFinding(path, checkFile(path, release, report(path))),
  );
  const verdicts = new Map(singles.map((target, i) => [target, judged[i]]));
  for (const target of targets) {
    const file = verdicts.get(target);
    if (file) {
      files.push(file);
      if (file.valid) checked.push(`${target.path}: name, size, SHA-256 and signature`);
    } else if (copy instanceof DirectoryCopy) {
      const all = await checkWholeCopy(copy, release, report);
      for (const each of all.files) files.push(each);
      findings.push(...all.findings);
      if (all.findings.length === 0 && all.files.every(({ valid }) => valid))
        checked.push(
          `all ${all.files.length} artifacts of ${copy.where}: size, SHA-256 and signature; nothing else lies there`,
        );
    }
  }
  return verdict({ files, findings, checked, release, reading });
}

/** Of all bytes that are to be read, how many were. */
function progressOf(
  targets: readonly Target[],
  isWhole: (target: Target) => boolean,
  { chain }: CheckedRelease,
  { progress = () => {} }: VerifyOptions,
): (file: string) => FileProgress {
  const whole = chain.manifest.subjects.reduce((sum, { size }) => sum + size, 0);
  const total = targets.reduce((sum, target) => sum + (isWhole(target) ? whole : target.size), 0);
  let done = 0;
  return (file) => (bytes) => {
    done += bytes;
    progress(file, done, total);
  };
}

/** A release whose own proof has too few cosignatures is as good as a head of the log that contains it and has enough. */
function witnessedBy(release: CheckedRelease, { witnessed }: Reading): CheckedRelease {
  if (release.unwitnessed === null || witnessed === null) return release;
  const { facts, checked } = release;
  return {
    ...release,
    unwitnessed: null,
    facts: { ...facts, witnesses: sightings(witnessed) },
    checked: [
      ...checked,
      `cosignatures of ${witnessed.length} of its witnesses under the head that contains it, ${facts.quorum} needed; its own proof has too few`,
    ],
  };
}

/**
 * What the release must be: as the caller says, else as it is served. In a depot the place of a release names its
 * project and version, and an old one must not be passed off there as a new one.
 */
function expected({ where }: ReleaseCopy, { project, version }: VerifyOptions): Expected {
  const [, servedProject = null, servedVersion = null] = /\/releases\/([^/]+)\/([^/]+)$/.exec(where) ?? [];
  return { project: project ?? servedProject, version: version ?? servedVersion };
}

interface Judged {
  readonly files: readonly FileVerdict[];
  readonly findings: readonly Finding[];
  readonly checked?: readonly string[];
  /** With what was read of the log; absent where the release itself does not hold. */
  readonly release?: CheckedRelease;
  readonly reading?: Reading;
}

function verdict({ files, findings: own, checked = [], release, reading }: Judged): Verdict {
  const findings = [...(reading?.findings ?? []), ...own];
  const good = files.every(({ valid }) => valid) && findings.length === 0;
  return {
    outcome: good ? 'valid' : badOutcome([...findings, ...files.flatMap((file) => file.findings)]),
    files,
    release: release?.facts ?? null,
    signature: null,
    head: reading?.head ?? null,
    revoked: reading?.revoked ?? null,
    findings,
    warnings: [...(release?.warnings ?? []), ...(reading?.warnings ?? [])],
    checked,
    notChecked: release === undefined ? [] : [...(reading?.notChecked ?? []), ...notChecked(release)],
  };
}

/** What a reader might take for checked. */
const notChecked = ({ facts, notChecked: unchecked }: CheckedRelease): string[] => [
  ...unchecked,
  ...(facts.quorum === 0 ? ['witnesses of the log: the project asks for none'] : []),
  ...(Object.values(facts.builders).every((scheme) => scheme === 'mac')
    ? []
    : ['the DSSE envelopes, which repeat the statements for other tools']),
  ...(facts.assurance === 'single-builder' ? ['whether another builder makes the same bytes'] : []),
];
