/** A pinentry without a person: it answers as told and writes down what it was asked. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What Assuan's pinentry protocol says instead of a passphrase: the person pressed cancel. */
const CANCELLED = 'ERR 83886179 Operation cancelled <Pinentry>';

export class FakePinentry {
  readonly program: string;
  readonly #log: string;

  /** Writes the program into `directory`; it gives `passphrase`, or cancels if that is null. */
  constructor(directory: string, passphrase: string | null) {
    this.program = join(directory, 'pinentry.sh');
    this.#log = join(directory, 'pinentry.log');
    const answer = passphrase === null ? `echo "${CANCELLED}"` : `echo "D ${passphrase}"; echo OK`;
    const lines = [
      '#!/bin/sh',
      `env >> '${this.#log}'`,
      'echo "OK at your service"',
      'while read -r line; do',
      `  echo "$line" >> '${this.#log}'`,
      '  case "$line" in',
      `    GETPIN*) ${answer} ;;`,
      '    BYE*) echo OK; exit 0 ;;',
      '    *) echo OK ;;',
      '  esac',
      'done',
    ];
    writeFileSync(this.program, `${lines.join('\n')}\n`);
    chmodSync(this.program, 0o700);
  }

  /** Its environment and all commands that it got so far. */
  heard(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8').trimEnd().split('\n') : [];
  }
}
