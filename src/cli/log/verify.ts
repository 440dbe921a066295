/** `countersign log verify`: whether all of the log is what was signed, byte by byte. */
import type { Finding } from '../../audit/finding.ts';
import { verifyLog } from '../../audit/verify.ts';
import type { LogVerdict } from '../../audit/verify.ts';
import type { LogTrust } from '../../tlog/proof.ts';
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
    'countersign log verify --log https://log.example.com/ --log-key example.com/log+01234567+AQ…   # anybody’s log',
  ],
  async run({ flags, globals, terminal }) {
    const { files, trust, project, location } = await openSource('log verify', flags, globals);
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
  const cosigned = head.cosignatures.map(({ key, time }) => ({ witness: key.name, time }));
  const byType = counts && Object.fromEntries(counts);
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
    ...{ entries: byType, cosigned, quorum: trust.quorum, beyond, strays },
    ...(!whole && { code: findings.listed[0]?.code ?? 'log-damaged' }),
  });
  const rows: Part[][] = [
    ['log', origin],
    ['entries', counts === null ? `${size}, not looked into` : `${size}${typesText(counts)}`],
    ['root', root.toString('hex')],
    ...(newest === null ? [] : [['newest', newest]]),
    ['witnesses', witnessesText(cosigned.map(({ witness }) => witness).join(', '), trust)],
  ];
  terminal.result(whole ? green('whole') : red('NOT WHOLE'));
  for (const row of alignColumns(rows)) terminal.result('  ', ...row);
  if (!whole) terminal.hint('copy the log again from where it is whole; a depot gets it from its signer');
}

const fileOf = ({ path, text }: Finding): string =>
  path === null || text.includes(path) ? '' : ` (${path})`;

const typesText = (counts: ReadonlyMap<string, number>): string =>
  counts.size === 0 ? '' : `: ${[...counts].map(([type, count]) => `${count} ${type}`).join(', ')}`;

function witnessesText(names: string, { witnesses, quorum }: LogTrust): string {
  if (witnesses.length === 0) return 'none are known';
  return `${names === '' ? 'none' : names} of ${witnesses.length}; ${quorum} are asked for`;
}
