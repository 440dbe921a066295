/** One round of `sign`: every build that waits, each on its own. Protocol §5. */
import { Failure, unable } from '../failure.ts';
import type { BuildId } from '../records/names.ts';
import type { Depot } from '../tree/tree.ts';
import { handleBuild } from './build.ts';
import type { BuildResult } from './result.ts';
import type { Round, Signer, SigningAgent } from './signer.ts';

/** A depot that goes on listing is not believed; all of this fits into memory. */
const PAGES_MAX = 10_000;
const BUILDS_MAX = 1_000_000;

/**
 * Handles the builds in `named`, or, if it is empty, in ascending order all that the depot has or the log knows
 * and that are not settled. A build's fault is its result and stops no other build. One that has expired without
 * a statement is a result only for whoever named it: nobody wants to be told of it for ever.
 * Throws usage (no usable release key, configuration), unable (the depot can't be listed).
 */
export async function runRound(signer: Signer, named: readonly BuildId[] = []): Promise<BuildResult[]> {
  const agent = new SharedAgent(signer.connectAgent);
  const round: Round = { ...signer, project: await signer.loadProject(), agent: () => agent.get() };
  try {
    const results: BuildResult[] = [];
    for (const build of named.length > 0 ? named : await openBuilds(signer)) {
      const result = await handleBuild(round, build);
      if (named.length === 0 && result.state === 'expired') continue;
      signer.report({ kind: 'result', result });
      results.push(result);
    }
    return results;
  } finally {
    await agent.close();
  }
}

/** One connection for all builds of a round, made when the first asks for it. */
class SharedAgent {
  readonly #connect: () => Promise<SigningAgent>;
  #agent: Promise<SigningAgent> | null = null;

  constructor(connect: () => Promise<SigningAgent>) {
    this.#connect = connect;
  }

  get(): Promise<SigningAgent> {
    this.#agent ??= this.#connect();
    return this.#agent;
  }

  async close(): Promise<void> {
    const agent = await this.#agent?.catch(() => null);
    agent?.close();
  }
}

/** What the depot lists and what the log knows: a depot can hide a build, but not make the signer forget it. */
async function openBuilds({ depot, state }: Signer): Promise<BuildId[]> {
  const builds = new Set(await listedBuilds(depot));
  for (const { build } of state.journal.history.builds()) builds.add(build);
  const open: BuildId[] = [];
  for (const build of [...builds].sort()) if (!(await state.isSettled(build))) open.push(build);
  return open;
}

async function listedBuilds(depot: Depot): Promise<BuildId[]> {
  const listed: BuildId[] = [];
  let after: BuildId | null = null;
  for (let page = 0; page < PAGES_MAX && listed.length <= BUILDS_MAX; page++) {
    const { builds, next } = await listPage(depot, after);
    listed.push(...builds);
    if (next === null) return listed;
    after = next;
  }
  throw unable('depot-listing', 'the depot lists builds without end');
}

/** A list that makes no sense is the depot's fault, not a verdict. */
async function listPage(depot: Depot, after: BuildId | null): ReturnType<Depot['builds']> {
  try {
    return await depot.builds(after);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'refused') throw error;
    throw unable(error.code, `the depot can't list its builds: ${error.message}`, error.hint, error);
  }
}
