/**
 * What cosignatures say of a release: a witness signs what it sees, so what it signed was there by then, whatever
 * the signer's clock says (C2SP tlog-cosignature).
 */
import { keyProblem } from '../openpgp/certificate.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import type { PublicKey } from '../openpgp/public-key.ts';
import { CLOCK_TOLERANCE_SECONDS } from '../openpgp/verify.ts';
import { timestamp } from '../records/names.ts';
import type { Timestamp } from '../records/names.ts';
import type { Cosignature } from '../tlog/cosignature.ts';
import type { LogTrust } from '../tlog/proof.ts';
import type { Finding } from './verdict.ts';

export interface Sighting {
  /** The witness's. */
  readonly name: string;
  readonly time: Timestamp;
}

export const sightings = (cosignatures: readonly Cosignature[]): Sighting[] =>
  cosignatures.map(({ key, time }) => ({ name: key.name, time: timestamp(new Date(time * 1000)) }));

/** When as many as are asked for had seen it; null where none is asked for, for then nothing rests on them. */
function seenBy(cosignatures: readonly Cosignature[], { quorum }: LogTrust): Date | null {
  const times = cosignatures.map(({ time }) => time).toSorted((a, b) => a - b);
  const last = times[quorum - 1];
  return last === undefined ? null : new Date(last * 1000);
}

/**
 * Where the witnesses' time does not bear out the time that keys are judged at, which is the log entry's and so the
 * signer's word: empty if it does, and where no witness is asked for.
 */
export function timeWarnings(
  cosignatures: readonly Cosignature[],
  log: LogTrust,
  { logged, certificate, key }: { logged: Date; certificate: Certificate; key: PublicKey },
): Finding[] {
  const seen = seenBy(cosignatures, log);
  if (seen === null) return [];
  const warnings: Finding[] = [];
  if (seen.getTime() + CLOCK_TOLERANCE_SECONDS * 1000 < logged.getTime())
    warnings.push({
      code: 'witnessed-before-logged',
      text: `its log entry is of ${timestamp(logged)}, but the witnesses had seen it at ${timestamp(seen)}: a clock was wrong`,
    });
  const problem = keyProblem(certificate, key, seen);
  if (problem !== null)
    warnings.push({
      code: 'witnessed-too-late',
      text: `that it was signed in time is the signer's word alone: the witnesses saw it at ${timestamp(seen)}, and ${problem.reason}`,
    });
  return warnings;
}
