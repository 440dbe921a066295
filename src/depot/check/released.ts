/** What the files of a build that has ended should be: its refusal, or its release, in the build and published. */
import { Failure } from '../../failure.ts';
import { attempt } from '../../policy/attempt.ts';
import { verifyReleaseEntry } from '../../policy/release-chain.ts';
import {
  blobFile,
  buildPath,
  logEntryFile,
  manifestFile,
  refusalFile,
  refusalProofFile,
} from '../../records/paths.ts';
import { releaseFile, releaseProofFile, signaturesListFile } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { CHECKSUMS_FILE, formatChecksums } from '../../records/signatures-list.ts';
import type { Digest, Expected, Problem } from './expected.ts';
import { proofProblem } from './facts.ts';
import type { Facts } from './facts.ts';

/** The refusal and its proof. */
export function refusalOf(facts: Facts, needed: string | null): Expected[] {
  const line = facts.line('refusal');
  const sha256 = line?.entry.records[refusalFile];
  if (line === null || sha256 === undefined) return [];
  const { ledger } = facts.question;
  const is = (found: Buffer): Problem | null => proofProblem(found, line, facts);
  const make = async (): Promise<Buffer | null> => (await ledger?.proof(line.index, line.leaf)) ?? null;
  return [
    {
      path: buildPath(facts.build, refusalFile),
      is: { sha256, size: null, by: 'the log' },
      needed,
      sources: [],
    },
    { path: buildPath(facts.build, refusalProofFile), is, needed, sources: [], make },
  ];
}

/** The release's records, at `place`; with `needed` they must be there. */
export function chainOf(facts: Facts, place: string, needed: string | null): Expected[] {
  const line = facts.line('release');
  if (line === null) return [];
  const { ledger, project } = facts.question;
  const of = (file: string, is: Expected['is'], make?: Expected['make']): Expected => {
    const path = `${place}/${file}`;
    return { path, is, needed, sources: facts.places(file).filter((other) => other !== path), make };
  };
  const files = [
    of(
      logEntryFile,
      { sha256: sha256Hex(line.leaf), size: line.leaf.length, by: 'the log' },
      async () => line.leaf,
    ),
    of(
      releaseProofFile,
      (found) => {
        const log = { ...project.log, quorum: 0 };
        const verdict = attempt(() => verifyReleaseEntry(found, line.leaf, log));
        return verdict instanceof Failure ? { code: 'proof', text: verdict.message } : null;
      },
      async () => (await ledger?.proof(line.index, null)) ?? null,
    ),
  ];
  for (const file of [releaseFile, manifestFile]) {
    const sha256 = line.entry.records[file];
    if (sha256 !== undefined) files.push(of(file, { sha256, size: null, by: 'the log' }));
  }
  const list = facts.release?.signatures.sha256;
  if (list !== undefined)
    files.push(of(signaturesListFile, { sha256: list, size: null, by: releaseFile }, () => facts.makeList()));
  return files;
}

/** Artifacts and signatures in the build itself. */
export function* payloadOf(facts: Facts): Generator<Expected, void, undefined> {
  const { build, manifest, target } = facts;
  const signed = new Map<string, string[]>();
  for (const { name, sha256 } of manifest?.subjects ?? []) {
    const names = signed.get(sha256);
    if (names) names.push(name);
    else signed.set(sha256, [name]);
  }
  for (const { sha256, size } of new Map(manifest?.subjects.map((each) => [each.sha256, each])).values()) {
    const names = signed.get(sha256) ?? [];
    yield {
      path: buildPath(build, blobFile(sha256)),
      is: { sha256, size, by: manifestFile },
      needed: manifestFile,
      sources: target === null ? [] : names.map((name) => `${target}/${name}`),
    };
  }
  yield* signaturesAt(facts, (name) => buildPath(build, `signatures/${name}`));
}

/** Artifacts, signatures and checksums of the published release. */
export function* publishedOf(facts: Facts, target: string): Generator<Expected, void, undefined> {
  const { build, manifest } = facts;
  if (manifest === null) return;
  for (const { name, sha256, size } of manifest.subjects)
    yield {
      path: `${target}/${name}`,
      is: { sha256, size, by: manifestFile, signature: `${target}/${name}.asc` },
      needed: manifestFile,
      sources: [buildPath(build, blobFile(sha256))],
    };
  const checksums = formatChecksums(manifest.subjects);
  yield {
    path: `${target}/${CHECKSUMS_FILE}`,
    is: {
      ...{ sha256: sha256Hex(checksums), size: checksums.length, by: manifestFile },
      signature: `${target}/${CHECKSUMS_FILE}.asc`,
    },
    needed: manifestFile,
    sources: [],
    make: async () => checksums,
  };
  yield* signaturesAt(facts, (name) => `${target}/${name}`);
}

function* signaturesAt(
  facts: Facts,
  at: (name: string) => string,
): Generator<Expected & { readonly is: Digest }, void, undefined> {
  for (const [name, sha256] of facts.signatures ?? []) {
    const path = at(name);
    const signed = name.slice(0, -'.asc'.length);
    const sources = facts.places(`signatures/${signed}.asc`).filter((other) => other !== path);
    yield { path, is: { sha256, size: null, by: signaturesListFile }, needed: signaturesListFile, sources };
  }
}
