import { describe, expect, test } from 'vitest';
import { command as approve } from '../../src/cli/approve.ts';
import { command } from '../../src/cli/command.ts';
import { EXIT } from '../../src/cli/exit-status.ts';
import { nearest } from '../../src/cli/nearest.ts';
import { progressText } from '../../src/cli/progress.ts';
import { command as serve } from '../../src/cli/serve.ts';
import { Terminal } from '../../src/cli/terminal.ts';
import { formatSize } from '../../src/cli/text.ts';
import { parseBuildId, parseCount, parseSize } from '../../src/cli/values.ts';
import { Failure } from '../../src/failure.ts';

const terminal = new Terminal({ json: false, quiet: true, verbose: false });

/** What a verb with these flags understands, or the line and hint that it answers. */
async function parse(...args: string[]): Promise<unknown> {
  let understood: unknown;
  const verb = command({
    name: 'make',
    synopsis: 'THING [--colour NAME]',
    about: 'Makes a thing.',
    flags: {
      colour: { value: 'NAME', help: 'its colour' },
      part: { value: 'PART', many: true, help: 'a part of it' },
      yes: { help: 'do not ask' },
    },
    operands: { min: 1, max: 2 },
    example: ['countersign make it'],
    run: async ({ flags, operands }) => {
      understood = { ...flags, operands };
      return EXIT.done;
    },
  });
  try {
    await verb.run(args, terminal);
    return understood;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect(error.kind).toBe('usage');
    return `${error.message} | ${error.hint}`;
  }
}

describe('a command line', () => {
  test('is flags and operands in any order', async () => {
    expect(
      await parse('it', '--colour', 'red', '--part', 'a', '--part=b', '-v', '-c', 'x.toml', '--yes'),
    ).toEqual({
      colour: 'red',
      part: ['a', 'b'],
      verbose: true,
      config: 'x.toml',
      yes: true,
      operands: ['it'],
    });
    expect(await parse('--colour=-dashed', '--', '--it')).toEqual({ colour: '-dashed', operands: ['--it'] });
    expect(await parse('it', '--colour', '-')).toEqual({ colour: '-', operands: ['it'] });
  });

  test('with a flag that does not exist says what was probably meant', async () => {
    expect(await parse('it', '--color', 'red')).toBe('make: unknown flag --color | did you mean --colour?');
    expect(await parse('it', '--frobnicate')).toBe(
      'make: unknown flag --frobnicate | see countersign make --help',
    );
    expect(await parse('it', '-x')).toBe('make: unknown flag -x | see countersign make --help');
    expect(await parse('it', '--constructor')).toContain('unknown flag --constructor');
    expect(await parse('it', '--__proto__=1')).toContain('unknown flag --__proto__');
  });

  test('that is ambiguous is not guessed at', async () => {
    expect(await parse('it', '--colour')).toContain('--colour needs a value: --colour NAME');
    expect(await parse('it', '--colour', '--yes')).toContain('--colour needs a value');
    expect(await parse('it', '--colour', '-1')).toContain("--colour: '-1' is negative");
    expect(await parse('it', '--colour', 'red', '--colour', 'blue')).toContain('--colour is given twice');
    expect(await parse('it', '--yes=no')).toContain('--yes takes no value');
    expect(await parse()).toContain('expected THING [--colour NAME]');
    expect(await parse('a', 'b', 'c')).toContain("unexpected argument 'c'");
  });
});

test('near matches: beginnings, and up to two typing errors', () => {
  const verbs = ['approve', 'attest', 'serve', 'sign', 'status', 'verify', 'init', 'demo'];
  expect(
    ['aprove', 'verfiy', 'singn', 'stat', 'att', 'approval', 'intt', 'x', 'publish'].map((given) =>
      nearest(given, verbs),
    ),
  ).toEqual(['approve', 'verify', 'sign', 'status', 'attest', 'approve', 'init', null, null]);
});

describe('values', () => {
  test('numbers are whole, sizes may have units', () => {
    expect(parseCount('12', '--builders')).toBe(12);
    expect(
      ['0', '4096', '64M', '2GiB', '1T', '64MB', '10GB'].map((text) => parseSize(text, '--max-size')),
    ).toEqual([0, 4096, 64 * 2 ** 20, 2 * 2 ** 30, 2 ** 40, 64e6, 10e9]);
    for (const bad of ['', '0', '-1', '1.5', '1e3', '0x10', '١', '9999999999999999', ' 1'])
      expect(() => parseCount(bad, '--builders')).toThrow(Failure);
  });

  test.each([
    ['serve --reserve', serve],
    ['approve --max-size', approve],
  ])('the help of %s says which sizes are decimal', (_, { help }) => {
    expect(help.replaceAll(/\s+/g, ' ')).toContain('10G is 10GiB, 10GB is decimal');
    expect(['10G', '10GiB', '10GB'].map((text) => parseSize(text, '--reserve'))).toEqual([
      10 * 2 ** 30,
      10 * 2 ** 30,
      10e9,
    ]);
  });

  test.each([
    ['10gb', 'write 10GB'],
    ['10GIB', 'write 10GiB'],
    ['64 m', 'write 64M'],
    ['64 MB', 'write 64MB'],
    ['512B', 'write 512'],
    ['010G', 'write 10G'],
    ['1.5G', 'write 1536M'],
    ['1.5GB', 'write 1500MB'],
    ['0.3K', 'write 307'],
  ])('the size %s is refused with the form that is meant', (text, hint) => {
    const message = `--reserve: '${text}' is not a number of bytes`;
    expect(() => parseSize(text, '--reserve')).toThrow(expect.objectContaining({ message, hint }));
    expect(parseSize(hint.slice('write '.length), '--reserve')).toBeGreaterThan(0);
  });

  test.each(['', '-1', 'B', 'G', '1e9', '10GBit', '10Gi', '9999999T', '9999999.5T', '1.2.3G', '١G'])(
    'of %j no size is guessed',
    (text) => {
      const hint = 'like 4096, 64M or 2GiB in steps of 1024, 10GB in steps of 1000';
      expect(() => parseSize(text, '--reserve')).toThrow(expect.objectContaining({ hint }));
    },
  );

  test('a build id is a build id', () => {
    expect(parseBuildId('01kat5bxhtqfj4v1rnd8mz3w7c')).toBe('01kat5bxhtqfj4v1rnd8mz3w7c');
    expect(() => parseBuildId('../etc')).toThrow("'../etc' is not a build id");
    const hint = 'countersign status 1.1 lists those of it';
    expect(() => parseBuildId('1.1')).toThrow(
      expect.objectContaining({ message: expect.stringContaining('name the build'), hint }),
    );
  });
});

test('progress says how much, how fast and how long still', () => {
  expect(progressText('hashing', 2 ** 30, 4 * 2 ** 30, 2_000, formatSize, 'disk.img')).toBe(
    'hashing 1 GiB of 4 GiB, 25%, 512 MiB/s, 6 s left  disk.img',
  );
  // what was there already has not made it fast
  expect(progressText('sending', 3 * 2 ** 30, 4 * 2 ** 30, 1_000, formatSize, '', 2 * 2 ** 30)).toBe(
    'sending 3 GiB of 4 GiB, 75%, 1 GiB/s, 1 s left',
  );
  expect(progressText('signing', 500, 1_000, 1_000, String)).toBe(
    'signing 500 of 1000, 50%, 500/s, 1 s left',
  );
  expect(progressText('hashing', 0, 0, 1_000, formatSize)).toBe('hashing 0 B of 0 B, 100%, 0 B/s');
});
