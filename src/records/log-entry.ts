/** An entry of H's log: what H did or saw, by digests (protocol §7). Its bytes are the leaf. */
import { encodeCanonical, parseCanonical } from './canonical.ts';
import { closedObject, listOf, malformed, oneOf, recordOf } from './fields.ts';
import { toBuildId, toFingerprint, toProjectName, toSha256, toTimestamp, toVersion } from './names.ts';
import type { BuildId, Fingerprint, ProjectName, Sha256, Timestamp, Version } from './names.ts';
import { parseBuildFile } from './paths.ts';

/** Entries of C2SP tlog-tiles have a 16-bit length. */
export const LOG_ENTRY_MAX = 65_535;

export const BUILD_ENTRY_TYPES = [
  'approval',
  'enrolment',
  'statement',
  'conflict',
  'intent',
  'release',
  'refusal',
  'revocation',
] as const;
export type BuildEntryType = (typeof BUILD_ENTRY_TYPES)[number];

/** What happened to a build. */
export interface BuildEntry {
  readonly type: BuildEntryType;
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

/** That H was there, and the log is no older than this. */
export interface Heartbeat {
  readonly type: 'heartbeat';
  /** By H's clock. */
  readonly time: Timestamp;
  readonly build: null;
  readonly project: ProjectName;
  readonly version: null;
  readonly records: Readonly<Record<string, never>>;
  readonly keys: readonly never[];
}

export type LogEntry = BuildEntry | Heartbeat;

export const LOG_RECORDS_MAX = 600;
const MAX_KEYS = 64;
const NONE = { min: 0, max: 0 };

/** Reads an entry's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`. */
export function parseLogEntry(bytes: Uint8Array): LogEntry {
  const value = parseCanonical(bytes, { maxBytes: LOG_ENTRY_MAX, what: 'log entry' });
  const keys = ['type', 'time', 'build', 'project', 'version', 'records', 'keys'] as const;
  const fields = closedObject(value, 'log entry', keys);
  const type = oneOf(fields.type, 'log entry.type', [...BUILD_ENTRY_TYPES, 'heartbeat']);
  const time = toTimestamp(fields.time, 'log entry.time');
  const project = toProjectName(fields.project, 'log entry.project');
  if (type === 'heartbeat')
    return {
      ...{ type, time, project },
      build: toNull(fields.build, 'log entry.build'),
      version: toNull(fields.version, 'log entry.version'),
      records: recordOf(fields.records, 'log entry.records', NONE, toRecordPath, nothing),
      keys: listOf(fields.keys, 'log entry.keys', NONE, nothing),
    };
  const bounds = { min: 1, max: LOG_RECORDS_MAX };
  return {
    ...{ type, time, project },
    build: toBuildId(fields.build, 'log entry.build'),
    version: toVersion(fields.version, 'log entry.version'),
    records: recordOf(fields.records, 'log entry.records', bounds, toRecordPath, toSha256),
    keys: listOf(fields.keys, 'log entry.keys', { min: 0, max: MAX_KEYS }, toFingerprint),
  };
}

/** The entry's bytes: `encodeLogEntry(parseLogEntry(b))` is `b`. */
export function encodeLogEntry({ type, time, build, project, version, records, keys }: LogEntry): Buffer {
  return encodeCanonical({ type, time, build, project, version, records, keys });
}

/** The entry of a day without builds. */
export const heartbeat = (project: ProjectName, time: Timestamp): Heartbeat => ({
  ...{ type: 'heartbeat', time, project },
  ...{ build: null, version: null, records: {}, keys: [] },
});

function toRecordPath(path: string, where: string): string {
  if (parseBuildFile(path) === null) throw malformed(where, 'not a file of a build');
  return path;
}

function toNull(value: unknown, where: string): null {
  if (value !== null) throw malformed(where, 'not null');
  return value;
}

function nothing(_: unknown, where: string): never {
  throw malformed(where, 'a heartbeat has none');
}
