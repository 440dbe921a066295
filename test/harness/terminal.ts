/** A person at a terminal: runs the program on a pseudo-terminal, and types when it asks. */
import { spawn } from 'node:child_process';
import { PROGRAM } from './program.ts';
import type { Environment } from './program.ts';

export interface Seen {
  readonly code: number | null;
  /** Everything that stood on the terminal, what was typed among it. */
  readonly screen: string;
}

/** Runs it with script(1). `answers`: what is typed (with Enter) when a text has appeared, in this order. */
export function atTerminal(
  args: readonly string[],
  answers: readonly (readonly [question: string, answer: string])[],
  {
    env,
    cwd,
    program = PROGRAM,
  }: { readonly env: Environment; readonly cwd: string; readonly program?: string },
): Promise<Seen> {
  const words = [process.execPath, program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  const child = spawn(
    'script',
    ['--quiet', '--flush', '--return', '--command', words.join(' '), '/dev/null'],
    {
      cwd,
      env: { ...env, TERM: 'xterm', SHELL: '/bin/sh' },
      stdio: 'pipe',
    },
  );
  let screen = '';
  let answered = 0;
  let from = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    screen += chunk.toString();
    const next = answers[answered];
    const at = next ? screen.indexOf(next[0], from) : -1;
    if (!next || at === -1) return;
    answered += 1;
    from = at + next[0].length;
    child.stdin.write(`${next[1]}\r`);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, screen }));
  });
}
