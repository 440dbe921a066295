/** The keys that builders of scheme `enrol` introduce (protocol §2, "enrolment"). */
import type { Certificate } from '../openpgp/certificate.ts';
import { ephemeralCertificate } from '../policy/builder-key.ts';
import { parseEnrolment } from '../records/enrolment.ts';
import type { BuildId, Slot } from '../records/names.ts';
import { enrolmentFile } from '../records/paths.ts';
import type { Round } from './signer.ts';

/** The certificate that the log has taken for the slot; null while it has taken none. Throws unable(`state-damaged`, `disk`). */
export async function enrolledCertificate(
  { state }: Round,
  build: BuildId,
  slot: Slot,
): Promise<Certificate | null> {
  const logged = state.journal.history.build(build)?.enrolments.get(slot);
  if (logged === undefined) return null;
  return ephemeralCertificate(parseEnrolment(await state.kept(build, enrolmentFile(slot), logged.sha256)));
}
