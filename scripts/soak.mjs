// `npm run test:soak [-- --builds N] [--seed N] [--minutes M] [--quick] [--write]`: thousands of builds through all states,
// with L, M and H killed; docs/soak.md says what came of it.
import { parseArgs } from 'node:util';
import { runBundled } from './bundled.mjs';

const USAGE = `usage: npm run test:soak [-- --builds N] [--seed N] [--minutes M] [--quick] [--write]
--builds   how many, 3000; kills are as many as that is
--seed     of all that is decided by chance; another one each time
--minutes  no build begins after so many, 60
--quick    40 builds in half a minute: does everything work? Memory is not judged
--write    puts what came of it into docs/soak.md
`;

/** What was asked for; null if that cannot be. */
function parse() {
  try {
    const { values } = parseArgs({
      options: {
        builds: { type: 'string', default: '3000' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
        minutes: { type: 'string', default: '60' },
        quick: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [builds, seed, minutes] = [values.builds, values.seed, values.minutes].map(Number);
    const numbers = [builds, minutes].every((each) => each > 0) && Number.isSafeInteger(seed);
    // the document is no place for figures that mean nothing
    return numbers && !(values.quick && values.write) ? { ...values, builds, seed, minutes } : null;
  } catch {
    return null;
  }
}

const asked = parse();
if (asked === null || asked.help) {
  (asked === null ? process.stderr : process.stdout).write(USAGE);
  process.exit(asked === null ? 2 : 0);
}

await runBundled({
  prepare: 'test',
  entry: 'test/soak/main.ts',
  // where the harness looks for the program from
  outfile: 'test/soak/soak.mjs',
  copies: {
    'countersign.mjs': 'dist/countersign.mjs',
    'countersign-h.mjs': 'dist/countersign-h.mjs',
  },
  // sockets have short names
  prefix: 'css-',
  asked,
  flags: ['--trace-warnings'],
  env: { NO_COLOR: '1', GNUPGHOME: '/nonexistent' },
  banner: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
});
