/**
 * The state directory of a witness (mode 0700): its key, unless that is a credential, and what it remembers.
 *
 * A witness that forgets is none: whoever trusts its key trusts that it was always used with this directory. So the
 * directory and the key are made together, and neither ever begins anew without the other.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure, usage } from '../failure.ts';
import {
  diskFailure,
  errorCode,
  makeDirectory,
  readFileBounded,
  syncDirectory,
  writeFileDurably,
} from '../host/files.ts';
import { takeLock } from '../host/lock.ts';
import type { Lock } from '../host/lock.ts';
import { readSecret, requirePrivate } from '../host/secret.ts';
import { generateWitnessKey, parseWitnessSigner } from '../tlog/cosignature.ts';
import type { CosignatureSigner } from '../tlog/cosignature.ts';
import { CHECKPOINTS, damaged, ORIGINS } from './record.ts';

/** The secret, in the directory or as a credential. */
export const WITNESS_KEY = 'witness-key';
/** Its public half: says which key the directory belongs to. */
const VERIFIER_KEY = 'verifier-key';
const VERIFIER_MAX = 4096;
const LOCK = 'lock';

const MISSING = 'the first run makes it: --name NAME, like witness.example.org/w1';

/** Whoever has it holds the directory's lock: one witness at a time. */
export interface WitnessState {
  readonly directory: string;
  readonly signer: CosignatureSigner;
  /** Made just now. */
  readonly isNew: boolean;
  close(): Promise<void>;
}

export interface StateOptions {
  /** For a new one, which is made; of one that is there it must be the name. */
  readonly name: string | null;
  /** The text of the key, where it is not in the directory. */
  readonly credential: string | null;
}

/**
 * Opens and locks the directory; makes it if a name is given and there is none. Throws usage: `state-missing`,
 * `state-permissions`, `witness-name` for another name than it has; unable: `locked`, `state-damaged`, `disk`.
 */
export async function openState(directory: string, options: StateOptions): Promise<WitnessState> {
  if (options.name !== null) await makeHere(directory);
  await requirePrivate(directory, MISSING);
  const lock = await takeLock(join(directory, LOCK));
  try {
    return await open(directory, options, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function open(
  directory: string,
  { name, credential }: StateOptions,
  lock: Lock,
): Promise<WitnessState> {
  const isNew = (await readdir(directory)).every((file) => file === LOCK);
  if (isNew) {
    if (name === null) throw usage('state-missing', `${directory} is empty`, MISSING);
    if (credential !== null)
      throw usage(
        'state-missing',
        `there is a key, but ${directory} is empty: what the key has cosigned is forgotten`,
        'is it another directory? if it is lost, take the credential away, and make a new witness with a new name',
      );
    await fill(directory, name);
  }
  const verifier = (await readFileBounded(join(directory, VERIFIER_KEY), VERIFIER_MAX))?.toString('utf8');
  if (verifier === undefined) throw damaged(join(directory, VERIFIER_KEY), 'it is missing');
  const signer = readSigner(
    directory,
    credential ?? (await readSecret(join(directory, WITNESS_KEY), MISSING)),
  );
  if (verifier !== `${signer.verifier.text}\n`)
    throw damaged(directory, `its key is not that of ${signer.verifier.text}`);
  if (name !== null && name !== signer.name)
    throw usage(
      'witness-name',
      `${directory} is the witness ${signer.name}, not ${name}`,
      'leave --name out, or name another --state',
    );
  return { directory, signer, isNew, close: () => lock.release() };
}

function readSigner(directory: string, text: string): CosignatureSigner {
  try {
    return parseWitnessSigner(text);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'refused')
      throw damaged(join(directory, WITNESS_KEY), 'it is not the private key of a witness', error);
    throw error;
  }
}

/** An empty one, as a service manager makes it, will do. */
async function makeHere(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
    await syncDirectory(dirname(directory));
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw diskFailure(error, `make ${directory}`);
  }
}

async function fill(directory: string, name: string): Promise<void> {
  const key = newKey(name);
  try {
    await writeFileDurably(join(directory, '.gitignore'), Buffer.from('*\n'), 0o600);
    await makeDirectory(join(directory, CHECKPOINTS), 0o700);
    await writeFileDurably(join(directory, ORIGINS), Buffer.alloc(0), 0o600);
    await writeFileDurably(join(directory, WITNESS_KEY), Buffer.from(`${key.signer}\n`), 0o600);
    await writeFileDurably(join(directory, VERIFIER_KEY), Buffer.from(`${key.verifier}\n`), 0o600);
  } catch (error) {
    // nobody has seen the key
    for (const file of await readdir(directory))
      if (file !== LOCK) await rm(join(directory, file), { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

function newKey(name: string): { signer: string; verifier: string } {
  try {
    // C2SP: a URL without its scheme
    if (name.includes('://')) throw new RangeError('a name has no scheme');
    return generateWitnessKey(name);
  } catch (error) {
    throw usage(
      'wrong-usage',
      `--name: '${name}' is not the name of a key: no spaces, no plus, no https://`,
      'a URL without https:// is best, like witness.example.org/w1',
      error,
    );
  }
}
