/** `countersign serve`: the depot over HTTP. */
import { existsSync } from 'node:fs';
import { holdsDepot } from '../depot/check/present.ts';
import { Clients } from '../depot/clients.ts';
import { CLIENT_CONNECTIONS, CLIENT_RATE } from '../depot/limits.ts';
import type { Log } from '../depot/requests-log.ts';
import { startServer } from '../depot/server.ts';
import type { DepotServer } from '../depot/server.ts';
import { Failure } from '../failure.ts';
import { now } from '../host/clock.ts';
import type { Address, Inherited } from '../host/http-server.ts';
import { ServiceManager, takeSockets } from '../host/service.ts';
import { parseDuration } from '../policy/duration.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { command, wrongUse } from './command.ts';
import { loadProject } from './config.ts';
import { EXIT } from './exit-status.ts';
import { parseListen, readTls, stopSignal, TLS_FLAGS, tlsFiles } from './listen.ts';
import { parseFormat, serviceLog } from './service-log.ts';
import { SIZES, parseCount, parseData, parseSize } from './values.ts';
import { VERSION } from './version.ts';

export { serve as command };

const serve = command({
  name: 'serve',
  synopsis: '--data DIR [--listen HOST:PORT] [--tls-cert FILE --tls-key FILE] [--proxy ADDRESS]... [flags]',
  about: `Serves the depot over HTTP: takes what carries its own authority, gives to everybody what is public, verifies
and publishes releases. Holds no secret. Ends on SIGTERM or SIGINT once what is under way is done; on SIGHUP it reads its
certificate again. Serves /healthz, /readyz and, to this machine, /metrics.`,
  flags: {
    data: { value: 'DIR', help: 'where the depot lies; made if it is not there' },
    listen: {
      value: 'HOST:PORT',
      help: 'address to listen on, PORT alone at 127.0.0.1; else the socket that systemd gave, else 127.0.0.1:8080; port 0 takes a free one',
    },
    ...TLS_FLAGS,
    proxy: {
      value: 'ADDRESS',
      many: true,
      help: 'web server in front of it, or a network of them like 10.0.0.0/8: its X-Forwarded-For is believed',
    },
    'client-connections': { value: 'N', help: `connections that one client may have; ${CLIENT_CONNECTIONS}` },
    'client-rate': {
      value: 'N',
      help: `requests a second of one client, in bursts of ten times that; ${CLIENT_RATE}`,
    },
    reserve: {
      value: 'BYTES',
      help: `what uploads leave free on the disk (${SIZES}), 0: nothing; 1GiB, or a twentieth of the file system if less`,
    },
    'keep-refused': {
      value: 'DURATION',
      help: 'how long the artifacts of a refused, frozen or revoked build are kept for whoever compares them; 30d',
    },
    metrics: {
      value: 'HOST:PORT',
      help: 'serve /metrics, /healthz and /readyz there, too, and nothing else',
    },
    log: { value: 'text|json', help: 'how standard error is written; text on a terminal, else json' },
  },
  noDepot: 'it serves what lies in --data DIR',
  operands: { min: 0, max: 0 },
  example: [
    'countersign serve -c countersign.toml --data depot',
    'countersign serve --data depot --proxy 127.0.0.1',
  ],
  async run({ flags, globals, terminal }) {
    const data = parseData(flags.data, 'serve');
    const sockets = takeSockets(process.env, process.pid);
    const places = placesOf(flags, sockets);
    const files = tlsFiles(flags, process.env);
    const tls = readTls('serve', files);
    const clients = new Clients(flags.proxy);
    const clientConnections = count('client-connections', flags, CLIENT_CONNECTIONS);
    const clientRate = count('client-rate', flags, CLIENT_RATE);
    const reserve = flags.reserve === undefined ? undefined : parseSize(flags.reserve, '--reserve');
    const kept = flags['keep-refused'];
    const keepRefused = kept === undefined ? undefined : parseDuration(kept, '--keep-refused');
    const format = parseFormat(flags.log, terminal);
    const [quiet, verbose] = [globals.quiet === true, globals.verbose === true];
    const log = serviceLog({ terminal, format, quiet, verbose, now });
    const { project } = loadProject(globals);

    const manager = new ServiceManager(process.env, process.pid, (why) =>
      log('warn', `systemd could not be told: ${why}`),
    );
    const stop = stopSignal();
    if (!(await isThere(data)))
      log('warn', `${data} holds no depot: a new one begins; or is a disk not mounted?`, { data });
    const server = await startServer({
      project,
      data,
      ...places,
      ...tls,
      ...{ clients, clientConnections, clientRate, reserve, keepRefused },
      ...{ log, version: VERSION },
    });
    // a terminal that is closed ends what runs on it
    if (tls.tls || !terminal.interactive) process.on('SIGHUP', () => renew(server, files, log));
    const { url, metricsUrl } = server;
    const where = { url, ...(metricsUrl !== null && { metrics: metricsUrl }) };
    terminal.record(where);
    terminal.result(`listening on ${url}`);
    if (metricsUrl !== null) terminal.result(`metrics on ${metricsUrl}`);
    if (format === 'json') log('info', 'listening', where);
    for (const { code, text } of await server.health.reasons()) log('warn', `not ready: ${text}`, { code });

    const status = async (): Promise<string> => {
      await server.health.answers();
      const reasons = await server.health.reasons();
      return reasons.map(({ text }) => text).join('; ') || `serving on ${server.url}`;
    };
    void manager.tell('READY=1', `STATUS=${await status()}`);
    const unwatch = manager.watch(status);

    await stop;
    log('info', 'stopping');
    unwatch();
    const told = manager.tell('STOPPING=1', 'STATUS=finishing what is under way');
    await server.close();
    // no child of ours is left behind
    await told;
    log('info', 'stopped');
    await terminal.lastLines();
    // a verification whose client was cut off is begun anew when it is asked for again
    terminal.leaving = true;
    return EXIT.done;
  },
});

/** Before it is made. */
async function isThere(data: string): Promise<boolean> {
  const tree = existsSync(data) ? await DirectoryTree.open(data) : null;
  return tree !== null && holdsDepot(tree);
}

/** The name of the socket for --metrics; any other is for --listen. */
const METRICS_SOCKET = 'metrics';

/** Where to listen: what the command line says, else the sockets that came with the process. Throws usage. */
function placesOf(
  flags: { readonly listen: string | undefined; readonly metrics: string | undefined },
  sockets: readonly (readonly [name: string, fd: number])[],
): { listen: Address | Inherited; metrics?: Address | Inherited } {
  const find = (isMetrics: boolean, flag: 'listen' | 'metrics'): Address | Inherited | undefined => {
    const [socket, second] = sockets.filter(([name]) => (name === METRICS_SOCKET) === isMetrics);
    if (second)
      throw wrongUse('serve', `systemd gave two sockets for --${flag}: ${socket?.[0]}, ${second[0]}`);
    const text = flags[flag];
    if (socket && text !== undefined)
      throw wrongUse('serve', `--${flag}, and a socket from systemd: ${socket[0]}; take one of them`);
    return socket ? { fd: socket[1] } : text === undefined ? undefined : parseListen(text, `--${flag}`);
  };
  const metrics = find(true, 'metrics');
  return { listen: find(false, 'listen') ?? parseListen('127.0.0.1:8080'), ...(metrics && { metrics }) };
}

/** Reads the certificate again; the old one stays if the new one is none. */
function renew(server: DepotServer, files: Parameters<typeof readTls>[1], log: Log): void {
  try {
    const { tls } = readTls('serve', files);
    if (!tls) return log('info', 'SIGHUP: there is no certificate to be read again');
    server.renew(tls);
    log('info', 'the certificate was read again');
  } catch (error) {
    const { message, code } = error instanceof Failure ? error : { message: String(error), code: undefined };
    log('error', `the certificate was not renewed: ${message}`, { code });
  }
}

const count = <Name extends string>(
  name: Name,
  flags: Readonly<Record<Name, string | undefined>>,
  otherwise: number,
): number => {
  const text = flags[name];
  return text === undefined ? otherwise : parseCount(text, `--${name}`);
};
