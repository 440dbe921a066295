/** `countersign log monitor`: one look at the log, for a timer. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { look } from '../../audit/monitor.ts';
import type { Pass } from '../../audit/monitor.ts';
import { formatAlarm, isAlarmName, parseAlarm } from '../../audit/monitor/alarm.ts';
import type { Alarm } from '../../audit/monitor/alarm.ts';
import type { Alert } from '../../audit/monitor/alert.ts';
import { Expected } from '../../audit/monitor/expected.ts';
import { formatMemory, parseMemory } from '../../audit/monitor/memory.ts';
import type { Memory } from '../../audit/monitor/memory.ts';
import { now } from '../../host/clock.ts';
import { orNull, readFileBounded, writeFileDurably } from '../../host/files.ts';
import { parseDuration } from '../../policy/duration.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import { locationUrl } from '../../tree/location.ts';
import { LogReader } from '../../tree/log/reader.ts';
import { command, wrongUse } from '../command.ts';
import { readSmallFile } from '../config.ts';
import { EXIT } from '../exit-status.ts';
import type { ExitStatus } from '../exit-status.ts';
import type { Terminal } from '../terminal.ts';
import { green, plural, red, yellow } from '../text.ts';
import type { Part } from '../text.ts';
import { LOG_FLAG, openProjectLog } from './source.ts';

export { monitor as command };

/** A quarter of a million builds take 40 MB. */
const STATE_MAX = 1024 * 1024 * 1024;
/** Two notes, and why. */
const ALARM_MAX = 1024 * 1024;

const monitor = command({
  name: 'log monitor',
  synopsis: '[--state FILE] [--expect FILE]',
  about: `Looks at the log once, for a timer: reads on from what FILE remembers, and says what is new and what is wrong.
A release that nobody expected, an entry that should not be there, a conflict are said on every pass until --seen; a fork
or a rollback until somebody moves its evidence away, FILE.fork-… or FILE.rollback-…. So no alert is lost with a mail. It
asks the project's witnesses for what they have seen, too. Exit status 0 if all is well, 1 if not, 3 if it could not look.`,
  flags: {
    ...LOG_FLAG,
    state: { value: 'FILE', help: 'what it remembers; without it, every pass begins at the first entry' },
    expect: {
      value: 'FILE',
      help: 'the releases that are expected: a version or a build a line; from then on always',
    },
    'max-age': { value: '3d', help: 'how old the newest entry may be; else max-log-age of the project' },
    seen: { help: 'what is said about entries is said for the last time' },
  },
  operands: { min: 0, max: 0 },
  example: [
    'countersign log monitor --state /var/lib/countersign-monitor/state',
    'countersign log monitor --state monitor.state --expect releases.txt',
    '# after you have looked into what it said',
    'countersign log monitor --state monitor.state --expect releases.txt --seen',
  ],
  async run({ flags, globals, terminal }) {
    const maxAge = flags['max-age'] === undefined ? null : parseDuration(flags['max-age'], '--max-age');
    const expected =
      flags.expect === undefined ? null : new Expected(readSmallFile(flags.expect).toString(), flags.expect);
    if (flags.seen === true && flags.state === undefined)
      throw wrongUse('log monitor', '--seen is for what a --state remembers, and there is none');
    const { files, trust, project, location } = await openProjectLog(flags, { globals, terminal });
    try {
      const pass = await look({
        ...{
          reader: new LogReader(files, trust),
          trust,
          place: locationUrl(location),
          project: project.name,
          witnesses: project.witnesses,
        },
        ...{
          memory: await recall(flags.state, trust),
          alarms: await recallAlarms(flags.state),
          expected,
          now,
        },
        maxAge: maxAge ?? project.maxLogAge,
        seen: flags.seen === true,
      });
      // said first: what is remembered is not said again
      report(pass, terminal);
      await terminal.flush();
      await remember(flags.state, pass, terminal);
      return statusOf(pass);
    } finally {
      files.close();
    }
  },
});

async function recall(state: string | undefined, trust: LogTrust): Promise<Memory | null> {
  const bytes = state === undefined ? null : await readFileBounded(state, STATE_MAX);
  return bytes && parseMemory(bytes, trust);
}

/** The evidence beside the state, whether that is there or not. */
async function recallAlarms(state: string | undefined): Promise<Alarm[]> {
  if (state === undefined) return [];
  const [directory, prefix] = [dirname(state), `${basename(state)}.`];
  const names = (await orNull(readdir(directory), `list ${directory}`)) ?? [];
  const alarms: Alarm[] = [];
  for (const name of names.sort()) {
    if (!name.startsWith(prefix) || !isAlarmName(name.slice(prefix.length))) continue;
    const path = join(directory, name);
    const bytes = await readFileBounded(path, ALARM_MAX);
    if (bytes !== null) alarms.push(parseAlarm(bytes, path));
  }
  return alarms;
}

async function remember(
  state: string | undefined,
  { alarms, memory }: Pass,
  terminal: Terminal,
): Promise<void> {
  if (state === undefined) return;
  for (const [name, alarm] of alarms) {
    const file = `${state}.${name}`;
    await writeFileDurably(file, formatAlarm(alarm), 0o644);
    terminal.hint(
      `what was signed is in ${file}: keep it; it is said until that file is moved away, see docs/how-to/log.md`,
    );
  }
  if (memory !== null) await writeFileDurably(state, formatMemory(memory), 0o644);
}

function statusOf({ alerts, blinded }: Pass): ExitStatus {
  if (alerts.length > 0) return EXIT.refused;
  return blinded ? EXIT.unable : EXIT.done;
}

function report(pass: Pass, terminal: Terminal): void {
  for (const each of pass.news) {
    terminal.record({ ...each });
    terminal.result(
      `${each.news} `,
      `${each.project} ${each.version}, build ${each.build}, at ${each.time} (entry ${each.index})`,
    );
  }
  for (const each of pass.alerts) showAlert(each, terminal);
  for (const { code, message, hint } of pass.blind) {
    terminal.record({ blind: code, message, hint });
    terminal.warn(`could not look: ${message}`);
    terminal.hint(hint);
  }
  const { checkpoint, cosignatures } = pass.head ?? { checkpoint: null, cosignatures: [] };
  const status = statusOf(pass);
  terminal.record({
    ...{ size: checkpoint?.size ?? null, root: checkpoint?.root.toString('hex') ?? null },
    ...{ alerts: pass.alerts.length, news: pass.news.length, witnesses: cosignatures.length },
    ...(status !== EXIT.done && { code: pass.alerts[0]?.code ?? pass.blind[0]?.code ?? 'not-looked' }),
  });
  const size = checkpoint === null ? 'no log was read' : `the log has ${checkpoint.size} entries`;
  terminal.say(verdictOf(pass), `: ${size}`);
}

function verdictOf(pass: Pass): Part {
  const status = statusOf(pass);
  if (status === EXIT.done) return green('all is well');
  if (status === EXIT.unable) return yellow('no alert, but too little could be looked at');
  return red(plural(pass.alerts.length, 'alert'));
}

function showAlert(alert: Alert, terminal: Terminal): void {
  const { code, ...rest } = alert;
  terminal.record({ alert: code, ...rest });
  terminal.result(red(`ALERT ${code}`), `  ${alert.text}`);
}
