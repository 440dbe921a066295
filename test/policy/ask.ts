import { judgeRecords } from '../../src/policy/gate.ts';
import type { RecordsWrite } from '../../src/policy/gate.ts';
import type { MemoryView } from '../harness/memory-view.ts';
import { build, now, project } from './scene.ts';

/** The gate's answer in a line: `allow` and what would be written, or the status and the code. */
export async function ask(
  view: MemoryView,
  files: RecordsWrite['files'],
  more: Partial<RecordsWrite> = {},
): Promise<string> {
  const verdict = await judgeRecords({ rules: project, build, files, bearer: null, view, now, ...more });
  if (verdict.allow) return ['allow', ...verdict.files.keys()].join(' ');
  return `${verdict.status} ${verdict.code}`;
}

/** What the gate says to a person who is turned away. */
export async function messageOf(
  view: MemoryView,
  files: RecordsWrite['files'],
  more: Partial<RecordsWrite> = {},
): Promise<string> {
  const verdict = await judgeRecords({ rules: project, build, files, bearer: null, view, now, ...more });
  return verdict.allow ? '' : verdict.message;
}
