/** Questions before something is allowed or signed. */
import { usage } from '../failure.ts';
import type { Terminal } from './terminal.ts';

/** Throws usage where a question would be needed and cannot be asked: no terminal, no `--yes`. */
export function requireAnswer(terminal: Terminal, yes: boolean | undefined): void {
  if (yes === true || terminal.interactive) return;
  throw usage('no-terminal', 'there is no terminal to ask on', 'add --yes to go on without the question');
}
