/**
 * The HTTP interface (protocol §4): a thin mapping of requests onto the depot behind the gate.
 *
 *     GET, HEAD  /<path>                      a file; ranges. /, /releases/…/, /builds/…/, /log/ are listings: a page or
 *                                             JSON; /builds/?revoked=1 those that hold a revocation
 *     PUT        /builds/<build>/blobs/<sha256>
 *     POST       /builds/<build>              a record with its authenticators, as a tar
 *     POST       /builds/<build>/blobs        many small blobs, as a tar
 *     POST       /builds/<build>/signatures   many signatures, as a tar
 *     POST       /builds/<build>/fetch        a JSON list of digests in, a tar of those blobs out
 *     POST       /builds/<build>/publish
 *     POST       /log                         a checkpoint and the entries up to it, as a tar
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { conflict, refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import type { Project } from '../policy/project.ts';
import { tokenOf } from '../policy/gate/token.ts';
import { assuranceOf } from '../records/assurance.ts';
import { toBuildId, toProjectName, toSha256, toVersion } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { buildPath, isTreePath, parseBuildFile } from '../records/paths.ts';
import { emptyRoot } from '../tlog/merkle.ts';
import type { GatedDepot } from '../tree/gated.ts';
import { LogReader, depotLog } from '../tree/log/reader.ts';
import { packTar } from '../tree/tar.ts';
import type { TarEntry } from '../tree/tar.ts';
import { BATCH } from '../tree/tree.ts';
import type { Blob, Tree, Written } from '../tree/tree.ts';
import { JSON_TYPE, SMALL_BODY_MAX, TAR_TYPE, parseDigests } from '../tree/wire.ts';
import { sendBytes, sendFailure, sendFile } from './answer.ts';
import { Bodies, SMALL_WRITE_MAX } from './bodies.ts';
import { listBuild, listReleases, readRelease } from './listing.ts';
import { parsePush, sendCheckpoint } from './log.ts';
import { buildPage, buildsPage, frontPage, logPage, releasePage, releasesPage } from './pages.ts';
import { inTurn } from '../host/turns.ts';
import { bearerOf, contentLength, isTarget, wantsPage } from './request.ts';

export interface Served {
  readonly project: Project;
  readonly tree: Tree;
  readonly depot: GatedDepot;
  readonly now: () => Date;
  /** One line for the operator. */
  readonly log: (line: string) => void;
}

/** A request that is well-formed, and the depot as whoever sent it may see it. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As in the URL, with its slash. */
  readonly path: string;
  readonly token: Buffer | null;
  readonly depot: GatedDepot;
}

type Handler = (exchange: Exchange, name: (parameter: string) => string) => Promise<void>;

const HTML = { 'content-type': 'text/html; charset=utf-8' };
const JSON_HEADERS = { 'content-type': JSON_TYPE };

/** Answers every request; what goes wrong is answered as `{code, message, hint}`. */
export function requestListener(served: Served): RequestListener {
  const listener = getRequestListener(routes(served).fetch, { overrideGlobalObjects: false });
  return inTurn((request, response) => {
    if (isTarget(request.url)) void listener(request, response);
    else {
      const error = refused(
        'path-malformed',
        'the path is not one of a depot',
        'no escapes, dots or queries',
      );
      sendFailure(response, error, served.log);
    }
  });
}

function routes(served: Served): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  const bodies = new Bodies(served);
  const handle = (method: string, path: string, handler: Handler): void => {
    app.on(method, path, async (context) => {
      const { incoming: request, outgoing: response } = context.env;
      try {
        const bearer = bearerOf(request);
        await handler(
          {
            ...{ request, response, path: context.req.path },
            ...{ token: tokenOf(bearer), depot: served.depot.as(bearer) },
          },
          (parameter) => context.req.param(parameter) ?? '',
        );
      } catch (error) {
        sendFailure(response, error, served.log);
      }
      return RESPONSE_ALREADY_SENT;
    });
  };

  handle('GET', '/', async ({ request, response }) => {
    const { name } = served.project;
    if (wantsPage(request)) sendBytes(response, 200, frontPage(name), HTML);
    else sendJson(response, { project: name });
  });
  handle('GET', '/builds/', (exchange) => showBuilds(served, exchange));
  handle('GET', '/builds/:build/', (exchange, name) => showBuild(served, exchange, pathBuild(name)));
  handle('GET', '/releases/', (exchange) => showReleases(served, exchange));
  handle('GET', '/releases/:project/:version/', (exchange, name) => showRelease(served, exchange, name));
  handle('GET', '/log/', (exchange) => showLog(served, exchange));
  handle('GET', '/log/checkpoint', async ({ response, path, depot }) => {
    if (!(await sendCheckpoint(response, depot))) throw notFound(path);
  });
  handle('GET', '*', ({ request, response, path, depot }) =>
    sendFile(request, response, depot, path.slice(1), () => notFound(path)),
  );

  handle('PUT', '/builds/:build/blobs/:sha256', async ({ request, response, depot }, name) => {
    const sha256 = toSha256(name('sha256'), 'the name of a blob');
    sendWritten(
      response,
      await depot.putBlob(
        pathBuild(name),
        sha256,
        contentLength(request, Number.MAX_SAFE_INTEGER),
        () => request,
      ),
    );
  });
  handle('PUT', '*', (exchange) => putRecord(bodies, exchange));

  handle('POST', '/builds/:build', async (exchange, name) => {
    const build = pathBuild(name);
    const files = await bodies.files(exchange.request, build, exchange.token);
    const named = new Map(files.map(({ name: file, bytes }) => [file, bytes]));
    if (named.size !== files.length) throw refused('duplicate-name', 'a file is in the tar twice');
    sendWritten(exchange.response, await exchange.depot.submit(build, named));
  });
  handle('POST', '/builds/:build/blobs', async (exchange, name) => {
    const build = pathBuild(name);
    const blobs: Blob[] = (await bodies.files(exchange.request, build, exchange.token)).map(
      ({ name: sha256, bytes }) => ({
        sha256: toSha256(sha256, 'the name of a blob'),
        bytes,
      }),
    );
    await exchange.depot.putBlobs(build, blobs);
    sendWritten(exchange.response, 'new');
  });
  handle('POST', '/builds/:build/signatures', async (exchange, name) => {
    const build = pathBuild(name);
    await exchange.depot.putSignatures(build, await bodies.files(exchange.request, build, exchange.token));
    sendWritten(exchange.response, 'new');
  });
  handle('POST', '/builds/:build/fetch', (exchange, name) => answerBlobs(bodies, exchange, pathBuild(name)));
  handle('POST', '/builds/:build/publish', async ({ request, response, depot }, name) => {
    const build = pathBuild(name);
    // Verifying takes as long as reading all of it: nothing moves on the connection meanwhile.
    const idle = request.socket.timeout ?? 0;
    request.socket.setTimeout(0);
    // for what comes behind on the same connection
    await depot.publish(build).finally(() => request.socket.setTimeout(idle));
    sendJson(response, { build, state: 'published' });
  });

  handle('POST', '/log', async ({ request, response, token, depot }) => {
    sendWritten(response, await depot.pushLog(parsePush(await bodies.log(request, token))));
  });

  app.all('*', ({ env }) => {
    const error = refused(
      'method-not-allowed',
      'the depot does not do that',
      'see docs/protocol.md, section 4',
    );
    sendFailure(env.outgoing, error, served.log);
    return RESPONSE_ALREADY_SENT;
  });
  return app;
}

const pathBuild = (name: (parameter: string) => string): BuildId =>
  toBuildId(name('build'), 'the build in the path');

const notFound = (path: string): Failure => refused('not-found', `there is no ${path}`);

const sendJson = (response: ServerResponse, value: unknown): void =>
  sendBytes(response, 200, `${JSON.stringify(value)}\n`, JSON_HEADERS);

const sendWritten = (response: ServerResponse, written: Written): void =>
  sendBytes(response, written === 'new' ? 201 : 200, `${JSON.stringify({ written })}\n`, JSON_HEADERS);

async function showBuilds(served: Served, { request, response, depot }: Exchange): Promise<void> {
  const cursor = /[?&]after=(.+)$/.exec(request.url ?? '')?.[1];
  const after = cursor === undefined ? null : toBuildId(cursor, 'after');
  const revoked = request.url?.includes('?revoked=1') === true;
  const { builds, next } = await (revoked ? depot.revoked(after) : depot.builds(after));
  if (!wantsPage(request)) {
    sendJson(response, { builds, next });
    return;
  }
  const states: { build: BuildId; state: string }[] = [];
  for (const build of builds) {
    const listing = await listBuild(served, build);
    if (listing !== null) states.push({ build, state: listing.state });
  }
  sendBytes(response, 200, buildsPage(states, next), HTML);
}

async function showBuild(served: Served, exchange: Exchange, build: BuildId): Promise<void> {
  const listing = await listBuild(served, build);
  if (listing === null) throw notFound(exchange.path);
  const { state, files, approval, revocations } = listing;
  const assurance = assuranceOf(approval);
  const builders = slotsOf(approval).map((slot) => ({ slot, scheme: builderOf(approval, slot).scheme }));
  if (wantsPage(exchange.request)) {
    const { project, version } = approval;
    const page = buildPage({ ...listing, project, version, assurance, builders });
    sendBytes(exchange.response, 200, page, HTML);
  } else sendJson(exchange.response, { build, state, assurance, builders, files, revocations });
}

async function showReleases({ tree }: Served, { request, response }: Exchange): Promise<void> {
  const releases = await listReleases(tree);
  if (wantsPage(request)) sendBytes(response, 200, releasesPage(releases), HTML);
  else sendJson(response, { releases });
}

async function showRelease(served: Served, exchange: Exchange, name: (p: string) => string): Promise<void> {
  const project = toProjectName(name('project'), 'the project in the path');
  const found = await readRelease(
    served.tree,
    project,
    toVersion(name('version'), 'the version in the path'),
  );
  if (found === null) throw notFound(exchange.path);
  const { release, manifest } = found;
  const { version, build, assurance } = release;
  const count = release.signatures.count - 1;
  const listing = await listBuild(served, build);
  const withdrawn = listing?.state === 'revoked' ? listing.revocations : [];
  if (wantsPage(exchange.request)) {
    const page = releasePage({ project, version, build, assurance, count, manifest, withdrawn });
    sendBytes(exchange.response, 200, page, HTML);
  } else
    sendJson(exchange.response, {
      ...{ project, version, build, assurance, count, withdrawn },
      artifacts: manifest?.subjects ?? null,
    });
}

async function showLog({ project }: Served, { request, response, depot }: Exchange): Promise<void> {
  const { origin } = project.log;
  const head = await new LogReader(depotLog(depot), project.log).head();
  const { size, root } = head?.checkpoint ?? { size: 0, root: emptyRoot() };
  const witnesses = (head?.cosignatures ?? []).map(({ key }) => key.name);
  const state = { origin, size, root: root.toString('base64'), witnesses };
  if (wantsPage(request)) sendBytes(response, 200, logPage(state), HTML);
  else sendJson(response, state);
}

/**
 * A record alone: only as a repetition. A record and its authenticators are one write, which is a POST; so a PUT can say
 * no more than that these bytes are there already, or that others are.
 */
async function putRecord(
  bodies: Bodies,
  { request, response, path: absolute, depot }: Exchange,
): Promise<void> {
  const path = absolute.slice(1);
  const [root = '', build = '', ...rest] = path.split('/');
  const known = isTreePath(path) && root === 'builds' && parseBuildFile(rest.join('/')) !== null;
  if (!known) throw refused('method-not-allowed', `nothing is written at ${absolute}`);
  toBuildId(build, 'the build in the path');
  const bytes = await bodies.small(request, SMALL_WRITE_MAX);
  const existing = await depot.read(path, SMALL_WRITE_MAX);
  if (existing === null) {
    const body = {
      code: 'write-needs-authenticator',
      message: `${absolute} is not written alone`,
      hint: `POST it with its authenticators as a tar to /${buildPath(toBuildId(build, 'build'))}`,
    };
    sendBytes(response, 403, `${JSON.stringify(body)}\n`, JSON_HEADERS);
  } else if (existing.equals(bytes)) sendWritten(response, 'same');
  else throw conflict(absolute);
}

/** Many small blobs in one answer, for the signer and approvers. */
async function answerBlobs(
  bodies: Bodies,
  { request, response, depot }: Exchange,
  build: BuildId,
): Promise<void> {
  const digests = parseDigests(await bodies.small(request, SMALL_BODY_MAX));
  const files: TarEntry[] = [];
  let bytes = 0;
  for (const sha256 of digests) {
    const blob = await depot.fetchBlob(build, sha256);
    bytes += blob.bytes.length;
    // A client asks for no more than a batch; the last file may overlap its bound.
    if (bytes > BATCH.bytes + BATCH.fileBytes)
      throw refused(
        'too-large',
        `these blobs have more than ${BATCH.bytes} bytes`,
        'ask for fewer at a time',
      );
    files.push({ name: sha256, bytes: blob.bytes });
  }
  sendBytes(response, 200, packTar(files), { 'content-type': TAR_TYPE });
}
