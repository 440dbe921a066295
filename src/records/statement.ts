/**
 * The statement: what a builder says it made, all of it, sealed (protocol §2, "statement"). On the wire it
 * is an in-toto Statement v1 with SLSA provenance v1, so that other tools read it.
 */
import { encodeCanonical, LARGE_RECORD_MAX, parseCanonical } from './canonical.ts';
import { closedObject, malformed, nullOr, oneOf, text, uri } from './fields.ts';
import { toBuildId, toSha256, toSlot, toTimestamp } from './names.ts';
import type { BuildId, Sha256, Slot, Timestamp } from './names.ts';
import { sourceJson, toSource } from './source.ts';
import type { Source } from './source.ts';
import { scanSubjects } from './subject-scan.ts';
import { checkedList, statedSubjectsJson, toStatedSubjects } from './subject.ts';
import type { StatedSubject } from './subject.ts';

export { sortSubjects } from './subject.ts';
export type { StatedSubject, Subject } from './subject.ts';

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
export const PREDICATE_TYPE = 'https://slsa.dev/provenance/v1';
/** What `externalParameters` mean: docs/protocol.md says it. */
export const BUILD_TYPE = 'https://countersign.dev/buildtypes/v1';

export interface Statement {
  /** All artifacts of the build, in byte order of their names. */
  readonly subjects: readonly StatedSubject[];
  readonly build: BuildId;
  readonly slot: Slot;
  /** Digest of the approval that it answers. */
  readonly approval: Sha256;
  readonly source: Source | null;
  /** What `--run` ran; null when the build ran before `attest`. */
  readonly command: string | null;
  /** `<depot URL>/builders/<scheme>`. */
  readonly builderId: string;
  readonly invocationId: string;
  readonly startedOn: Timestamp;
  readonly finishedOn: Timestamp;
}

const MAX_COMMAND = 16 * 1024;
const MAX_INVOCATION = 256;

/**
 * Reads a statement's exact bytes. Throws refused: `record-malformed`, `record-too-large`, `name-malformed`.
 * That it belongs to its approval and slot is the caller's to check.
 */
export function parseStatement(bytes: Uint8Array): Statement {
  const scanned = scanSubjects(bytes, 'subject');
  const value = parseCanonical(scanned?.rest ?? bytes, { maxBytes: LARGE_RECORD_MAX, what: 'statement' });
  const fields = closedObject(value, 'statement', ['_type', 'subject', 'predicateType', 'predicate']);
  oneOf(fields['_type'], 'statement._type', [STATEMENT_TYPE]);
  oneOf(fields.predicateType, 'statement.predicateType', [PREDICATE_TYPE]);
  const predicate = closedObject(fields.predicate, 'statement.predicate', ['buildDefinition', 'runDetails']);
  return {
    subjects: scanned
      ? checkedList(scanned.subjects, 'statement.subject')
      : toStatedSubjects(fields.subject, 'statement.subject'),
    ...toBuildDefinition(predicate.buildDefinition, 'statement.predicate.buildDefinition'),
    ...toRunDetails(predicate.runDetails, 'statement.predicate.runDetails'),
  };
}

function toBuildDefinition(value: unknown, where: string) {
  const keys = ['buildType', 'externalParameters', 'resolvedDependencies'] as const;
  const fields = closedObject(value, where, keys);
  oneOf(fields.buildType, `${where}.buildType`, [BUILD_TYPE]);
  const inside = `${where}.externalParameters`;
  const parameterKeys = ['build', 'slot', 'approval', 'source', 'command'] as const;
  const parameters = closedObject(fields.externalParameters, inside, parameterKeys);
  const approval = closedObject(parameters.approval, `${inside}.approval`, ['sha256']);
  const source = nullOr(parameters.source, `${inside}.source`, toSource);
  requireSameSource(fields.resolvedDependencies, `${where}.resolvedDependencies`, source);
  return {
    build: toBuildId(parameters.build, `${inside}.build`),
    slot: toSlot(parameters.slot, `${inside}.slot`),
    approval: toSha256(approval.sha256, `${inside}.approval.sha256`),
    source,
    command: nullOr(parameters.command, `${inside}.command`, (command, at) => text(command, at, MAX_COMMAND)),
  };
}

/** SLSA readers look for the source among the dependencies: it must be there, the same, alone. */
function requireSameSource(value: unknown, where: string, source: Source | null): void {
  if (!Array.isArray(value) || value.length !== (source === null ? 0 : 1))
    throw malformed(where, 'not the source alone');
  if (source === null) return;
  const dependency = toSource(value[0], `${where}[0]`);
  if (dependency.uri !== source.uri || dependency.digest.gitCommit !== source.digest.gitCommit)
    throw malformed(where, 'another source than in externalParameters');
}

function toRunDetails(value: unknown, where: string) {
  const fields = closedObject(value, where, ['builder', 'metadata']);
  const builder = closedObject(fields.builder, `${where}.builder`, ['id']);
  const inside = `${where}.metadata`;
  const metadata = closedObject(fields.metadata, inside, ['invocationId', 'startedOn', 'finishedOn']);
  return {
    builderId: uri(builder.id, `${where}.builder.id`),
    invocationId: text(metadata.invocationId, `${inside}.invocationId`, MAX_INVOCATION),
    startedOn: toTimestamp(metadata.startedOn, `${inside}.startedOn`),
    finishedOn: toTimestamp(metadata.finishedOn, `${inside}.finishedOn`),
  };
}

/** The statement's bytes, subjects as they stand: `encodeStatement(parseStatement(b))` is `b`. */
export function encodeStatement(statement: Statement): Buffer {
  const { subjects, build, slot, approval, source, command } = statement;
  const { builderId, invocationId, startedOn, finishedOn } = statement;
  const descriptor = sourceJson(source);
  return encodeCanonical({
    _type: STATEMENT_TYPE,
    subject: statedSubjectsJson(subjects),
    predicateType: PREDICATE_TYPE,
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: { build, slot, approval: { sha256: approval }, source: descriptor, command },
        resolvedDependencies: descriptor === null ? [] : [descriptor],
      },
      runDetails: { builder: { id: builderId }, metadata: { invocationId, startedOn, finishedOn } },
    },
  });
}
