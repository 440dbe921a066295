/** Proofs that an entry is in a log, checked without the log (C2SP tlog-proof). */
import { refused } from '../failure.ts';
import { decodeBase64 } from '../records/base64.ts';
import { openCheckpoint, parseDecimal } from './checkpoint.ts';
import type { Checkpoint, LogKey } from './checkpoint.ts';
import { cosignaturesOf, mergeCosignatures } from './cosignature.ts';
import type { Cosignature, WitnessKey } from './cosignature.ts';
import { leafHash, verifyInclusion } from './merkle.ts';

export interface Proof {
  /** Opaque and not authenticated; null when there is none. Ours hold the leaf. */
  readonly extra: Buffer | null;
  readonly index: number;
  /** Sibling hashes from the leaf up, 32 bytes each. */
  readonly hashes: readonly Buffer[];
  /** The signed note, as the log issued it. */
  readonly checkpoint: string;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
/** Room for a leaf of 64 KiB in `extra` and for the cosignatures of a good many witnesses. */
export const PROOF_MAX = 256 * 1024;
/** No tree below 2^53 leaves is higher. */
const HASHES_MAX = 53;

const malformed = (problem: string) => refused('proof-malformed', `log proof: ${problem}`);
const invalid = (problem: string, cause?: unknown) =>
  refused('proof-invalid', `log proof: ${problem}`, '', cause);

/** The proof's text, as bytes. */
export function formatProof({ extra, index, hashes, checkpoint }: Proof): Buffer {
  const lines = [
    HEADER,
    ...(extra === null ? [] : [`extra ${extra.toString('base64')}`]),
    `index ${index}`,
    ...hashes.map((hash) => hash.toString('base64')),
    '',
    checkpoint,
  ];
  return Buffer.from(lines.join('\n'));
}

/** Reads a proof; what it says is not checked. Throws refused(`proof-malformed`). */
export function parseProof(bytes: Uint8Array): Proof {
  if (bytes.length > PROOF_MAX) throw malformed(`more than ${PROOF_MAX} bytes`);
  const text = Buffer.from(bytes).toString();
  if (!Buffer.from(text).equals(bytes)) throw malformed('not UTF-8');
  const end = text.indexOf('\n\n');
  if (end === -1) throw malformed('no checkpoint');
  const lines = text.slice(0, end).split('\n');
  if (lines.shift() !== HEADER) throw malformed(`the first line is not ${HEADER}`);
  let extra: Buffer | null = null;
  if (lines[0]?.startsWith('extra ') === true) {
    extra = decodeBase64(lines.shift()?.slice('extra '.length) ?? '');
    if (extra === null) throw malformed('the extra line is not canonical base64');
  }
  const indexLine = lines.shift() ?? '';
  const index = indexLine.startsWith('index ') ? parseDecimal(indexLine.slice('index '.length)) : null;
  if (index === null) throw malformed('no index line');
  if (lines.length > HASHES_MAX) throw malformed(`more than ${HASHES_MAX} hashes`);
  const hashes = lines.map((line) => {
    const hash = decodeBase64(line);
    if (hash?.length !== 32) throw malformed('a line is not the base64 of a hash');
    return hash;
  });
  return { extra, index, hashes, checkpoint: text.slice(end + 2) };
}

/** Whose proofs are believed, and how many of which witnesses must have cosigned the checkpoint. */
export interface LogTrust extends LogKey {
  readonly witnesses: readonly WitnessKey[];
  readonly quorum: number;
}

/** The key alone, where no witness is known. */
export const unwitnessed = ({ origin, key }: LogKey): LogTrust => ({ origin, key, witnesses: [], quorum: 0 });

/**
 * The proof with the signatures of the log and of these witnesses alone: nobody can say yet whether others are good, and
 * a false one spoils the proof for whoever knows its key later. Throws as `mergeCosignatures`.
 */
export const withoutStrangers = (proof: Proof, { key, witnesses }: LogTrust): Proof => ({
  ...proof,
  checkpoint: mergeCosignatures([proof.checkpoint], key, witnesses),
});

/** What a proof establishes. */
export interface Proven {
  readonly checkpoint: Checkpoint;
  /** Of the trusted witnesses, all that are there. */
  readonly cosignatures: readonly Cosignature[];
}

/**
 * Checks that the leaf is in the log that the key and the origin name, by the steps of tlog-proof,
 * "Verifying a tlog proof". Throws refused: `proof-invalid` with its cause, `witnesses-missing`.
 */
export function verifyProof(proof: Proof, leaf: Uint8Array, trust: LogTrust): Proven {
  // 2. The checkpoint is signed by the log's key, and its origin is the log's. (1, the leaf hash, is in 4.)
  const [checkpoint, cosignatures] = attempt(() => [
    openCheckpoint(proof.checkpoint, trust),
    cosignaturesOf(proof.checkpoint, trust.witnesses),
  ]);
  // 3. Witnesses: as many as the quorum, each counted once.
  if (cosignatures.length < trust.quorum)
    throw refused(
      'witnesses-missing',
      `log proof: its checkpoint is cosigned by ${cosignatures.length} of ${trust.witnesses.length} witnesses, ${trust.quorum} needed`,
    );
  // 4. The leaf is under the root of that checkpoint.
  const { size, root } = checkpoint;
  if (!verifyInclusion(proof.index, size, leafHash(leaf), proof.hashes, root))
    throw invalid(`the entry is not at index ${proof.index} of the tree of ${size}`);
  return { checkpoint, cosignatures };
}

function attempt<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : 'no checkpoint', error);
  }
}
