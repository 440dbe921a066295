/** The program: finds the verb, runs it, and turns what it throws into one line and an exit status. */
import { parseArgs } from 'node:util';
import { usage } from '../failure.ts';
import { flagLines, GLOBAL_FLAGS } from './command.ts';
import type { Command, Verb } from './command.ts';
import { asFailure, EXIT, exitStatusOf } from './exit-status.ts';
import type { ExitStatus } from './exit-status.ts';
import { nearest } from './nearest.ts';
import { Terminal } from './terminal.ts';
import { wrapText } from './text.ts';
import { VERSION } from './version.ts';

export interface Section {
  /** Who uses these verbs: `operator`. */
  readonly title: string;
  readonly verbs: readonly Verb[];
}

/**
 * Runs the program with its arguments (without node and file). Returns the exit status; never throws. `leave` ends the
 * process where a command left something under way.
 */
export async function runProgram(
  sections: readonly Section[],
  args: readonly string[],
  leave: (status: ExitStatus) => void = () => {},
): Promise<ExitStatus> {
  const { switches, verb, rest } = splitVerb(args);
  const terminal = new Terminal({
    json: switches.has('json'),
    quiet: switches.has('quiet'),
    verbose: switches.has('verbose'),
  });
  try {
    const status = await runVerb(sections, { switches, verb, rest }, terminal);
    await terminal.flush();
    if (terminal.leaving) leave(status);
    return status;
  } catch (thrown) {
    const failure = asFailure(thrown);
    terminal.fail(failure);
    return exitStatusOf(failure);
  }
}

async function runVerb(
  sections: readonly Section[],
  { switches, verb, rest }: Split,
  terminal: Terminal,
): Promise<ExitStatus> {
  if (verb === undefined) return withoutVerb(sections, switches, terminal);
  if (verb === 'help') return help(sections, rest, terminal);
  let command = await load(verbsOf(sections), verb);
  for (let name = verb; command.verbs;) {
    // what follows it is a verb too, which help may be asked about
    const inner = splitVerb(rest);
    if (inner.verb === undefined) break;
    command = await load(command.verbs, inner.verb, name);
    name = `${name} ${inner.verb}`;
    rest = inner.rest;
  }
  if (!switches.has('help')) return command.run(rest, terminal);
  terminal.page(command.help);
  return EXIT.done;
}

/** `countersign`, `countersign --version`, `countersign --help`. */
function withoutVerb(
  sections: readonly Section[],
  switches: ReadonlySet<string>,
  terminal: Terminal,
): ExitStatus {
  if (switches.has('version')) terminal.page(VERSION);
  else if (switches.has('help')) terminal.page(overview(sections));
  else
    throw usage(
      'no-command',
      'no command given',
      `one of: ${names(sections).join(', ')}; see countersign --help`,
    );
  return EXIT.done;
}

/** `countersign help`, `countersign help VERB`. */
async function help(
  sections: readonly Section[],
  rest: readonly string[],
  terminal: Terminal,
): Promise<ExitStatus> {
  const [topic, ...within] = rest.filter((argument) => !argument.startsWith('-'));
  let command = topic === undefined ? null : await load(verbsOf(sections), topic);
  for (const inner of within) if (command?.verbs) command = await load(command.verbs, inner, topic);
  terminal.page(command?.help ?? overview(sections));
  return EXIT.done;
}

/** `group`: the verb that it stands behind. */
async function load(verbs: readonly Verb[], name: string, group?: string): Promise<Command> {
  const found = verbs.find((verb) => verb.name === name);
  if (found) return (await found.load()).command;
  const listed = verbs.map((verb) => verb.name);
  const near = nearest(name, listed);
  const before = group === undefined ? '' : `${group} `;
  throw usage(
    'unknown-command',
    `unknown command '${before}${name}'`,
    near ? `did you mean countersign ${before}${near}?` : `one of: ${listed.join(', ')}`,
  );
}

const verbsOf = (sections: readonly Section[]): Verb[] => sections.flatMap(({ verbs }) => [...verbs]);
const names = (sections: readonly Section[]): string[] => verbsOf(sections).map(({ name }) => name);

interface Split {
  /** Long names of the switches given, wherever they stand before a `--`. */
  readonly switches: ReadonlySet<string>;
  /** The first operand. */
  readonly verb: string | undefined;
  /** Everything else, in order. */
  readonly rest: readonly string[];
}

/** Finds the verb: global flags may stand before it. */
function splitVerb(args: readonly string[]): Split {
  const { tokens } = parseArgs({
    args: [...args],
    options: {
      config: { type: 'string', short: 'c' },
      depot: { type: 'string' },
      json: { type: 'boolean' },
      quiet: { type: 'boolean', short: 'q' },
      verbose: { type: 'boolean', short: 'v' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const verb = tokens.find((token) => token.kind === 'positional');
  const switches = new Set(tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : [])));
  return {
    switches,
    verb: verb?.value,
    rest: verb ? args.filter((_, i) => i !== verb.index) : args,
  };
}

/** By the verb that a program must have for it. */
const EXAMPLES = [
  ['demo', 'countersign demo           all roles on this machine, to see it work'],
  ['sign', 'countersign sign --help    what a command takes, with an example'],
] as const;

function overview(sections: readonly Section[]): string {
  const width = Math.max(...names(sections).map((name) => name.length));
  return [
    'usage: countersign COMMAND [flags]',
    '',
    ...wrapText(
      'Sign what a machine you do not quite trust has built, with a key that never leaves the machine you trust most.',
    ),
    ...sections.flatMap((section) => [
      '',
      `${section.title}:`,
      ...section.verbs.map((verb) => `  ${verb.name.padEnd(width)}  ${verb.summary}`),
    ]),
    '',
    'flags of every command:',
    ...flagLines(GLOBAL_FLAGS),
    '',
    ...wrapText('exit status: 0 done, 1 refused or not valid, 2 wrong usage, 3 could not (try again)'),
    '',
    'example:',
    ...EXAMPLES.filter(([verb]) => names(sections).includes(verb)).map(([, example]) => `  ${example}`),
  ].join('\n');
}
