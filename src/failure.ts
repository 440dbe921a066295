/**
 * What went wrong, for a person and for a program.
 *
 * Pure code returns verdicts; a `Failure` is thrown where work cannot go on. Its kind decides the exit
 * status: `refused` 1 (a verdict), `usage` 2 (wrong usage or configuration), `unable` 3 (network, disk,
 * agent, another's fault: try again). Its code is stable and is what `--json` shows.
 */
export type FailureKind = 'refused' | 'usage' | 'unable';

export class Failure extends Error {
  override readonly name = 'Failure';
  readonly kind: FailureKind;
  /** Stable, kebab-case: scripts compare it. */
  readonly code: string;
  /** What to do next, one line; empty where there is nothing to do. */
  readonly hint: string;

  /** `message`: one line, what happened, to which file or build. Foreign text is escaped by the terminal, not here. */
  constructor(kind: FailureKind, code: string, message: string, hint = '', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.code = code;
    this.hint = hint;
  }
}

/** A verdict: the input is bad, and trying again changes nothing. */
export const refused = (code: string, message: string, hint = '', cause?: unknown): Failure =>
  new Failure('refused', code, message, hint, cause);

/** Other bytes are there under a name that is never given again. */
export const conflict = (shown: string): Failure =>
  refused(
    'conflict',
    `${shown} is there already with other bytes`,
    'nothing is ever replaced: if that file is a broken copy, remove it there and run this again',
  );

/** The command line or the configuration is wrong. */
export const usage = (code: string, message: string, hint = '', cause?: unknown): Failure =>
  new Failure('usage', code, message, hint, cause);

/** It could not be done now: network, disk, agent. */
export const unable = (code: string, message: string, hint = '', cause?: unknown): Failure =>
  new Failure('unable', code, message, hint, cause);
