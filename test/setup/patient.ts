/** A host for `doctor`: what it finds there, and what it finds once its cure has been carried out. */
import { spawn } from 'node:child_process';
import { expect } from 'vitest';
import { collected } from '../harness/collected.ts';
import { PROGRAM } from '../harness/program.ts';
import type { Environment } from '../harness/program.ts';

interface Finding {
  readonly check: string;
  readonly level: string;
  readonly text: string;
  readonly hint: string;
}

interface Examined {
  readonly code: number | null;
  readonly findings: readonly Finding[];
  readonly stdout: string;
  readonly stderr: string;
}

export class Patient {
  readonly #args: readonly string[];
  readonly #host: { readonly cwd: string; readonly env: Environment };

  /** `args`: what every call of `doctor` on this host has. */
  constructor(args: readonly string[], host: { readonly cwd: string; readonly env: Environment }) {
    this.#args = args;
    this.#host = host;
  }

  /** `doctor`, in the shell that has just run `first`: a cure may be `unset` or `ulimit`. */
  async examine(first = '', env: Environment = {}, input = ''): Promise<Examined> {
    const script = `${first}\nexec "$0" "$@"`;
    const args = ['-c', script, process.execPath, PROGRAM, 'doctor', '--json', ...this.#args];
    const { cwd } = this.#host;
    const child = spawn('/bin/sh', args, { cwd, env: { ...this.#host.env, ...env }, timeout: 60_000 });
    child.stdin.on('error', () => {}); // it need not read what we offer
    child.stdin.end(input);
    const { code, stdout, stderr } = await collected(child);
    const lines = stdout.split('\n').filter((line) => line.startsWith('{"check"'));
    return {
      code,
      findings: lines.map((line) => JSON.parse(line) as Finding),
      stdout,
      stderr,
    };
  }

  /** The one finding of this check that is not `ok` and says `about`. */
  async finding(check: string, about: RegExp = /./, env: Environment = {}): Promise<Finding> {
    const examined = await this.examine('', env);
    const found = ill(examined, check).filter(({ text }) => about.test(text));
    expect(found, examined.stdout + examined.stderr).toHaveLength(1);
    expect(examined.code).toBe(examined.findings.some(({ level }) => level === 'problem') ? 1 : 0);
    const [first] = found;
    if (!first) throw new Error('no finding');
    return first;
  }

  /** Carries out the cure of a finding as a person who copies it; then it is gone. */
  async isCuredBy({ check, text, hint }: Finding, env: Environment = {}, input = ''): Promise<void> {
    expect(hint).not.toBe('');
    const after = await this.examine(hint, env, input);
    expect(
      ill(after, check).map((each) => each.text),
      after.stderr,
    ).not.toContain(text);
    expect(after.findings.length).toBeGreaterThan(5);
  }
}

const ill = ({ findings }: Examined, check: string): Finding[] =>
  findings.filter((each) => each.check === check && each.level !== 'ok');
