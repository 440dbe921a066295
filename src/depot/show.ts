/** The listings: a page for a person with a browser, the same as JSON for a program. */
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import { assuranceOf } from '../records/assurance.ts';
import type { BuildId, ProjectName, Version } from '../records/names.ts';
import { emptyRoot } from '../tlog/merkle.ts';
import { LogReader, depotLog } from '../tree/log/reader.ts';
import { notFound, sendBytes, sendJson } from './answer.ts';
import type { Exchange, Served } from './exchange.ts';
import { listBuild, listReleases, readRelease } from './listing.ts';
import { buildPage, buildsPage, frontPage, logPage, releasePage, releasesPage } from './pages.ts';
import type { ListedBuild } from './pages.ts';
import { listingQuery, wantsPage } from './request.ts';

const HTML = { 'content-type': 'text/html; charset=utf-8' };

/** The front page. */
export async function showFront({ project }: Served, { request, response }: Exchange): Promise<void> {
  if (wantsPage(request)) sendBytes(response, 200, frontPage(project.name), HTML);
  else sendJson(response, { project: project.name });
}

/** Builds, a page at a time: all, or those that hold a revocation. */
export async function showBuilds(served: Served, { request, response, depot }: Exchange): Promise<void> {
  const { revoked, after } = listingQuery(request.url);
  const { builds, next } = await (revoked ? depot.revoked(after) : depot.builds(after));
  if (!wantsPage(request)) {
    sendJson(response, { builds, next });
    return;
  }
  const listings: ListedBuild[] = [];
  for (const build of builds) {
    const listing = await listBuild(served, build);
    if (listing === null) continue;
    const { state, approval } = listing;
    listings.push({ build, state, project: approval.project, version: approval.version });
  }
  sendBytes(response, 200, buildsPage(listings, { revoked, next }), HTML);
}

/** One build. */
export async function showBuild(served: Served, exchange: Exchange, build: BuildId): Promise<void> {
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

/** Every release. */
export async function showReleases(served: Served, { request, response }: Exchange): Promise<void> {
  const releases = await listReleases(served);
  if (wantsPage(request)) sendBytes(response, 200, releasesPage(releases), HTML);
  else sendJson(response, { releases });
}

/** One release, and who has withdrawn it. */
export async function showRelease(
  served: Served,
  exchange: Exchange,
  project: ProjectName,
  wanted: Version,
): Promise<void> {
  const found = await readRelease(served.tree, project, wanted);
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

/** How far the log has come. */
export async function showLog({ project }: Served, { request, response, depot }: Exchange): Promise<void> {
  const { origin } = project.log;
  const head = await new LogReader(depotLog(depot), project.log).head();
  const { size, root } = head?.checkpoint ?? { size: 0, root: emptyRoot() };
  const witnesses = (head?.cosignatures ?? []).map(({ key }) => key.name);
  const state = { origin, size, root: root.toString('base64'), witnesses };
  if (wantsPage(request)) sendBytes(response, 200, logPage(state), HTML);
  else sendJson(response, state);
}
