/** `countersign serve`: the depot over HTTP. */
import { createSecureContext } from 'node:tls';
import { usage } from '../failure.ts';
import { startServer } from '../depot/server.ts';
import { command, wrongUse } from './command.ts';
import { loadProject, readSmallFile } from './config.ts';
import { EXIT } from './exit-status.ts';

export { serve as command };

const serve = command({
  name: 'serve',
  synopsis: '--data DIR [--listen HOST:PORT] [--tls-cert FILE --tls-key FILE]',
  about: `Serves the depot over HTTP: takes what carries its own authority, gives to everybody what is public, verifies
and publishes releases. Holds no secret. Ends on SIGTERM or SIGINT once what is under way is done.`,
  flags: {
    data: { value: 'DIR', help: 'where the depot lies; made if it is not there' },
    listen: { value: 'HOST:PORT', help: 'address to listen on; 127.0.0.1:8080, port 0 takes a free one' },
    'tls-cert': { value: 'FILE', help: 'certificate chain (PEM): speak HTTPS' },
    'tls-key': { value: 'FILE', help: 'its private key (PEM)' },
  },
  noDepot: 'it serves what lies in --data DIR',
  operands: { min: 0, max: 0 },
  example: ['countersign serve --data /var/lib/countersign --listen 127.0.0.1:8080'],
  async run({ flags, globals, terminal }) {
    if (flags.data === undefined) throw wrongUse('serve', '--data DIR is missing');
    const listen = parseListen(flags.listen ?? '127.0.0.1:8080');
    const [cert, key] = [flags['tls-cert'], flags['tls-key']];
    if ((cert === undefined) !== (key === undefined))
      throw wrongUse('serve', '--tls-cert and --tls-key go together');
    const tls = cert === undefined || key === undefined ? null : readTls(cert, key);
    const { project } = loadProject(globals);
    const server = await startServer({
      project,
      data: flags.data,
      listen,
      ...(tls === null ? {} : { tls }),
      log: (line) => terminal.say(line),
    });
    terminal.record({ url: server.url });
    terminal.result(`listening on ${server.url}`);
    await stopSignal();
    terminal.say('stopping');
    await server.close();
    return EXIT.done;
  },
});

/** `HOST:PORT`, `[::1]:PORT`, `:PORT` or `PORT`. */
function parseListen(text: string): { host: string; port: number } {
  const [, ipv6, name, digits = ''] =
    /^(?:(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):)?([0-9]{1,5})$/.exec(text) ?? [];
  const port = digits === '' ? Number.NaN : Number(digits);
  if (!(port <= 65_535))
    throw usage('wrong-usage', `--listen: '${text}' is not HOST:PORT`, 'like 127.0.0.1:8080');
  return { host: ipv6 ?? (name || '127.0.0.1'), port };
}

/** Reads a certificate and its key. Throws usage `tls-malformed` if they are none, or not of each other. */
function readTls(certFile: string, keyFile: string): { cert: Buffer; key: Buffer } {
  const tls = { cert: readSmallFile(certFile), key: readSmallFile(keyFile) };
  try {
    createSecureContext(tls);
    return tls;
  } catch (error) {
    const what = `${certFile} and ${keyFile} are no certificate (PEM) and its key`;
    throw usage('tls-malformed', what, 'check both files', error);
  }
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
