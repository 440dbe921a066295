/**
 * The log of a service, on standard error: JSON, an object a line, for whoever collects logs; or text for a person. It
 * holds nobody up: lines that nobody reads are dropped, and counted.
 */
import { usage } from '../failure.ts';
import type { Level, Log } from '../depot/requests-log.ts';
import type { Terminal } from './terminal.ts';
import { escapeText, jsonLine } from './text.ts';

export type Format = 'text' | 'json';

export interface ServiceLogOptions {
  readonly terminal: Terminal;
  readonly format: Format;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly now: () => Date;
}

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** `--log`; for a person if a terminal shows it. Throws usage. */
export function parseFormat(text: string | undefined, terminal: Terminal): Format {
  if (text === undefined) return terminal.showsErrors ? 'text' : 'json';
  if (text === 'text' || text === 'json') return text;
  throw usage('wrong-usage', `--log: '${text}' is neither text nor json`);
}

/** A log that writes to the terminal's standard error. */
export function serviceLog({ terminal, format, quiet, verbose, now }: ServiceLogOptions): Log {
  const least = LEVELS.indexOf(quiet ? 'warn' : verbose ? 'debug' : 'info');
  let lost = 0;
  const write = (level: Level, message: string, fields: Parameters<Log>[2] = {}): void => {
    const at = now();
    const text = format === 'json' ? jsonOf(at, level, message, fields) : textOf(at, level, message, fields);
    if (!terminal.line(text)) lost += 1;
  };
  return (level, message, fields) => {
    if (LEVELS.indexOf(level) < least) return;
    // a person wants to hear of each request only if he says so
    if (format === 'text' && message === 'request' && level === 'info' && !verbose) return;
    if (lost > 0 && terminal.takesLines) {
      const before = lost;
      lost = 0;
      write('warn', `${before} lines of this log are lost: nobody read them in time`, { lost: before });
    }
    write(level, message, fields);
  };
}

type Fields = NonNullable<Parameters<Log>[2]>;

const jsonOf = (at: Date, level: Level, message: string, fields: Fields): string =>
  jsonLine({ time: at.toISOString(), level, msg: message, ...fields });

/** `12:00:01 PUT /builds/… 201 12 ms`: the time of day here. */
function textOf(at: Date, level: Level, message: string, fields: Fields): string {
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((n) => String(n).padStart(2, '0'))
    .join(':');
  const { method, path, status, code, ms, request } = fields;
  const shown =
    message === 'request'
      ? [method, path, status, code, `${ms} ms`, level === 'error' && request].filter(Boolean).join(' ')
      : `${level === 'info' || level === 'debug' ? '' : `${level}: `}${message}`;
  // a stack has lines of its own
  return shown
    .split('\n')
    .map((line, index) => `${index === 0 ? time : ' '.repeat(time.length)} ${escapeText(line)}`)
    .join('\n');
}
