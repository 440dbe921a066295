/** One request at a time on a connection: those that came behind it wait, and who sends many of them is cut off. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** apt sends ten. Each that waits takes memory, and a connection could bring thousands in a moment. */
const WAITING_MAX = 16;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * The same handler, called when the answers before have gone; not at all once the connection has ended. `cut` hears of
 * a connection that was cut off.
 */
export function inTurn(handle: Handler, cut: () => void = () => {}): Handler {
  const waiting = new WeakMap<Socket, (() => void)[]>();
  return (request, response) => {
    const { socket } = request;
    const queue = waiting.get(socket) ?? [];
    const begin = (): void => {
      response.once('close', () => {
        const next = queue.shift();
        if (next === undefined || socket.destroyed) waiting.delete(socket);
        else next();
      });
      handle(request, response);
    };
    if (!waiting.has(socket)) {
      waiting.set(socket, queue);
      begin();
    } else if (queue.length < WAITING_MAX) queue.push(begin);
    else {
      socket.destroy();
      cut();
    }
  };
}
