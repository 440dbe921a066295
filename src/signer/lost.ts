/**
 * Others have more of the log than this signer, or another one: then it does nothing more (protocol §5). A class of its
 * own, because a depot may name any code in its answers.
 */
import { Failure } from '../failure.ts';
import { ClockFault } from '../host/clock.ts';

export class Lost extends Failure {
  private constructor(code: string, message: string, hint: string) {
    super('refused', code, message, hint);
  }

  /** A signer that goes on from less than others have would make a second log under the same key. */
  static behind(others: string, size: number): Lost {
    return new Lost(
      'log-behind',
      `${others}, and this signer's has ${size}: its state is an older copy`,
      'stop every other signer with this state, then: countersign sign --recover',
    );
  }

  static forked(what: string): Lost {
    return new Lost(
      'log-fork',
      `${what}: two signers have worked with one state`,
      'see docs/how-to/recover.md',
    );
  }
}

/** What no build's fault is, and no depot's: a round ends, and nothing more is done in it. */
export const endsRound = (error: unknown): boolean => error instanceof Lost || error instanceof ClockFault;
