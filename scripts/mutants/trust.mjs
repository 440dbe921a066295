// Mistakes in whose word counts: people, builders, their keys and nonces.
import { edit, mutant } from './edit.mjs';

const SIGN = 'src/signer/sign.ts';
const QUORUM = 'src/policy/quorum.ts';

export const TRUST = [
  mutant(
    'votes-by-subkey',
    'who signs an approval is counted by the key that signed, and by whose it is',
    ['test/policy/approval-verdict.test.ts'],
    edit(
      'src/policy/approval-verdict.ts',
      `if (verdict.ok && verdict.primary === name && approvers.has(name)) signed.add(name);`,
      `if (verdict.ok && approvers.has(verdict.primary)) signed.add(verdict.primary).add(verdict.signingKey);`,
    ),
  ),
  mutant(
    'votes-by-file',
    'whose signature a file is of is told by its name',
    ['test/policy/approval-verdict.test.ts'],
    edit('src/policy/approval-verdict.ts', `verdict.ok && verdict.primary === name && `, `verdict.ok && `),
  ),
  mutant(
    'quorum-of-statements',
    'a builder who seals twice is two',
    ['test/policy/quorum.test.ts'],
    edit(QUORUM, `new Set(votes.map(({ slot }) => slot)).size`, `votes.length`),
  ),
  mutant(
    'majority-decides',
    'a builder who says otherwise is not heard when as many agree as it takes',
    ['test/policy/quorum.test.ts'],
    edit(
      QUORUM,
      `  if (disagreements.length > 0) {`,
      `  const said = votes.map(({ statement }) => JSON.stringify(statement.subjects));
  const isEnough = said.some((one) => said.filter((other) => other === one).length >= quorum);
  if (disagreements.length > 0 && !isEnough) {`,
    ),
  ),
  mutant(
    'enrol-by-included',
    'a key that is introduced at `enrolBy` is taken',
    ['test/policy/enrolment-verdict.test.ts'],
    edit('src/policy/enrolment-verdict.ts', `(firstSeen >= timestamp`, `(firstSeen > timestamp`),
  ),
  mutant(
    'expires-included',
    'a statement that comes at `expires` is in time',
    ['test/policy/statement-verdict.test.ts'],
    edit(
      'src/policy/approval-policy.ts',
      `now >= timestampDate(approval.expires)`,
      `now > timestampDate(approval.expires)`,
    ),
  ),
  mutant(
    'mac-of-any-purpose',
    'the MAC of a statement does for an enrolment',
    ['test/records/mac.test.ts'],
    edit('src/records/mac.ts', `countersign/\${purpose}-mac/v1`, `countersign/mac/v1`),
  ),
  mutant(
    'mac-of-any-builder',
    'the MAC says nothing of whose it is',
    ['test/records/mac.test.ts'],
    edit('src/records/mac.ts', `-mac/v1\`, build, slot]`, `-mac/v1\`, build]`),
  ),
  mutant(
    'one-nonce-for-two',
    'two builders of one approval share a nonce, and agree with themselves',
    ['test/policy/approval-policy.test.ts'],
    edit(
      'src/policy/approval-policy.ts',
      `return [...reasons, ...sharedNonces(approval)];`,
      `return reasons ?? sharedNonces(approval);`,
    ),
  ),
  mutant(
    'one-withdraws',
    'a release is withdrawn by one person, whatever starting took',
    ['test/policy/revocation-verdict.test.ts'],
    edit(
      'src/policy/revocation-verdict.ts',
      `  released ? threshold : 1;`,
      `  released && threshold < 1 ? threshold : 1;`,
    ),
  ),
  mutant(
    'stranger-revokes',
    'a revocation is taken for whose name is on it',
    ['test/policy/revocation-verdict.test.ts'],
    edit(
      'src/policy/revocation-verdict.ts',
      `if (signature.primary !== approver) return`,
      `if (signature.primary === undefined) return`,
    ),
  ),
  mutant(
    'release-after-revocation',
    'a build that was taken back after its intent is released all the same',
    ['test/policy/order.test.ts'],
    edit(
      'src/policy/order.ts',
      `(has('revoked') && !has('released'))`,
      `(has('revoked') && !has('intended'))`,
    ),
  ),
  mutant(
    'key-of-any-slot',
    'the depot takes a statement that another builder of the build has signed',
    ['test/policy/gate-statement.test.ts'],
    edit(
      'src/policy/slot-key.ts',
      `if (builder.scheme === 'keypair') return [ephemeralCertificate(builder)];`,
      `if (builder.scheme === 'keypair') return Object.values(approval.builders).map((any) => ephemeralCertificate(any));`,
    ),
  ),
  mutant(
    'key-of-any-builder',
    'the signer takes a statement that another builder of the build has signed',
    ['test/signer/quorum.test.ts'],
    edit(
      'src/signer/statement.ts',
      `      return signedBy(builderCertificate(approval, slot));`,
      `      for (const any of Object.keys(approval.builders)) {
        const signed = await signedBy(builderCertificate(approval, any));
        if (signed.verdict.ok) return signed;
      }
      return signedBy(builderCertificate(approval, slot));`,
    ),
  ),
  mutant(
    'second-statement-not-heard',
    'a builder who seals twice, and differs, is heard once',
    ['test/signer/conflict.test.ts', 'test/signer/refusal.test.ts'],
    edit('src/signer/quorum.ts', `[...sealed, ...heard.flatMap(({ others }) => others)]`, `sealed`),
  ),
  mutant(
    'mac-not-compared',
    'the signer believes any MAC of the right length',
    ['test/signer/mac.test.ts'],
    edit(
      'src/signer/statement.ts',
      `authenticator !== null && isMac(`,
      `authenticator?.length === 45 || isMac(`,
    ),
  ),
  mutant(
    'one-withdraws-at-the-signer',
    'the signer asks as many to withdraw as to stop',
    ['test/signer/revocation.test.ts'],
    edit('src/signer/revocation.ts', `revokersNeeded(current, true)`, `revokersNeeded(current, false)`),
  ),
  mutant(
    'released-though-revoked',
    'nobody looks for a revocation between the last signature and the release',
    ['test/signer/revocation.test.ts'],
    edit(
      SIGN,
      `  const revoked = await endIfRevoked(round, manifest);
  if (revoked) return revoked;
`,
      ``,
    ),
  ),
];
