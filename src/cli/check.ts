/** `countersign check`: every file of a depot, held against the log and against one another; and mended. */
import { verifyLog } from '../audit/verify.ts';
import { checkDepot } from '../depot/check/check.ts';
import type { CheckResult } from '../depot/check/check.ts';
import { isFault } from '../depot/check/finding.ts';
import type { Outcome, What } from '../depot/check/finding.ts';
import { holdsDepot, noDepotIn } from '../depot/check/present.ts';
import { now } from '../host/clock.ts';
import { word } from '../host/shell.ts';
import { DirectoryTree } from '../tree/directory.ts';
import { depotLog } from '../tree/log/reader.ts';
import { command } from './command.ts';
import { loadProject } from './config.ts';
import { EXIT } from './exit-status.ts';
import { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';
import { bold, formatSize, green, plural, red, yellow } from './text.ts';
import type { Styled } from './text.ts';
import { parseData } from './values.ts';

export { check as command };

const check = command({
  name: 'check',
  synopsis: '--data DIR [--repair] [--gpgv]',
  about: `Reads every file of a depot: the log whole, each record that the log names, each signature with what it signs,
each artifact by its digest, each release; names what is damaged, missing, or belongs to no depot. It may run beside
serve. With --repair, beside no serve, and in a depot of the project file, it makes again what the rest can give back, and
moves what is no good to DIR/.aside/, so that sync from a mirror can bring it; it deletes nothing. Exit status 1 if
something remains, or is missing.`,
  flags: {
    data: { value: 'DIR', help: 'where the depot lies' },
    repair: { help: 'mend what can be mended, move aside what can’t' },
    gpgv: { help: 'ask gpgv about each signature of a release, too' },
  },
  noDepot: 'it looks at what lies in --data DIR',
  operands: { min: 0, max: 0 },
  example: [
    'countersign check -c countersign.toml --data depot',
    '# after systemctl stop, and with a mirror to fetch from',
    'countersign check -c countersign.toml --data depot --repair',
    'countersign sync -c countersign.toml /mnt/mirror depot',
  ],
  async run({ flags, globals, terminal }) {
    const data = parseData(flags.data, 'check');
    const { project } = loadProject(globals);
    const tree = await DirectoryTree.open(data);
    if (!(await holdsDepot(tree))) throw noDepotIn(data);
    const progress = new Progress(terminal, 'checking builds');
    const list = (directory: string): Promise<string[]> =>
      tree.list(directory === '.' ? 'log' : `log/${directory}`);
    const result = await checkDepot({
      ...{ tree, project, now, repair: flags.repair === true, gpgv: flags.gpgv === true },
      audit: async () => {
        const quiet = { ours: true, progress: () => {} };
        const { head, findings, leftovers } = await verifyLog({
          ...{ files: depotLog(tree), trust: project.log, list },
          ...quiet,
        });
        return { findings: findings.listed, size: head.checkpoint.size, beyond: leftovers?.beyond ?? 0 };
      },
      progress: (builds, of, bytes) => progress.count(builds, of, formatSize(bytes)),
    });
    progress.finish();
    return report(result, { data, isMended: flags.repair === true }, terminal);
  },
});

const STYLE: Record<What, (text: string) => Styled> = {
  damaged: red,
  missing: red,
  foreign: yellow,
  leftover: (text) => bold(text),
};

/** What was asked for. */
interface Asked {
  readonly data: string;
  readonly isMended: boolean;
}

function report({ outcomes, builds, bytes }: CheckResult, asked: Asked, terminal: Terminal): 0 | 1 {
  for (const outcome of outcomes) terminal.record({ ...outcome });
  for (const { what, repaired, aside, path, text, how } of outcomes) {
    const became = repaired ? green('mended') : aside ? yellow('moved aside') : STYLE[what](what);
    // a path is long, and is what is copied from here
    terminal.result(became, `  ${path}`);
    terminal.result(`    ${text}${how === undefined ? '' : `; ${how}`}`);
  }

  const remain = outcomes.filter((each) => isFault(each) && !each.repaired && !each.aside);
  const count = (what: What): number => remain.filter((each) => each.what === what).length;
  const repaired = outcomes.filter((each) => each.repaired).length;
  const aside = outcomes.filter((each) => each.aside).length;
  const leftovers = outcomes.filter((each) => !isFault(each)).length;
  const counts = { damaged: count('damaged'), missing: count('missing'), foreign: count('foreign') };
  terminal.record({ whole: remain.length === 0, ...counts, leftovers, repaired, aside, builds, bytes });
  const read = `${plural(builds, 'build')}, ${formatSize(bytes)} read`;
  const parts = (['damaged', 'missing', 'foreign'] as const)
    .filter((what) => counts[what] > 0)
    .map((what) => `${counts[what]} ${what}`);
  if (repaired > 0) parts.push(`${repaired} mended`);
  if (aside > 0) parts.push(`${aside} moved aside`);
  if (leftovers > 0) parts.push(`${leftovers} left over, which is no fault`);
  const verdict = remain.length === 0 ? green('whole') : red('NOT WHOLE');
  terminal.result(verdict, `  ${[read, ...parts].join('; ')}`);
  if (remain.length > 0) terminal.hint(hintFor(remain, asked));
  return remain.length === 0 ? EXIT.done : EXIT.refused;
}

/** So many builds are named in a hint. */
const NAMED = 3;

function hintFor(remain: readonly Outcome[], { data, isMended }: Asked): string {
  if (remain.some(({ code }) => code === 'wrong-project'))
    return 'is it the right project file (-c), and the right --data? with these --repair moves nothing';
  const mirror = `countersign sync MIRROR ${word(data)}`;
  const found = new Set(remain.map(({ path }) => /^builds\/([0-9a-z]{26})/.exec(path)?.[1] ?? ''));
  found.delete('');
  const builds = [...found].slice(0, NAMED).join(', ') + (found.size > NAMED ? ', …' : '');
  const again = builds === '' ? '' : `, or approve these builds again: ${builds}`;
  const lost = `${plural(remain.length, 'file')} can’t be made again`;
  return isMended
    ? `${lost}: bring them from a mirror, ${mirror}${again}; the log comes with the signer’s next run, too (docs/how-to/backup.md)`
    : `stop serve, then: countersign check --data ${word(data)} --repair; what it can’t mend comes by ${mirror} (docs/how-to/backup.md)`;
}
