/** The signer token, for whoever carries artifacts of a depot that shows them to the signer alone. */
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, usage } from '../failure.ts';
import { word } from '../host/shell.ts';
import type { Project } from '../policy/project.ts';
import { decodeToken, matchesDigest } from '../policy/token.ts';
import { parseLocation } from '../tree/location.ts';
import type { Location } from '../tree/location.ts';
import { readSmallFile } from './config.ts';

export class SignerToken {
  readonly #bytes: Buffer;
  readonly #told: boolean;
  readonly #depot: string | null;

  private constructor(bytes: Buffer, told: boolean, depot: string | null) {
    this.#bytes = bytes;
    this.#told = told;
    this.#depot = depot;
  }

  /**
   * From the file that the command line names; else from `signer/` beside the project file, if it is there and ours to
   * read; else null. Nothing else of `signer/` is touched. Throws usage: `token-permissions`, `token-foreign`.
   */
  static find(project: Project, directory: string, told: string | undefined): SignerToken | null {
    const file = told ?? join(directory, 'signer', 'signer-token');
    if (told === undefined && !isReadable(file)) return null;
    const bytes = readToken(file);
    if (bytes === null || !matchesDigest(bytes, project.signerTokenSha256))
      throw usage('token-foreign', `${file} is not the signer token of the project file`, 'check the path');
    if ((statSync(file).mode & 0o007) !== 0)
      throw usage('token-permissions', `${file} is open to other users`, `chmod 0600 ${word(file)}`);
    return new SignerToken(bytes, told !== undefined, project.depot);
  }

  /** The token for a depot behind a URL: the project's, or whichever was meant by whoever named the file. */
  for(location: Location): Buffer | null {
    if (location.kind !== 'url') return null;
    const own = this.#depot === null ? null : parseLocation(this.#depot);
    return this.#told || (own?.kind === 'url' && own.url === location.url) ? this.#bytes : null;
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function readToken(file: string): Buffer | null {
  try {
    return decodeToken(readSmallFile(file).toString('latin1').trimEnd());
  } catch (error) {
    if (error instanceof Failure && error.code === 'token-malformed') return null;
    throw error;
  }
}
