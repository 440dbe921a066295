/** `countersign demo`: the whole loop on this machine. */
import { realpathSync } from 'node:fs';
import { runDemo } from '../setup/demo.ts';
import { command } from './command.ts';
import { EXIT } from './exit-status.ts';
import { bold, dim, green } from './text.ts';

export { demo as command };

const LARGE_BYTES = 300 * 1000 * 1000;

const demo = command({
  name: 'demo',
  synopsis: '',
  about: `Plays all roles on this machine: real gpg keys in homes of their own, a depot on loopback, each command a
process. Signs this program's own npm package and a file of 300 MB, and leaves the release to look at. Touches
nothing outside a temporary directory.`,
  flags: {},
  noDepot: 'it makes one of its own',
  operands: { min: 0, max: 0 },
  example: ['countersign demo'],
  async run({ terminal }) {
    const started = performance.now();
    let step = 0;
    const result = await runDemo({
      program: realpathSync(process.argv[1] ?? ''),
      largeBytes: LARGE_BYTES,
      tell: ({ host, text, command: typed, output = [] }) => {
        step += 1;
        terminal.result(`${String(step).padStart(2)}. `, bold(host.padEnd(8)), ` ${text}`);
        if (typed !== null) terminal.result(dim(`             $ ${typed}`));
        for (const line of output) terminal.result(dim(`             ${line}`));
      },
    });
    const seconds = (performance.now() - started) / 1000;
    terminal.record({ ...result, seconds });
    terminal.result('');
    terminal.result(green('done'), ` in ${seconds.toFixed(1)} s. The release: `, bold(result.release));
    terminal.result('Prove it with stock tools:');
    terminal.result(`  ${result.gpgv}`);
    terminal.result(`  cd ${result.release} && sha256sum --check SHA256SUMS`);
    terminal.result(dim(`The hosts, 300 MB, are in ${result.directory}: rm -r ${result.directory}`));
    return EXIT.done;
  },
});
