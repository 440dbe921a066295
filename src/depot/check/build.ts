/** All files of one build, and of its release, held against what they should be. */
import { join } from 'node:path';
import { verifyWithGpgv } from '../../openpgp/gpgv.ts';
import { Failure } from '../../failure.ts';
import { attempt } from '../../policy/attempt.ts';
import { LARGE_RECORD_MAX } from '../../records/canonical.ts';
import { timestampDate } from '../../records/names.ts';
import type { BuildId } from '../../records/names.ts';
import {
  approvalFile,
  blobFile,
  buildPath,
  parseBuildFile,
  releaseFile,
  releaseProofFile,
} from '../../records/paths.ts';
import { statementFile } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { parseStatement } from '../../records/statement.ts';
import { slotsOf } from '../../policy/builder-key.ts';
import { inParallel } from '../../tree/parallel.ts';
import { hashAll } from './bytes.ts';
import type { Asked } from './bytes.ts';
import { otherBytes } from './expected.ts';
import type { Expected } from './expected.ts';
import { Facts, isUnreadable } from './facts.ts';
import type { Question } from './facts.ts';
import { Findings } from './finding.ts';
import { LOG } from './place.ts';
import { recordsOf } from './records.ts';
import { chainOf, payloadOf, publishedOf, refusalOf } from './released.ts';
import { look, walk } from './walk.ts';
import type { Lying } from './walk.ts';

/** A build as it was found. */
export interface Checked {
  readonly build: BuildId;
  /** Where its release is, or should be. */
  readonly target: string | null;
  readonly findings: Findings;
  /** What each file should be, for whoever mends. */
  readonly expected: ReadonlyMap<string, Expected>;
  /** The release is to be published: all of it is here, in the build. */
  readonly publish: boolean;
}

export interface CheckOptions extends Question {
  /** Ask gpgv, too. */
  readonly gpgv: boolean;
  /** Bytes that were read. */
  readonly progress: (bytes: number) => void;
}

/** What was found, and what should be. */
interface Comparison {
  readonly facts: Facts;
  /** What lies in the build, and in its release, by path below each. */
  readonly here: ReadonlyMap<string, Lying>;
  readonly there: ReadonlyMap<string, Lying>;
  readonly expected: ReadonlyMap<string, Expected>;
  readonly findings: Findings;
}

/** The signer, or another process, may be at it for so long. */
const UNDER_WAY_MS = 10 * 60_000;

/** Looks at all of it once. `release`: where its release was found. Throws unable('disk'). */
export async function checkBuild(
  options: CheckOptions,
  build: BuildId,
  release: string | null,
): Promise<Checked> {
  const facts = await Facts.of(options, build, release);
  const root = options.tree.directory;
  const findings = new Findings();
  const here = await lyingIn(root, buildPath(build), findings);
  const { target } = facts;
  const there = target === null ? new Map<string, Lying>() : await lyingIn(root, target, findings);

  const expected = new Map<string, Expected>();
  const expect = (file: Expected): void => void expected.set(file.path, file);
  const delivered = there.size > 0 || here.has(releaseFile) || here.has(releaseProofFile);
  const published = there.size > 0 && target !== null;

  const place = {
    facts,
    at: (file: string) => buildPath(build, file),
    there: namesOf(here),
    isRelease: false,
  };
  for await (const file of recordsOf(place)) expect(file);
  const why = facts.line('refusal') && (await ofSigner(facts, options, here.size > 0));
  for (const file of refusalOf(facts, why)) expect(file);
  const line = facts.line('release');
  const withdrawn = facts.line('revocation') !== null;
  const leaves = line !== null && (delivered || !withdrawn);
  if (leaves) {
    const needed = delivered ? 'the log' : await ofSigner(facts, options, true);
    for (const file of chainOf(facts, buildPath(build), needed)) expect(file);
    if (!delivered && needed === null)
      findings.add('leftover', 'under-way', buildPath(build, releaseFile), 'it is logged, and not sent yet');
    for (const file of payloadOf(facts)) expect(file);
  }
  if (published) {
    for (const file of chainOf(facts, `${target}/countersign`, 'the release')) expect(file);
    for (const file of publishedOf(facts, target)) expect(file);
    const copy = {
      ...{ facts, at: (file: string) => `${target}/countersign/${file}`, isRelease: true },
      there: new Set(
        [...there.keys()].filter((file) => file.startsWith('countersign/')).map((file) => file.slice(12)),
      ),
    };
    for await (const file of recordsOf(copy)) expect(file);
  }
  await expectBlobs(facts, here, expect);

  const comparison = { facts, here, there, expected, findings };
  await compare(options, comparison);
  strays(comparison);
  missing(comparison);

  const lacks = line !== null && delivered && !published && !withdrawn;
  if (lacks && target !== null) {
    const proof = here.get(releaseProofFile);
    const young = proof !== undefined && options.now.getTime() - proof.written < UNDER_WAY_MS;
    const text = young
      ? 'it is about to be published'
      : `release ${facts.release?.version ?? build} is not published`;
    findings.add(young ? 'leftover' : 'missing', young ? 'under-way' : 'unpublished', target, text);
  }
  if (options.gpgv && published) await askGpgv(options, facts, target, there, findings);
  return { build, target, findings, expected, publish: lacks };
}

const namesOf = (lying: ReadonlyMap<string, Lying>): Set<string> =>
  new Set([...lying].filter(([, { kind }]) => kind === 'file').map(([name]) => name));

/** By path below the directory; what is no regular file is a finding. */
async function lyingIn(root: string, directory: string, findings: Findings): Promise<Map<string, Lying>> {
  const found = new Map<string, Lying>();
  for await (const lying of walk(root, directory)) {
    if (lying.kind === 'file') found.set(lying.path.slice(directory.length + 1), lying);
    else findings.add('foreign', 'not-a-file', lying.path, 'it is no regular file');
  }
  return found;
}

/** Why records that the signer sends after it has logged them must be here; null while it may be about to. */
async function ofSigner(
  facts: Facts,
  { now, project }: CheckOptions,
  begun: boolean,
): Promise<string | null> {
  const line = facts.line('release') ?? facts.line('refusal');
  // an approval of another project has no place here
  if (line === null || line.entry.project !== project.name) return null;
  const young = now.getTime() - timestampDate(line.entry.time).getTime() < UNDER_WAY_MS;
  return begun && !young ? 'the log' : null;
}

/** Every blob is what its name says; those that somebody needs are there. */
async function expectBlobs(
  facts: Facts,
  here: ReadonlyMap<string, Lying>,
  expect: (file: Expected) => void,
): Promise<void> {
  const needed = new Map<string, Expected>();
  if (facts.isOpen && facts.approval !== null)
    for (const slot of slotsOf(facts.approval)) {
      const file = statementFile(slot);
      const bytes = await facts.read(buildPath(facts.build, file));
      const statement = bytes && attempt(() => parseStatement(bytes));
      if (statement === null || statement instanceof Failure) continue;
      for (const { sha256, size } of statement.subjects) {
        const path = buildPath(facts.build, blobFile(sha256));
        needed.set(path, { path, is: { sha256, size, by: file }, needed: file, sources: [] });
      }
    }
  for (const name of here.keys()) {
    const blob = parseBuildFile(name);
    if (blob?.kind !== 'blob') continue;
    const path = buildPath(facts.build, name);
    const released = facts.manifest?.subjects.some(({ sha256 }) => sha256 === blob.sha256);
    if (released || needed.has(path)) continue;
    expect({ path, is: { sha256: blob.sha256, size: null, by: 'its name' }, needed: null, sources: [] });
  }
  for (const file of needed.values()) expect(file);
}

/** What is there is what it should be. */
async function compare(
  { tree, project, progress }: CheckOptions,
  { facts, here, there, expected, findings }: Comparison,
): Promise<void> {
  const lying = [...here.values(), ...there.values()];
  // one file may have several names: it is read once, under the name that has a signature
  const asked = new Map<string, Asked>();
  const judged: [Lying, Expected][] = [];
  for (const each of lying) {
    const file = expected.get(each.path);
    if (file === undefined) continue;
    judged.push([each, file]);
    if (typeof file.is === 'function' || (file.is.size ?? each.size) !== each.size) continue;
    const { signature = null } = file.is;
    if (!asked.has(each.inode) || signature !== null)
      asked.set(each.inode, { path: each.path, size: each.size, signature });
  }
  const job = { directory: tree.directory, certificate: project.release.certificate.bytes };
  const answers = await hashAll(job, [...asked.values()], progress);
  await inParallel(judged, 8, async ([each, file]) => {
    const { is } = file;
    if (typeof is === 'function') {
      const bytes = await readOr(facts, each.path);
      if (typeof bytes === 'string') findings.add('damaged', bytes, each.path, 'it can’t be read');
      const problem = Buffer.isBuffer(bytes) ? is(bytes) : null;
      if (problem) findings.add('damaged', problem.code, each.path, problem.text);
      return;
    }
    const answer = answers.get(asked.get(each.inode)?.path ?? '');
    const { code, text } = otherBytes(is.by);
    if ((is.size ?? each.size) !== each.size)
      findings.add('damaged', code, each.path, `${text}: it has ${each.size} bytes, not ${is.size}`);
    else if (answer?.unreadable) findings.add('damaged', 'unreadable', each.path, 'it can’t be read');
    else if (answer?.sha256 !== is.sha256) findings.add('damaged', code, each.path, text);
  });
  // where both are what they should be, and do not fit, nobody's disk is at fault
  for (const { path, fits, signature } of [...asked.values()].map((one) => ({
    ...one,
    ...answers.get(one.path),
  })))
    if (
      fits === false &&
      signature !== null &&
      !findings.get(path) &&
      !findings.get(signature) &&
      expected.has(signature)
    )
      if (lying.some((each) => each.path === signature))
        findings.add(
          'damaged',
          'signed-so',
          signature,
          'it is as it was logged, and no signature of its file',
        );
}

/** A file's bytes, or why it has none: it is gone (null), or its fault. */
async function readOr(facts: Facts, path: string): Promise<Buffer | string | null> {
  try {
    return await facts.question.tree.read(path, LARGE_RECORD_MAX * 2);
  } catch (error) {
    if (error instanceof Failure && error.code === 'too-large') return 'too-large';
    if (isUnreadable(error)) return 'unreadable';
    throw error;
  }
}

/** What nobody expects there. */
function strays({ facts, here, there, expected, findings }: Comparison): void {
  const hasBegun = [...here.keys()].some((file) => !file.startsWith(`${approvalFile}.`));
  for (const [name, { path }] of here) {
    if (expected.has(path)) continue;
    const kind = parseBuildFile(name)?.kind ?? null;
    if (!hasBegun && kind === 'approval-signature')
      findings.add('leftover', 'unbegun', path, 'an approval that did not come whole');
    else if (kind === 'revocation-signature')
      findings.add('leftover', 'unfinished', path, 'a revocation that did not come whole');
    // of what rests on a record that is lost, nothing can be said
    else if (kind === null || isJudged(facts, kind))
      findings.add('foreign', 'foreign', path, 'no build has such a file, or not this one');
  }
  for (const [name, { path }] of there)
    if (
      !expected.has(path) &&
      (!name.startsWith('countersign/')
        ? facts.manifest !== null && facts.signatures !== null
        : facts.approval !== null)
    )
      findings.add('foreign', 'foreign', path, 'the release has no such file');
}

/** Whether it is known which files of the kind the build has. */
function isJudged(facts: Facts, kind: string): boolean {
  if (/^(statement|enrolment)/.test(kind)) return facts.approval !== null;
  if (kind === 'signature') return facts.signatures !== null || facts.line('release') === null;
  if (kind === 'signatures-list') return facts.release !== null || facts.line('release') === null;
  return true;
}

/** What is needed and not there. */
function missing({ facts, here, there, expected, findings }: Comparison): void {
  const paths = new Set([...here.values(), ...there.values()].map(({ path }) => path));
  for (const { path, needed } of expected.values()) {
    if (needed === null || paths.has(path)) continue;
    const why = needed === LOG ? 'the log names it' : `it belongs to ${needed}`;
    // the way of a refused build to a mirror ends with its refusal
    const file = parseBuildFile(path.slice(buildPath(facts.build).length + 1))?.kind ?? '';
    if (facts.line('refusal') !== null && /^(statement|enrolment)/.test(file))
      findings.add(
        'leftover',
        'not-carried',
        path,
        'it is not there; nothing rests on it, as the build is refused',
      );
    else findings.add('missing', 'missing', path, `it is not there, and ${why}`);
  }
}

/** Each signature of the release, by gpgv. */
async function askGpgv(
  { tree, project }: CheckOptions,
  facts: Facts,
  target: string,
  there: ReadonlyMap<string, Lying>,
  findings: Findings,
): Promise<void> {
  const { manifest } = facts;
  if (manifest === null) return;
  const { certificate } = project.release;
  // keys as they were when it was signed
  const now = timestampDate(manifest.signedAt);
  await inParallel(facts.signatures?.keys() ?? [], 4, async (name) => {
    const signed = name.slice(0, -'.asc'.length);
    const path = `${target}/${name}`;
    const signature = await facts.read(path);
    if (signature === null || !there.has(signed) || findings.get(path) || findings.get(`${target}/${signed}`))
      return;
    const question = { signature, data: { file: join(tree.directory, target, signed) }, certificate, now };
    const verdict = await verifyWithGpgv(question);
    if (!verdict.ok) findings.add('damaged', verdict.code, path, verdict.reason);
  });
}

/** Whether a file is what it should be now. Throws unable('disk'). */
export async function isWhole(
  { tree, project }: Pick<Question, 'tree' | 'project'>,
  path: string,
  is: Expected['is'],
): Promise<boolean> {
  const lying = await look(tree.directory, path);
  if (lying?.kind !== 'file') return false;
  if (typeof is === 'function') {
    const bytes = await tree.read(path, LARGE_RECORD_MAX * 2);
    return bytes !== null && is(bytes) === null;
  }
  if ((is.size ?? lying.size) !== lying.size) return false;
  const job = { directory: tree.directory, certificate: project.release.certificate.bytes };
  const answers = await hashAll(job, [{ path, size: lying.size, signature: null }], () => {});
  return answers.get(path)?.sha256 === is.sha256;
}

/** Whether bytes that were made are what they should be. */
export const areRight = (bytes: Buffer, is: Expected['is']): boolean =>
  typeof is === 'function' ? is(bytes) === null : sha256Hex(bytes) === is.sha256;
