/** Whose key a statement must be signed with: the approval's, or the one that the log says a builder introduced. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { slotCertificate } from '../../src/policy/slot-key.ts';
import type { Approval } from '../../src/records/approval.ts';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import type { Enrolment } from '../../src/records/enrolment.ts';
import { encodeLogEntry } from '../../src/records/log-entry.ts';
import type { BuildEntry } from '../../src/records/log-entry.ts';
import { timestamp, toFingerprint, toSlot } from '../../src/records/names.ts';
import { enrolmentFile, enrolmentReceiptFile } from '../../src/records/paths.ts';
import type { Variant } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { LOW_ORDER, certificateOf } from '../attacks/odd-key.ts';
import { MemoryView } from '../harness/memory-view.ts';
import { proofOf } from './release-scene.ts';
import { approval, b1, b2, build, builderEntry, builderSecrets, expires, notBefore } from './scene.ts';
import { now, otherBuild, project } from './scene.ts';

const b3 = toSlot('b3', 'test');
const nonced = { uploadTokenSha256: sha256Hex('t'), sealedNonce: 'YQ==', nonceSha256: sha256Hex('n') };
const record: Approval = {
  ...approval,
  builders: {
    [b1]: { scheme: 'enrol', ...nonced, enrolBy: expires },
    [b2]: builderEntry('b2'),
    [b3]: { scheme: 'mac', ...nonced },
  },
};
const created = ephemeralCreation(notBefore);
const makeKey = () => {
  const { certificate, secretKey } = makeEphemeral({ userId: 'a builder', created });
  return { certificate, fingerprint: parseEphemeralSecret(secretKey).fingerprint };
};
const [own, other] = [makeKey(), makeKey()];
const enrolmentOf = (certificate = own.certificate, change: Partial<Enrolment> = {}): Buffer =>
  encodeEnrolment({
    ...{ build, slot: b1, approval: sha256Hex('approval') },
    ...{ certificate: certificate.toString('base64'), ...change },
  });
/** What the log says when it takes these bytes in, but for what is changed of its entry. */
const receiptOf = (bytes: Buffer, change: Partial<BuildEntry> = {}, signer?: typeof stranger): Buffer =>
  proofOf(
    encodeLogEntry({
      ...{ type: 'enrolment', time: timestamp(now), build, project: project.name, version: approval.version },
      ...{ records: { [enrolmentFile(b1)]: sha256Hex(bytes) }, keys: [own.fingerprint], ...change },
    }),
    { extra: true, ...(signer && { signer }) },
  );
const stranger = parseSignerKey(generateNoteKey(project.log.origin).signer);

/** The fingerprint of the key of `slot`, where these files are; or why there is none. */
async function keyOf(files: Readonly<Record<string, Buffer>> = {}, slot = b1): Promise<string | null> {
  const view = new MemoryView().put('.', new Map(Object.entries(files)));
  const directory = { read: (path: string) => view.read(`./${path}`) };
  try {
    return (await slotCertificate(record, slot, directory, project.log))?.primary.fingerprint ?? null;
  } catch (error) {
    return (error as { readonly code: string }).code;
  }
}
const enrolled = (bytes: Buffer, receipt: Buffer, variant: Variant = 1) => ({
  [enrolmentFile(b1, variant)]: bytes,
  [enrolmentReceiptFile(b1)]: receipt,
});

test('of a key pair it is the approval’s, of a MAC there is none, of no builder none is asked for', async () => {
  expect(await keyOf({}, b2)).toBe(builderSecrets.b2.fingerprint);
  expect(await keyOf({}, b3)).toBeNull();
  expect(await keyOf({}, toSlot('b4', 'test'))).toBe('slot-unknown');
});

test('of a builder that enrolled it is the one in the log, whichever file it lies in', async () => {
  const [bytes, thief] = [enrolmentOf(), enrolmentOf(other.certificate)];
  const receipt = receiptOf(bytes);
  expect(await keyOf(enrolled(bytes, receipt))).toBe(own.fingerprint);
  expect(await keyOf({ ...enrolled(bytes, receipt, 4), ...enrolled(thief, receipt) })).toBe(own.fingerprint);
});

describe('nobody’s key is believed', () => {
  const bytes = enrolmentOf();
  const good = receiptOf(bytes);
  test.each<[string, () => Readonly<Record<string, Buffer>>]>([
    ['without a receipt', () => ({ [enrolmentFile(b1)]: bytes })],
    ['without the enrolment', () => ({ [enrolmentReceiptFile(b1)]: good })],
    ['where another was taken', () => enrolled(enrolmentOf(other.certificate), good)],
    ['under another log’s key', () => enrolled(bytes, receiptOf(bytes, {}, stranger))],
    [
      'where the log names another key',
      () => enrolled(bytes, receiptOf(bytes, { keys: [other.fingerprint] })),
    ],
    ['where the log names another build', () => enrolled(bytes, receiptOf(bytes, { build: otherBuild }))],
    ['where the entry is another’s', () => enrolled(bytes, receiptOf(bytes, { type: 'statement' }))],
    [
      'of another build, as that one’s log says',
      () => {
        const replayed = enrolmentOf(own.certificate, { build: otherBuild });
        return enrolled(replayed, receiptOf(replayed, { build: otherBuild }));
      },
    ],
    [
      'of another slot',
      () => {
        const replayed = enrolmentOf(own.certificate, { slot: b2 });
        const records = { [enrolmentFile(b2)]: sha256Hex(replayed) };
        return enrolled(replayed, receiptOf(replayed, { records }));
      },
    ],
    [
      // a log that had taken such a key would be of a signer that is not ours
      'that is none, though the log has it',
      () => {
        const [point] = LOW_ORDER.values();
        const { certificate } = certificateOf(point ?? Buffer.alloc(32), created);
        const body = certificate.subarray(2, 2 + certificate.readUInt8(1));
        const head = Buffer.from([0x99, 0, body.length]);
        const sha1 = createHash('sha1').update(head).update(body).digest('hex').toUpperCase();
        const none = enrolmentOf(certificate);
        return enrolled(none, receiptOf(none, { keys: [toFingerprint(sha1, 'test')] }));
      },
    ],
  ])('%s', async (_, files) => {
    expect(await keyOf(files())).toBe('enrolment-unproven');
  });
});
