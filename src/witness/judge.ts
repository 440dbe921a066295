/** Whether a witness cosigns: the steps of C2SP tlog-witness, add-checkpoint, in their order. Pure. */
import type { Checkpoint } from '../tlog/checkpoint.ts';
import { emptyRoot, verifyConsistency } from '../tlog/merkle.ts';
import { signaturesBy, verifyRaw } from '../tlog/note.ts';
import type { VerifierKey } from '../tlog/note.ts';
import type { Submission } from './submission.ts';

export type Verdict =
  /** To be cosigned. The lines are those of the log, verified. */
  | { readonly status: 200; readonly lines: readonly string[] }
  /** The tree that was cosigned last is of another size than the log believes. */
  | { readonly status: 409; readonly size: number }
  | { readonly status: 400 | 403 | 422; readonly problem: string };

/** Judges a submission of a known log by the log's trusted keys; `latest` is what was cosigned last, null if nothing was. */
export function judge(
  { oldSize, proof, text, signatures, checkpoint }: Submission,
  keys: readonly VerifierKey[],
  latest: Checkpoint | null,
): Verdict {
  const { size, root } = checkpoint;
  // Signed by a trusted key, at least once; and no line of such a key is wrong. Lines of others are nothing to us.
  const lines = new Set<string>();
  for (const key of keys)
    for (const { signature, line } of signaturesBy(signatures, key)) {
      if (!verifyRaw(key, Buffer.from(text), signature))
        return { status: 403, problem: `the signature of ${key.name} is wrong` };
      lines.add(line);
    }
  if (lines.size === 0)
    return {
      status: 403,
      problem: 'no signature by a trusted key of this log, or lines that are no signatures',
    };

  if (oldSize > size) return { status: 400, problem: `the old size ${oldSize} is above the size ${size}` };

  const known = latest ?? { size: 0, root: emptyRoot() };
  if (oldSize !== known.size) return { status: 409, size: known.size };

  if (size === 0 && !root.equals(emptyRoot()))
    return { status: 422, problem: 'not the root of an empty tree' };
  if (size === known.size && !root.equals(known.root))
    return { status: 422, problem: `another root was cosigned for size ${size}` };
  if (!verifyConsistency(known.size, size, proof, known.root, root))
    return { status: 422, problem: `no consistency proof from size ${known.size} to ${size}` };
  return { status: 200, lines: [...lines] };
}

/** Whether two checkpoints of a log, both signed by it, say different things of one tree: proof that the log lies. */
export const contradict = (one: Checkpoint, other: Checkpoint): boolean =>
  one.size === other.size && !one.root.equals(other.root);
