/**
 * What a signer really does, in order, as strace saw it: what it has on its disk for good, what it asks of the release
 * key, what it sends and what it is answered. And the order that protocol §1 rule 4 and §5 put them in.
 */
import { basename, dirname } from 'node:path';

/** `-yy` says where a socket leads; all that is sent is needed, to be told apart. */
const CALLS = 'read,recvfrom,write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2';

/** What stands before a command whose trace is to be in that file; with its environment. */
export const watched = (file: string) => ({
  under: ['strace', '-f', '-qq', '-yy', '-xx', '-s', '100000', '-e', `trace=${CALLS}`, '-o', file],
  // writes through a ring would go unseen
  env: { UV_USE_IO_URING: '0' },
});

interface Call {
  readonly name: string;
  /** Of the descriptor. */
  readonly path: string;
  /** Arguments, and at its end the result, decoded. */
  readonly text: string;
  /** It was made; else it has only begun. */
  readonly done: boolean;
}

/** Calls as they begin and as they end: something leaves when a call begins, and is on the disk when one has ended. */
function* callsOf(trace: string): Generator<Call> {
  const begun = new Map<string, string>();
  for (const line of trace.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    if (resumed !== undefined) {
      yield callOf((begun.get(pid) ?? '') + resumed, true);
    } else if (rest.endsWith('<unfinished ...>')) {
      begun.set(pid, rest.slice(0, -'<unfinished ...>'.length));
      yield callOf(begun.get(pid) ?? '', false);
    } else {
      yield callOf(rest, false);
      yield callOf(rest, true);
    }
  }
}

function callOf(line: string, done: boolean): Call {
  const text = line.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const [, name = '', path = ''] =
    /^(\w+)\((?:\d+<(TCP:\[[^\]]*\]|UNIX[^>]*->[^>]*|[^>]*)>)?/s.exec(text) ?? [];
  return { name, path, text, done };
}

const SENDS = /^(write|writev|sendto|sendmsg)$/;
const SIZE = /\n([0-9]+)\n[A-Za-z0-9+/]{43}=\n/;

/** A note with one signature line, and its padding in a tar; a note with more. */
const ONE_LINE = /\n([0-9]+)\n[A-Za-z0-9+/]{43}=\n\n[^\n]+\n\0/;
const MORE_LINES = /\n([0-9]+)\n[A-Za-z0-9+/]{43}=\n\n[^\n]+\n[^\n\0]+\n/;

/** What each request is, by its first line and what comes with it; null as long as that can't be told. */
const REQUESTS: readonly (readonly [request: RegExp, holds: RegExp, act: string])[] = [
  [/^GET \/builds\/\S+\/statements\/b1\.json /, /^/, 'asks for the statement'],
  [/^GET \/builds\/\S+\/blobs\/|^POST \/builds\/\S+\/fetch /, /^/, 'asks for artifacts'],
  [/^POST \S*\/add-checkpoint /, SIZE, 'asks the witness about'],
  [/^POST \/log /, ONE_LINE, 'sends the log of'],
  [/^POST \/log /, MORE_LINES, 'sends the cosigned log of'],
  [/^POST \/builds\/[^/ ]+ /, /release\.proof/, 'sends the records'],
  [/^POST \/builds\/[^/ ]+ /, /refusal\.proof/, 'sends the refusal'],
  [/^POST \/builds\/[^/ ]+ /, /\.receipt/, 'sends the receipt'],
  [/^POST \/builds\/\S+\/signatures /, /^/, 'sends the signatures'],
  [/^POST \/builds\/\S+\/publish /, /^/, 'has it published'],
];
const ANSWERED: Readonly<Record<string, string>> = {
  'asks the witness about': 'the witness cosigned',
  'sends the log of': 'L took',
  'sends the cosigned log of': 'L took cosigned',
};

/** The acts of a signer whose state is in `state`, in order. */
export function actsOf(trace: string, state: string): string[] {
  const acts: string[] = [];
  /** Bytes that are not synced yet, by path; files that have their name, and their directory is not synced yet. */
  const [dirty, named] = [new Map<string, string>(), new Map<string, string>()];
  /** By socket: what is sent, whether it has been told, and what the answer to it means. */
  const sending = new Map<string, { text: string; told: boolean; answer: string | null }>();

  for (const { name, path, text, done } of callsOf(trace)) {
    const own = path.startsWith(`${state}/`) || path === state;
    if (done && own && /^p?write/.test(name)) dirty.set(path, (dirty.get(path) ?? '') + text);
    if (done && own && name.startsWith('f') && text.endsWith('= 0')) {
      const written = dirty.get(path) ?? '';
      if (path.endsWith('/journal'))
        for (const [, type] of written.matchAll(/"type":"(\w+)"/g)) acts.push(`logged ${type}`);
      if (path.endsWith('/signatures') && written !== '') acts.push('kept signatures');
      if (/\/(journal|signatures)$/.test(path)) dirty.delete(path);
      for (const [file, what] of named) {
        if (dirname(file) !== path) continue;
        acts.push(`kept ${what}`);
        named.delete(file);
      }
    }
    if (done && name.startsWith('rename')) {
      const [from = '', to = ''] = [...text.matchAll(/"([^"]*)"/g)].map(([, quoted]) => quoted);
      if (to.startsWith(`${state}/`)) named.set(to, whatIs(to, dirty.get(from) ?? ''));
    }
    if (!done && path.startsWith('UNIX') && SENDS.test(name) && text.includes('PKSIGN'))
      acts.push('uses the release key');
    if (!done && path.startsWith('TCP') && SENDS.test(name)) {
      const data = [...text.matchAll(/"((?:[^"]|"(?!, ?(?:iov_len|[0-9])))*)"/gs)]
        .map(([, part]) => part)
        .join('');
      const before = sending.get(path);
      const begins = /^[A-Z]+ \/\S* HTTP\/1\.1\r\n/.test(data) || before === undefined;
      const now = { text: begins ? data : before.text + data, told: !begins && before.told, answer: null };
      sending.set(path, { ...now, ...told(now, acts) });
    }
    if (
      done &&
      path.startsWith('TCP') &&
      /^(read|recvfrom)$/.test(name) &&
      /"HTTP\/1\.1 20[01] /.test(text)
    ) {
      const { answer } = sending.get(path) ?? { answer: null };
      if (answer !== null) acts.push(answer);
    }
  }
  return acts;
}

/** Says what is sent, once it can be told. */
function told(
  sent: { readonly text: string; readonly told: boolean },
  acts: string[],
): { told?: boolean; answer?: string } {
  if (sent.told) return {};
  const found = REQUESTS.find(([request, holds]) => request.test(sent.text) && holds.test(sent.text));
  if (found === undefined) return {};
  const [, entries] = found[1].exec(sent.text) ?? [];
  const size = entries === undefined ? '' : ` ${entries}`;
  acts.push(`${found[2]}${size}`);
  const answer = ANSWERED[found[2]];
  return { told: true, ...(answer !== undefined && { answer: `${answer}${size}` }) };
}

function whatIs(file: string, content: string): string {
  const lines = content.split('\u2014').length + content.split('\xe2\x80\x94').length - 2;
  const size = SIZE.exec(content)?.[1];
  const below = /(?:enrolments|revocations)\/[^/]+$/.exec(file)?.[0] ?? basename(file);
  if (below !== 'checkpoint') return below.replace(/[0-9A-F]{40}/, 'FPR');
  return `${lines > 1 ? 'cosigned ' : ''}checkpoint of ${size}`;
}

/** All of the first must be done before any of the second begins. `n`: how many entries the log has with the last one. */
export const ORDER = (n: number): readonly (readonly [first: string, then: string])[] => [
  ['kept approval.json', 'logged approval'],
  ['logged approval', 'kept enrolments/b1.json'],
  ['kept enrolments/b1.json', 'logged enrolment'],
  ['kept enrolments/b1.json.sig', 'logged enrolment'],
  ['kept enrolments/b1.json.mac', 'logged enrolment'],
  ['logged enrolment', `kept checkpoint of ${n}`],
  // a receipt is of what nobody can take back
  [`L took ${n}`, 'sends the receipt'],
  ['kept enrolments/b1.json.receipt', 'sends the receipt'],
  ['logged approval', 'logged revocation'],
  ['kept revocations/FPR.json', 'logged revocation'],
  ['kept revocations/FPR.json.sig', 'logged revocation'],
  ['logged revocation', `kept checkpoint of ${n}`],
  ['logged revocation', 'kept settled'],
  ['logged approval', 'asks for the statement'],
  ['logged approval', 'kept b1.json'],
  ['kept b1.json', 'logged statement'],
  ['kept b1.json.sig', 'logged statement'],
  ['logged statement', 'asks for artifacts'],
  ['asks for artifacts', 'logged intent'],
  ['kept manifest.json', 'logged intent'],
  ['logged intent', 'uses the release key'],
  ['uses the release key', 'kept signatures'],
  ['kept signatures', 'logged release'],
  ['kept signatures.list', 'logged release'],
  ['kept release.json', 'logged release'],
  ['logged release', `kept checkpoint of ${n}`],
  ['logged refusal', `kept checkpoint of ${n}`],
  ['kept refusal.json', 'logged refusal'],
  // nobody sees a checkpoint that this disk could forget
  [`kept checkpoint of ${n}`, `sends the log of ${n}`],
  [`sends the log of ${n}`, `L took ${n}`],
  // nor has a witness cosigned what nobody else could show
  [`L took ${n}`, `asks the witness about ${n}`],
  [`asks the witness about ${n}`, `the witness cosigned ${n}`],
  [`the witness cosigned ${n}`, `kept cosigned checkpoint of ${n}`],
  [`kept cosigned checkpoint of ${n}`, `sends the cosigned log of ${n}`],
  [`sends the cosigned log of ${n}`, `L took cosigned ${n}`],
  [`the witness cosigned ${n}`, 'kept release.proof'],
  [`L took cosigned ${n}`, 'sends the records'],
  ['kept release.proof', 'sends the records'],
  ['sends the records', 'sends the signatures'],
  ['sends the signatures', 'has it published'],
  ['has it published', 'kept settled'],
  [`L took ${n}`, 'sends the refusal'],
  ['kept refusal.proof', 'sends the refusal'],
  ['sends the refusal', 'kept settled'],
];

/** What was done too early; null if nothing was. */
export function outOfOrder(acts: readonly string[], n: number): string | null {
  for (const [first, then] of ORDER(n)) {
    const [last, begun] = [acts.lastIndexOf(first), acts.indexOf(then)];
    if (last !== -1 && begun !== -1 && begun < last) return `${then}, and only later: ${first}`;
  }
  return null;
}
