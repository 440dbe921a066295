/** `countersign sync`: what one depot has and another lacks. */
import { now } from '../host/clock.ts';
import type { Project } from '../policy/project.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { GatedDepot } from '../tree/gated.ts';
import { HttpDepot } from '../tree/http.ts';
import { locationUrl, parseLocation } from '../tree/location.ts';
import type { Location } from '../tree/location.ts';
import { carryLog, countMore, sync as carryAll, syncStatus } from '../tree/sync.ts';
import type { LogResult, SyncOptions, SyncResult, SyncState } from '../tree/sync.ts';
import type { Depot } from '../tree/tree.ts';
import { sayAway } from './away.ts';
import { command, wrongUse } from './command.ts';
import { loadProject, makeDepot } from './config.ts';
import { Progress } from './progress.ts';
import { SignerToken } from './signer-token.ts';
import type { Terminal } from './terminal.ts';
import { bold, formatSize, green, plural, red, yellow } from './text.ts';
import type { Styled } from './text.ts';

export { sync as command };

const sync = command({
  name: 'sync',
  synopsis: 'FROM TO',
  about: `Carries from one depot (URL or directory) into another what that one lacks: the log; approvals, artifacts and
statements of builds that wait, and what became of them. All of it is judged again where it arrives, and a release is
published there only when it is there whole and verifies. After an interruption run it again: it goes on. A depot
behind a URL shows artifacts to the signer's token alone until they are published, and takes a megabyte of the log
at most from others.`,
  flags: {
    'signer-token': {
      value: 'FILE',
      help: 'for both URLs; else signer/signer-token beside the project file, for its depot',
    },
  },
  noDepot: 'FROM and TO are the depots',
  operands: { min: 2, max: 2 },
  example: [
    'countersign sync https://depot.example.org /media/stick',
    'countersign sync /media/stick https://depot.example.org',
  ],
  async run({ flags, globals, operands: [source = '', target = ''], terminal }) {
    const { project, directory } = loadProject(globals);
    const [from, to] = [parseLocation(source), parseLocation(target)];
    if (locationUrl(from) === locationUrl(to)) throw wrongUse('sync', 'FROM and TO are the same depot');
    const token = SignerToken.find(project, directory, flags['signer-token']);
    const [fromToken, toToken] = [token?.for(from) ?? null, token?.for(to) ?? null];
    const quarantine = from.kind === 'directory' || fromToken !== null;
    if (!quarantine) terminal.say('no signer token: artifacts that are not published there stay there');

    const sender = await openEnd(project, from, fromToken, terminal);
    await makeDepot(to, terminal);
    const receiver = await openEnd(project, to, toToken, terminal);
    try {
      const log = await carryLog(sender, receiver, project.log);
      if (log !== null) showLog(log, terminal);
      const results = await carryAll({
        project,
        from: { depot: sender, quarantine },
        to: receiver,
        now,
        report: (result) => showResult(result, terminal),
        progress: progressOn(terminal),
      });
      showTotal(results, source, terminal);
      const more = await countMore(sender, receiver, results);
      if (more > 0)
        terminal.say(
          `${target} has the end of ${plural(more, 'build')} that ${source} lacks: `,
          bold(`countersign sync ${target} ${source}`),
          ' brings it there',
        );
      return syncStatus(log === null ? results : [...results, log]);
    } finally {
      sender.close();
      receiver.close();
    }
  },
});

/** Whoever may read and write a directory is its keeper; behind a URL others decide. Throws usage, unable. */
async function openEnd(
  project: Project,
  location: Location,
  token: Buffer | null,
  terminal: Terminal,
): Promise<Depot> {
  if (location.kind === 'url') {
    const { insecureHttp } = project;
    return new HttpDepot({ url: location.url, token, insecureHttp, broken: sayAway(terminal) });
  }
  const tree = await DirectoryTree.open(location.directory);
  return GatedDepot.over({ tree, rules: project, now }).asCarrier();
}

function progressOn(terminal: Terminal): SyncOptions['progress'] {
  let shown: { readonly build: string; readonly progress: Progress } | null = null;
  return (build, done, total) => {
    if (shown?.build !== build) shown = { build, progress: new Progress(terminal, 'carrying') };
    shown.progress.update(done, total, build);
  };
}

const STATE_STYLE: Record<SyncState, (text: string) => Styled> = {
  carried: green,
  same: green,
  left: yellow,
  refused: red,
  unfinished: red,
};

const amount = (files: number, bytes: number): string => `${plural(files, 'file')}, ${formatSize(bytes)}`;

/** A line for the log if it changed or somebody should look at it. */
function showLog({ state, code, text, hint, size, entries }: LogResult, terminal: Terminal): void {
  terminal.record({ log: { state, ...(code !== null && { code }), size, entries } });
  const carried = entries === 0 ? 'cosignatures' : entries === 1 ? '1 entry' : `${entries} entries`;
  const about = text === '' ? `${carried}; it has ${size} now` : text;
  showLine('log', state, about, state === 'same', terminal);
  if (state !== 'same') terminal.hint(hint);
}

/** A line for each build that changed or that somebody should look at. */
function showResult(result: SyncResult, terminal: Terminal): void {
  const { build, state, code, text, files, bytes } = result;
  terminal.record({ build, state, ...(code !== null && { code }), files, bytes });
  const quiet = state === 'same' || code === 'expired';
  const about = [...(files > 0 ? [amount(files, bytes)] : []), ...(text === '' ? [] : [text])].join(': ');
  showLine(build, state, about, quiet, terminal);
  if (!quiet) terminal.hint(result.hint);
}

function showLine(what: string, state: SyncState, about: string, quiet: boolean, terminal: Terminal): void {
  const line = [bold(what), '  ', STATE_STYLE[state](state), `  ${about}`];
  if (quiet) terminal.detail(...line);
  else if (terminal.json) terminal.say(...line);
  else terminal.result(...line);
}

function showTotal(results: readonly SyncResult[], source: string, terminal: Terminal): void {
  if (results.length === 0) return terminal.say(`${source} has no builds`);
  const sum = (key: 'files' | 'bytes'): number => results.reduce((total, result) => total + result[key], 0);
  const expired = results.filter(({ code }) => code === 'expired').length;
  const count = (state: SyncState): number =>
    results.filter((result) => result.state === state && result.code !== 'expired').length;
  const parts = (['carried', 'same', 'left', 'refused', 'unfinished'] as const)
    .filter((state) => count(state) > 0)
    .map((state) => `${count(state)} ${state}`);
  if (expired > 0) parts.push(`${expired} expired without a decision, left out`);
  const carried = sum('files') === 0 ? 'nothing to carry' : amount(sum('files'), sum('bytes'));
  terminal.say(`${plural(results.length, 'build')}: ${parts.join(', ')}; ${carried}`);
}
