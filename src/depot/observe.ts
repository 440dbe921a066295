/** What is there for whoever watches the depot: /healthz, /readyz, /metrics. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { refused } from '../failure.ts';
import { denied } from '../policy/gate/verdict.ts';
import { DeniedFailure } from '../tree/denied.ts';
import { JSON_TYPE } from '../tree/wire.ts';
import { sendBytes } from './answer.ts';
import { isHere } from './clients.ts';
import type { Health } from './health.ts';
import type { Meters } from './meters.ts';
import { METRICS_TYPE } from './registry.ts';
import type { Requests } from './requests-log.ts';
import type { Vitals } from './vitals.ts';

/** What is watched. */
export interface Watched {
  readonly health: Health;
  readonly meters: Meters;
  readonly vitals: Vitals;
}

type Answer = (watched: Watched, response: ServerResponse) => Promise<void> | void;

/** By path; the same on the depot's own listener and on one for whoever scrapes. */
export const WATCHED: ReadonlyMap<string, Answer> = new Map<string, Answer>([
  ['/healthz', (_, response) => send(response, 200, { ok: true })],
  ['/readyz', sendReady],
  ['/metrics', sendMetrics],
]);

const send = (response: ServerResponse, status: number, value: unknown): void =>
  sendBytes(response, status, `${JSON.stringify(value)}\n`, {
    'content-type': JSON_TYPE,
    'cache-control': 'no-store',
  });

async function sendReady({ health }: Watched, response: ServerResponse): Promise<void> {
  const reasons = await health.reasons();
  if (reasons.length === 0) send(response, 200, { ready: true });
  else send(response, 503, { ready: false, reasons });
}

async function sendMetrics({ meters, vitals }: Watched, response: ServerResponse): Promise<void> {
  await vitals.look();
  sendBytes(response, 200, meters.text(), { 'content-type': METRICS_TYPE, 'cache-control': 'no-store' });
}

/**
 * On the depot's own listener metrics are for whoever is on this machine, and did not come through a web server on it.
 * Throws the denial.
 */
export function requireLocal({ socket, headers }: IncomingMessage): void {
  const isForwarded = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => name in headers);
  if (isHere(socket.remoteAddress ?? '') && !isForwarded) return;
  const hint = 'ask on that machine, or have it serve them elsewhere: serve --metrics HOST:PORT';
  throw new DeniedFailure(
    denied(403, 'metrics-local', 'metrics are for the machine of the depot alone', hint),
  );
}

/** Answers whoever watches, and nobody else. */
export function watchListener(watched: Watched, requests: Requests): RequestListener {
  return (request, response) =>
    requests.begin(request, response, async () => {
      const { method, url = '' } = request;
      const answer = method === 'GET' || method === 'HEAD' ? WATCHED.get(url) : undefined;
      if (!answer) throw refused('not-found', 'there are /healthz, /readyz and /metrics here');
      requests.route(response, url);
      await answer(watched, response);
    });
}
