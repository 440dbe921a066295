/**
 * With the release key alone: who signed these bytes, and nothing more. Not what they are called, of which
 * version they are, nor who allowed it: a signature of an old release is as good as one of today's.
 */
import { basename } from 'node:path';
import { usage } from '../failure.ts';
import { readFileBounded } from '../host/files.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { MAX_SIGNATURE_BYTES } from '../openpgp/signature.ts';
import { keyFact } from '../openpgp/key-fact.ts';
import { beginVerify } from '../openpgp/verify.ts';
import type { GoodSignature } from '../openpgp/verify.ts';
import { timestamp } from '../records/names.ts';
import { DirectoryCopy, UrlCopy, isUrl, openFile, findingOf } from './copy.ts';
import { badOutcome, unjudged } from './verdict.ts';
import type { FileVerdict, Verdict } from './verdict.ts';

interface Options {
  readonly offline: boolean;
  readonly now: Date;
  readonly progress?: (file: string, done: number, bytes: number) => void;
}

const WITH_THE_LOG =
  'whether it was signed in time says the log: -c countersign.toml, and the release, instead of --key';

interface Judged {
  readonly file: FileVerdict;
  readonly good: GoodSignature | null;
}

/**
 * Verifies `FILE.asc` of each file, found beside it or in `release`.
 * Throws usage (a directory, a URL with `--offline`), unable.
 */
export async function verifySignatures(
  paths: readonly string[],
  release: string | null,
  certificate: Certificate,
  options: Options,
): Promise<Verdict> {
  const judged: Judged[] = [];
  for (const path of paths) judged.push(await judgeSignature(path, release, certificate, options));
  const good = judged.find((each) => each.good !== null)?.good ?? null;
  const key = keyFact(certificate);
  return {
    outcome: judged.every((each) => each.good !== null)
      ? 'signature-only'
      : badOutcome(judged.flatMap(({ file }) => file.findings)),
    files: judged.map(({ file }) => file),
    release: null,
    signature: good && {
      key,
      signingKey: good.signingKey,
      created: timestamp(new Date(good.created * 1000)),
    },
    head: null,
    revoked: null,
    findings: [],
    warnings: [],
    checked: judged
      .filter((each) => each.good !== null)
      .map(({ file }) => `the signature over the bytes of ${file.file}`),
    notChecked: [
      'what the file is called, and of which project and version it is: the signature does not say',
      'when it was made: the time in it is the word of whoever had the key',
      'who approved and who built it, whether the log has it, what the log says of it since, and which witnesses have seen it: that needs a project file (-c) and the release',
    ],
  };
}

async function judgeSignature(
  path: string,
  release: string | null,
  certificate: Certificate,
  { offline, now, progress = () => {} }: Options,
): Promise<Judged> {
  const opened = await openFile(path);
  const bad = async (code: string, text: string): Promise<Judged> => {
    await opened.close();
    const hint = code === 'key-expired' ? { hint: WITH_THE_LOG } : {};
    return { file: { ...unjudged(path), findings: [{ code, text, ...hint }] }, good: null };
  };
  let signature: Buffer | null;
  try {
    signature = await findSignature(path, release, offline);
  } catch (error) {
    const finding = findingOf(error);
    if (finding === null) {
      await opened.close();
      throw error;
    }
    return bad(finding.code, finding.text);
  }
  if (signature === null) return bad('signature-missing', `there is no ${basename(path)}.asc`);
  const begun = beginVerify(signature, certificate, now);
  if (!('pass' in begun)) return bad(begun.code, begun.reason);

  let done = 0;
  await opened.scan((chunk) => {
    begun.pass.update(chunk);
    done += chunk.length;
    progress(path, done, opened.size);
  });
  const verdict = begun.conclude();
  const facts = { ...unjudged(path), sha256: verdict.sha256, size: verdict.size };
  if (verdict.ok) return { file: { ...facts, valid: true }, good: verdict };
  return { file: { ...facts, findings: [{ code: verdict.code, text: verdict.reason }] }, good: null };
}

async function findSignature(path: string, release: string | null, offline: boolean): Promise<Buffer | null> {
  if (release === null) return readFileBounded(`${path}.asc`, MAX_SIGNATURE_BYTES);
  const name = `${basename(path)}.asc`;
  if (!isUrl(release)) return new DirectoryCopy(release).read(name, MAX_SIGNATURE_BYTES);
  if (offline) throw usage('offline', '--release is a URL, and --offline reads nothing over the network');
  const copy = new UrlCopy(release);
  try {
    return await copy.read(name, MAX_SIGNATURE_BYTES);
  } finally {
    copy.close();
  }
}
