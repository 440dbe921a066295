/** Which blobs of a build no statement names. */
import { Failure } from '../failure.ts';
import { attempt } from '../policy/attempt.ts';
import { LARGE_RECORD_MAX } from '../records/canonical.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath, manifestFile, parseBuildFile } from '../records/paths.ts';
import { parseStatement } from '../records/statement.ts';
import type { Tree } from './tree.ts';

/** Canonical JSON has one way to write it. */
const DIGEST = /"sha256":"([0-9a-f]{64})"/g;
const DIGEST_LENGTH = '"sha256":""'.length + 64;

/**
 * Those of `present` that neither a statement names, the further ones of a slot among them, nor the manifest. None where one
 * of the statements is damaged: then nobody knows.
 */
export async function unnamedBlobs(
  tree: Tree,
  build: BuildId,
  present: readonly string[],
): Promise<string[]> {
  const unnamed = new Set(present);
  const statements = (await tree.list(buildPath(build, 'statements')))
    .map((name) => `statements/${name}`)
    .filter((file) => parseBuildFile(file)?.kind === 'statement');
  // without a parser, which would take half a second for a large one: most builds have nothing to drop
  for (const file of [...statements, manifestFile]) await strike(unnamed, tree, buildPath(build, file));
  if (unnamed.size === 0) return [];
  for (const file of statements) {
    const bytes = await tree.read(buildPath(build, file), LARGE_RECORD_MAX);
    if (!bytes || attempt(() => parseStatement(bytes)) instanceof Failure) return [];
  }
  return [...unnamed];
}

/** Takes out what the file, if it is there, has as a digest. */
async function strike(digests: Set<string>, tree: Tree, path: string): Promise<void> {
  const file = await tree.open(path);
  if (file === null) return;
  let rest = '';
  for await (const chunk of file.chunks()) {
    const text = rest + chunk.toString('latin1');
    for (const [, sha256 = ''] of text.matchAll(DIGEST)) digests.delete(sha256);
    rest = text.slice(1 - DIGEST_LENGTH);
  }
}
