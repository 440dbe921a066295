import { Failure } from '../../src/failure.ts';

/** The verdict that the call throws. Anything else that it does fails the test. */
export function refusalOf(call: () => unknown): Failure {
  try {
    call();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return error;
    throw error;
  }
  throw new Error('accepted, and should have been refused');
}
