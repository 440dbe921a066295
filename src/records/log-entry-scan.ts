/**
 * The fast way to read a log entry, for whoever reads a million of them: one regular expression that is the canonical
 * form of the usual entry. What it does not take, `parseLogEntry` judges.
 */
import { BUILD_ENTRY_TYPES, LOG_ENTRY_MAX, LOG_RECORDS_MAX } from './log-entry.ts';
import type { BuildEntry } from './log-entry.ts';
import { isBuildId, isFingerprint, isProjectName, isSha256, isTimestamp, isVersion } from './names.ts';
import type { Fingerprint, Sha256 } from './names.ts';
import { parseBuildFile } from './paths.ts';

const RECORD = '"[!#-\\[\\]-~]+":"[0-9a-f]{64}"';
const KEY = '"[0-9A-F]{40}"';
const CANONICAL = new RegExp(
  [
    '^\\{"build":"([^"]+)"',
    `"keys":\\[((?:${KEY}(?:,${KEY}){0,63})?)\\]`,
    '"project":"([^"]+)"',
    `"records":\\{(${RECORD}(?:,${RECORD})*)\\}`,
    '"time":"([^"]+)"',
    '"type":"([a-z]+)"',
    '"version":"([^"]+)"\\}$',
  ].join(','),
);

/** Paths come again and again. */
const known = new Set<string>();
const KNOWN_MAX = 1_000;
let day = '';

/**
 * The entry, which is then just what `parseLogEntry` makes of the same bytes; null where it is not the usual one,
 * which says nothing about whether it is one.
 */
export function scanLogEntry(bytes: Buffer): BuildEntry | null {
  if (bytes.length > LOG_ENTRY_MAX) return null;
  const [, build = '', keyList = '', project = '', recordList = '', time = '', word = '', version = ''] =
    CANONICAL.exec(bytes.toString('latin1')) ?? [];
  const type = BUILD_ENTRY_TYPES.find((each) => each === word);
  if (type === undefined || !isBuildId(build) || !isProjectName(project) || !isVersion(version)) return null;
  if (!isTime(time)) return null;
  const records = readRecords(recordList);
  const keys = readKeys(keyList);
  return records && keys && { type, time, build, project, version, records, keys };
}

const PATTERN = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/;

/** A day that was real for the entry before is real for this one. */
function isTime(time: string): time is BuildEntry['time'] {
  if (time.startsWith(day) && day !== '' && PATTERN.test(time)) return true;
  if (!isTimestamp(time)) return false;
  day = time.slice(0, 11);
  return true;
}

/** `"a":"<digest>","b":"<digest>"`, in ascending order. */
function readRecords(list: string): Record<string, Sha256> | null {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an empty object is one of any such type
  const records = Object.create(null) as Record<string, Sha256>;
  let before = '';
  let count = 0;
  for (let at = 0; at < list.length; count++) {
    const end = list.indexOf('"', at + 1);
    const path = list.slice(at + 1, end);
    const sha256 = list.slice(end + 3, end + 67);
    if (count === LOG_RECORDS_MAX || path <= before || !isPath(path) || !isSha256(sha256)) return null;
    records[path] = sha256;
    before = path;
    at = end + 69;
  }
  return records;
}

function isPath(path: string): boolean {
  if (known.has(path)) return true;
  if (parseBuildFile(path) === null) return false;
  if (known.size >= KNOWN_MAX) known.clear();
  known.add(path);
  return true;
}

/** `"<fingerprint>","<fingerprint>"`. */
function readKeys(list: string): Fingerprint[] | null {
  const keys: Fingerprint[] = [];
  for (let at = 1; at < list.length; at += 43) {
    const key = list.slice(at, at + 40);
    if (!isFingerprint(key)) return null;
    keys.push(key);
  }
  return keys;
}
