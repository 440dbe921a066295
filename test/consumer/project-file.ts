/** The project file of `policy/scene.ts`, for the program. */
import { formatProject } from '../../src/policy/project-text.ts';
import { ada, bob, logVerifier, project, releaseKey } from '../policy/scene.ts';
import { put } from './made-release.ts';

/** Writes it, with its keys, into the directory. Returns its path. */
export function projectFile(directory: string, threshold: number): string {
  for (const [name, { certificate }] of Object.entries({ release: releaseKey, ada, bob }))
    put(directory, `keys/${name}.pgp`, certificate.bytes);
  const text = formatProject({
    ...{ name: project.name, threshold, depot: null, insecureHttp: false },
    ...{ log: { origin: project.log.origin, key: logVerifier }, hash: 'sha256', policy: project.policy },
    ...{ signerTokenSha256: project.signerTokenSha256, encryptionCertificate: null },
    ...{ releaseCertificate: 'keys/release.pgp', approverCertificates: ['keys/ada.pgp', 'keys/bob.pgp'] },
  });
  return put(directory, 'countersign.toml', text);
}
