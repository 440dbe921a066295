/** Many small files in one answer: of a published release, for anybody, and of a build, for the signer and approvers. */
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { refused } from '../failure.ts';
import type { BuildId, ProjectName, Version } from '../records/names.ts';
import { releaseDir } from '../records/paths.ts';
import { streamTar, tarLength } from '../tree/tar.ts';
import { BATCH } from '../tree/tree.ts';
import type { FileRef } from '../tree/tree.ts';
import { TAR_TYPE, parseDigests, parseNames } from '../tree/wire.ts';
import { commonHeaders, notFound, sendJson } from './answer.ts';
import type { Bodies } from './bodies.ts';
import type { Exchange } from './exchange.ts';

/** A tar of small files of a release. Throws the gate's denial, refused: `not-found`, `too-large`. */
export async function sendReleased(
  bodies: Bodies,
  { request, response, known, depot }: Exchange,
  project: ProjectName,
  version: Version,
): Promise<void> {
  const names = parseNames(await bodies.list(request, known));
  const sizes = await depot.releasedSizes(project, version, names);
  const files = names.map((name, at) => {
    const size = sizes[at] ?? null;
    if (size === null) throw notFound(`/${releaseDir(project, version)}/${name}`);
    return { name, size };
  });
  await sendTar(response, files, () => depot.readReleased(project, version, files));
}

/** A tar of small blobs. Throws the gate's denial, refused: `blob-missing`, `too-large`. */
export async function sendBlobs(
  bodies: Bodies,
  { request, response, known, depot }: Exchange,
  build: BuildId,
): Promise<void> {
  const digests = parseDigests(await bodies.list(request, known));
  const sizes = await depot.blobSizes(build, digests);
  const blobs = digests.map((sha256, at) => ({ sha256, name: sha256, size: sizes[at] ?? 0 }));
  await sendTar(response, blobs, () => depot.readBlobs(build, blobs));
}

/** As whoever asks takes it, so nothing waits in memory for one who does not. */
async function sendTar(
  response: ServerResponse,
  files: readonly FileRef[],
  contents: () => AsyncIterable<Buffer>,
): Promise<void> {
  const large = files.find(({ size }) => size > BATCH.fileBytes);
  if (large) throw tooMuch(`${large.name} has`, BATCH.fileBytes);
  if (files.reduce((sum, { size }) => sum + size, 0) > BATCH.bytes) throw tooMuch('they have', BATCH.bytes);
  response.writeHead(200, {
    ...commonHeaders,
    ...{ 'content-type': TAR_TYPE, 'content-length': tarLength(files) },
  });
  await pipeline(streamTar(files, contents()), response);
}

/** The size of each file, null where there is none. Throws as `sendReleased`. */
export async function sendSizes(
  bodies: Bodies,
  { request, response, known, depot }: Exchange,
  project: ProjectName,
  version: Version,
): Promise<void> {
  const names = parseNames(await bodies.list(request, known));
  sendJson(response, await depot.releasedSizes(project, version, names));
}

const tooMuch = (what: string, most: number) =>
  refused(
    'too-large',
    `${what} more than ${most} bytes`,
    'ask for them by themselves, or for fewer at a time',
  );
