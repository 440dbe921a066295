/** One good example of every record, and all parsers of JSON records behind one interface. */
import { APPROVAL_TYPE, encodeApproval, parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { encodeLogEntry, heartbeat, parseLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry, LogEntry } from '../../src/records/log-entry.ts';
import { encodeManifest, parseManifest } from '../../src/records/manifest.ts';
import type { Manifest } from '../../src/records/manifest.ts';
import {
  toArtifactName,
  toBuildId,
  toFingerprint,
  toProjectName,
  toSlot,
  toTimestamp,
  toVersion,
} from '../../src/records/names.ts';
import { encodeEnvelope, parseEnvelope } from '../../src/records/dsse.ts';
import { encodeEnrolment, parseEnrolment } from '../../src/records/enrolment.ts';
import type { Enrolment } from '../../src/records/enrolment.ts';
import { encodeReadRequest, parseReadRequest } from '../../src/records/read-request.ts';
import type { ReadRequest } from '../../src/records/read-request.ts';
import { encodeRefusal, parseRefusal, refusalOf } from '../../src/records/refusal.ts';
import type { Refusal } from '../../src/records/refusal.ts';
import { encodeRelease, parseRelease } from '../../src/records/release.ts';
import type { Release } from '../../src/records/release.ts';
import { encodeRevocation, parseRevocation } from '../../src/records/revocation.ts';
import type { Revocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement, parseStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { toHashState } from '../../src/records/subject.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import type { Ticket } from '../../src/records/ticket.ts';

const build = toBuildId('01jd9v7q3m4n5p6r7s8t9vwxyz', 'sample');
const project = toProjectName('hello', 'sample');
const version = toVersion('1.2.3+git~1', 'sample');
export const b1 = toSlot('b1', 'sample');
export const b2 = toSlot('b2', 'sample');
const ada = toFingerprint('A'.repeat(40), 'sample');
const key = toFingerprint('0123456789ABCDEF0123456789ABCDEF01234567', 'sample');
const noon = toTimestamp('2026-11-22T12:00:00Z', 'sample');
const evening = toTimestamp('2026-11-22T16:00:00Z', 'sample');
const source = { uri: 'git+https://example.org/hello.git', digest: { gitCommit: 'c0'.repeat(20) } };
const artifacts = { patterns: ['hello', 'dist/**'], maxCount: 10, maxBytes: 2 ** 32, maxTotalBytes: 2 ** 40 };

const subject = (name: string, size: number) => ({
  name: toArtifactName(name, 'sample'),
  sha256: sha256Hex(name),
  size,
});

export const approval: Approval = {
  type: APPROVAL_TYPE,
  signer: 'example.org/hello-signer',
  build,
  project,
  version,
  source,
  artifacts,
  builders: {
    [b1]: {
      scheme: 'keypair',
      uploadTokenSha256: sha256Hex('token'),
      certificate: Buffer.from('certificate').toString('base64'),
    },
  },
  quorum: 1,
  mode: 'fetch',
  releaseKey: key,
  notBefore: noon,
  expires: evening,
  requester: ada,
};

const sealed = {
  uploadTokenSha256: sha256Hex('token'),
  sealedNonce: Buffer.from('a nonce, encrypted').toString('base64'),
  nonceSha256: sha256Hex('nonce'),
};

/** With a builder of each scheme that has a nonce; both must agree. */
export const nonceApproval: Approval = {
  ...approval,
  builders: {
    [b1]: { scheme: 'enrol', ...sealed, enrolBy: toTimestamp('2026-11-22T12:30:00Z', 'sample') },
    [b2]: { scheme: 'mac', ...sealed },
  },
  quorum: 2,
};

export const enrolment: Enrolment = {
  build,
  slot: b1,
  approval: sha256Hex(encodeApproval(nonceApproval)),
  certificate: Buffer.from('certificate').toString('base64'),
};

export const revocation: Revocation = {
  build,
  approval: sha256Hex(encodeApproval(approval)),
  reason: 'the build host was compromised: é\n\x1b[2J',
  time: noon,
};

export const readRequest: ReadRequest = {
  signer: 'example.org/hello-signer',
  build,
  depot: 'https://depot.example.org',
  time: noon,
};

export const statement: Statement = {
  subjects: [
    subject('dist/a+b~1.deb', 0),
    subject('dist/a.tar.gz', Number.MAX_SAFE_INTEGER),
    subject('hello', 5),
  ],
  build,
  slot: b1,
  approval: sha256Hex(encodeApproval(approval)),
  source,
  command: 'make "dist"\n# the whole of it: é',
  builderId: 'https://depot.example.org/builders/keypair',
  invocationId: '01jd9v7q3m4n5p6r7s8t9vwxyz/b1',
  startedOn: noon,
  finishedOn: evening,
};

export const manifest: Manifest = {
  build,
  project,
  version,
  approval: sha256Hex('approval'),
  statements: { [b1]: sha256Hex('statement') },
  subjects: statement.subjects,
  releaseKey: ada,
  signingKey: key,
  hash: 'sha512',
  signedAt: noon,
};

export const release: Release = {
  build,
  project,
  version,
  manifest: sha256Hex('manifest'),
  signatures: { count: 4, sha256: sha256Hex('signatures.list') },
  builders: { [b1]: 'keypair' },
  approvers: [key, ada],
  assurance: 'single-builder',
};

export const refusal: Refusal = refusalOf({
  build,
  approval: sha256Hex('approval'),
  reasons: [{ code: 'too-large', where: 'dist/a.tar.gz', text: '5 bytes, at most 4 are allowed' }],
  time: noon,
});

export const logEntry: BuildEntry = {
  type: 'approval',
  time: noon,
  build,
  project,
  version,
  records: { 'approval.json': sha256Hex('approval'), [`approval.json.${ada}.sig`]: sha256Hex('sig') },
  keys: [key],
};

export const ticket: Ticket = {
  build,
  slot: b1,
  project,
  version,
  depot: 'https://depot.example.org',
  insecureHttp: false,
  log: {
    origin: 'example.org/hello-signer',
    key: 'example.org/hello-signer+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
  },
  secret: {
    scheme: 'keypair',
    secretKey: Buffer.from('a secret key, held by this ticket alone').toString('base64'),
  },
  uploadToken: Buffer.alloc(32, 0xa5).toString('base64url'),
  source,
  artifacts,
  mode: 'fetch',
  notBefore: noon,
  expires: evening,
  approval: sha256Hex('approval'),
};

const nonce = Buffer.alloc(32, 0x5a).toString('base64url');
export const macTicket: Ticket = { ...ticket, secret: { scheme: 'mac', nonce } };
export const enrolTicket: Ticket = {
  ...ticket,
  secret: {
    scheme: 'enrol',
    nonce,
    secretKey: Buffer.from('a secret key, introduced by a nonce').toString('base64'),
    enrolBy: toTimestamp('2026-11-22T12:30:00Z', 'sample'),
  },
};

/** In digest mode: the state of an artifact that is one block and six octets long. */
const statedStatement: Statement = {
  ...statement,
  subjects: [{ ...subject('dist/b', 70), sha256State: toHashState('5a'.repeat(32 + 6), 'sample', 70) }],
};

const PREFIX = 'countersign-ticket-v1.';

/** A kind of JSON record: its name, the bytes of the example, and its parser followed by its encoder. */
export interface JsonRecord {
  readonly name: string;
  readonly bytes: Buffer;
  readonly parse: (bytes: Buffer) => unknown;
  readonly again: (bytes: Buffer) => Buffer;
}

const record = <T>(
  name: string,
  value: T,
  encode: (value: T) => Buffer,
  parse: (bytes: Buffer) => T,
): JsonRecord => ({ name, bytes: encode(value), parse, again: (bytes) => encode(parse(bytes)) });

const ticketRecord = (name: string, value: Ticket): JsonRecord =>
  record(
    name,
    value,
    (each) => Buffer.from(formatTicket(each).slice(PREFIX.length), 'base64url'),
    (bytes) => parseTicket(PREFIX + bytes.toString('base64url')),
  );

export const records: readonly JsonRecord[] = [
  record('approval', approval, encodeApproval, parseApproval),
  record('statement', statement, encodeStatement, parseStatement),
  record('statement for digest mode', statedStatement, encodeStatement, parseStatement),
  record('manifest', manifest, encodeManifest, parseManifest),
  record('release', release, encodeRelease, parseRelease),
  record('refusal', refusal, encodeRefusal, parseRefusal),
  record<LogEntry>('log entry', logEntry, encodeLogEntry, parseLogEntry),
  record<LogEntry>('heartbeat', heartbeat(project, noon), encodeLogEntry, parseLogEntry),
  ticketRecord('ticket', ticket),
  ticketRecord('ticket of scheme mac', macTicket),
  ticketRecord('ticket of scheme enrol', enrolTicket),
  record('approval with nonces', nonceApproval, encodeApproval, parseApproval),
  record('enrolment', enrolment, encodeEnrolment, parseEnrolment),
  record('revocation', revocation, encodeRevocation, parseRevocation),
  record('read request', readRequest, encodeReadRequest, parseReadRequest),
  record(
    'envelope',
    { payload: encodeStatement(statement), keyid: 'key', sig: Buffer.from('signature') },
    ({ payload, keyid, sig }) => encodeEnvelope(payload, keyid, sig),
    (bytes) => {
      const { payload, signatures } = parseEnvelope(bytes);
      const [{ keyid, sig }] = signatures;
      return { payload, keyid, sig: Buffer.from(sig) };
    },
  ),
];
