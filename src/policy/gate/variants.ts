/** Which slot's a write is, and where it goes: a slot's records lie beside each other, the first under its name, three more numbered. */
import type { Approval } from '../../records/approval.ts';
import type { Slot } from '../../records/names.ts';
import { VARIANTS, parseBuildFile } from '../../records/paths.ts';
import type { Variant } from '../../records/paths.ts';
import type { Verified } from '../verified.ts';
import { CARRIER, tokenSlot } from './token.ts';
import { denied } from './verdict.ts';
import type { Denied } from './verdict.ts';
import { compare, otherBytes } from './write.ts';
import type { Write } from './write.ts';

type SlotFile = (slot: Slot, variant?: Variant) => string;

/** A record that a slot may have several of, and what lies beside each. */
export interface SlotFiles {
  readonly record: SlotFile;
  /** Authenticators and the like, in the order in which they are written. */
  readonly beside: readonly SlotFile[];
  /** That of them which the signer alone can check; null if there is none. */
  readonly mac: SlotFile | null;
}

/** The slot that all of the write is of, if its bearer may write it: by its upload token; what is `logged` needs none, nor does the carrier. */
export function slotOfWrite(write: Write, approval: Verified<Approval>, logged: boolean): Slot | Denied {
  const names = [...write.files.keys()];
  const slot =
    logged || write.bearer === CARRIER
      ? (slotOf(names[0] ?? '') ?? denied(422, 'write-empty', 'there is nothing in the write'))
      : tokenSlot(approval, write.bearer);
  if (typeof slot !== 'string') return slot;
  const other = names.find((name) => slotOf(name) !== slot);
  if (other === undefined) return slot;
  return denied(403, 'token-of-another-slot', `the token is that of builder ${slot}, it writes no ${other}`);
}

function slotOf(name: string): Slot | null {
  const file = parseBuildFile(name);
  return file !== null && 'slot' in file ? file.slot : null;
}

/** The write's files as those of a variant: the record last, whoever sees it finds the others. */
export function filesAs(
  { files }: Write,
  { beside, record }: SlotFiles,
  slot: Slot,
  variant: Variant,
): [string, Buffer][] {
  return [...beside, record].flatMap((name): [string, Buffer][] => {
    const bytes = files.get(name(slot));
    return bytes === undefined ? [] : [[name(slot, variant), bytes]];
  });
}

/**
 * Where the write's record goes: where these bytes are, else the first free place; 409 when there is none. One place
 * more for the same bytes with another MAC: which of the two is wrong only the signer can tell.
 */
export async function findVariant(
  write: Write,
  names: SlotFiles,
  slot: Slot,
  places: readonly Variant[] = VARIANTS,
): Promise<Variant | Denied> {
  const bytes = write.files.get(names.record(slot));
  for (const variant of places) {
    const existing = await write.before.read(names.record(slot, variant));
    if (existing !== null && bytes?.equals(existing) !== true) continue;
    // Without its record an authenticator of another one is what a crash left: that place is not free.
    const conflict = await otherBytes(write, filesAs(write, names, slot, variant));
    if (conflict === null) return variant;
    if (existing !== null && !(await isOtherMac(write, names, slot, variant))) return conflict;
  }
  const text = `there are ${places.length} different ones of ${names.record(slot)} already`;
  return denied(409, 'variants-full', text);
}

async function isOtherMac(write: Write, { mac }: SlotFiles, slot: Slot, variant: Variant): Promise<boolean> {
  const bytes = mac === null ? undefined : write.files.get(mac(slot));
  if (mac === null || bytes === undefined) return false;
  return (await compare(write.before, mac(slot, variant), bytes)) === 'other';
}
