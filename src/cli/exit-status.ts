/** Exit statuses: what a script can tell apart. */
import { Failure, unable } from '../failure.ts';

export const EXIT = { done: 0, refused: 1, usage: 2, unable: 3 } as const;
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

/** The status of a failure, by its kind. */
export const exitStatusOf = (failure: Failure): ExitStatus => EXIT[failure.kind];

/** Whatever was thrown as a failure: system errors by their code, the rest is a bug of ours and says so. */
export function asFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if ('syscall' in error && 'code' in error && typeof error.code === 'string') {
    return unable(`system-${error.code.toLowerCase()}`, error.message, '', error);
  }
  return unable(
    'internal',
    `unexpected: ${error.message}`,
    'run again with -v and report what it shows',
    error,
  );
}
