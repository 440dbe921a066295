/** HTTP as an attacker speaks it: the request target and the headers go out as they are given. */
import { request } from 'node:http';
import { connect } from 'node:net';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

export interface HttpRequest {
  readonly method?: string;
  /** The request target, sent as it is. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly token?: Buffer;
}

/** Sends one request to `url`'s host. A body gets its Content-Length unless a header says otherwise. */
export function rawRequest(
  url: string,
  { method = 'GET', path, headers = {}, body, token }: HttpRequest,
): Promise<HttpAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({
      host: hostname,
      port,
      method,
      path,
      agent: false,
      headers: {
        ...(body !== undefined && { 'Content-Length': String(Buffer.byteLength(body)) }),
        ...(token && { Authorization: `Bearer ${token.toString('base64url')}` }),
        ...headers,
      },
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.end(body);
  });
}

/** Sends these bytes to `url`'s host as they are, and returns what comes back until the connection ends. */
export function overSocket(url: string, bytes: string | Buffer): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const text = (): string => Buffer.concat(chunks).toString('latin1');
    const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk) => chunks.push(chunk));
    // whoever refuses what it has not read to its end may reset the connection behind its answer
    socket.once('error', (error) => (chunks.length > 0 ? resolve(text()) : reject(error)));
    socket.once('close', () => resolve(text()));
  });
}
