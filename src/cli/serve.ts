/** `countersign serve`: the depot over HTTP. */
import { startServer } from '../depot/server.ts';
import { command, wrongUse } from './command.ts';
import { loadProject } from './config.ts';
import { EXIT } from './exit-status.ts';
import { parseListen, readTls, stopSignal, TLS_FLAGS } from './listen.ts';

export { serve as command };

const serve = command({
  name: 'serve',
  synopsis: '--data DIR [--listen HOST:PORT] [--tls-cert FILE --tls-key FILE]',
  about: `Serves the depot over HTTP: takes what carries its own authority, gives to everybody what is public, verifies
and publishes releases. Holds no secret. Ends on SIGTERM or SIGINT once what is under way is done.`,
  flags: {
    data: { value: 'DIR', help: 'where the depot lies; made if it is not there' },
    listen: { value: 'HOST:PORT', help: 'address to listen on; 127.0.0.1:8080, port 0 takes a free one' },
    ...TLS_FLAGS,
  },
  noDepot: 'it serves what lies in --data DIR',
  operands: { min: 0, max: 0 },
  example: ['countersign serve --data /var/lib/countersign --listen 127.0.0.1:8080'],
  async run({ flags, globals, terminal }) {
    if (flags.data === undefined) throw wrongUse('serve', '--data DIR is missing');
    const listen = parseListen(flags.listen ?? '127.0.0.1:8080');
    const tls = readTls('serve', flags);
    const { project } = loadProject(globals);
    const stop = stopSignal();
    const server = await startServer({
      project,
      data: flags.data,
      listen,
      ...tls,
      log: (line) => terminal.say(line),
    });
    terminal.record({ url: server.url });
    terminal.result(`listening on ${server.url}`);
    await stop;
    terminal.say('stopping');
    await server.close();
    return EXIT.done;
  },
});
