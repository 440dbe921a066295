/** Revocations of the build in `policy/scene.ts`, an hour after its release. */
import { encodeApproval } from '../../src/records/approval.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import { timestamp } from '../../src/records/names.ts';
import { revocationFile, revocationSignatureFile } from '../../src/records/paths.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { approval, build, minutes } from '../policy/scene.ts';
import type { Files, Person } from '../policy/scene.ts';

/** With what a terminal must not be given. */
export const REASON = 'the build machine\nwas not \u001b[1mours';

export const fingerprintOf = ({ certificate }: Person) => certificate.primary.fingerprint;

export interface Revocation {
  readonly files: Files;
  readonly leaf: Buffer;
}

/** What these people wrote, and what the signer logs of it. */
export function revocation(people: readonly Person[], reason = REASON, of = build): Revocation {
  const files: Files = new Map();
  for (const person of people) {
    const bytes = encodeRevocation({
      ...{ build: of, approval: sha256Hex(encodeApproval(approval)), reason },
      time: timestamp(minutes(59)),
    });
    files.set(revocationFile(fingerprintOf(person)), bytes);
    files.set(
      revocationSignatureFile(fingerprintOf(person)),
      person.secret.sign(bytes, minutes(59).getTime() / 1000),
    );
  }
  const records = Object.fromEntries([...files].map(([name, bytes]) => [name, sha256Hex(bytes)]));
  const { project, version } = approval;
  const entry = { time: timestamp(minutes(60)), build: of, project, version, records, keys: [] };
  return { files, leaf: encodeLogEntry({ type: 'revocation', ...entry }) };
}
