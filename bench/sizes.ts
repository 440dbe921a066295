/** How large what is measured is: in a full run, and in a quick one, of which no figure means anything. */
import { GIB, MIB } from './files.ts';

export interface Sizes {
  /** Bytes of the one large artifact. */
  readonly large: number;
  /** Bytes of each of several large artifacts. */
  readonly several: number;
  /** Bytes that are uploaded by as many as are at it at the same time. */
  readonly uploads: number;
  /** Small artifacts, 4 KiB each. */
  readonly many: number;
  /** As many of them as a script can be waited for. */
  readonly scripted: number;
  /** Other keys, and as many artifacts as their agent signs in a few seconds. */
  readonly keys: Readonly<Record<'nistp256/ecdsa' | 'rsa3072' | 'rsa4096', number>>;
  /** Artifacts of which the programs that `sign` starts are counted, beside those of one. */
  readonly traced: number;
  /** Small artifacts in digest mode. */
  readonly digests: number;
  /** Builds in the long list. */
  readonly listed: number;
  /** Entries of the logs that are verified whole. */
  readonly logs: readonly number[];
  /** The points of the curves: MiB, and small artifacts. */
  readonly curves: Readonly<Record<'size' | 'count', readonly number[]>>;
}

export const FULL: Sizes = {
  large: 2 * GIB,
  several: 512 * MIB,
  uploads: GIB,
  many: 10_000,
  scripted: 300,
  keys: { 'nistp256/ecdsa': 1_000, rsa3072: 200, rsa4096: 100 },
  traced: 1_000,
  digests: 2_000,
  listed: 100_000,
  logs: [1_000, 10_000, 100_000, 1_000_000],
  curves: { size: [1, 16, 256, 1024, 2048, 8192], count: [1, 10, 100, 1_000, 10_000, 100_000] },
};

export const QUICK: Sizes = {
  large: 64 * MIB,
  several: 32 * MIB,
  uploads: 64 * MIB,
  many: 300,
  scripted: 20,
  keys: { 'nistp256/ecdsa': 20, rsa3072: 20, rsa4096: 20 },
  traced: 50,
  digests: 100,
  listed: 3_000,
  logs: [1_000],
  curves: { size: [1, 16], count: [1, 100] },
};

/** As people write it: `2 GiB`, `64 MiB`. */
export function bytesText(bytes: number): string {
  return bytes % GIB === 0 ? `${bytes / GIB} GiB` : `${bytes / MIB} MiB`;
}
