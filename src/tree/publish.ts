/**
 * Publishing: everything that a release consists of is read again from the depot itself and verified, then it becomes
 * visible at once. Protocol §3 and §4, "publish".
 */
import { refused, unable } from '../failure.ts';
import type { Project } from '../policy/project.ts';
import { verifyReleaseChain } from '../policy/release-chain.ts';
import type { ReleaseFiles, VerifiedRelease } from '../policy/release-chain.ts';
import type { BuildId } from '../records/names.ts';
import { blobFile, buildPath, logEntryFile, manifestFile, releaseDir } from '../records/paths.ts';
import { releaseFile, releaseProofFile, signatureFile, signaturesListFile } from '../records/paths.ts';
import { parseRelease } from '../records/release.ts';
import { CHECKSUMS_FILE } from '../records/signatures-list.ts';
import { inParallel } from './parallel.ts';
import { BuildFiles, readRecords } from './publish/records.ts';
import type { Records } from './publish/records.ts';
import { checkArtifacts, checkChecksums, requireArtifacts } from './publish/signatures.ts';
import type { Assembly, Tree, Written } from './tree.ts';

export interface Publication {
  readonly tree: Tree;
  readonly project: Project;
  readonly build: BuildId;
  readonly now: Date;
}

/** How many files are linked at a time. */
const LINKS = 16;

/**
 * Makes the build's release visible: `new`, or `same` if it was already. Any number may do it at once.
 * Throws refused('release-incomplete' | 'version-taken' | …: what a check finds), unable('disk' | 'gpgv-…' | …).
 */
export async function publish({ tree, project, build, now }: Publication): Promise<Written> {
  // 1. Visible already: that is all that was asked for. Anybody may ask again and again, so before anything large is read.
  const files = new BuildFiles(tree, build);
  const bytes = await files.need(releaseFile);
  const release = parseRelease(bytes);
  if (release.build !== build || release.project !== project.name)
    throw refused('build-mismatch', `the release is of ${release.project} build ${release.build}`);
  const target = releaseDir(release.project, release.version);
  if (await isPublished(tree, target, bytes)) return 'same';

  // 2. The chain from the log key to the list of signatures, by the project's release key.
  const chain = await readChain(files, bytes);
  //    Whether enough witnesses had seen it was for the gate that took the proof.
  const verified = verifyReleaseChain(chain, { ...project.log, quorum: 0 });
  const { manifest } = verified;
  const { certificate } = project.release;
  if (manifest.releaseKey !== certificate.primary.fingerprint) {
    throw refused(
      'release-key',
      `the release is by ${manifest.releaseKey}, which is not the project's release key`,
    );
  }

  // 3. Approval and statements, with the authority behind them.
  const records = await readRecords(files, verified, project);

  // 4. Every artifact, once; then the checksums, which cover them all, also by gpgv. Anybody may ask for it while some
  //    are missing, or signatures: then nothing is read.
  const check = { tree, files, verified, certificate, now };
  await requireArtifacts(check);
  await checkArtifacts(check);
  const checksums = await checkChecksums(check);

  // 5. Visible at once, the proof written last.
  const assembly = await tree.assemble(target);
  try {
    await linkArtifacts(assembly, verified);
    await assembly.write(CHECKSUMS_FILE, checksums);
    await writeRecords(assembly, records, chain);
    if (await assembly.commit()) return 'new';
  } finally {
    await assembly.discard();
  }

  // 6. Somebody was faster.
  if (await isPublished(tree, target, chain.release)) return 'same';
  throw unable(
    'release-broken',
    `${target} is there, but no whole release`,
    'move it out of the way, then sign or sync again',
  );
}

async function readChain(files: BuildFiles, release: Buffer): Promise<ReleaseFiles> {
  return {
    proof: await files.need(releaseProofFile),
    logEntry: await files.need(logEntryFile),
    release,
    manifest: await files.need(manifestFile),
    signaturesList: await files.need(signaturesListFile),
  };
}

/** A release exists if and only if its proof does. Throws refused('version-taken') if another one has its place. */
async function isPublished(tree: Tree, target: string, release: Buffer): Promise<boolean> {
  if ((await tree.size(`${target}/countersign/${releaseProofFile}`)) === null) return false;
  const present = await tree.read(`${target}/countersign/${releaseFile}`);
  if (present?.equals(release)) return true;
  throw refused(
    'version-taken',
    `${target} is there already, from another build`,
    'releases are never replaced',
  );
}

async function linkArtifacts(assembly: Assembly, { manifest }: VerifiedRelease): Promise<void> {
  const { build, subjects } = manifest;
  await inParallel(subjects, LINKS, async ({ name, sha256 }) => {
    await assembly.link(buildPath(build, blobFile(sha256)), name);
    await assembly.link(buildPath(build, signatureFile(name)), `${name}.asc`);
  });
  await assembly.link(buildPath(build, signatureFile(CHECKSUMS_FILE)), `${CHECKSUMS_FILE}.asc`);
}

async function writeRecords(assembly: Assembly, records: Records, chain: ReleaseFiles): Promise<void> {
  const written = new Map([
    ...records,
    [manifestFile, chain.manifest],
    [signaturesListFile, chain.signaturesList],
    [releaseFile, chain.release],
    [logEntryFile, chain.logEntry],
    [releaseProofFile, chain.proof],
  ]);
  for (const [name, bytes] of written) await assembly.write(`countersign/${name}`, bytes);
}
