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

const POWERS = ['', 'K', 'M', 'G', 'T'];

/** Bytes: `0`, `4096`, `64M` or `64MiB` (1024 each step). Throws usage, naming the flag. */
export function parseSize(text: string, flag: string): number {
  const [, digits = '', unit = ''] = /^(0|[1-9][0-9]{0,15})(?:([KMGT])(?:iB)?)?$/.exec(text) ?? [];
  const value = Number(digits) * 1024 ** POWERS.indexOf(unit);
  if (digits === '' || !Number.isSafeInteger(value))
    throw usage(
      'wrong-usage',
      `${flag}: '${text}' is not a number of bytes`,
      'like 4096, 64M or 2GiB, in steps of 1024',
    );
  return value;
}
