/** `countersign log verify`: whether all of the log is what was signed, byte by byte. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding, FindingCode } from '../../audit/finding.ts';
import { verifyLog } from '../../audit/verify.ts';
import type { LogVerdict } from '../../audit/verify.ts';
import { word } from '../../host/shell.ts';
import { BUILD_ENTRY_TYPES } from '../../records/log-entry.ts';
import { timestamp } from '../../records/names.ts';
import type { LogTrust } from '../../tlog/proof.ts';
import type { Location } from '../../tree/location.ts';
import { command } from '../command.ts';
import { EXIT } from '../exit-status.ts';
import { Progress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { alignColumns, green, plural, red } from '../text.ts';
import type { Part } from '../text.ts';
import { KEY_FLAG, LOG_FLAG, listOf, openSource } from './source.ts';

export { verify as command };

const verify = command({
  name: 'log verify',
  synopsis: '[--log URL|DIR] [--log-key VKEY|FILE]',
  about: `Reads all of a log: its checkpoint and the witnesses' cosignatures, every entry, every tile over them at every
level; each must be what was signed. The entries must be canonical, and come in an order that the protocol allows. It
names the entry of any byte that was changed, and says whether the entry or the tile is wrong. In a directory what lies
there of earlier checkpoints is held against it, too. Exit status 1 if anything is wrong.`,
  flags: { ...LOG_FLAG, ...KEY_FLAG },
  operands: { min: 0, max: 0 },
  example: [
    'countersign log verify',
    'countersign log verify --log /srv/depot',
    '# a log of anybody: where it is, and its verifier key',
    'countersign log verify --log "$LOG" --log-key "$KEY"',
  ],
  async run({ flags, globals, terminal }) {
    const { files, trust, project, location } = await openSource('log verify', flags, { globals, terminal });
    const progress = new Progress(terminal, 'entries');
    try {
      const verdict = await verifyLog({
        files,
        trust,
        ours: project !== null,
        list: await listOf(location),
        progress: (entries, of) => progress.count(entries, of),
      });
      progress.finish();
      report(verdict, trust, terminal);
      terminal.hint(hintFor(verdict.findings.listed, depotDirectory(location)));
      return verdict.findings.count === 0 ? EXIT.done : EXIT.refused;
    } finally {
      files.close();
    }
  },
});

function report(
  { head, findings, counts, newest, leftovers }: LogVerdict,
  trust: LogTrust,
  terminal: Terminal,
): void {
  const { origin, size, root } = head.checkpoint;
  const whole = findings.count === 0;
  const cosigned = head.cosignatures.map(({ key, time }) => ({
    name: key.name,
    time: timestamp(new Date(time * 1000)),
  }));
  const byType = counts && inOrder(counts);
  const beyond = leftovers?.beyond ?? 0;
  const strays = leftovers?.strays ?? [];
  for (const finding of findings.listed) {
    terminal.record({ ...finding });
    terminal.result(red(finding.code), `  ${finding.text}${fileOf(finding)}`);
  }
  const more = findings.count - findings.listed.length;
  if (more > 0) terminal.result(`and ${more} more`);
  for (const stray of strays) terminal.warn(`${stray} belongs to no log: not looked at`);
  if (beyond > 0)
    terminal.warn(
      `${plural(beyond, 'file')} beyond the checkpoint, of a write that broke off or goes on: not signed yet`,
    );
  terminal.record({
    ...{ valid: whole, findings: findings.count, origin, size, root: root.toString('hex'), newest },
    ...{ entries: byType && Object.fromEntries(byType), cosigned, quorum: trust.quorum, beyond, strays },
    ...(!whole && { code: findings.listed[0]?.code ?? 'log-damaged' }),
  });
  const rows: Part[][] = [
    ['log', origin],
    ['entries', byType === null ? `${size}, not looked into` : `${size}${typesText(byType)}`],
    ['root', root.toString('hex')],
    ...(newest === null ? [] : [['newest', newest]]),
    ['witnesses', witnessesText(cosigned.map(({ name }) => name).join(', '), trust)],
  ];
  terminal.result(whole ? green('whole') : red('NOT WHOLE'));
  for (const row of alignColumns(rows)) terminal.result('  ', ...row);
}

/** What can be done depends on who is at fault: the copy, the witnesses, or the signer. */
function hintFor(findings: readonly Finding[], depot: string | null): string {
  const codes = new Set(findings.map(({ code }) => code));
  if (codes.size === 0) return '';
  if ([...codes].every((code) => code === 'witnesses-missing'))
    return 'the log is well: the signer asks the witnesses again in its next round; if it stays so, ask them';
  if ([...codes].every((code) => SIGNED.has(code) || code === 'witnesses-missing'))
    return "this is what the log's key signed, and no other copy helps: ask the keeper of the signer, and who else has that key";
  const rest = 'a depot gets it again from its signer, once log/ is moved away there';
  if (depot === null) return `copy the log again from where it is whole; ${rest}`;
  return `if this is a mirror: rm -r ${word(depot)}/log, then countersign sync DEPOT ${word(depot)}; ${rest}`;
}

/** Null for a URL, and for a directory that is the log alone. */
const depotDirectory = (location: Location): string | null =>
  location.kind === 'directory' && existsSync(join(location.directory, 'log', 'checkpoint'))
    ? location.directory
    : null;

const SIGNED: ReadonlySet<FindingCode> = new Set(['entry-malformed', 'entry-order', 'entry-time']);

const fileOf = ({ path, text }: Finding): string =>
  path === null || text.includes(path) ? '' : ` (${path})`;

type Counts = readonly (readonly [type: string, count: number])[];

const inOrder = (counts: ReadonlyMap<string, number>): Counts =>
  [...BUILD_ENTRY_TYPES, 'heartbeat'].flatMap((type) => {
    const count = counts.get(type);
    return count === undefined ? [] : [[type, count] as const];
  });

const typesText = (counts: Counts): string =>
  counts.length === 0 ? '' : `: ${counts.map(([type, count]) => plural(count, type)).join(', ')}`;

function witnessesText(names: string, { witnesses, quorum }: LogTrust): string {
  if (witnesses.length === 0) return 'none are known';
  return `${names === '' ? 'none' : names} of ${witnesses.length}; ${quorum} are asked for`;
}
