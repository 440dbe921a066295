/** Our log cosigned by Sigsum's witness, and Sigsum's tools convinced by ours. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WitnessClient } from '../../src/signer/witnesses.ts';
import { Journal } from '../../src/signer/journal.ts';
import type { Head } from '../../src/signer/journal.ts';
import { formatCheckpoint } from '../../src/tlog/checkpoint.ts';
import { cosignaturesOf, generateWitnessKey, parseWitnessKey } from '../../src/tlog/cosignature.ts';
import { leafHash, treeOf } from '../../src/tlog/merkle.ts';
import { signNote, splitNote } from '../../src/tlog/note.ts';
import { entries } from '../harness/made-log.ts';
import { add } from '../witness/host.ts';
import { started } from '../witness/program.ts';
import { Sigsum, sigsumLogKey } from './sigsum.ts';

let sigsum: Sigsum;
const logKey = sigsumLogKey();
beforeAll(async () => {
  sigsum = await Sigsum.get();
  await sigsum.says('sigsum-key', ['from-vkey', '-o', 'log.pub'], logKey.verifier.text);
}, 120_000);
afterAll(() => sigsum.close());

test('it reads our keys, and writes them as we do', async () => {
  expect(await sigsum.says('sigsum-key', ['to-vkey', '-k', 'log.pub'])).toBe(logKey.verifier.text);
  const { verifier } = generateWitnessKey('witness.example.org/w1');
  await sigsum.says('sigsum-key', ['from-vkey', '-o', 'w1.pub'], verifier);
  const args = ['to-vkey', '-k', 'w1.pub', '-n', 'witness.example.org/w1', '-t', 'cosignature/v1'];
  expect(await sigsum.says('sigsum-key', args)).toBe(verifier);
});

test('its witness cosigns our log as it grows, and remembers where it was; a fork it does not', async () => {
  await sigsum.says('sigsum-key', ['generate', '-o', 'witness']);
  const name = `sigsum.org/v1/witness/${await sigsum.says('sigsum-key', ['to-hash', '-k', 'witness.pub'])}`;
  const key = parseWitnessKey(
    await sigsum.says('sigsum-key', ['to-vkey', '-k', 'witness.pub', '-n', name, '-t', 'cosignature/v1']),
  );
  const journal = await Journal.open(sigsum.path('journal'), logKey, null);
  let witness = await sigsum.witness('witness', 'log.pub');
  let client = new WitnessClient({ key, url: witness.url }, { origin: logKey.name, key: logKey.verifier });
  const times = (head: Head | null): number[] => {
    if (head === null) throw new Error('it has another log, or more of it');
    return cosignaturesOf(head.note, [key]).map(({ time }) => time);
  };
  try {
    const began = Math.floor(Date.now() / 1000);
    let known = 0;
    for (const size of [1, 2, 7, 40]) {
      for (const entry of entries(size - journal.size, journal.size)) await journal.append(entry);
      const [time = 0] = times(await client.cosign(journal.checkpoint(), journal, known));
      expect(time).toBeGreaterThanOrEqual(began);
      known = size;
    }
    // it knows what it cosigned, also after it was started anew, when we don't
    await witness.stop();
    client.close();
    witness = await sigsum.witness('witness', 'log.pub');
    client = new WitnessClient({ key, url: witness.url }, { origin: logKey.name, key: logKey.verifier });
    for (const entry of entries(8, 40)) await journal.append(entry);
    expect(times(await client.cosign(journal.checkpoint(), journal, 0))).toHaveLength(1);
    expect(await client.cosign(journal.checkpoint(40), journal, 40)).toBeNull();

    const fork = await Journal.open(sigsum.path('fork'), logKey, null);
    for (const entry of entries(60, 4)) await fork.append(entry);
    expect(await client.cosign(fork.checkpoint(), fork, 48)).toBeNull();
    await fork.close();
  } finally {
    client.close();
    await witness.stop();
    await journal.close();
  }
});

test('its verifier believes what our witness cosigns, over our tree', async () => {
  // an entry as Sigsum's logs have them: what is signed, the signature, and the submitter
  const submitter = generateKeyPairSync('ed25519');
  const raw = submitter.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const message = Buffer.from('what Sigsum logs\n');
  const hash = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
  const checksum = hash(hash(message));
  const namespace = Buffer.from('sigsum.org/v1/tree-leaf\0');
  const signature = sign(null, Buffer.concat([namespace, checksum]), submitter.privateKey);
  const leaf = leafHash(Buffer.concat([checksum, signature, hash(raw)]));
  const ssh = Buffer.concat(['ssh-ed25519', raw].flatMap((part) => [lengthOf(part), Buffer.from(part)]));
  writeFileSync(sigsum.path('submitter.pub'), `ssh-ed25519 ${ssh.toString('base64')}\n`);

  const size = 11;
  const index = 6;
  const tree = treeOf(
    Array.from({ length: size }, (_, at) => (at === index ? leaf : leafHash(Buffer.of(at)))),
  );
  const note = signNote(formatCheckpoint({ origin: logKey.name, size, root: tree.root() }), logKey);
  const name = 'witness.example.org/w1';
  const args = ['--state', sigsum.path('ours'), '--name', name, '--log', logKey.verifier.text];
  const witness = await started(args);
  const answer = await add(witness.url, `old 0\n\n${note}`).finally(() => witness.stop());
  const [cosignature] = cosignaturesOf(`${note}${answer.body.toString()}`, [witness.key]);
  const lines = splitNote(`${note}${answer.body.toString()}`).signatures.map((each) => each.signature);
  const [signed, cosigned] = [lines[0], lines[1]?.subarray(8)];

  const hex = (bytes: Buffer | undefined): string => (bytes ?? Buffer.alloc(0)).toString('hex');
  const policy = `log ${hex(logKey.verifier.publicKey)}\nwitness ours ${hex(witness.key.publicKey)}\nquorum ours\n`;
  writeFileSync(sigsum.path('policy'), policy);
  const proof = (time: number): string =>
    [
      ...[
        'version=2',
        `log=${hex(hash(logKey.verifier.publicKey))}`,
        `leaf=${hex(hash(raw))} ${hex(signature)}`,
      ],
      ...['', `size=${size}`, `root_hash=${hex(tree.root())}`, `signature=${hex(signed)}`],
      ...[`cosignature=${hex(hash(witness.key.publicKey))} ${time} ${hex(cosigned)}`, ''],
      ...[`leaf_index=${index}`, ...tree.inclusionProof(index).map((each) => `node_hash=${hex(each)}`), ''],
    ].join('\n');
  const verify = (text: string) => {
    writeFileSync(sigsum.path('proof'), text);
    return sigsum.run('sigsum-verify', ['-k', 'submitter.pub', '-p', 'policy', 'proof'], message.toString());
  };
  const time = cosignature?.time ?? 0;
  expect(await verify(proof(time))).toMatchObject({ code: 0, stderr: '' });
  expect(await verify(proof(time + 1))).toMatchObject({ code: 1 });
  expect(await verify(proof(time).replace(/cosignature=.*\n/, ''))).toMatchObject({ code: 1 });
  expect(await verify(proof(time).replace('leaf_index=6', 'leaf_index=7'))).toMatchObject({ code: 1 });
});

/** Four bytes, as SSH has them before each part of a key. */
function lengthOf(part: string | Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(part));
  return length;
}
