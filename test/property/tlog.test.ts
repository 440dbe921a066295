/** Properties of notes, checkpoints and proofs: one text for each, and what is changed is refused. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Failure } from '../../src/failure.ts';
import { formatCheckpoint, parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { leafHash, MerkleTree } from '../../src/tlog/merkle.ts';
import {
  generateNoteKey,
  openNote,
  parseSignerKey,
  parseVerifierKey,
  signNote,
} from '../../src/tlog/note.ts';
import { formatProof, parseProof, unwitnessed, verifyProof } from '../../src/tlog/proof.ts';

const origin = 'example.org/log';
const signer = parseSignerKey(generateNoteKey(origin).signer);

const attempt = <T>(call: () => T): T | null => {
  try {
    return call();
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused') return null;
    throw error;
  }
};

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const body = fc
  .array(fc.string({ unit: 'grapheme' }))
  .map((lines) => lines.map((line) => `${line}\n`).join('') || '\n');

test('a note gives its text back, and no other', () => {
  fc.assert(
    fc.property(body, fc.nat(), fc.constantFrom('x', '\n', ' ', '—'), (text, place, inserted) => {
      const note = signNote(text, signer);
      expect(openNote(note, signer.verifier)).toBe(text);
      const at = place % (text.length + 1);
      const changed = note.slice(0, at) + inserted + note.slice(at);
      expect(attempt(() => openNote(changed, signer.verifier))).toBeNull();
    }),
  );
});

test('keys have one text', () => {
  fc.assert(
    fc.property(fc.webAuthority(), (name) => {
      const { signer: secret, verifier } = generateNoteKey(name);
      expect(parseVerifierKey(verifier).text).toBe(verifier);
      expect(parseSignerKey(secret).verifier.text).toBe(verifier);
    }),
    { numRuns: 20 },
  );
});

test('checkpoints and proofs come back', () => {
  const size = fc.nat({ max: Number.MAX_SAFE_INTEGER });
  const extra = fc.option(fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)));
  fc.assert(
    fc.property(
      size,
      size,
      hash,
      fc.array(hash, { maxLength: 53 }),
      extra,
      (index, leaves, root, hashes, more) => {
        const text = formatCheckpoint({ origin, size: leaves, root });
        expect(parseCheckpoint(text)).toEqual({ origin, size: leaves, root, extensions: [] });
        const proof = { extra: more, index, hashes, checkpoint: signNote(text, signer) };
        expect(parseProof(formatProof(proof))).toEqual(proof);
      },
    ),
  );
});

test('a proof with any byte changed is refused, or is the same proof', () => {
  const tree = new MerkleTree();
  const leaves = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((leaf) => Buffer.from(leaf));
  for (const leaf of leaves) tree.append(leafHash(leaf));
  const checkpoint = signNote(formatCheckpoint({ origin, size: 7, root: tree.root() }), signer);
  const good = formatProof({ extra: null, index: 4, hashes: tree.inclusionProof(4), checkpoint });
  const leaf = leaves[4] ?? Buffer.alloc(0);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(good);
      bytes.writeUInt8(byte, at);
      const proof = attempt(() => parseProof(bytes));
      if (proof === null) return;
      expect(formatProof(proof)).toEqual(bytes);
      const verdict = attempt(() => verifyProof(proof, leaf, unwitnessed({ origin, key: signer.verifier })));
      // The name or key id in the signature line: then it is somebody else's line, and nobody's note.
      expect(verdict === null || bytes.equals(good)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
