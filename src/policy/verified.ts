/**
 * Verify, then read: a record whose authority was checked has a type of its own, so that one which was only
 * parsed cannot be passed where a checked one is asked for.
 */
declare const verified: unique symbol;

/**
 * A record whose bytes carry valid authority: an approval with at least one approver's signature, a
 * statement with its builder's, a release or refusal under a log proof. Whether it is also *enough* (the
 * threshold, the policy) is what the verdicts say.
 */
export type Verified<Value> = Value & { readonly [verified]: true };

/** For the files of policy/ that have just checked it, and nobody else. */
export function verifiedRecord<Value>(value: Value): Verified<Value> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place that makes the brand
  return value as Verified<Value>;
}
