/**
 * `sign --recover`: a signer whose state is an older copy takes back what the depot has of its log, and the files that
 * the log names (protocol §5, "H's state is rebuilt from its log"). Nothing is adopted that its own key has not signed.
 */
import type { Project } from '../policy/project.ts';
import { parseLogEntry } from '../records/log-entry.ts';
import type { BuildId, Sha256 } from '../records/names.ts';
import { mergeCosignatures } from '../tlog/cosignature.ts';
import { LogReader, depotLog } from '../tree/log/reader.ts';
import type { Head as DepotHead } from '../tree/log/reader.ts';
import { Lost } from './lost.ts';
import { isPublished, restoreBuild } from './restore.ts';
import type { Signer } from './signer.ts';

/** Entries that are made to last together. */
const ADOPTED_AT_ONCE = 1000;

export interface Recovered {
  /** How many entries were adopted. */
  readonly entries: number;
  /** How many builds can't go on: their manifest or their signatures are lost. */
  readonly closed: number;
}

/**
 * Adopts what the depot's log has beyond this one, and restores what is missing of each build that is not settled; may
 * be repeated. The state must have been opened to be recovered. Throws refused: `log-behind` when the depot has less
 * than was signed here, `log-fork`, what is wrong with the depot's log; unable.
 */
export async function recover(signer: Signer): Promise<Recovered> {
  const { depot, state, report } = signer;
  const project = await signer.loadProject();
  const entries = await adopt(signer, project, new LogReader(depotLog(depot), project.log));
  let closed = 0;
  const records = await recordsByBuild(signer);
  for (const history of state.journal.history.builds()) {
    const named = records.get(history.build);
    if (named === undefined) continue;
    const host = { depot, state, project };
    const lost = await restoreBuild(host, history, named);
    await state.closeBuild(history.build, lost);
    if (lost === null) {
      if (await isPublished(host, history)) await state.settle(history.build, signer.now());
      continue;
    }
    closed += 1;
    report({ kind: 'note', build: history.build, text: `closed: the depot has no ${lost}` });
  }
  return { entries, closed };
}

/** The records that the log names of each build that is not settled. */
async function recordsByBuild({ state }: Signer): Promise<Map<BuildId, Map<string, Sha256>>> {
  const builds = new Map<BuildId, Map<string, Sha256>>();
  for (let index = 0; index < state.journal.size; index++) {
    const { build, records } = parseLogEntry(await state.journal.leaf(index));
    if (build === null || (await state.isSettled(build))) continue;
    const named = builds.get(build) ?? new Map<string, Sha256>();
    for (const [file, sha256] of Object.entries(records)) named.set(file, sha256);
    builds.set(build, named);
  }
  return builds;
}

async function adopt({ state }: Signer, { log }: Project, reader: LogReader): Promise<number> {
  const { journal } = state;
  const before = journal.size;
  const head = await reader.head();
  const size = head?.checkpoint.size ?? 0;
  const signed = Math.max(before, state.head?.size ?? 0);
  if (head === null || size < signed) {
    if (signed === before) return 0;
    throw Lost.behind(`${signed} entries of ${log.origin} were signed here, the depot has ${size},`, before);
  }
  // What is here must be how the depot's log begins.
  await requireSame(reader, head, before, journal.root());
  if (state.head) await requireSame(reader, head, state.head.size, state.head.root);
  let leaves: Buffer[] = [];
  for await (const { leaf } of reader.entries(head, before)) {
    leaves.push(leaf);
    if (leaves.length < ADOPTED_AT_ONCE) continue;
    await journal.adopt(leaves);
    leaves = [];
  }
  await journal.adopt(leaves);
  await state.keepHead({
    size,
    root: head.checkpoint.root,
    note: mergeCosignatures([head.note], log.key, log.witnesses),
  });
  return size - before;
}

async function requireSame(reader: LogReader, head: DepotHead, size: number, root: Buffer): Promise<void> {
  if ((await reader.rootAt(head, size)).equals(root)) return;
  throw Lost.forked(`the first ${size} entries here are not those of the depot`);
}
