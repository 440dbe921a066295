/** Ctrl-C in a command that goes on when it is run again: a person is told so, and the signal ends it as ever. */
import type { Terminal } from './terminal.ts';

/** `kept`: what of the work so far is not lost, asked for when it comes to that. Call what it returns when all is done. */
export function sayIfInterrupted(terminal: Terminal, kept: () => string): () => void {
  const interrupted = (): void => {
    // who listens too ends the work in good order, and says so
    if (process.listenerCount('SIGINT') > 0) return;
    terminal.show(`interrupted; run it again: ${kept()}`);
    process.kill(process.pid, 'SIGINT');
  };
  process.once('SIGINT', interrupted);
  return () => process.off('SIGINT', interrupted);
}
