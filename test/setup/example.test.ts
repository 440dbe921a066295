/** `countersign.example.toml` is what `init` writes, with names that everybody can replace. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { DEFAULT_POLICY } from '../../src/policy/project.ts';
import { formatProject } from '../../src/policy/project-text.ts';

test('the example is the file that init would write', async () => {
  const example = formatProject({
    name: 'hello',
    threshold: 1,
    depot: 'https://depot.example.org',
    insecureHttp: false,
    log: {
      origin: 'countersign/hello/5eed5eed',
      key: 'countersign/hello/5eed5eed+0f1e2d3c+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    },
    signerTokenSha256: '00'.repeat(32),
    releaseCertificate: 'keys/release.pgp',
    approverCertificates: ['keys/approver-0123456789ABCDEF0123456789ABCDEF01234567.pgp'],
    encryptionCertificate: null,
    hash: 'sha256',
    policy: { ...DEFAULT_POLICY, patterns: ['hello-*.tar.gz', 'docs/**'] },
  });
  await expect(readFile('countersign.example.toml', 'utf8')).resolves.toBe(example);
});
