/** The listings: a page for a person with a browser, the same as JSON for a program. */
import { builderOf, slotsOf } from '../policy/builder-key.ts';
import { assuranceOf } from '../records/assurance.ts';
import type { BuildId, ProjectName, Version } from '../records/names.ts';
import { emptyRoot } from '../tlog/merkle.ts';
import { LogReader, depotLog } from '../tree/log/reader.ts';
import { JSON_TYPE } from '../tree/wire.ts';
import { notFound, sendCurrent } from './answer.ts';
import type { Exchange, Served } from './exchange.ts';
import { listBuild, listReleases, readRelease } from './listing.ts';
import { buildPage, buildsPage, frontPage, logPage, releasePage, releasesPage } from './pages.ts';
import type { ListedBuild } from './pages.ts';
import { listingQuery, wantsPage } from './request.ts';

const HTML_TYPE = 'text/html; charset=utf-8';
/** What a page shows of builds; a program gets more at a time, as it is told their ids alone. */
const SHOWN = 100;

/** Answers with the page, or with the same as JSON on one line. */
function show({ request, response }: Exchange, page: () => string, value: () => unknown): void {
  const [body, type] = wantsPage(request) ? [page(), HTML_TYPE] : [`${JSON.stringify(value())}\n`, JSON_TYPE];
  sendCurrent(response, type, body, { vary: 'Accept' });
}

/** The front page. */
export async function showFront({ project: { name } }: Served, exchange: Exchange): Promise<void> {
  show(
    exchange,
    () => frontPage(name),
    () => ({ project: name }),
  );
}

/** Builds, a page at a time: all, or those that hold a revocation. */
export async function showBuilds(served: Served, exchange: Exchange): Promise<void> {
  const { request, depot } = exchange;
  const { revoked, after } = listingQuery(request.url);
  const found = await (revoked ? depot.revoked(after) : depot.builds(after));
  if (!wantsPage(request))
    return show(
      exchange,
      () => '',
      () => found,
    );
  const shown = found.builds.slice(0, SHOWN);
  const next = found.builds.length > SHOWN ? (shown.at(-1) ?? null) : found.next;
  const listings = await served.lists.tell(`builds ${revoked} ${after}`, () => listBuilds(served, shown));
  show(
    exchange,
    () => buildsPage(listings, { revoked, next }),
    () => found,
  );
}

async function listBuilds(served: Served, builds: readonly BuildId[]): Promise<readonly ListedBuild[]> {
  const listings: ListedBuild[] = [];
  for (const build of builds) {
    const listing = await listBuild(served, build);
    if (listing === null) continue;
    const { state, approval } = listing;
    listings.push({ build, state, project: approval.project, version: approval.version });
  }
  return listings;
}

/** One build. */
export async function showBuild(served: Served, exchange: Exchange, build: BuildId): Promise<void> {
  const listing = await listBuild(served, build);
  if (listing === null) throw notFound(exchange.path);
  const { state, files, approval, revocations } = listing;
  const assurance = assuranceOf(approval);
  const builders = slotsOf(approval).map((slot) => ({ slot, scheme: builderOf(approval, slot).scheme }));
  const { project, version } = approval;
  show(
    exchange,
    () => buildPage({ ...listing, project, version, assurance, builders }),
    () => ({ build, state, assurance, builders, files, revocations }),
  );
}

/** Every release. */
export async function showReleases(served: Served, exchange: Exchange): Promise<void> {
  const releases = await served.lists.tell('releases', () => listReleases(served));
  show(
    exchange,
    () => releasesPage(releases),
    () => ({ releases }),
  );
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
  const facts = { project, version, build, assurance, count, withdrawn };
  show(
    exchange,
    () => releasePage({ ...facts, manifest }),
    () => ({ ...facts, artifacts: manifest?.subjects ?? null }),
  );
}

/** How far the log has come. */
export async function showLog({ project }: Served, exchange: Exchange): Promise<void> {
  const { origin } = project.log;
  const head = await new LogReader(depotLog(exchange.depot), project.log).head();
  const { size, root } = head?.checkpoint ?? { size: 0, root: emptyRoot() };
  const witnesses = (head?.cosignatures ?? []).map(({ key }) => key.name);
  const state = { origin, size, root: root.toString('base64'), witnesses };
  show(
    exchange,
    () => logPage(state),
    () => state,
  );
}
