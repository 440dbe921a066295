/** A verb's command line: its flags, its help, and strict parsing that says what was probably meant. */
import { parseArgs } from 'node:util';
import { usage } from '../failure.ts';
import type { Failure } from '../failure.ts';
import type { ExitStatus } from './exit-status.ts';
import { nearest } from './nearest.ts';
import type { Terminal } from './terminal.ts';
import { alignColumns, renderLine, wrapText } from './text.ts';

export interface Flag {
  /** What stands for the value in help, `FILE`; a flag without it is a switch. */
  readonly value?: string;
  /** May be given more than once. */
  readonly many?: true;
  readonly short?: string;
  readonly help: string;
}

type Flags = Readonly<Record<string, Flag>>;

export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]: F[K] extends { value: string }
    ? F[K] extends { many: true }
      ? readonly string[] | undefined
      : string | undefined
    : boolean | undefined;
};

/** The flags that every verb takes. */
export const GLOBAL_FLAGS = {
  config: {
    value: 'FILE',
    short: 'c',
    help: 'project file; else $COUNTERSIGN_CONFIG, else ./countersign.toml',
  },
  depot: { value: 'URL|DIR', help: 'the depot, instead of the one in the project file' },
  json: { help: 'JSON lines on standard output' },
  quiet: { short: 'q', help: 'say less' },
  verbose: { short: 'v', help: 'say more' },
  help: { short: 'h', help: 'this text' },
} as const satisfies Flags;

export type Globals = FlagValues<typeof GLOBAL_FLAGS>;

export interface Invocation<F extends Flags> {
  readonly flags: FlagValues<F>;
  readonly operands: readonly string[];
  readonly globals: Globals;
  readonly terminal: Terminal;
}

export interface CommandSpec<F extends Flags> {
  readonly name: string;
  /** What follows the name: `VERSION --tickets DIR`. */
  readonly synopsis: string;
  /** One paragraph; its line ends are ours, not those of the help. */
  readonly about: string;
  readonly flags: F;
  /** Why `--depot` would say nothing to it; it is refused, lest somebody believe that it does. */
  readonly noDepot?: string;
  /** How many operands it takes. */
  readonly operands: { readonly min: number; readonly max: number };
  readonly example: readonly string[];
  run(invocation: Invocation<F>): Promise<ExitStatus>;
}

export interface Verb {
  readonly name: string;
  readonly summary: string;
  /** Loads the verb's code, which runs only for it. */
  readonly load: () => Promise<{ readonly command: Command }>;
}

export interface Command {
  readonly help: string;
  /** Of a verb that only stands before others: `log`. */
  readonly verbs?: readonly Verb[];
  /** Parses what followed the verb and runs it. Throws usage for what does not parse. */
  run(args: readonly string[], terminal: Terminal): Promise<ExitStatus>;
}

/** Makes a verb of its description. */
export function command<const F extends Flags>(spec: CommandSpec<F>): Command {
  return {
    help: helpText(spec),
    async run(args, terminal) {
      const { values, operands } = parse({ ...GLOBAL_FLAGS, ...spec.flags }, args, spec.name);
      if (spec.noDepot !== undefined && values['depot'] !== undefined)
        throw wrongUse(spec.name, `takes no --depot: ${spec.noDepot}`);
      const { min, max } = spec.operands;
      if (operands.length < min) throw wrongUse(spec.name, `expected ${spec.synopsis}`);
      if (operands.length > max) throw wrongUse(spec.name, `unexpected argument '${operands[max]}'`);
      // parse() gave each flag of both tables the type that its description says
      const flags = values as FlagValues<F> & Globals;
      return spec.run({ flags, globals: flags, operands, terminal });
    },
  };
}

/** Makes a verb that stands before others: what follows it is one of them. */
export function commandGroup(spec: {
  readonly name: string;
  readonly about: string;
  readonly verbs: readonly Verb[];
  readonly example: readonly string[];
}): Command {
  const { name, verbs } = spec;
  const rows = verbs.map((verb) => [verb.name, verb.summary]);
  return {
    help: [
      `usage: countersign ${name} COMMAND [flags]`,
      '',
      ...wrapText(spec.about.replaceAll('\n', ' ')),
      '',
      ...alignColumns(rows).map((row) => `  ${renderLine(row, false)}`.trimEnd()),
      '',
      ...wrapText(`countersign ${name} COMMAND --help says what a command takes, with examples`),
      '',
      'example:',
      ...spec.example.map((line) => `  ${line}`),
    ].join('\n'),
    verbs,
    run() {
      const listed = verbs.map((verb) => verb.name).join(', ');
      throw usage(
        'no-command',
        `${name}: no command given`,
        `one of: ${listed}; see countersign ${name} --help`,
      );
    },
  };
}

type Parsed = { values: Record<string, unknown>; operands: string[] };

function parse(flags: Flags, args: readonly string[], name: string): Parsed {
  const options = Object.fromEntries(
    Object.entries(flags).map(([flag, { value, short }]) => [
      flag,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: true,
        ...(short ? { short } : {}),
      },
    ]),
  );
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
    if (!flag) throw unknownFlag(name, token.rawName, Object.keys(flags));
    if (flag.value === undefined) {
      if (token.value !== undefined) throw wrongUse(name, `${token.rawName} takes no value`);
      values[token.name] = true;
      continue;
    }
    // `--ticket --base x`: the next flag is no value; one that begins with a dash is given as --flag=-x
    const missing = token.value === undefined || (!token.inlineValue && /^-./.test(token.value));
    if (missing && /^-[0-9]/.test(token.value ?? ''))
      throw wrongUse(name, `${token.rawName}: '${token.value}' is negative`);
    if (missing) throw wrongUse(name, `${token.rawName} needs a value: ${token.rawName} ${flag.value}`);
    const earlier = values[token.name];
    if (flag.many)
      values[token.name] = [...(Array.isArray(earlier) ? (earlier as unknown[]) : []), token.value];
    else if (earlier === undefined) values[token.name] = token.value;
    else throw wrongUse(name, `${token.rawName} is given twice`);
  }
  return { values, operands: positionals };
}

function unknownFlag(name: string, given: string, known: readonly string[]): Failure {
  const near = nearest(given.replace(/^-+/, ''), known);
  return usage(
    'unknown-flag',
    `${name}: unknown flag ${given}`,
    near ? `did you mean --${near}?` : `see countersign ${name} --help`,
  );
}

/** A command line that does not say what to do. */
export const wrongUse = (name: string, what: string): Failure =>
  usage('wrong-usage', `${name}: ${what}`, `see countersign ${name} --help`);

function helpText(spec: CommandSpec<Flags>): string {
  const { depot: _, ...withoutDepot } = GLOBAL_FLAGS;
  return [
    ...wrapText(`usage: countersign ${spec.name} ${spec.synopsis}`.trimEnd(), ' '.repeat(9)),
    '',
    ...wrapText(spec.about.replaceAll('\n', ' ')),
    ...(Object.keys(spec.flags).length > 0 ? ['', 'flags:', ...flagLines(spec.flags)] : []),
    '',
    'flags of every command:',
    ...flagLines(spec.noDepot === undefined ? GLOBAL_FLAGS : withoutDepot),
    '',
    'example:',
    ...spec.example.map((line) => `  ${line}`),
  ].join('\n');
}

/** Help lines of flags, aligned. */
export function flagLines(flags: Flags): string[] {
  const rows = Object.entries(flags).map(([name, flag]) => [
    `${flag.short ? `-${flag.short}, ` : ''}--${name}${flag.value ? ` ${flag.value}` : ''}`,
    flag.many ? `${flag.help} (may be repeated)` : flag.help,
  ]);
  return alignColumns(rows).map((row) => `  ${renderLine(row, false)}`.trimEnd());
}
