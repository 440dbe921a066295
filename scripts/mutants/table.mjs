// The mistakes of `npm run test:mutants`: each in its place, with the tests that must see it.
const ORDER = ['test/order/order.test.ts'];
const RECOVER = ['test/signer/recover.test.ts'];
const WITNESSED = ['test/signer/witnessed.test.ts'];

const BUILD = 'src/signer/build.ts';
const SIGN = 'src/signer/sign.ts';
const PUSH = 'src/signer/push.ts';
const DELIVER = 'src/signer/deliver.ts';
const QUORUM = 'src/policy/quorum.ts';

/** One edit: what is found, once, in the file, and what is put in its place. */
const edit = (file, find, put) => ({ file, find, put });
const mutant = (name, wrong, tests, ...edits) => ({ name, wrong, tests, edits });

const KEEP_MANIFEST = `  await round.state.write(build, manifestFile, manifest);\n`;
const INTENT_ENDS = `    records: { [manifestFile]: sha256Hex(manifest), ...counted.records },
    keys: [],
  });
`;

export const MUTANTS = [
  mutant(
    'sign-before-log',
    'the release key is used before the intent is in the log; the signatures are kept',
    ORDER,
    edit(
      BUILD,
      `  const plan = await orRefused(round, approved, () => declareIntent(`,
      `  await signRelease(round, planned, passed).catch(() => {});
  const plan = await orRefused(round, approved, () => declareIntent(`,
    ),
    edit(SIGN, `  await Signatures.discard(round.state, build);\n`, ''),
  ),
  mutant(
    'sign-twice',
    'signatures that are kept are made again',
    ['test/signer/restart.test.ts'],
    edit(SIGN, `if (kept !== null) {`, `if (kept !== null && kept.length === 0) {`),
  ),
  mutant(
    'act-before-approval',
    'the statement is asked for before the approval is in the log',
    ORDER,
    edit(
      BUILD,
      `  const approved = await bindApproval(round, build);\n`,
      `  await round.depot.read(\`builds/\${build}/statements/b1.json\`, 1 << 20);
  const approved = await bindApproval(round, build);\n`,
    ),
  ),
  mutant(
    'fetch-before-statement',
    'artifacts are fetched before the statement is in the log',
    ORDER,
    edit(
      'src/signer/slot.ts',
      `  if (logged === null) await logStatement(`,
      `  for (const { sha256 } of verdict.statement.subjects)
    await round.depot.read(\`builds/\${approval.build}/blobs/\${sha256}\`, 1 << 20);
  if (logged === null) await logStatement(`,
    ),
  ),
  mutant(
    'entry-not-durable',
    'an entry is written, and not synced, when the next act begins',
    ORDER,
    edit(
      'src/signer/journal.ts',
      `    await this.#file.write(leaf);
    await this.#file.sync();
    // Only`,
      `    await this.#file.write(leaf);
    // Only`,
    ),
  ),
  mutant(
    'record-after-entry',
    'the manifest is kept when the intent that names it is in the log already',
    ORDER,
    edit(SIGN, KEEP_MANIFEST, ''),
    edit(SIGN, INTENT_ENDS, `${INTENT_ENDS}${KEEP_MANIFEST}`),
  ),
  mutant(
    'release-before-signatures',
    'the release is in the log before its signatures are on the disk for good',
    ORDER,
    edit(
      SIGN,
      `    await signatures.sync();
    const revoked = await logRelease(round, plan, signatures);
`,
      `    const revoked = await logRelease(round, plan, signatures);
    await signatures.sync();
`,
    ),
  ),
  mutant(
    'push-before-log',
    'records and signatures leave before the depot and the witnesses have the log',
    ['test/signer/restart.test.ts'],
    edit(
      'src/signer/released.ts',
      `await log.holding(release.index, { witnessed: true })`,
      `state.journal.checkpoint()`,
    ),
  ),
  mutant(
    'refusal-before-log',
    'the depot is told of a refusal before it has the log',
    ORDER,
    edit(
      'src/signer/proof.ts',
      `await log.holding(index, { witnessed: false })`,
      `(void log, state.journal.checkpoint(index + 1))`,
    ),
  ),
  mutant(
    'witnesses-before-depot',
    'a witness cosigns what the depot has not',
    ORDER,
    edit(PUSH, `    await this.#send(head);\n`, ''),
  ),
  mutant(
    'checkpoint-not-kept',
    'a checkpoint is shown that this disk may forget',
    ORDER,
    edit(PUSH, `      await state.keepHead(head);\n`, ''),
  ),
  mutant(
    'signatures-before-records',
    'signatures are sent before the records that authorise them',
    ORDER,
    edit(DELIVER, `  await depot.submit(build, released.records);\n`, ''),
    edit(
      DELIVER,
      `  await depot.putSignatures(build, signatures);\n`,
      `  await depot.putSignatures(build, signatures);
  await depot.submit(build, released.records);\n`,
    ),
  ),
  mutant(
    'no-quorum',
    'a release does not wait for its witnesses',
    WITNESSED,
    edit(
      'src/signer/released.ts',
      `holding(release.index, { witnessed: true })`,
      `holding(release.index, { witnessed: false })`,
    ),
  ),
  mutant(
    'witnesses-not-asked-first',
    'nobody asks the witnesses what they have seen of the log',
    WITNESSED,
    edit(PUSH, `!memory.compared.has(`, `memory.compared.has(`),
  ),
  mutant(
    'no-comparison',
    'a round begins without a look at what the depot has of the log',
    RECOVER,
    edit('src/signer/round.ts', `    await log.compare();\n`, ''),
  ),
  mutant(
    'size-alone',
    'a log of the same size is taken for the same log',
    RECOVER,
    edit(PUSH, `    if (root.equals(journal.root(size))) return;`, `    if (size >= 0 || root) return;`),
  ),
  mutant(
    'own-checkpoint-ignored',
    'a journal that is behind the checkpoint beside it is gone on with',
    RECOVER,
    edit(
      'src/signer/state.ts',
      `if (!recover && head && head.size > journal.size)`,
      `if (!recover && head && !journal)`,
    ),
  ),
  mutant(
    'journal-believed',
    'a journal is not held against the last checkpoint that was signed of it',
    ['test/attacks/log-state.test.ts'],
    edit('src/signer/journal.ts', `signed?.size === journal.size &&`, `signed?.size === -1 &&`),
  ),
  mutant(
    'adopt-a-fork',
    '--recover adopts a log that does not begin like this one',
    ['test/attacks/log-state.test.ts'],
    edit('src/signer/recover.ts', `  await requireSame(reader, head, before, journal.root());\n`, ''),
    edit(
      'src/signer/recover.ts',
      `  if (state.head) await requireSame(reader, head, state.head.size, state.head.root);\n`,
      `  void requireSame;\n`,
    ),
  ),
  mutant(
    'intent-believed',
    'an intent that came back from the depot is gone on with, whoever has allowed it',
    ['test/attacks/log-intent.test.ts'],
    edit(
      BUILD,
      `  const stop = await unvouched(round, logged, plan.manifest);
  if (stop) return stop;
  await logConflicts`,
      `  void unvouched;
  await logConflicts`,
    ),
  ),
  mutant(
    'answer-before-persist',
    'a witness answers before its disk has what it cosigned',
    ['test/witness/crash.test.ts'],
    edit(
      'src/witness/record.ts',
      `    await writeFileDurably(this.#path(origin), Buffer.from(note), 0o600);
    await this.#list(origin);
    this.#latest.set(origin, cosigned);
`,
      `    this.#latest.set(origin, cosigned);
    setTimeout(() => void writeFileDurably(this.#path(origin), Buffer.from(note), 0o600).then(() => this.#list(origin)).catch(() => {}), 100);
`,
    ),
  ),
  mutant(
    'cosign-any-size',
    'a witness takes the old size for its own',
    ['test/witness/add-checkpoint.test.ts'],
    edit('src/witness/judge.ts', `if (oldSize !== known.size) return`, `if (oldSize > known.size) return`),
  ),
  mutant(
    'cosign-without-proof',
    'a witness asks for no consistency proof',
    ['test/witness/add-checkpoint.test.ts'],
    edit('src/witness/judge.ts', `if (!verifyConsistency(`, `if (size === 0 && !verifyConsistency(`),
  ),
  mutant(
    'checkpoint-before-tiles',
    'the depot shows a checkpoint before its tiles are there',
    ['test/tree/log-extend.test.ts'],
    edit(
      'src/tree/log/extend.ts',
      `    if (head?.checkpoint.size !== checkpoint.size)
      await grow({ tree, replace, checkpoint, push, end: await ownFault(reader.end(head)) });
    await replace(CHECKPOINT, Buffer.from(note));
`,
      `    const end = head?.checkpoint.size === checkpoint.size ? null : await ownFault(reader.end(head));
    await replace(CHECKPOINT, Buffer.from(note));
    if (end) await grow({ tree, replace, checkpoint, push, end });
`,
    ),
  ),
  mutant(
    'tiles-dropped-early',
    'the depot drops incomplete tiles before the complete ones are there',
    ['test/tree/log-extend.test.ts'],
    edit(
      'src/tree/log/extend.ts',
      `    await dropIncomplete(tree, size, checkpoint.size);\n    return 'new';`,
      `    return 'new';`,
    ),
    edit(
      'src/tree/log/extend.ts',
      `    if (head?.checkpoint.size !== checkpoint.size)
      await grow({ tree, replace, checkpoint, push, end: await ownFault(reader.end(head)) });
`,
      `    const end = head?.checkpoint.size === checkpoint.size ? null : await ownFault(reader.end(head));
    await dropIncomplete(tree, size, checkpoint.size);
    if (end) await grow({ tree, replace, checkpoint, push, end });
`,
    ),
  ),
  mutant(
    'root-not-compared',
    'the depot takes entries that have another root than was signed',
    ['test/tree/log-refused.test.ts'],
    edit(
      'src/tree/log/grow.ts',
      `  if (edge.root().equals(root)) return roots;`,
      `  if (edge.root() || root) return roots;`,
    ),
  ),
  mutant(
    'cosignature-not-verified',
    'a cosignature counts whoever made it up',
    ['test/tlog/cosignature.test.ts'],
    edit(
      'src/tlog/cosignature.ts',
      `if (verifyRaw(key, message(text, time), signature.subarray(TIME_BYTES))) return time;`,
      `return time;`,
    ),
  ),
  mutant(
    'leaf-not-proven',
    'a proof of another entry does',
    ['test/tlog/proof.test.ts'],
    edit('src/tlog/proof.ts', `if (!verifyInclusion(`, `if (index0(proof) && !verifyInclusion(`),
    edit(
      'src/tlog/proof.ts',
      `function attempt<T>(`,
      `const index0 = (proof: Proof) => proof.index < 0;\n\nfunction attempt<T>(`,
    ),
  ),
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
