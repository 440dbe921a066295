/** What nonces are used for: sealed ones, MACs, enrolments that a log answers; and what an approver asks a depot with. */
import type { IncomingMessage } from 'node:http';
import { bearerOf } from '../../src/depot/request.ts';
import { refused } from '../../src/failure.ts';
import { parseEphemeralCertificate, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { openNonce } from '../../src/openpgp/sealed.ts';
import { judgeReadRequest } from '../../src/policy/gate/read-request.ts';
import { verifyEnrolment } from '../../src/policy/release-chain.ts';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { isMac, isMacFile, MAC_FILE_BYTES, macOf } from '../../src/records/mac.ts';
import { timestamp } from '../../src/records/names.ts';
import { enrolmentFile } from '../../src/records/paths.ts';
import { encodeReadRequest } from '../../src/records/read-request.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { parseSignerKey, signNote } from '../../src/tlog/note.ts';
import { formatProof, unwitnessed } from '../../src/tlog/proof.ts';
import { formatAuthorization } from '../../src/tree/wire.ts';
import { now, project } from '../policy/scene.ts';
import { b1, enrolment as sample, logEntry, readRequest } from '../records/samples.ts';
import type { Target } from './fuzz.ts';
import { holds, same, seed } from './oracle.ts';

const certificate = seed('ephemeral.pgp');
const secret = parseEphemeralSecret(seed('ephemeral-secret.pgp'));

const key = {
  purpose: 'statement',
  nonce: Buffer.alloc(32, 0x5a),
  build: sample.build,
  slot: b1,
} as const;
const mac = macOf(key, seed('document'));

/** As a log answers an enrolment; `changes` of the entry that it has instead. */
const logKey = parseSignerKey(seed('log-key').toString());
const log = unwitnessed({ origin: logKey.name, key: logKey.verifier });
const enrolment = encodeEnrolment({ ...sample, certificate: certificate.toString('base64') });
const { fingerprint } = parseEphemeralCertificate(certificate).primary;
function receiptOf(changes: Partial<BuildEntry> = {}): Buffer {
  const records = { [enrolmentFile(b1)]: sha256Hex(enrolment) };
  const leaf = encodeLogEntry({ ...logEntry, type: 'enrolment', records, keys: [fingerprint], ...changes });
  const tree = treeOf([Buffer.from('before'), leaf, Buffer.from('after')].map(leafHash));
  const checkpoint = formatCheckpoint({ origin: logKey.name, size: tree.size, root: tree.root() });
  return formatProof({
    ...{ extra: leaf, index: 1, hashes: tree.inclusionProof(1) },
    checkpoint: signNote(checkpoint, logKey),
  });
}
const receipt = receiptOf();

/** A request of an approver, made just now, and what is nearly one. */
const asker = { ...project, approvers: [parseEphemeralCertificate(certificate)] };
const request = encodeReadRequest({ ...readRequest, signer: project.log.origin, time: timestamp(now) });
const signed = (bytes: Buffer): string =>
  formatAuthorization({ bytes, signature: secret.sign(bytes, now.getTime() / 1000) });
const asked = signed(request);

export const nonceTargets: readonly Target[] = [
  {
    name: 'mac-file',
    seeds: [mac],
    words: ['=', '==', '\n', '\n\n', '-', '_', '+', '/'],
    read: (input) => {
      if (isMac(input, key, seed('document'))) same(input, mac, 'a MAC that nobody made');
      if (!isMacFile(input)) throw refused('fuzz', 'no MAC');
      holds(input.length === MAC_FILE_BYTES, 'a MAC of another length');
    },
  },
  {
    name: 'sealed-nonce',
    seeds: ['nonce-cv25519.pgp', 'nonce-rsa.pgp'].map(seed),
    slow: true,
    read: async (input) => {
      // nobody here has a key for them
      await openNonce(input, {
        pinentry: 'error',
        env: { PATH: process.env['PATH'], GNUPGHOME: '/nonexistent' },
      });
      holds(false, 'opened, without a key');
    },
  },
  {
    name: 'receipt',
    seeds: [receipt, receiptOf({ type: 'approval' }), receiptOf({ keys: [] }), receiptOf({ records: {} })],
    words: ['\n\n', '\n', '— ', 'extra ', 'index ', '1', '01', '='],
    read: (input) => {
      const { index, entry } = verifyEnrolment(input, enrolment, log);
      holds(index === 1 && entry.type === 'enrolment', 'another entry');
      same(entry.keys.join(), fingerprint, 'another key');
    },
  },
  {
    name: 'read-request-header',
    seeds: [asked, `Bearer ${Buffer.alloc(32, 7).toString('base64url')}`].map((text) => Buffer.from(text)),
    words: ['.', ' ', '-', '_', '=', 'Bearer ', 'Countersign-Read ', 'countersign-read ', ', '],
    read: (input) => {
      const authorization = input.toString('latin1');
      const bearer = bearerOf({ headers: { authorization } } as IncomingMessage);
      if (bearer === null) throw refused('fuzz', 'nobody');
      same(formatAuthorization(bearer), authorization);
      if (Buffer.isBuffer(bearer)) return;
      const question = { project: asker, build: readRequest.build, authority: bearer, url: null, now };
      const denied = judgeReadRequest(question);
      if (denied !== null) throw refused(denied.code, denied.message);
      same(bearer.bytes, request, 'a request that nobody made');
    },
  },
];
