/** `revoke`, as files: what approvers, and others, lay into a build to take it back. */
import { encodeApproval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import { revocationFile, revocationSignatureFile } from '../../src/records/paths.ts';
import { encodeRevocation } from '../../src/records/revocation.ts';
import type { Revocation } from '../../src/records/revocation.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import type { Files, Person } from '../policy/scene.ts';
import type { Build, Scene } from './scene.ts';

/** A revocation of the build, signed by `signer`; `terms` changes what it says, `as` whose name it has. */
export function revocationOf(
  scene: Scene,
  { build, approval }: Pick<Build, 'build' | 'approval'>,
  signer: Person,
  { as = signer, ...terms }: Partial<Revocation> & { readonly as?: Person } = {},
): Files {
  const bytes = encodeRevocation({
    ...{ build, approval: sha256Hex(encodeApproval(approval)) },
    ...{ reason: 'the tarball has a hole', time: timestamp(scene.now()) },
    ...terms,
  });
  const { fingerprint } = as.certificate.primary;
  return new Map([
    [revocationFile(fingerprint), bytes],
    [revocationSignatureFile(fingerprint), signer.secret.sign(bytes, scene.now().getTime() / 1000)],
  ]);
}

/** As `revoke` does: through the gate. */
export async function revoke(scene: Scene, build: Build, signer: Person): Promise<void> {
  await scene.depot.submit(build.build, revocationOf(scene, build, signer));
}
