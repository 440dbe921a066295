/** Many files of a published release in one answer. Anybody may ask, so no answer is held in memory. */
import { pipeline } from 'node:stream/promises';
import { refused } from '../failure.ts';
import type { ProjectName, Version } from '../records/names.ts';
import { releaseDir } from '../records/paths.ts';
import { streamTar, tarLength } from '../tree/tar.ts';
import { BATCH } from '../tree/tree.ts';
import { NAMES_MAX, TAR_TYPE, parseNames } from '../tree/wire.ts';
import { commonHeaders, notFound, sendJson } from './answer.ts';
import type { Bodies } from './bodies.ts';
import type { Exchange } from './exchange.ts';

/** A tar of small files of a release. Throws the gate's denial, refused: `not-found`, `too-large`. */
export async function sendReleased(
  bodies: Bodies,
  { request, response, depot }: Exchange,
  project: ProjectName,
  version: Version,
): Promise<void> {
  const names = parseNames(await bodies.small(request, NAMES_MAX));
  const sizes = await depot.releasedSizes(project, version, names);
  const files = names.map((name, at) => {
    const size = sizes[at] ?? null;
    if (size === null) throw notFound(`/${releaseDir(project, version)}/${name}`);
    if (size > BATCH.fileBytes) throw tooMuch(`${name} has`, BATCH.fileBytes);
    return { name, size };
  });
  if (files.reduce((sum, { size }) => sum + size, 0) > BATCH.bytes) throw tooMuch('they have', BATCH.bytes);
  response.writeHead(200, {
    ...commonHeaders,
    ...{ 'content-type': TAR_TYPE, 'content-length': tarLength(files) },
  });
  await pipeline(streamTar(depot.readReleased(project, version, files)), response);
}

/** The size of each file, null where there is none. Throws as `sendReleased`. */
export async function sendSizes(
  bodies: Bodies,
  { request, response, depot }: Exchange,
  project: ProjectName,
  version: Version,
): Promise<void> {
  const names = parseNames(await bodies.small(request, NAMES_MAX));
  sendJson(response, await depot.releasedSizes(project, version, names));
}

const tooMuch = (what: string, most: number) =>
  refused(
    'too-large',
    `${what} more than ${most} bytes`,
    'ask for them by themselves, or for fewer at a time',
  );
