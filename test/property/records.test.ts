/** Properties of records: what is written is read back, and whatever is read is written as it was. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Failure } from '../../src/failure.ts';
import { encodeApproval, parseApproval } from '../../src/records/approval.ts';
import { canonicalize, encodeCanonical, parseCanonical } from '../../src/records/canonical.ts';
import { BUILD_ENTRY_TYPES, encodeLogEntry, heartbeat, parseLogEntry } from '../../src/records/log-entry.ts';
import { encodeEnrolment, parseEnrolment } from '../../src/records/enrolment.ts';
import { encodeReadRequest, parseReadRequest } from '../../src/records/read-request.ts';
import { encodeRefusal, parseRefusal, REASON_CODES, refusalOf } from '../../src/records/refusal.ts';
import { encodeRevocation, parseRevocation, REASON_MAX } from '../../src/records/revocation.ts';
import { formatSignaturesList, parseSignaturesList } from '../../src/records/signatures-list.ts';
import { encodeStatement, parseStatement, sortSubjects } from '../../src/records/statement.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import { readJson } from '../harness/json.ts';
import { records, approval, logEntry, readRequest, statement, ticket } from '../records/samples.ts';
import * as arbitrary from './arbitrary.ts';

/** Throws what is no verdict: a parser may refuse, and may do nothing else. */
const attempt = <T>(call: () => T): T | null => {
  try {
    return call();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return null;
    throw error;
  }
};

describe('canonical JSON', () => {
  test('comes back, whatever it holds', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }), (value) => {
        const bytes = Buffer.from(canonicalize(readJson(JSON.stringify(value))));
        const again = parseCanonical(bytes, { maxBytes: bytes.length, what: 'test' });
        expect(encodeCanonical(again)).toEqual(bytes);
      }),
    );
  });

  test('orders keys by code units, whatever they are', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: 'grapheme' })), (keys) => {
        const text = canonicalize(Object.fromEntries(keys.map((key) => [key, 0])));
        expect(text).toBe(
          `{${keys
            .toSorted()
            .map((key) => `${JSON.stringify(key)}:0`)
            .join(',')}}`,
        );
      }),
    );
  });

  test('has one text for a value: other JSON of the same value is refused', () => {
    const spaced = fc.tuple(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(' ', '\t', '\n', '  '));
    fc.assert(
      fc.property(spaced, ([value, space]) => {
        const text = JSON.stringify(value) + space;
        expect(attempt(() => parseCanonical(Buffer.from(text), { maxBytes: 1e6, what: 'test' }))).toBeNull();
      }),
    );
  });
});

describe('records with any legal content come back', () => {
  test('approvals', () => {
    const approvals = fc
      .record({
        build: arbitrary.buildId,
        project: arbitrary.project,
        version: arbitrary.version,
        source: fc.option(arbitrary.source),
        artifacts: arbitrary.artifactLimits,
        builders: arbitrary.recordOf(arbitrary.slot, arbitrary.builder, 16),
        releaseKey: arbitrary.fingerprint,
      })
      .map((fields) => ({ ...approval, ...fields }));
    fc.assert(
      fc.property(approvals, (value) => {
        expect(parseApproval(encodeApproval(value))).toEqual(value);
      }),
    );
  });

  test('statements', () => {
    const statements = fc
      .record({
        subjects: fc.oneof(arbitrary.subjects, arbitrary.statedSubjects),
        slot: arbitrary.slot,
        source: fc.option(arbitrary.source),
        command: fc.option(fc.string({ minLength: 1, unit: 'grapheme', maxLength: 300 })),
        startedOn: arbitrary.timestamp,
      })
      .map((fields) => ({ ...statement, ...fields }));
    fc.assert(
      fc.property(statements, (value) => {
        expect(parseStatement(encodeStatement(value))).toEqual(value);
      }),
    );
  });

  test('tickets', () => {
    const tickets = fc
      .record({
        secret: arbitrary.ticketSecret,
        uploadToken: arbitrary.token,
        insecureHttp: fc.boolean(),
        artifacts: arbitrary.artifactLimits,
        slot: arbitrary.slot,
      })
      .map((fields) => ({ ...ticket, ...fields }));
    fc.assert(
      fc.property(tickets, (value) => {
        expect(parseTicket(formatTicket(value))).toEqual(value);
      }),
    );
  });

  test('enrolments, revocations, read requests', () => {
    const bound = { build: arbitrary.buildId, approval: arbitrary.sha256 };
    const reason = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 300 })
      .filter((text) => Buffer.byteLength(text) <= REASON_MAX);
    const enrolments = fc.record({ ...bound, slot: arbitrary.slot, certificate: arbitrary.base64 });
    const revocations = fc.record({ ...bound, reason, time: arbitrary.timestamp });
    const requests = fc.record({ build: arbitrary.buildId, time: arbitrary.timestamp });
    fc.assert(
      fc.property(enrolments, revocations, requests, (enrolment, revocation, request) => {
        expect(parseEnrolment(encodeEnrolment(enrolment))).toEqual(enrolment);
        expect(parseRevocation(encodeRevocation(revocation))).toEqual(revocation);
        const whole = { ...readRequest, ...request };
        expect(parseReadRequest(encodeReadRequest(whole))).toEqual(whole);
      }),
    );
  });

  test('log entries', () => {
    const ofBuilds = fc
      .record({
        type: fc.constantFrom(...BUILD_ENTRY_TYPES),
        time: arbitrary.timestamp,
        records: arbitrary.recordOf(arbitrary.buildFile, arbitrary.sha256, 20),
        keys: fc.array(arbitrary.fingerprint, { maxLength: 16 }),
      })
      .map((fields) => ({ ...logEntry, ...fields }));
    const heartbeats = fc
      .tuple(arbitrary.project, arbitrary.timestamp)
      .map(([project, time]) => heartbeat(project, time));
    fc.assert(
      fc.property(fc.oneof(ofBuilds, heartbeats), (value) => {
        expect(parseLogEntry(encodeLogEntry(value))).toEqual(value);
      }),
    );
  });

  test('refusals, cut to what they may hold', () => {
    const text = fc.string({ unit: 'binary', maxLength: 2000 });
    const reason = fc.record({ code: fc.constantFrom(...REASON_CODES), where: text, text });
    const facts = fc.record({
      build: arbitrary.buildId,
      approval: arbitrary.sha256,
      reasons: fc.array(reason, { minLength: 1, maxLength: 60 }),
      time: arbitrary.timestamp,
    });
    fc.assert(
      fc.property(facts, (given) => {
        const value = refusalOf(given);
        expect(parseRefusal(encodeRefusal(value))).toEqual(value);
        expect(value.reasons.length + value.more).toBe(given.reasons.length);
      }),
    );
  });

  test('lists of signatures', () => {
    const lists = fc
      .dictionary(arbitrary.artifactName, arbitrary.sha256)
      .map((names) => new Map(Object.entries(names).map(([name, digest]) => [`${name}.asc`, digest])));
    fc.assert(
      fc.property(lists, arbitrary.sha256, (list, digest) => {
        const whole = new Map([...list, ['SHA256SUMS.asc', digest]]);
        const bytes = formatSignaturesList(whole);
        expect(parseSignaturesList(bytes)).toEqual(whole);
        expect(formatSignaturesList(parseSignaturesList(bytes))).toEqual(bytes);
      }),
    );
  });
});

describe.each(records)('$name: bytes that are nearly right', ({ bytes, again }) => {
  test('are refused, or come back as they are', () => {
    const mutations = fc.array(
      fc.record({
        at: fc.nat(bytes.length),
        remove: fc.nat(3),
        insert: fc.oneof(
          fc.uint8Array({ maxLength: 3 }),
          fc.constantFrom('"', ',', '{}', '0', '\\u0061').map((text) => Buffer.from(text)),
        ),
      }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(mutations, (changes) => {
        let hostile = bytes;
        for (const { at, remove, insert } of changes)
          hostile = Buffer.concat([hostile.subarray(0, at), insert, hostile.subarray(at + remove)]);
        const result = attempt(() => again(hostile));
        if (result !== null) expect(result).toEqual(hostile);
      }),
      { numRuns: 500 },
    );
  });
});

test('subjects sort as bytes do', () => {
  fc.assert(
    fc.property(arbitrary.subjects, (subjects) => {
      const byBytes = subjects.toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
      expect(sortSubjects(subjects.toReversed())).toEqual(byBytes);
    }),
  );
});
