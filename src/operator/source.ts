/**
 * Where the source of a build is said to come from: `--source`, or origin and HEAD of the checkout here.
 *
 * It is published in the approval, so nothing secret may be in it: what a checkout's origin carries of user
 * names, passwords and queries is dropped, and an explicit `--source` with any of them is refused.
 */
import { Failure, usage } from '../failure.ts';
import { run, withoutOurs } from '../host/process.ts';
import { attempt } from '../policy/attempt.ts';
import type { Source } from '../records/approval.ts';
import { toSource } from '../records/source.ts';

/** Reads `URI@COMMIT`. Throws usage `source-malformed`, `source-secret`; no message quotes the URI. */
export function parseSourceFlag(text: string): Source {
  const at = text.lastIndexOf('@');
  const uri = text.slice(0, Math.max(at, 0));
  const source = attempt(() => toSource({ uri, digest: { gitCommit: text.slice(at + 1) } }, '--source'));
  if (source instanceof Failure || !URL.canParse(uri))
    throw usage(
      'source-malformed',
      '--source is not URI@COMMIT',
      'such as git+https://example.org/app@ and the whole commit id',
    );
  const { username, password, search, hash } = new URL(uri);
  if (username !== '' || password !== '' || search !== '' || hash !== '') throw secret();
  return source;
}

const secret = (): Failure =>
  usage(
    'source-secret',
    '--source has a user name, a password, a query or a fragment, and it would be published',
    'leave that out',
  );

/** Origin and HEAD of the git checkout that holds `directory`; null where git knows none that can be published. */
export async function sourceOfCheckout(directory: string): Promise<Source | null> {
  const origin = await git(directory, ['remote', 'get-url', 'origin']);
  const commit = await git(directory, ['rev-parse', '--verify', 'HEAD']);
  if (origin === null || commit === null) return null;
  const uri = publicUri(origin);
  const source = attempt(() => toSource({ uri, digest: { gitCommit: commit } }, 'origin'));
  return source instanceof Failure ? null : source;
}

/**
 * A git remote as a URI that may be published: `git+https://host/path`. Without user, password, query and
 * fragment; the ssh forms, `user@host:path` among them, become `git+ssh://host/path`. Null for what is no
 * place that others could fetch from, such as a path on this host.
 */
export function publicUri(remote: string): string | null {
  const scp = /^(?:[^@/\s]+@)?([A-Za-z0-9.-]{2,}|\[[0-9A-Fa-f:]+\]):(?!:|\/\/)(\S+)$/.exec(remote);
  const text = scp === null ? remote : `ssh://${scp[1] ?? ''}/${(scp[2] ?? '').replace(/^\/+/, '')}`;
  if (!URL.canParse(text)) return null;
  const { protocol, host, pathname } = new URL(text);
  if (!['https:', 'http:', 'ssh:', 'git:'].includes(protocol) || host === '') return null;
  return `git+${protocol}//${host}${pathname}`;
}

/** Whether files that git knows are changed in the checkout that holds `directory`: HEAD is not what lies there then. */
export async function isChanged(directory: string): Promise<boolean> {
  const changes = await git(directory, ['status', '--porcelain', '--untracked-files=no']);
  return changes !== null && changes !== '';
}

/** What git prints, one line; null if it fails or is not here. */
async function git(directory: string, args: readonly string[]): Promise<string | null> {
  const options = { env: withoutOurs(process.env), timeoutMs: 10_000, maxOutput: 64 * 1024 };
  const result = await run('git', ['-C', directory, ...args], options).catch((error: unknown) => {
    if (error instanceof Failure) return null;
    throw error;
  });
  return result?.code === 0 ? result.stdout.toString('utf8').trim() : null;
}
