/**
 * The HTTP interface (protocol §4): a thin mapping of requests onto the depot behind the gate.
 *
 *     GET, HEAD  /<path>                      a file; ranges. /, /releases/…/, /builds/…/, /log/ are listings: a page or
 *                                             JSON; /builds/?revoked=1 those that hold a revocation
 *     GET, HEAD  /changes/?after=<cursor>     which builds have changed since, as soon as one has
 *     GET, HEAD  /healthz, /readyz, /metrics  for whoever watches; the last for this machine alone
 *     PUT        /builds/<build>/blobs/<sha256>
 *     POST       /builds/<build>              a record with its authenticators, as a tar
 *     POST       /builds/<build>/blobs        many small blobs, as a tar
 *     POST       /builds/<build>/signatures   many signatures, as a tar
 *     POST       /builds/<build>/fetch        a JSON list of digests in, a tar of those blobs out
 *     POST       /builds/<build>/publish
 *     POST       /releases/<project>/<version>/fetch   a JSON list of names in, a tar of those files out
 *     POST       /releases/<project>/<version>/sizes   a JSON list of names in, a JSON list of their sizes out
 *     POST       /log                         a checkpoint and the entries up to it, as a tar
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { conflict, refused } from '../failure.ts';
import { inTurn } from '../host/turns.ts';
import { tokenOf } from '../policy/gate/token.ts';
import { denied } from '../policy/gate/verdict.ts';
import { toBuildId, toProjectName, toSha256, toVersion } from '../records/names.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { buildPath, isTreePath, parseBuildFile } from '../records/paths.ts';
import { DeniedFailure } from '../tree/denied.ts';
import type { Blob, Written } from '../tree/tree.ts';
import { notFound, sendFailure, sendJson } from './answer.ts';
import { Bodies, SMALL_WRITE_MAX } from './bodies.ts';
import { Changes } from './changes.ts';
import type { Exchange, Served } from './exchange.ts';
import { sendFile } from './file.ts';
import { Limits } from './limits.ts';
import { Lists } from './lists.ts';
import { Meters } from './meters.ts';
import { requireLocal, WATCHED } from './observe.ts';
import { Requests } from './requests-log.ts';
import { parsePush, sendCheckpoint } from './log.ts';
import { sendBlobs, sendReleased, sendSizes } from './released.ts';
import { bearerOf, isTarget } from './request.ts';
import { showBuild, showBuilds, showFront, showLog, showRelease, showReleases } from './show.ts';
import { receiveBlob, sendBlob } from './upload.ts';

type Handler = (exchange: Exchange, name: (parameter: string) => string) => Promise<void>;

/** What is served; who watches, and what a limit is, may be left to us. */
type Given = Pick<Served, 'project' | 'tree' | 'depot' | 'now' | 'log'> & Partial<Served>;

/** Answers every request; what goes wrong is answered as `{code, message, hint}`. */
export function requestListener(given: Given): RequestListener {
  const { limited = () => {} } = given;
  const { requests = new Requests({ meters: new Meters(), log: (_level, message) => given.log(message) }) } =
    given;
  const { limits = new Limits(given.depot), changes = new Changes(), lists = new Lists() } = given;
  const { watched = null } = given;
  const served: Served = { ...given, limited, requests, limits, changes, watched, lists };
  const listener = getRequestListener(routes(served).fetch, { overrideGlobalObjects: false });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    await limits.admit(request, response);
    if (isTarget(request.url)) return listener(request, response);
    throw refused('path-malformed', 'the path is not one of a depot', 'no escapes, dots or queries');
  };
  return inTurn(
    (request, response) => requests.begin(request, response, () => answer(request, response)),
    () => limited('waiting'),
  );
}

function routes(served: Served): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  const bodies = new Bodies(served.limited, (request) => served.limits.ownerOf(request));
  const handle = (method: string, path: string, handler: Handler): void => {
    app.on(method, path, async (context) => {
      const { incoming: request, outgoing: response } = context.env;
      served.requests.route(response, routeOf(path, context.req.path));
      try {
        const bearer = bearerOf(request);
        await handler(
          {
            ...{ request, response, path: context.req.path },
            ...{
              token: tokenOf(bearer),
              known: served.limits.isKnown(request),
              depot: served.depot.as(bearer),
            },
          },
          (parameter) => context.req.param(parameter) ?? '',
        );
      } catch (error) {
        sendFailure(response, error, served.requests.failed(response, error));
      }
      return RESPONSE_ALREADY_SENT;
    });
  };

  handle('GET', '/', (exchange) => showFront(served, exchange));
  const { watched } = served;
  for (const [path, answer] of watched ? WATCHED : []) {
    handle('GET', path, async ({ request, response }) => {
      if (path === '/metrics') requireLocal(request);
      if (watched) await answer(watched, response);
    });
  }
  handle('GET', '/builds/', (exchange) => showBuilds(served, exchange));
  handle('GET', '/changes/', (exchange) => served.changes.answer(exchange));
  handle('GET', '/builds/:build/', (exchange, name) => showBuild(served, exchange, pathBuild(name)));
  handle('GET', '/releases/', (exchange) => showReleases(served, exchange));
  handle('GET', '/releases/:project/:version/', (exchange, name) =>
    showRelease(
      served,
      exchange,
      toProjectName(name('project'), 'the project in the path'),
      toVersion(name('version'), 'the version in the path'),
    ),
  );
  handle('GET', '/log/', (exchange) => showLog(served, exchange));
  handle('GET', '/log/checkpoint', async ({ response, path, depot }) => {
    if (!(await sendCheckpoint(response, depot))) throw notFound(path);
  });
  handle('GET', '/builds/:build/blobs/:sha256', (exchange, name) =>
    sendBlob(exchange, name('build'), name('sha256')),
  );
  handle('GET', '*', sendFile);

  handle('PUT', '/builds/:build/blobs/:sha256', async (exchange, name) =>
    sendWritten(exchange.response, await receiveBlob(exchange, pathBuild(name), pathBlob(name))),
  );
  handle('PUT', '*', (exchange) => putRecord(bodies, exchange));

  handle('POST', '/builds/:build', async (exchange, name) => {
    const build = pathBuild(name);
    const files = await bodies.files(exchange.request, exchange.known);
    const named = new Map(files.map(({ name: file, bytes }) => [file, bytes]));
    if (named.size !== files.length) throw refused('duplicate-name', 'a file is in the tar twice');
    sendWritten(exchange.response, await exchange.depot.submit(build, named));
  });
  handle('POST', '/builds/:build/blobs', async (exchange, name) => {
    const build = pathBuild(name);
    const blobs: Blob[] = (await bodies.files(exchange.request, exchange.known)).map(
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
    await exchange.depot.putSignatures(build, await bodies.files(exchange.request, exchange.known));
    sendWritten(exchange.response, 'new');
  });
  handle('POST', '/builds/:build/fetch', (exchange, name) => sendBlobs(bodies, exchange, pathBuild(name)));
  handle('POST', '/builds/:build/publish', async ({ request, response, depot }, name) => {
    const build = pathBuild(name);
    // Verifying takes as long as reading all of it: nothing moves on the connection meanwhile.
    const { socket } = request;
    const idle = socket.timeout ?? 0;
    socket.setTimeout(0);
    // for what comes behind on the same connection
    await depot.publish(build).finally(() => socket.setTimeout(idle));
    sendJson(response, { build, state: 'published' });
  });

  handle('POST', '/releases/:project/:version/:what{fetch|sizes}', (exchange, name) =>
    (name('what') === 'fetch' ? sendReleased : sendSizes)(
      bodies,
      exchange,
      toProjectName(name('project'), 'the project in the path'),
      toVersion(name('version'), 'the version in the path'),
    ),
  );

  handle('POST', '/log', async ({ request, response, known, depot }) => {
    sendWritten(response, await depot.pushLog(parsePush(await bodies.log(request, known))));
  });

  app.all('*', ({ env }) => {
    const error = refused(
      'method-not-allowed',
      'the depot does not do that',
      'see docs/protocol.md, section 4',
    );
    sendFailure(env.outgoing, error, served.requests.failed(env.outgoing, error));
    return RESPONSE_ALREADY_SENT;
  });
  return app;
}

/** A route's name for the meters: as it is written here; of files, where they lie. */
const routeOf = (route: string, path: string): string =>
  route === '*' ? (/^\/(?:builds|releases|log)\//.exec(path)?.[0] ?? '/') + '*' : route;

const pathBlob = (name: (parameter: string) => string): Sha256 =>
  toSha256(name('sha256'), 'the name of a blob');

const pathBuild = (name: (parameter: string) => string): BuildId =>
  toBuildId(name('build'), 'the build in the path');

const sendWritten = (response: ServerResponse, written: Written): void =>
  sendJson(response, { written }, written === 'new' ? 201 : 200);

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
    const hint = `POST it with its authenticators as a tar to /${buildPath(toBuildId(build, 'build'))}`;
    throw new DeniedFailure(
      denied(403, 'write-needs-authenticator', `${absolute} is not written alone`, hint),
    );
  } else if (existing.equals(bytes)) sendWritten(response, 'same');
  else throw conflict(absolute);
}
