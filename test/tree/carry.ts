/** `sync` from one directory into another, at a time that a test sets. */
import type { Project } from '../../src/policy/project.ts';
import { DirectoryTree } from '../../src/tree/directory.ts';
import { GatedDepot } from '../../src/tree/gated.ts';
import { sync } from '../../src/tree/sync.ts';
import type { SyncResult } from '../../src/tree/sync.ts';
import { now, project } from '../policy/scene.ts';

/** The directory for whoever keeps it, by these rules. */
export async function kept(directory: string, rules: Project = project, time = { now }): Promise<GatedDepot> {
  const tree = await DirectoryTree.open(directory);
  return GatedDepot.over({ tree, rules, now: () => time.now }).asCarrier();
}

/** Carries all that one directory has into another. */
export async function carry(
  from: string,
  to: string,
  time = { now },
  rules: Project = project,
): Promise<SyncResult[]> {
  return sync({
    project: rules,
    from: { depot: await kept(from, rules, time), quarantine: true },
    to: await kept(to, rules, time),
    now: () => time.now,
    report: () => {},
    progress: () => {},
  });
}

/** What became of the one build there is: its state, and why. */
export const outcome = ([result, ...others]: readonly SyncResult[]): string =>
  result === undefined || others.length > 0
    ? `${others.length} others`
    : [result.state, result.code].filter(Boolean).join(' ');
