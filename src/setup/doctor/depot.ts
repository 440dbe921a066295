/** The depot, as this host sees it: there, a depot, and of one mind about the time. */
import { access, constants, stat } from 'node:fs/promises';
import { Failure } from '../../failure.ts';
import { orNull } from '../../host/files.ts';
import { isLoopback } from '../../host/http.ts';
import { bodySize, collect, receive } from '../../host/http-body.ts';
import { exchange } from '../../host/http-exchange.ts';
import { run } from '../../host/process.ts';
import { word } from '../../host/shell.ts';
import { closedObject } from '../../records/fields.ts';
import type { Location } from '../../tree/location.ts';
import { parseJson } from '../../tree/wire.ts';
import { note, ok, problem, PROBE_MS, warning } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';
import { room } from './space.ts';

const TIMING = {
  connectMs: PROBE_MS,
  answerMs: PROBE_MS,
  idleMs: PROBE_MS,
  graceMs: PROBE_MS,
  bytesPerSecond: 4096,
};
const LISTING_MAX = 1024 * 1024;
/** A signature may be dated ten minutes off; an approval ends to the second. */
const CLOCKS_APART_MS = 60_000;
export const checkDepot: Check = async (host) => {
  const { depot } = host;
  if (depot === null) return noDepot(host);
  if (depot instanceof Failure) return [problem('depot', depot.message, depot.hint)];
  return checkLocation(host, depot);
};

/** A depot at this place. Throws unable. */
export const checkLocation = (host: Host, location: Location): Promise<Finding[]> =>
  location.kind === 'url' ? checkUrl(host, location.url) : checkDirectory(location.directory);

function noDepot({ role, project }: Host): Finding[] {
  // a depot serves whoever asks; a builder is told by its ticket
  if (project instanceof Failure || role === 'depot' || role === 'builder') return [];
  const cure = 'write depot = "https://…" into countersign.toml, above [log]';
  return [note('depot', 'the project file names no depot: every command needs --depot', cure)];
}

async function checkUrl({ role, project, now }: Host, url: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  const base = URL.canParse(url) ? new URL(url) : null;
  const insecure = base?.protocol === 'http:' && !isLoopback(base.hostname);
  if (insecure && !(project instanceof Failure) && !project.insecureHttp)
    findings.push(
      problem(
        'depot',
        `${url}: no token is sent over plain HTTP`,
        'put TLS in front of it, and https:// into countersign.toml',
      ),
    );
  try {
    const date = await ask(url);
    findings.push(ok('depot', `${url} answers, and is a depot`));
    if (role !== 'depot') findings.push(...clock(now, date));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // where it is served, it may be about to be
    const level = role === 'depot' ? note : problem;
    findings.push(
      level('depot', `${url}: ${error.message}`, `curl -sS ${word(`${url}/builds/`)}   # until it answers`),
    );
  }
  return findings;
}

/** Asks what everybody may ask, once. Returns its Date header. Throws Failure for anything but a depot's answer. */
async function ask(url: string): Promise<string | undefined> {
  const { protocol, hostname, port, pathname } = new URL(`${url}/builds/`);
  const where = { protocol, hostname: hostname.replace(/^\[|\]$/g, ''), port, path: pathname };
  const headers = { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'countersign' };
  const { response } = await exchange({ ...where, method: 'GET', headers, agent: false }, null, TIMING);
  try {
    if (response.statusCode !== 200)
      throw problemOf(`it answers with status ${response.statusCode}, as a depot would not`);
    const size = bodySize(response, 'GET') ?? 0;
    const body = await collect(receive(response, size, TIMING), size, LISTING_MAX, 'the list of builds');
    closedObject(parseJson(body), 'the list of builds', ['builds', 'next']);
    return response.headers.date;
  } finally {
    response.destroy();
  }
}

const problemOf = (text: string): Failure => new Failure('unable', 'bad-answer', text);

/** The depot is not to be believed; but two clocks that differ are one that is wrong. */
function clock(now: Date, date: string | undefined): Finding[] {
  const theirs = Date.parse(date ?? '');
  if (Number.isNaN(theirs)) return [];
  const apart = Math.abs(theirs - now.getTime());
  if (apart < CLOCKS_APART_MS) return [ok('clock', 'this host’s clock and the depot’s agree')];
  const text = `this host’s clock and the depot’s are ${Math.round(apart / 1000)} s apart: one of them is wrong`;
  return [warning('clock', text, 'timedatectl set-ntp true   # on both')];
}

async function checkDirectory(directory: string): Promise<Finding[]> {
  // a network file system that is gone keeps whoever looks at it: let that be a child
  const looked = await run('stat', ['--', directory], { timeoutMs: PROBE_MS, maxOutput: 64 * 1024 });
  if (looked.killed !== null)
    return [
      problem(
        'depot',
        `${directory} does not answer: is its file system gone?`,
        `umount -l ${word(directory)}   # and mount it again`,
      ),
    ];
  const status = await orNull(stat(directory), `look at ${directory}`);
  if (status === null)
    return [
      problem(
        'depot',
        `there is no ${directory}`,
        'findmnt   # is the stick or disk that it is on mounted? if it is on none, make the directory',
      ),
    ];
  if (!status.isDirectory())
    return [problem('depot', `${directory} is no directory`, 'name another: --depot DIR')];
  const findings: Finding[] = [];
  const writable = await access(directory, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable)
    findings.push(
      problem('depot', `${directory} can’t be written by this user`, `ls -ld ${word(directory)}`),
    );
  findings.push(...(await room(directory)));
  return findings.length > 0 ? findings : [ok('depot', `${directory} is there, and can be written`)];
}
