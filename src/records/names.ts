/**
 * The words that records are made of, each a type of its own (protocol §2, "Names").
 *
 * A value of a branded type has passed its guard: a path made of one cannot leave the tree, a line made of
 * one cannot become two lines.
 */
import { refused } from '../failure.ts';

export { artifactNameProblem, artifactSetProblems, isArtifactName, toArtifactName } from './artifact-name.ts';
export type { ArtifactName, NameProblem } from './artifact-name.ts';
export { decodeBase64, decodeBase64Strict, decodeBase64Url } from './base64.ts';
export { isTimestamp, timestamp, timestampDate, toTimestamp } from './timestamp.ts';
export type { Timestamp } from './timestamp.ts';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** Lower-case ULID: 26 characters of Crockford's base 32, at most 128 bits. */
export type BuildId = Branded<'BuildId'>;
export type ProjectName = Branded<'ProjectName'>;
export type Version = Branded<'Version'>;
/** One builder of a build. */
export type Slot = Branded<'Slot'>;
/** 64 lower-case hex digits. */
export type Sha256 = Branded<'Sha256'>;
/** OpenPGP v4 fingerprint: 40 upper-case hex digits. */
export type Fingerprint = Branded<'Fingerprint'>;

/** The guard and the maker of one branded type that a regular expression describes. */
const word = <T extends string>(pattern: RegExp, code: string, description: string) => {
  const is = (text: string): text is T => pattern.test(text);
  const to = (value: unknown, where: string): T => {
    if (typeof value === 'string' && is(value)) return value;
    throw refused(code, `${where}: not ${description}`);
  };
  return { is, to };
};

const buildId = word<BuildId>(
  /^[0-7][0-9a-hjkmnp-tv-z]{25}$/,
  'name-malformed',
  'a build id (a lower-case ULID of 26 characters)',
);
const projectName = word<ProjectName>(
  /^[a-z0-9][a-z0-9._-]{0,63}$/,
  'name-malformed',
  'a project name (1 to 64 of a-z 0-9 . _ -, first a letter or digit)',
);
const version = word<Version>(
  /^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,63}$/,
  'name-malformed',
  'a version (1 to 64 of A-Z a-z 0-9 . + ~ _ -, first a letter or digit)',
);
const slot = word<Slot>(
  /^[a-z0-9][a-z0-9-]{0,31}$/,
  'name-malformed',
  'a slot (1 to 32 of a-z 0-9 -, first a letter or digit)',
);
const sha256 = word<Sha256>(/^[0-9a-f]{64}$/, 'record-malformed', 'a SHA-256 (64 lower-case hex digits)');
const fingerprint = word<Fingerprint>(
  /^[0-9A-F]{40}$/,
  'record-malformed',
  'a key fingerprint (40 upper-case hex digits)',
);

// Each `isX` is a guard; each `toX(value, where)` returns the value branded, or throws refused
// (`name-malformed` or `record-malformed`) with a message that names `where` and never quotes the value.
export const isBuildId = buildId.is;
export const toBuildId = buildId.to;
export const isProjectName = projectName.is;
export const toProjectName = projectName.to;
export const isVersion = version.is;
export const toVersion = version.to;
export const isSlot = slot.is;
export const toSlot = slot.to;
export const isSha256 = sha256.is;
export const toSha256 = sha256.to;
export const isFingerprint = fingerprint.is;
export const toFingerprint = fingerprint.to;

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * A new build id: 48 bits of unix milliseconds, then 80 random bits (the ULID specification), so that ids
 * sort by the time they were made.
 *
 * Takes the moment and ten random bytes; throws RangeError for any other number of bytes or a moment that
 * has no ULID.
 */
export function newBuildId(now: Date, random: Buffer): BuildId {
  const time = now.getTime();
  if (random.length !== 10 || !(time >= 0 && time < 2 ** 48)) throw new RangeError('no ULID of these');
  const bits = (BigInt(time) << 80n) | BigInt(`0x${random.toString('hex')}`);
  let id = '';
  for (let shift = 125n; shift >= 0n; shift -= 5n) id += CROCKFORD.charAt(Number((bits >> shift) & 31n));
  return toBuildId(id, 'new build id');
}
