import { Failure } from '../failure.ts';

/**
 * What `read` returns, or the refusal it throws: strict parsers throw on bad input, verdicts hold it as a
 * value. Anything else thrown is a fault and goes through.
 */
export function attempt<Value>(read: () => Value): Value | Failure {
  try {
    return read();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return error;
    throw error;
  }
}
