/** `sign --watch`: rounds without end. */
import type { Signer } from './signer.ts';

/**
 * A round every `interval` seconds until `stop`; what can't be done now is reported and tried in the next one.
 * Throws what a round throws as usage.
 */
export async function watch(
  _signer: Signer,
  _options: { readonly interval: number; readonly stop: AbortSignal },
): Promise<void> {
  throw new Error('not written yet');
}
