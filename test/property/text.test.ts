/** Properties of what people and other tools read: the project file, and the statement's envelope. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { envelopeProblem } from '../../src/policy/envelope.ts';
import { formatDuration } from '../../src/policy/duration.ts';
import { parseProject } from '../../src/policy/project.ts';
import { formatProject } from '../../src/policy/project-text.ts';
import { parseEphemeralCertificate } from '../../src/openpgp/ephemeral.ts';
import { MAX_BUILDERS, SCHEMES } from '../../src/records/approval.ts';
import { parseSignerKey } from '../../src/tlog/note.ts';
import { seed } from '../fuzz/oracle.ts';
import { ada, builderSecrets, statementFiles } from '../policy/scene.ts';
import * as arbitrary from './arbitrary.ts';

const certificates = ['ed25519.pgp', 'rsa.pgp', 'nist.asc'].map(
  (name) => [`keys/${name}`, seed(name)] as const,
);
const key = (path: string): Buffer => new Map<string, Buffer>(certificates).get(path) ?? Buffer.alloc(0);
const { verifier } = parseSignerKey(seed('log-key').toString());
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

test('a project file of any legal facts is read back, and says them', () => {
  const facts = fc.record({
    name: arbitrary.project,
    threshold: fc.integer({ min: 1, max: 2 }),
    depot: fc.option(fc.constantFrom('https://depot.example.org', 'http://[::1]:8080/a/b', '/srv/depot')),
    insecureHttp: fc.boolean(),
    signerTokenSha256: arbitrary.sha256,
    hash: fc.constantFrom('sha256' as const, 'sha512' as const),
    policy: fc.record({
      patterns: fc.array(fc.oneof(arbitrary.artifactName, fc.constantFrom('**', '*.deb', 'a/?')), {
        minLength: 1,
        maxLength: 64,
      }),
      maxCount: fc.integer({ min: 1, max: 100_000 }),
      maxBytes: positive,
      maxTotalBytes: positive,
      maxLifetime: fc
        .integer({ min: 1, max: 365 * 86_400 })
        .filter((seconds) => /^\d{1,9}[dhms]$/.test(formatDuration(seconds))),
      schemes: fc.subarray([...SCHEMES], { minLength: 1 }),
      leastQuorum: fc.integer({ min: 1, max: MAX_BUILDERS }),
      digestMode: fc.boolean(),
    }),
  });
  fc.assert(
    fc.property(facts, (given) => {
      const text = formatProject({
        ...given,
        log: { origin: verifier.name, key: verifier.text },
        releaseCertificate: 'keys/ed25519.pgp',
        approverCertificates: ['keys/rsa.pgp', 'keys/nist.asc'],
        encryptionCertificate: null,
      });
      const project = parseProject(text, key);
      const { name, threshold, depot, insecureHttp, signerTokenSha256, release, policy } = project;
      expect({ name, threshold, depot, insecureHttp, signerTokenSha256, hash: release.hash, policy }).toEqual(
        given,
      );
      // a line more that says the same again, or something unknown, is no project file
      for (const line of ['threshold = 1', 'thresold = 1'])
        expect(() => parseProject(`${line}\n${text}`, key)).toThrow(
          expect.objectContaining({ kind: 'usage' }),
        );
    }),
  );
});

test('an envelope with one bit turned over, or of one byte more or less, is not that of the statement', () => {
  const files = statementFiles();
  const [statement, envelope] = ['statements/b1.json', 'statements/b1.dsse.json'].map((name) =>
    files.get(name),
  );
  if (!statement || !envelope) throw new Error('the scene has no statement');
  const { primary } = parseEphemeralCertificate(builderSecrets.b1.certificate);
  expect(envelopeProblem(envelope, statement, primary)).toBeNull();
  fc.assert(
    fc.property(fc.nat(envelope.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(2), (at, mask, how) => {
      const [before, byte, after] = [
        envelope.subarray(0, at),
        envelope.readUInt8(at),
        envelope.subarray(at + 1),
      ];
      const changed = [[byte ^ mask], [], [byte, mask]][how] ?? [];
      const other = Buffer.concat([before, Buffer.from(changed), after]);
      expect(envelopeProblem(other, statement, primary)).not.toBeNull();
    }),
    { numRuns: 2000 },
  );
  expect(envelopeProblem(envelope, statement, ada.certificate.primary)).not.toBeNull();
});
