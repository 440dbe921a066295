/** HTTP as an attacker speaks it: the request target and the headers go out as they are given. */
import { request } from 'node:http';

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
