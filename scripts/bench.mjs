// `npm run bench [-- SECTION...] [--quick] [--write]`: measures what docs/performance.md says. Benchmarks measure; tests do not time.
import { parseArgs } from 'node:util';
import { runBundled } from './bundled.mjs';

const SECTIONS = ['log', 'start', 'large', 'parallel', 'many', 'digest', 'depot', 'curves'];
const USAGE = `usage: npm run bench [-- SECTION...] [--quick|--once] [--write]
sections: ${SECTIONS.join(' ')}; none given: all; report: nothing is measured, what was measured before is shown
--quick   small sizes, few runs: does everything work? No goal is judged
--once    full sizes, one run of each
--write   puts the results into docs/performance.md
`;

/** What was asked for; null if that cannot be. */
function parse() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        once: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const known = positionals.every((name) => name === 'report' || SECTIONS.includes(name));
    // the document is no place for figures that mean nothing
    if (!known || (values.quick && (values.once || values.write))) return null;
    const sections = positionals.length === 0 ? SECTIONS : positionals.filter((name) => name !== 'report');
    return { ...values, sections };
  } catch {
    return null;
  }
}

const asked = parse();
if (asked === null || asked.help) {
  (asked === null ? process.stderr : process.stdout).write(USAGE);
  process.exit(asked === null ? 2 : 0);
}

// with NODE_EXTRA_CA_CERTS bare node takes longer: nothing of our environment but what it needs
await runBundled({
  prepare: 'bench',
  entry: 'bench/bench.ts',
  outfile: 'bench.mjs',
  copies: { 'countersign.mjs': 'countersign.mjs' },
  prefix: 'csb-',
  asked,
});
