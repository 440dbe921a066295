/** A copy of a release, in a directory or behind a URL: names below `releases/<project>/<version>/`. Read only. */
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, refused, unable, usage } from '../failure.ts';
import { scanHandle } from '../host/file-scan.ts';
import { diskFailure, orNull, readFileBounded } from '../host/files.ts';
import type { Broken } from '../host/http.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import type { SignatureVerdict } from '../openpgp/verify.ts';
import type { Sha256 } from '../records/names.ts';
import { releaseProofFile } from '../records/paths.ts';
import { sha256Hex } from '../records/sha256.ts';
import { HttpDepot } from '../tree/http.ts';
import { isMissing } from './verdict.ts';
import type { Finding } from './verdict.ts';

export interface ReleaseCopy {
  /** What to call it in a message. */
  readonly where: string;
  /** Null if it is not there. Throws unable. */
  read(name: string, maxBytes: number): Promise<Buffer | null>;
}

/** The directory form also opens artifacts and lists what lies in it. */
export class DirectoryCopy implements ReleaseCopy {
  readonly where: string;

  constructor(directory: string) {
    this.where = directory;
  }

  read(name: string, maxBytes: number): Promise<Buffer | null> {
    return readFileBounded(join(this.where, name), maxBytes);
  }

  path(name: string): string {
    return join(this.where, name);
  }

  /** Every file below it, by name; what is neither file nor directory is listed too: it has no place here. */
  async names(below = ''): Promise<string[]> {
    const entries = await orNull(
      readdir(join(this.where, below), { withFileTypes: true }),
      `list ${join(this.where, below)}`,
    );
    const names: string[] = [];
    for (const entry of entries ?? []) {
      const name = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) names.push(...(await this.names(name)));
      else names.push(name);
    }
    return names;
  }
}

/** The release behind a URL; artifacts are not read from there. */
export class UrlCopy implements ReleaseCopy {
  readonly where: string;
  readonly #depot: HttpDepot;

  constructor(url: string, broken?: Broken) {
    this.where = url.replace(/\/+$/, '');
    this.#depot = new HttpDepot({ url: this.where, token: null, insecureHttp: false, broken });
  }

  read(name: string, maxBytes: number): Promise<Buffer | null> {
    return this.#depot.read(name, maxBytes);
  }

  close(): void {
    this.#depot.close();
  }
}

export const isUrl = (text: string): boolean => /^https?:\/\//i.test(text);

/** Whether something of a release lies in this directory, complete or not. */
export async function holdsRelease(directory: string): Promise<boolean> {
  for (const name of ['release.proof', 'release.json', 'manifest.json']) {
    const status = await orNull(lstat(join(directory, 'countersign', name)), `look at ${directory}`);
    if (status !== null) return true;
  }
  return false;
}

/** A file on its way through somebody's hands. */
export interface OpenFile {
  readonly size: number;
  /** Pushes its bytes, each chunk good only until `update` returns, and closes it. Throws unable. */
  scan(update: (chunk: Buffer) => void): Promise<void>;
  /** Instead of `scan`. */
  close(): Promise<void>;
}

/** The file as it is given, links followed, but never a FIFO waited for. Throws usage `no-such-file`, unable. */
export async function openFile(path: string): Promise<OpenFile> {
  const file = await orNull(open(path, constants.O_RDONLY | constants.O_NONBLOCK), `open ${path}`);
  if (file === null) throw usage('no-such-file', `${path} is not there`);
  const status = await file.stat();
  if (!status.isFile()) {
    await file.close();
    throw usage('not-a-file', `${path} is not a regular file`);
  }
  const { size } = status;
  const scan = async (update: (chunk: Buffer) => void): Promise<void> => {
    const read = await scanHandle(file, size, update).catch((error: unknown) => {
      throw diskFailure(error, `read ${path}`);
    });
    if (read > size) throw unable('file-grows', `${path} grew while it was read`, 'verify it again');
  };
  return { size, scan, close: () => file.close() };
}

/** A file that every release has and this copy lacks: no verdict, and never valid. */
export const incomplete = (copy: ReleaseCopy, name: string): Failure =>
  unable(
    'release-incomplete',
    `${copy.where} has no ${name}`,
    name === record(releaseProofFile) ? NO_COPY : 'copy the whole release again',
  );
/** Every release has a proof: what has none may be a directory of files. */
const NO_COPY =
  'this is no copy of a release, which has countersign/ in it; for files alone: ' +
  'countersign verify --project NAME --version VERSION FILE..., or --release URL FILE...';

/**
 * What a failure says of the release or of a file in it: a refusal is a verdict, a record that is too large too,
 * and a file that is missing is worth telling. null for a fault of something else.
 */
export function findingOf(error: unknown): Finding | null {
  if (!(error instanceof Failure)) return null;
  const { kind, code, message, hint } = error;
  const finding = { code, text: message, ...(hint !== '' && { hint }) };
  return kind === 'refused' || code === 'too-large' || isMissing(finding) ? finding : null;
}

/** A file that must be there. Throws unable `release-incomplete`. */
export async function readRequired(copy: ReleaseCopy, name: string, maxBytes: number): Promise<Buffer> {
  const bytes = await copy.read(name, maxBytes);
  if (bytes === null) throw incomplete(copy, name);
  return bytes;
}

/** In a release the records lie in a directory of their own. */
export const record = (name: string): string => `countersign/${name}`;

/** As `readRequired`, of a record. */
export const readRecord = (copy: ReleaseCopy, name: string, maxBytes: number): Promise<Buffer> =>
  readRequired(copy, record(name), maxBytes);

/** A record whose digest is not the one that counts. */
export const otherRecord = (name: string): Failure =>
  refused('chain-broken', `${name} is not the one that the manifest names`);

/** Throws refused, with what is wrong with the signature of that file. */
export function requireGood(name: string, verdict: SignatureVerdict): void {
  if (!verdict.ok) throw refused(verdict.code, `${name}: ${verdict.reason}`);
}

/**
 * `<name>.asc`, with the digest that the release lists for it.
 * Throws refused `chain-broken`, unable `release-incomplete`.
 */
export async function readSignature(
  copy: ReleaseCopy,
  listed: ReadonlyMap<string, Sha256>,
  name: string,
): Promise<Buffer> {
  const bytes = await readRequired(copy, `${name}.asc`, MAX_SIGNATURE_BYTES);
  if (sha256Hex(bytes) !== listed.get(`${name}.asc`))
    throw refused('chain-broken', `${name}.asc is not the signature that the release lists`);
  return bytes;
}
