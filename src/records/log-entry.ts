/** An entry of H's log: what H did or saw, by digests (protocol §7). Its bytes are the leaf. */
import { encodeCanonical, parseCanonical } from './canonical.ts';
import { closedObject, listOf, malformed, oneOf, recordOf } from './fields.ts';
import { toBuildId, toFingerprint, toProjectName, toSha256, toTimestamp, toVersion } from './names.ts';
import type { BuildId, Fingerprint, ProjectName, Sha256, Timestamp, Version } from './names.ts';
import { parseBuildFile } from './paths.ts';

/** Entries of C2SP tlog-tiles have a 16-bit length. */
export const LOG_ENTRY_MAX = 65_535;

export const LOG_ENTRY_TYPES = ['approval', 'statement', 'conflict', 'intent', 'release', 'refusal'] as const;
export type LogEntryType = (typeof LOG_ENTRY_TYPES)[number];

export interface LogEntry {
  readonly type: LogEntryType;
  /** By H's clock. */
  readonly time: Timestamp;
  readonly build: BuildId;
  readonly project: ProjectName;
  readonly version: Version;
  /** Paths below `builds/<build>/` to digests; the object has no prototype. */
  readonly records: Readonly<Record<string, Sha256>>;
  /** Ephemeral keys that the entry brings up. */
  readonly keys: readonly Fingerprint[];
}

const MAX_RECORDS = 600;
const MAX_KEYS = 64;

function toRecordPath(path: string, where: string): string {
  if (parseBuildFile(path) === null) throw malformed(where, 'not a file of a build');
  return path;
}

/** Reads an entry's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseLogEntry(bytes: Uint8Array): LogEntry {
  const value = parseCanonical(bytes, { maxBytes: LOG_ENTRY_MAX, what: 'log entry' });
  const keys = ['type', 'time', 'build', 'project', 'version', 'records', 'keys'] as const;
  const fields = closedObject(value, 'log entry', keys);
  const bounds = { min: 1, max: MAX_RECORDS };
  return {
    type: oneOf(fields.type, 'log entry.type', LOG_ENTRY_TYPES),
    time: toTimestamp(fields.time, 'log entry.time'),
    build: toBuildId(fields.build, 'log entry.build'),
    project: toProjectName(fields.project, 'log entry.project'),
    version: toVersion(fields.version, 'log entry.version'),
    records: recordOf(fields.records, 'log entry.records', bounds, toRecordPath, toSha256),
    keys: listOf(fields.keys, 'log entry.keys', { min: 0, max: MAX_KEYS }, toFingerprint),
  };
}

/** The entry's bytes: `encodeLogEntry(parseLogEntry(b))` is `b`. */
export function encodeLogEntry({ type, time, build, project, version, records, keys }: LogEntry): Buffer {
  return encodeCanonical({ type, time, build, project, version, records, keys });
}
