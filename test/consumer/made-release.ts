/** The release of the build in `policy/scene.ts`, whole, in a directory, as a depot publishes it. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { verifyFiles } from '../../src/consumer/verify.ts';
import type { VerifyOptions } from '../../src/consumer/verify.ts';
import type { Verdict } from '../../src/consumer/verdict.ts';
import { encodeArmor } from '../../src/openpgp/armor.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { CHECKSUMS_FILE, formatChecksums, formatSignaturesList } from '../../src/records/signatures-list.ts';
import { releaseFiles } from '../policy/release-scene.ts';
import {
  approvalFiles,
  artifacts,
  now,
  project,
  releaseKey,
  statementFiles,
  subjects,
} from '../policy/scene.ts';
import type { Files, Person } from '../policy/scene.ts';

export interface ReleaseChanges {
  /** Whose key signs the artifacts. */
  readonly signer?: Person;
  readonly records?: Omit<Parameters<typeof releaseFiles>[0] & object, 'list'>;
  /** Instead of the scene's approval and its signatures. */
  readonly approval?: Files;
  /** Instead of the scene's statement and its signatures. */
  readonly statement?: Files;
}

const sign = (bytes: Buffer, signer: Person): Buffer =>
  Buffer.from(encodeArmor('PGP SIGNATURE', signer.secret.sign(bytes, now.getTime() / 1000)));

/** Every file of the release by name; what follows from a change follows. */
export function madeRelease(changes: ReleaseChanges = {}): Files {
  const { signer = releaseKey } = changes;
  const signed = new Map<string, Buffer>([
    ...Object.entries(artifacts),
    [CHECKSUMS_FILE, formatChecksums(subjects)],
  ]);
  const signatures = new Map([...signed].map(([name, bytes]) => [`${name}.asc`, sign(bytes, signer)]));
  const list = formatSignaturesList(
    new Map([...signatures].map(([name, bytes]) => [name, sha256Hex(bytes)])),
  );
  const records = [
    ...(changes.approval ?? approvalFiles()),
    ...(changes.statement ?? statementFiles()),
    ...releaseFiles({ ...changes.records, list }),
  ].map(([name, bytes]): [string, Buffer] => [`countersign/${name}`, bytes]);
  return new Map([...signed, ...signatures, ...records]);
}

/** Writes files into a new directory below `parent`. Returns it. */
export function write(files: Files, parent = tmpdir()): string {
  const directory = mkdtempSync(join(parent, 'cs-release-'));
  for (const [name, bytes] of files) put(directory, name, bytes);
  return directory;
}

export function put(directory: string, name: string, bytes: Buffer | string): string {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

/** `verify` of these paths with the scene's project file, half an hour into its day. */
export function verify(paths: string[], more: Partial<VerifyOptions> = {}): Promise<Verdict> {
  return verifyFiles({
    paths,
    trust: { kind: 'project', project },
    release: null,
    depot: null,
    project: null,
    version: null,
    offline: true,
    signatureOnly: false,
    now,
    ...more,
  });
}
