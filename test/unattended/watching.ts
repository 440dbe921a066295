/** `sign --watch` in this process, with rounds much faster than a person's. */
import { Agent } from '../../src/openpgp/agent.ts';
import type { SignerEvent } from '../../src/signer/signer.ts';
import { openState } from '../../src/signer/state.ts';
import { watch } from '../../src/signer/watch.ts';
import { until } from '../harness/until.ts';
import { oddDepot } from '../signer/odd-depot.ts';
import type { Scene } from '../signer/scene.ts';

/** A watch over the scene's depot, with what it said and did. Agents are those of GNUPGHOME. */
export async function startWatch(scene: Scene) {
  const state = await openState(scene.state, scene.project);
  const stop = new AbortController();
  const said: string[] = [];
  const did = { rounds: 0, reads: 0 };
  const real = scene.depot.as(state.token);
  const depot = oddDepot(real, {
    builds: (after) => (did.rounds++, real.builds(after)),
    fetchBlobs: (build, blobs) => (did.reads++, real.fetchBlobs(build, blobs)),
  });
  const report = (event: SignerEvent): void => {
    if (event.kind === 'note') said.push(event.text);
    if (event.kind === 'continuing') said.push(`going on with ${event.decided.build}`);
    if (event.kind !== 'result' || event.result.outcome === 'waiting') return;
    said.push(`${event.result.build} ${event.result.code ?? event.result.outcome}`);
  };
  const ended = watch(
    {
      loadProject: async () => scene.project,
      ...{ depot, publicDepot: scene.depot.as(null), state, keep: null, wait: true, report, now: scene.now },
      connectAgent: () => Agent.connect(),
      ask: async () => true,
    },
    { interval: 0.02, stop: stop.signal },
  );
  const heard = (line: string): Promise<void> => until(line, () => said.includes(line));
  const rounds = async (count: number): Promise<void> => {
    const end = did.rounds + count;
    await until(`${count} rounds`, () => did.rounds >= end);
  };
  const close = async (): Promise<void> => {
    stop.abort();
    await ended;
    await state.close();
  };
  return { said, did, heard, rounds, close };
}
