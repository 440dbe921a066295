/** What a release rests on, its approval and its builders (protocol §2): for the depot that publishes it, and for whoever verifies it. */
import { refused } from '../failure.ts';
import type { Approval, Scheme } from '../records/approval.ts';
import { assuranceOf } from '../records/assurance.ts';
import type { Slot } from '../records/names.ts';
import { builderOf, slotsOf } from './builder-key.ts';
import type { Project } from './project.ts';
import type { VerifiedRelease } from './release-chain.ts';

/**
 * The approval is for this build, version and release key, and for this signer: what was allowed to another, with a log
 * of its own, is allowed to nobody else. Throws refused: `approval`.
 */
export function requireApproved(approval: Approval, { manifest }: VerifiedRelease, project: Project): void {
  for (const field of ['build', 'project', 'version', 'releaseKey'] as const)
    if (approval[field] !== manifest[field])
      throw refused('approval', `its approval is for another ${field}`);
  if (approval.project !== project.name) throw refused('approval', 'its approval is for another project');
  if (approval.signer !== project.log.origin)
    throw refused('approval', `its approval is for the signer ${approval.signer}, not ${project.log.origin}`);
}

/**
 * The builders whose statements the manifest names, ascending, each with its scheme: as approved, enough of them, and
 * called what they are. Throws refused: `builders`, `quorum`, `assurance`.
 */
export function believedBuilders(
  { manifest, release }: VerifiedRelease,
  approval: Approval,
): Map<Slot, Scheme> {
  const schemes = new Map<Slot, Scheme>();
  for (const slot of slotsOf(approval)) {
    const { scheme } = builderOf(approval, slot);
    if (manifest.statements[slot] === undefined) continue;
    if (release.builders[slot] !== scheme)
      throw refused(
        'builders',
        `its builder ${slot} was approved with scheme ${scheme}, the release says other`,
      );
    schemes.set(slot, scheme);
  }
  if (Object.keys(manifest.statements).length > schemes.size)
    throw refused('builders', 'it rests on a builder that its approval does not have');
  if (schemes.size < approval.quorum)
    throw refused(
      'quorum',
      `${schemes.size} of its builders agreed, and its approval asks for ${approval.quorum}`,
    );
  const assurance = assuranceOf(approval);
  if (release.assurance !== assurance)
    throw refused('assurance', `it is called ${release.assurance}, and its approval makes it ${assurance}`);
  return schemes;
}
