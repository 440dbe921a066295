/** Operands and values on the command line: strict, numbers with the units that people write. */
import { statSync } from 'node:fs';
import { usage } from '../failure.ts';
import { isBuildId, isVersion } from '../records/names.ts';
import type { BuildId } from '../records/names.ts';
import { wrongUse } from './command.ts';

/** A build id. Throws usage. */
export function parseBuildId(operand: string): BuildId {
  if (isBuildId(operand)) return operand;
  if (isVersion(operand))
    throw usage(
      'wrong-usage',
      `'${operand}' is a version: name the build`,
      `countersign status ${operand} lists those of it`,
    );
  throw usage('wrong-usage', `'${operand}' is not a build id`, 'approve prints it, status shows it');
}

/** A whole number from 1. Throws usage, naming the flag. */
export function parseCount(text: string, flag: string): number {
  const value = /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value))
    throw usage('wrong-usage', `${flag}: '${text}' is not a whole number from 1`);
  return value;
}

/** The directory of `--data`, which may be yet to be made. Throws usage. */
export function parseData(text: string | undefined, verb: string): string {
  if (text === undefined) throw wrongUse(verb, '--data DIR is missing');
  if (text === '') throw wrongUse(verb, '--data is empty');
  if (statSync(text, { throwIfNoEntry: false })?.isDirectory() === false)
    throw wrongUse(verb, `--data: ${text} is no directory`);
  return text;
}

/** How a help text says what `parseSize` takes. */
export const SIZES = '10G is 10GiB, 10GB is decimal';

const POWERS = ['', 'K', 'M', 'G', 'T'];
const SIZE = /^(0|[1-9][0-9]{0,15})(?:([KMGT])(iB|B)?)?$/;

/**
 * Bytes as people and coreutils write them: `0`, `4096`; `64M` and `64MiB` in steps of 1024; `64MB` in steps of 1000.
 * Throws usage, naming the flag and, where it is plain what was meant, the right form.
 */
export function parseSize(text: string, flag: string): number {
  const value = sizeBytes(text);
  if (value !== null) return value;
  const meant = meantSize(text);
  throw usage(
    'wrong-usage',
    `${flag}: '${text}' is not a number of bytes`,
    meant === null ? 'like 4096, 64M or 2GiB in steps of 1024, 10GB in steps of 1000' : `write ${meant}`,
  );
}

function sizeBytes(text: string): number | null {
  const [, digits = '', unit = '', rest = ''] = SIZE.exec(text) ?? [];
  const value = Number(digits) * (rest === 'B' ? 1000 : 1024) ** POWERS.indexOf(unit);
  return digits !== '' && Number.isSafeInteger(value) ? value : null;
}

/** The strict form of `10 gb`, `64m`, `512B` or `1.5G`, in whole steps; null if none is meant. */
function meantSize(text: string): string | null {
  const loose = /^(\d+(?:\.\d+)?) ?([KMGT]?)(iB|B)?$/i.exec(text);
  if (loose === null) return null;
  const [, digits = '', letter = '', rest = ''] = loose;
  const ending = letter === '' || rest === '' ? '' : rest.length === 2 ? 'iB' : 'B';
  const step = ending === 'B' ? 1000 : 1024;
  let count = Number(digits);
  let power = POWERS.indexOf(letter.toUpperCase());
  for (; !Number.isInteger(count) && power > 0; power -= 1) count *= step;
  const meant = `${Math.floor(count)}${POWERS[power]}${power === 0 ? '' : ending}`;
  return sizeBytes(meant) === null ? null : meant;
}
