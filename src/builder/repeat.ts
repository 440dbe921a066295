/**
 * A further run with a ticket that has signed. It signs nothing, so what it is given now must be what was signed:
 * success with other files would be taken for a signature of theirs.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { refused } from '../failure.ts';
import type { Failure } from '../failure.ts';
import { orNull } from '../host/files.ts';
import type { Statement } from '../records/statement.ts';
import type { Report } from './events.ts';
import { hashAll } from './hash-all.ts';
import type { TicketSource } from './ticket-source.ts';
import { walkPaths } from './walk.ts';
import type { Places } from './walk.ts';

/**
 * Walks and hashes the paths again and compares with the statement. Returns the names that were signed and are
 * not there any more: whether that matters is for the depot to say.
 * Throws refused `artifacts-differ`, as `walkPaths`, as `hashAll`.
 */
export async function compareWithSigned(
  places: Places & { readonly run: string | null },
  source: TicketSource,
  { build, subjects }: Statement,
  report: Report,
): Promise<string[]> {
  if (places.run !== null)
    report({ kind: 'warning', text: 'this ticket has signed already: the command is not run again' });
  const differ = (what: string): Failure =>
    refused(
      'artifacts-differ',
      `the ticket for build ${build} has signed already, and not this: ${what}`,
      'a ticket signs once: give the files that it signed, or ask for a new approval for these',
    );
  const signed = new Map(subjects.map((subject) => [subject.name, subject]));
  const skip = new Set([source.pending, ...(source.file === null ? [] : [source.file.path])]);
  const { found, problems, missing } = await walkPaths({ ...places, skip }, subjects.length);

  const other =
    found.find(({ name }) => !signed.has(name)) ??
    problems[0] ??
    missing.find(({ name }) => !subjects.some((subject) => isAt(subject.name, name)));
  if (other !== undefined) throw differ(`${other.name} is not among what it signed`);
  for (const subject of await hashAll(found, report)) {
    if (subject.sha256 !== signed.get(subject.name)?.sha256)
      throw differ(`${subject.name} has other bytes than the one it signed`);
  }

  const here: ReadonlySet<string> = new Set(found.map(({ name }) => name));
  const gone: string[] = [];
  for (const { name } of subjects) {
    if (here.has(name)) continue;
    if ((await orNull(lstat(join(places.base, name)), `look at ${name}`)) !== null)
      throw differ(`${name}, which it signed, is not among the paths given now`);
    gone.push(name);
  }
  return gone;
}

/** Whether an artifact is what was named, or lies below it. */
const isAt = (artifact: string, name: string): boolean =>
  name === '' || artifact === name || artifact.startsWith(`${name}/`);
