/** `countersign attest`: the builder's one command. */
import { now } from '../host/clock.ts';
import { attest } from '../builder/attest.ts';
import type { AttestEvent } from '../builder/attest.ts';
import { parseDuration } from '../policy/duration.ts';
import { parseLocation } from '../tree/location.ts';
import { sayAway } from './away.ts';
import { command } from './command.ts';
import { openDepot } from './config.ts';
import { EXIT } from './exit-status.ts';
import { sayIfInterrupted } from './interrupted.ts';
import { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';
import { bold, formatSize, plural } from './text.ts';

export { attestCommand as command };

const attestCommand = command({
  name: 'attest',
  synopsis: '--ticket FILE|- [--run CMD] PATH...',
  about: `Seals one build: hashes every artifact, signs one statement that names all of them with the secret in the
ticket, sends both to the depot, and destroys secret and ticket. Needs nothing but the ticket, which says how:
with a key (keypair), with a MAC that convinces the signer alone (mac), or with a key that is made here (enrol):
then nothing is built or signed before the signer has taken the key. Directories are
walked; names hold letters, digits and . _ + ~ @ = - only, and each part starts with a letter, digit or _.
A ticket signs once: run again after a failure, it sends the same statement for the same files, and goes on with large
ones where the upload was cut.`,
  flags: {
    ticket: {
      value: 'FILE',
      help: 'the ticket, - for standard input; else $COUNTERSIGN_TICKET, $CREDENTIALS_DIRECTORY/ticket',
    },
    base: { value: 'DIR', help: 'names of artifacts are relative to this; the working directory' },
    exclude: { value: 'PATTERN', many: true, help: 'names that a walk leaves out' },
    run: { value: 'CMD', help: 'a shell command that makes the artifacts; run first, without the ticket' },
    'run-as': { value: 'USER', help: 'the user it runs as' },
    timeout: { value: 'TIME', help: 'how long a builder that enrols waits for the signer; 30m' },
    patience: { value: 'TIME', help: 'how long to go on trying without the depot, 0s: not at all; 30s' },
  },
  operands: { min: 1, max: 10_000 },
  example: [
    'countersign attest --ticket b1.ticket --base dist dist',
    "countersign attest --ticket b1.ticket --run 'npm ci && npm pack' app-1.4.0.tgz",
    "countersign attest --ticket /root/b1.ticket --run-as ci --run 'make dist' dist",
  ],
  async run({ flags, globals, operands, terminal }) {
    const report = reporter(terminal);
    const patience = parsePatience(flags.patience ?? '30s');
    let signed = false;
    const done = sayIfInterrupted(terminal, () =>
      signed
        ? 'the signed statement is kept, and what the depot lacks is sent'
        : 'nothing is signed yet, and the ticket is good',
    );
    const result = await attest(
      {
        ticket: flags.ticket ?? null,
        paths: operands,
        base: flags.base ?? '.',
        exclude: flags.exclude ?? [],
        run: flags.run ?? null,
        runAs: flags['run-as'] ?? null,
        timeout: parseDuration(flags.timeout ?? '30m', '--timeout') * 1000,
        environment: process.env,
        stdin: process.stdin,
        now,
        connect: async (ticket) => {
          const location = parseLocation(globals.depot ?? ticket.url);
          const { token, insecureHttp, rules } = ticket;
          return openDepot({ rules, insecureHttp }, location, token, {
            patienceMs: patience,
            broken: sayAway(terminal, 0),
          });
        },
      },
      (event) => {
        signed ||= event.kind === 'signed' || event.kind === 'resuming';
        report(event);
      },
    ).finally(done);
    terminal.record({ ...result });
    terminal.result(
      bold(`${result.project} ${result.version}`),
      `${result.resumed ? ' was sealed by an earlier run' : ' sealed'}: ${plural(result.artifacts, 'artifact')}, ${formatSize(result.bytes)}, build ${result.build}, slot ${result.slot}`,
    );
    terminal.result(`statement ${result.statement}`);
    terminal.say(
      result.ticketRemoved
        ? 'ticket and secret are destroyed; the signer does the rest'
        : 'the signer does the rest; the ticket is still where it came from: delete it there (a CI secret, a credential)',
    );
    return EXIT.done;
  },
});

const parsePatience = (text: string): number =>
  text === '0s' ? 0 : parseDuration(text, '--patience', '0s: do not wait at all') * 1000;

/** Says what happens, and shows progress of what takes long: of what is hashed and sent at once, the sending. */
function reporter(terminal: Terminal): (event: AttestEvent) => void {
  let hashing = new Progress(terminal, 'hashing');
  let hashed = '';
  let sending: Progress | null = null;
  let sent = 0;
  let had = 0;
  return (event) => {
    switch (event.kind) {
      case 'ticket':
        return terminal.say(`build ${event.build} of ${event.project} ${event.version}, slot ${event.slot}`);
      case 'warning':
        return terminal.warn(event.text);
      case 'enrolling':
        return terminal.say(
          event.resumed
            ? `goes on with key ${event.key}, which waits in ${event.directory}`
            : `made key ${event.key}: it waits in ${event.directory}, and only there`,
        );
      case 'waiting':
        return terminal.say(
          `waiting until ${event.until} for the signer to take it; on H: countersign sign, or sign --watch`,
        );
      case 'enrolled':
        return terminal.say(`the signer has taken key ${event.key}, and the log says so`);
      case 'running':
        return terminal.say('running ', bold(event.command));
      case 'found':
        hashing = new Progress(terminal, 'hashing');
        return terminal.say(`${plural(event.artifacts, 'artifact')}, ${formatSize(event.bytes)}`);
      case 'hashing':
        hashed = event.done < event.bytes ? `${formatSize(event.done)} hashed` : '';
        return sending === null
          ? hashing.update(event.done, event.bytes, event.name)
          : sending.update(sent, event.bytes, hashed, had);
      case 'signed':
        terminal.say(`statement ${event.statement} signed: it seals ${plural(event.artifacts, 'artifact')}`);
        if (event.scheme === 'mac')
          terminal.say(
            'this MAC convinces the signer alone: who has the nonce can make it, and nobody else check it',
          );
        return;
      case 'resuming':
        return terminal.say(`sending statement ${event.statement}, signed at ${event.signedOn}`);
      case 'going-on':
        return terminal.say(
          `going on with ${event.name}: the depot has ${formatSize(event.had)} of ${formatSize(event.size)}`,
        );
      case 'uploading':
        sending ??= new Progress(terminal, 'sending');
        ({ done: sent, had } = event);
        return sending.update(sent, event.bytes, hashed || event.name, had);
      case 'sealed':
        return (sending ?? hashing).finish();
    }
  };
}
