/**
 * gpgv, so that its word can be taken (protocol §6).
 *
 * What it is given is unambiguous: one packet that we parsed and wrote anew, one certificate, one stream of
 * data, nothing of the caller's environment or configuration. What it says must be, to the letter, what it
 * says about a good signature. Times and the state of the key are judged by us, before it is asked.
 */
import { constants } from 'node:fs';
import { open, rm, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { refused, unable } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { temporaryName, writeFully } from '../host/files.ts';
import { run } from '../host/process.ts';
import type { ChildInput, RunResult } from '../host/process.ts';
import type { Certificate } from './certificate.ts';
import { HASH_ID } from './signature.ts';
import { SUBPACKET, parseSubpackets } from './subpacket.ts';
import { transcriptProblem } from './transcript.ts';
import type { Expected } from './transcript.ts';
import { examineSignature } from './verify.ts';
import type { Examined, SignatureVerdict } from './verify.ts';

export interface Question {
  /** A detached signature: binary, or one armored block. */
  readonly signature: Buffer;
  /** The document; a file must be a regular one. */
  readonly data: Buffer | { readonly file: string };
  readonly certificate: Certificate;
  readonly now: Date;
  /** Another gpgv than the one on PATH. */
  readonly gpgv?: string;
}

/** A good transcript takes some 500 bytes; a user id may take 2 KiB, escaped. */
const OUTPUT_MAX = 64 * 1024;
/** gpgv reads 280 MB a second: a tenth of that is a machine in trouble. */
const DEADLINE_MS = 20_000;
const BYTES_A_MS = 28_000;
/** Nothing is there: no configuration, no keyring of somebody else's. */
const NO_HOME = '/proc/self/fd/6/no-home';

/**
 * Whether `signature` is a good one over `data` by a key of `certificate` that may sign, as gpgv and we see it.
 *
 * Anything odd is a verdict, also a gpgv that hangs, floods or says too little. Throws `unable` only if it
 * could not be asked: `gpgv-missing`, `gpgv-failed`, `data-unreadable`.
 */
export async function verifyWithGpgv(question: Question): Promise<SignatureVerdict> {
  const { certificate, now } = question;
  // 1. pre-parse; the issuer is a key of this certificate, which may sign now; the date is possible
  const examined = examineSignature(question.signature, certificate, now);
  if (!('signature' in examined)) return examined;

  // 2. gpgv, over the re-written packet
  const ending = await askGpgv(examined, question);

  // 3. exactly the expected transcript
  const { signature, key } = examined;
  const problem = transcriptProblem(ending, expectation(examined, certificate));
  if (problem !== null) return { ok: false, code: 'gpgv-refused', reason: problem };
  return {
    ok: true,
    primary: certificate.primary.fingerprint,
    signingKey: key.fingerprint,
    created: signature.created,
    hash: signature.hash,
  };
}

/** What gpgv must say about this signature. */
function expectation({ signature, key }: Examined, certificate: Certificate): Expected {
  const hashed = parseSubpackets(signature.hashedPart.subarray(6), (text) =>
    refused('signature-malformed', text),
  );
  return {
    primary: certificate.primary.fingerprint,
    signingKey: key.fingerprint,
    created: signature.created,
    algorithmId: signature.algorithmId,
    hashId: HASH_ID[signature.hash],
    annotated: hashed.some(({ type }) => type === SUBPACKET.notation || type === SUBPACKET.policyUri),
  };
}

/** Runs gpgv over an examined signature; what it said is returned, not judged. */
export async function askGpgv(examined: Examined, question: Question): Promise<RunResult> {
  const { data, certificate, gpgv = 'gpgv' } = question;
  return withKeyring(certificate, (keyring) =>
    withDescriptor(data, (input, size) => {
      const ring = ['--homedir', NO_HOME, '--keyring', '/proc/self/fd/6'];
      const files = ['--status-fd', '3', '--enable-special-filenames', '--', '-&4', '-&5'];
      return run(gpgv, [...ring, ...files], {
        fds: [examined.signature.rewritten, input, keyring],
        timeoutMs: DEADLINE_MS + size / BYTES_A_MS,
        maxOutput: OUTPUT_MAX,
      });
    }),
  );
}

/** A keyring of one certificate: an open file without a name, so that nothing of it stays however we end. */
async function withKeyring<T>(certificate: Certificate, use: (keyring: number) => Promise<T>): Promise<T> {
  const path = join(resolve(tmpdir()), `countersign-gpgv${temporaryName()}`);
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'wx', 0o600);
    await unlink(path);
    await writeFully(file, certificate.bytes);
  } catch (cause) {
    await file?.close();
    await rm(path, { force: true }).catch(() => {});
    const hint = `see whether ${tmpdir()} has room`;
    throw unable('gpgv-failed', 'the keyring for gpgv could not be written', hint, cause);
  }
  try {
    return await use(file.fd);
  } finally {
    await file.close();
  }
}

/** Opens the document, so that its name is never shown to gpgv; a FIFO or a device would hang it. */
async function withDescriptor<T>(
  data: Question['data'],
  use: (input: ChildInput, size: number) => Promise<T>,
): Promise<T> {
  if (Buffer.isBuffer(data)) return use(data, data.length);
  const unreadable = (cause?: unknown): Failure =>
    unable('data-unreadable', `${data.file} is not a file that can be read`, 'see its type and mode', cause);
  const file = await open(data.file, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw unreadable(cause);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw unreadable();
    return await use(file.fd, stat.size);
  } finally {
    await file.close();
  }
}
