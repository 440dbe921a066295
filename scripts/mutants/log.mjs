// Mistakes in what is written down before what, and in the log.
import { edit, mutant } from './edit.mjs';

const ORDER = ['test/order/order.test.ts'];
const RECOVER = ['test/signer/recover.test.ts'];
const WITNESSED = ['test/signer/witnessed.test.ts'];
const BUILD = 'src/signer/build.ts';
const SIGN = 'src/signer/sign.ts';
const PUSH = 'src/signer/push.ts';
const DELIVER = 'src/signer/deliver.ts';

const KEEP_MANIFEST = `  await round.state.write(build, manifestFile, manifest);\n`;
const INTENT_ENDS = `    records: { [manifestFile]: sha256Hex(manifest), ...counted.records },
    keys: [],
  });
`;

export const LOG = [
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
];
