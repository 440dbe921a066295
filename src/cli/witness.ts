/** `countersign witness`: cosigns the checkpoints of logs, on a host that is neither theirs nor the signer's. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Failure, usage } from '../failure.ts';
import { now } from '../host/clock.ts';
import { readCredential } from '../host/secret.ts';
import type { LogKey } from '../tlog/checkpoint.ts';
import { parseVerifierKey } from '../tlog/note.ts';
import { Records } from '../witness/record.ts';
import { startWitness } from '../witness/server.ts';
import { openState, WITNESS_KEY } from '../witness/state.ts';
import { Witness } from '../witness/witness.ts';
import { command, wrongUse } from './command.ts';
import type { Globals } from './command.ts';
import { loadProject, namedFile, projectFile } from './config.ts';
import { EXIT } from './exit-status.ts';
import { parseListen, readTls, stopSignal, TLS_FLAGS } from './listen.ts';
import { bold } from './text.ts';

export { witness as command };

const witness = command({
  name: 'witness',
  synopsis: '--state DIR [--name NAME] [--listen HOST:PORT] [--log KEY]... [--tls-cert FILE --tls-key FILE]',
  about: `Cosigns the checkpoints of logs, of countersign or others, as C2SP tlog-witness says: each only if it continues
the one that it cosigned before. Run it where neither the log nor its depot is run. The first run, with --name, makes its
key. Ends on SIGTERM or SIGINT once what is under way is done.`,
  flags: {
    state: { value: 'DIR', help: 'its key and what it cosigned last; the first run makes it' },
    name: { value: 'NAME', help: 'name of a new witness: a URL without https://, which it need not have' },
    listen: { value: 'HOST:PORT', help: 'address to listen on; 127.0.0.1:8081, port 0 takes a free one' },
    log: {
      value: 'KEY',
      many: true,
      help: 'verifier key of a log, besides that of the project file; its origin before it if that is another name',
    },
    ...TLS_FLAGS,
  },
  noDepot: 'logs come to it',
  operands: { min: 0, max: 0 },
  example: [
    '# of the log of the project file that is here',
    'countersign witness --state witness --name witness.example.org/w1',
    '# of any log: LOG is its verifier key, `key` in [log] of its project file',
    'countersign witness --state witness --name witness.example.org/w1 --log "$LOG"',
  ],
  async run({ flags, globals, terminal }) {
    if (flags.state === undefined) throw wrongUse('witness', '--state DIR is missing');
    const listen = parseListen(flags.listen ?? '127.0.0.1:8081');
    const tls = readTls('witness', flags);
    const logs = [...projectLog(globals, flags.log), ...(flags.log ?? []).map(parseLog)];

    const state = await openState(resolve(flags.state), {
      name: flags.name ?? null,
      credential: await readCredential(process.env, WITNESS_KEY),
    });
    try {
      const { directory, signer } = state;
      const origins = [...new Set(logs.map((each) => each.origin))];
      const records = await Records.open(directory, signer.verifier, origins);
      const log = (line: string) => terminal.warn(line);
      const stop = stopSignal();
      const server = await startWitness({
        witness: new Witness({ signer, logs, records, now, log }),
        listen,
        ...tls,
        log,
      });
      terminal.record({ name: signer.name, key: signer.verifier.text, url: server.url, logs: origins });
      terminal.result('witness ', bold(signer.name), `  ${signer.verifier.text}`);
      if (state.isNew)
        for (const line of projectLines(signer.verifier.text, server.url)) terminal.result(line);
      for (const origin of origins) terminal.result(`log ${origin}`);
      terminal.result(`listening on ${server.url}`);
      await stop;
      terminal.say('stopping');
      await server.close();
      return EXIT.done;
    } finally {
      await state.close();
    }
  },
});

/** The log of the project file that was named, or that is here if nothing else is. */
function projectLog(globals: Globals, others: readonly string[] | undefined): LogKey[] {
  const named = namedFile(globals) !== undefined;
  if (!named && others !== undefined) return [];
  if (!named && !existsSync(projectFile(globals)))
    throw wrongUse('witness', 'no log to witness: give --log KEY, or a project file with -c FILE');
  return [loadProject(globals).project.log];
}

/** A verifier key, whose name is the log's origin unless that is given before it: `go.sum database tree sum.golang.org+…`. */
function parseLog(text: string): LogKey {
  const [, given, keyText = ''] = /^(?:(.+) )?([^ ]+)$/.exec(text) ?? [];
  try {
    const key = parseVerifierKey(keyText);
    return { origin: given ?? key.name, key };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw usage(
      'wrong-usage',
      `witness: --log '${text}' is ${error.message}`,
      'the key of [log] in the project file is one',
      error,
    );
  }
}

/** What a project adds to its file, to have its log witnessed. */
const projectLines = (key: string, url: string): string[] => [
  '',
  'for the project file on every host, the first line in place of its comment # witness-quorum = 1, above the first',
  '[table]; the URL is where the signer reaches this witness:',
  '',
  'witness-quorum = 1',
  '',
  '[[witnesses]]',
  `key = ${JSON.stringify(key)}`,
  `url = "${url}"`,
  '',
];
