/** Where the source of a build comes from, as an approval, a ticket and a statement say it. */
import { closedObject, malformed, uri } from './fields.ts';

/** A repository and the git commit in it (SLSA's resource descriptor, cut down to what we use). */
export interface Source {
  readonly uri: string;
  readonly digest: { readonly gitCommit: string };
}

/** Reads a source: a URI and a whole commit id, SHA-1 or SHA-256. Throws refused(`record-malformed`). */
export function toSource(value: unknown, where: string): Source {
  const fields = closedObject(value, where, ['uri', 'digest']);
  const digest = closedObject(fields.digest, `${where}.digest`, ['gitCommit']);
  const commit = digest.gitCommit;
  if (typeof commit !== 'string' || !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(commit))
    throw malformed(`${where}.digest.gitCommit`, 'not 40 or 64 lower-case hex digits');
  return { uri: uri(fields.uri, `${where}.uri`), digest: { gitCommit: commit } };
}

/** The source as JSON; null is "not stated". */
export const sourceJson = (source: Source | null) =>
  source && { uri: source.uri, digest: { gitCommit: source.digest.gitCommit } };
