import { Failure } from '../failure.ts';

/**
 * What `read` returns, or the refusal it throws: strict parsers throw on bad input, verdicts hold it as a
 * value. Anything else thrown is a fault and goes through.
 */
export function attempt<Value>(read: () => Value): Value | Failure {
  try {
    return read();
  } catch (error) {
    return asRefusal(error);
  }
}

/** The same of a promise, in its `catch`: the refusal as a value. Throws anything else. */
export function asRefusal(thrown: unknown): Failure {
  if (thrown instanceof Failure && thrown.kind === 'refused') return thrown;
  throw thrown;
}
