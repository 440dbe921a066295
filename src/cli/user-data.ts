/** `countersign user-data`: what a cloud machine is started with, so that it attests one build. */
import { lstat, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { usage } from '../failure.ts';
import { now } from '../host/clock.ts';
import { orNull, readFileBounded, writeFileDurably } from '../host/files.ts';
import { userData } from '../operator/user-data.ts';
import type { Program } from '../operator/user-data.ts';
import { RECORD_MAX } from '../records/canonical.ts';
import { sha256Hex } from '../records/sha256.ts';
import { parseTicket } from '../records/ticket.ts';
import type { Ticket } from '../records/ticket.ts';
import { command } from './command.ts';
import { EXIT } from './exit-status.ts';
import type { Terminal } from './terminal.ts';

export { userDataCommand as command };

/** A bundle is a few MB. */
const PROGRAM_MAX = 64 * 1024 * 1024;

const userDataCommand = command({
  name: 'user-data',
  synopsis: '--ticket FILE [--run CMD] [--output FILE] PATH...',
  about: `Makes cloud-init user-data of a ticket: a machine that is started with it attests the build. It puts the ticket
into memory, removes what cloud-init has written down of it before the build command runs, and runs attest.
The user-data is as secret as the ticket, and the provider keeps it.`,
  noDepot: 'the ticket says which it is',
  flags: {
    ticket: { value: 'FILE', help: 'the ticket' },
    base: { value: 'DIR', help: 'as attest takes it; absolute' },
    exclude: { value: 'PATTERN', many: true, help: 'as attest takes it' },
    run: { value: 'CMD', help: 'the shell command that makes the artifacts; it begins in /' },
    'run-as': { value: 'USER', help: 'the user it runs as' },
    'block-metadata': {
      help: 'with --run-as: a firewall rule there, none but root reaches the metadata service',
    },
    program: {
      value: 'URL|PATH',
      help: 'countersign on that machine, or where it fetches the very one that runs here; countersign',
    },
    output: { value: 'FILE', help: 'written there, mode 0600, over nothing; else standard output' },
  },
  operands: { min: 1, max: 1000 },
  example: [
    "countersign user-data --ticket b1.ticket --run 'cd /src && make dist' \\",
    '  --run-as build --block-metadata --base /src/dist --output FILE /src/dist',
  ],
  async run({ flags, operands, terminal }) {
    if (flags.ticket === undefined)
      throw usage('wrong-usage', 'user-data: there is no ticket', 'give it with --ticket FILE');
    const bytes = await readFileBounded(flags.ticket, RECORD_MAX);
    if (bytes === null) throw usage('ticket-missing', `${flags.ticket} is not there`);
    const ticket = parseTicket(bytes.toString('utf8'));
    const text = userData(
      {
        ticket,
        paths: operands,
        base: flags.base ?? null,
        exclude: flags.exclude ?? [],
        run: flags.run ?? null,
        runAs: flags['run-as'] ?? null,
        blockMetadata: flags['block-metadata'] === true,
        program: await programOf(flags.program ?? 'countersign'),
      },
      now(),
    );
    const { output } = flags;
    if (output !== undefined) await requireFree(output);
    if (output !== undefined) await writeFileDurably(resolve(output), Buffer.from(text), 0o600);
    else terminal.file(Buffer.from(text));
    terminal.record({
      build: ticket.build,
      slot: ticket.slot,
      expires: ticket.expires,
      ...(output === undefined ? { userData: text } : { output }),
    });
    advise(ticket, { runAs: flags['run-as'] ?? null, blocked: flags['block-metadata'] === true }, terminal);
    terminal.say(
      `the ticket ${flags.ticket} is in it, and still here: remove it once the machine has started`,
    );
    return EXIT.done;
  },
});

async function programOf(given: string): Promise<Program> {
  if (!/^https?:\/\//.test(given)) return { kind: 'path', path: given };
  const own = await readFileBounded(await realpath(process.argv[1] ?? ''), PROGRAM_MAX);
  return { kind: 'url', url: given, sha256: sha256Hex(own ?? Buffer.alloc(0)) };
}

/** What no script on that machine can take away. */
function advise(
  { secret, depot }: Ticket,
  { runAs, blocked }: { readonly runAs: string | null; readonly blocked: boolean },
  terminal: Terminal,
): void {
  if (isLoopback(depot)) terminal.warn(`the ticket's depot is ${depot}, which is that machine itself there`);
  if (blocked) {
    if (secret.scheme !== 'enrol')
      terminal.hint('approve --scheme enrol makes a ticket that is used up before the build runs');
    return;
  }
  terminal.warn(
    'the metadata service serves user-data to every process of that machine that reaches 169.254.169.254, ' +
      'the build among them, for as long as the machine lives',
  );
  const wall = `${runAs === null ? '--run-as USER ' : ''}--block-metadata keeps it from all but root`;
  terminal.hint(
    secret.scheme === 'enrol'
      ? `the nonce in it is used up before the build runs; ${wall}`
      : `approve --scheme enrol makes a ticket that is used up before the build runs; ${wall}`,
  );
}

/** Throws usage `output-exists`. */
async function requireFree(output: string): Promise<void> {
  if ((await orNull(lstat(output), `look at ${output}`)) !== null)
    throw usage(
      'output-exists',
      `${output} is there already`,
      'it may hold another ticket: remove it, or name another',
    );
}

function isLoopback(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  return host === 'localhost' || host === '[::1]' || /^127\.[\d.]+$/.test(host);
}
