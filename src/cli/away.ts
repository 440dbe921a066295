/** What a person hears while a depot does not answer, or asks to be left alone for a while. */
import { BrokenConnection, NotReady } from '../host/http-exchange.ts';
import type { Broken } from '../host/http.ts';
import type { Terminal } from './terminal.ts';

/** Nobody wonders sooner. */
const SAID_MS = 2_000;

/**
 * Says it of each pause that is longer than `fromMs`, and when the depot is back. Several requests are under way, and an
 * outage breaks all: while one pause is said the others are not.
 */
export function sayAway(terminal: Terminal, fromMs = SAID_MS): Broken {
  let until = -Infinity;
  let away = false;
  return (failure, pauseMs) => {
    if (failure === null) {
      if (away) terminal.say('the depot is back');
      away = false;
      return;
    }
    const now = performance.now();
    if (now < until || pauseMs < fromMs) return;
    until = now + pauseMs;
    const seconds = pauseMs < 1_000 ? (pauseMs / 1_000).toFixed(1) : Math.round(pauseMs / 1_000);
    // who asks for that is there
    const asks = failure instanceof BrokenConnection && failure.notBeforeMs > 0;
    away ||= !asks;
    if (asks) return terminal.say(`the depot asks to wait ${seconds} s (${failure.message})`);
    const what = failure instanceof NotReady ? 'is not ready' : 'does not answer';
    terminal.say(`the depot ${what} (${failure.message}); trying again in ${seconds} s`);
  };
}
