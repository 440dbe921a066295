/**
 * A list of subjects as a canonical record has it, read row by row. To make objects of 100,000 subjects, write them again
 * and compare takes a second, in which a depot answers nobody: a row that this pattern matches has one form, the canonical.
 */
import { isArtifactName } from './artifact-name.ts';
import { LARGE_RECORD_MAX, MAX_SUBJECTS } from './canonical.ts';
import { isSha256 } from './names.ts';
import { isStateOf } from './subject.ts';
import type { StatedSubject } from './subject.ts';

const ROW =
  /\{"annotations":\{(?:"sha256State":"([0-9a-f]{64,190})",)?"size":(0|[1-9][0-9]{0,15})\},"digest":\{"sha256":"[0-9a-f]{64}"\},"name":"([!-~]{1,255}?)"\}/y;
/** From the end of a digest to the quote before the name, and from the end of the name to that of the row. */
const [BETWEEN, AFTER] = ['"},"name":"'.length, '"}'.length];

/** The subjects, still to be checked as a list; and the record that has none in its place. */
export interface Scanned {
  readonly subjects: StatedSubject[];
  readonly rest: Buffer;
}

/**
 * The list under this key, with its subjects each as the schema wants it. Null where the record has to be read as a whole,
 * which says what is wrong with it, if anything is.
 */
export function scanSubjects(record: Uint8Array, key: 'subject' | 'subjects'): Scanned | null {
  if (record.length > LARGE_RECORD_MAX) return null;
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.length);
  // no string has these quotes in it, which would be escaped; and no other key, in records that know all of theirs
  const opening = `"${key}":[`;
  const found = bytes.indexOf(opening);
  if (found < 0) return null;
  const start = found + opening.length;
  const text = bytes.toString('latin1');
  const subjects: StatedSubject[] = [];
  for (let at = start; ; at++) {
    ROW.lastIndex = at;
    const row = ROW.exec(text);
    if (row === null || subjects.length === MAX_SUBJECTS) return null;
    at = ROW.lastIndex;
    const [, state, digits, { length } = ''] = row;
    // of their own: a part of the text would keep all of it in memory
    const nameAt = at - AFTER - length;
    const name = bytes.toString('latin1', nameAt, at - AFTER);
    const sha256 = bytes.toString('latin1', nameAt - BETWEEN - 64, nameAt - BETWEEN);
    const size = Number(digits);
    if (!isArtifactName(name) || !isSha256(sha256) || !Number.isSafeInteger(size)) return null;
    if (state === undefined) subjects.push({ name, sha256, size });
    else if (isStateOf(state, size)) subjects.push({ name, sha256, size, sha256State: state });
    else return null;
    if (text[at] === ']')
      return { subjects, rest: Buffer.concat([bytes.subarray(0, start), bytes.subarray(at)]) };
    if (text[at] !== ',') return null;
  }
}
