/** What only root may do. The machine that tests run on is root's, or lets us be root by sudo. */
import { spawnSync } from 'node:child_process';
import { describe, test } from 'vitest';

/** What stands before a command that is root's. */
export const SUDO = process.getuid?.() === 0 ? [] : ['sudo', '-n'];

/** Whether root can do that; its output goes nowhere. */
export function rootCan(command: readonly string[]): boolean {
  const [program = '', ...args] = [...SUDO, ...command];
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** As `describe`; where `needed` can't be done the tests are skipped and say so, and in CI they fail. */
export function describeAsRoot(name: string, needed: readonly string[], tests: () => void): void {
  if (rootCan(needed)) {
    describe(name, tests);
    return;
  }
  const why = `can't be tried here: root can't ${needed.join(' ')}`;
  if (!process.env['CI']) console.error(`skipped: ${name}: ${why}`);
  test.skipIf(!process.env['CI'])(name, () => {
    throw new Error(why);
  });
}
