/** `countersign verify`: is this file what the project released? */
import { now } from '../host/clock.ts';
import { usage } from '../failure.ts';
import { verifyFiles } from '../consumer/verify.ts';
import type { Trust } from '../consumer/verify.ts';
import { badOutcome } from '../consumer/verdict.ts';
import type { Finding, HeadFacts, Outcome, ReleaseFacts, Verdict } from '../consumer/verdict.ts';
import { dearmorKey } from '../openpgp/armor.ts';
import { parseCertificate } from '../openpgp/certificate.ts';
import { sayAway } from './away.ts';
import { command } from './command.ts';
import type { Globals } from './command.ts';
import { loadProject, readSmallFile } from './config.ts';
import { EXIT } from './exit-status.ts';
import type { ExitStatus } from './exit-status.ts';
import { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';
import { keyRows, sourceRow } from './rows.ts';
import { alignColumns, bold, green, plural, red, spaced, yellow } from './text.ts';
import type { Part } from './text.ts';

export { verify as command };

const verify = command({
  name: 'verify',
  synopsis: 'FILE|DIR... [--release URL|DIR] [--key release.asc]',
  about: `Says whether files are what the project released: looks each up by its digest in the release and checks the
whole chain from the log to the signature; then reads the log on to its head, in the depot of --depot or the project, and
says what it has of the build since. A directory is a copy of a whole release. With --key and the file's .asc alone it
can say only who signed the bytes.`,
  flags: {
    release: { value: 'URL|DIR', help: 'the release; else beside the file, else in the depot' },
    project: { value: 'NAME', help: 'the project it must be of' },
    version: { value: 'VERSION', help: 'the version it must be of' },
    key: { value: 'FILE', help: 'the release certificate, instead of a project file' },
    offline: { help: 'read nothing over the network, and no log' },
    'signature-only': { help: 'be content with the signature alone' },
  },
  operands: { min: 1, max: 10_000 },
  example: [
    'countersign verify -c countersign.toml --version 1.4.0 app-1.4.0.tgz',
    'countersign verify --key release.asc --signature-only app-1.4.0.tgz',
  ],
  async run({ flags, globals, operands, terminal }) {
    const progress = new Progress(terminal, 'reading');
    const logProgress = new Progress(terminal, 'reading the log');
    const verdict = await verifyFiles({
      paths: operands,
      trust: trustOf(globals, flags.key),
      release: flags.release ?? null,
      depot: globals.depot ?? null,
      project: flags.project ?? null,
      version: flags.version ?? null,
      offline: flags.offline === true,
      signatureOnly: flags['signature-only'] === true,
      now: now(),
      broken: sayAway(terminal),
      progress: (file, done, bytes) => progress.update(done, bytes, file),
      readingLog: (done, entries) => logProgress.count(done, entries),
    });
    progress.finish();
    const status = exitStatusFor(verdict.outcome, flags['signature-only'] === true);
    if (!terminal.json) speak(verdict, globals.quiet === true, terminal);
    else report(verdict, status, terminal);
    if (verdict.outcome === 'signature-only' && status !== EXIT.done) terminal.hint(ALONE);
    terminal.hint([...against(verdict), ...verdict.warnings].find(({ hint }) => hint)?.hint ?? '');
    return status;
  },
});

/** The project file unless only a key is given; neither is a wrong usage that shows both ways. */
function trustOf(globals: Globals, key: string | undefined): Trust {
  if (key !== undefined)
    return { kind: 'key', certificate: parseCertificate(dearmorKey(readSmallFile(key))) };
  try {
    return { kind: 'project', project: loadProject(globals).project };
  } catch (error) {
    const named = globals.config !== undefined || (process.env['COUNTERSIGN_CONFIG'] ?? '') !== '';
    if (named || !(error instanceof Error && 'code' in error && error.code === 'config-missing')) throw error;
    throw usage(
      'no-trust',
      'verify: neither a project file nor a release key to believe',
      '-c countersign.toml from the project’s source repository, or --key release.asc',
      error,
    );
  }
}

function exitStatusFor(outcome: Outcome, contentWithSignature: boolean): ExitStatus {
  if (outcome === 'valid') return EXIT.done;
  if (outcome === 'incomplete') return EXIT.unable;
  return outcome === 'signature-only' && contentWithSignature ? EXIT.done : EXIT.refused;
}

/** The verdict for a program: with a code unless all is well, and then also a line for whoever reads its log. */
function report(verdict: Verdict, status: ExitStatus, terminal: Terminal): void {
  const [worst] = against(verdict);
  terminal.record({ ...verdict, ...(status !== EXIT.done && { code: worst?.code ?? verdict.outcome }) });
  if (status !== EXIT.done) terminal.show(`${SPOKEN[verdict.outcome]}${worst ? `: ${worst.text}` : ''}`);
  for (const { text } of verdict.warnings) terminal.warn(text);
}

/** What speaks against the release, then against its files. */
const against = ({ findings, files }: Verdict): Finding[] => [
  ...findings,
  ...files.flatMap((file) => file.findings),
];

const SPOKEN: Record<Outcome, string> = {
  valid: 'valid',
  'signature-only': 'signature only',
  'not-valid': 'NOT VALID',
  incomplete: 'incomplete: no verdict',
};

const ALONE =
  'a signature alone says neither name nor version, so this is no verdict: -c countersign.toml checks the whole release, ' +
  '--signature-only is content with this';

/** The verdict, to be read aloud; `quiet`: only that, and what speaks against it. */
function speak(verdict: Verdict, quiet: boolean, terminal: Terminal): void {
  const good: Outcome = verdict.release ? 'valid' : 'signature-only';
  const bad: Outcome = verdict.outcome === 'incomplete' ? 'incomplete' : 'not-valid';
  for (const file of verdict.files) {
    const outcome = file.valid ? good : file.findings.length > 0 ? badOutcome(file.findings) : bad;
    const style = outcome === 'valid' ? green : outcome === 'not-valid' ? red : yellow;
    const name = file.name === null || file.name === file.file ? '' : ` is ${file.name}`;
    terminal.result(style(SPOKEN[outcome]), `  ${file.file}${name}`);
    for (const finding of file.findings) terminal.result(`  ${finding.text} (${finding.code})`);
  }
  // good files in a bad copy
  if (verdict.outcome === bad && verdict.files.every(({ valid }) => valid)) terminal.result(red(SPOKEN[bad]));
  for (const finding of verdict.findings) terminal.result(`  ${finding.text} (${finding.code})`);
  for (const { text, code } of verdict.warnings)
    terminal.result('  ', yellow('warning:'), ` ${text} (${code})`);
  if (quiet) return;
  if (verdict.release && verdict.outcome !== 'valid') terminal.result('the release that was looked in:');
  if (verdict.release) speakRelease(verdict.release, verdict.head, terminal);
  if (verdict.signature) {
    const { key, created } = verdict.signature;
    terminal.result(
      `  signed by ${spaced(key.fingerprint)} ${key.userId} at ${created}; nothing else is known of it`,
    );
  }
  for (const clause of verdict.checked) terminal.detail(`  checked: ${clause}`);
  for (const clause of verdict.notChecked) terminal.result(`  not checked: ${clause}`);
}

function speakRelease(release: ReleaseFacts, head: HeadFacts | null, terminal: Terminal): void {
  const { source } = release;
  const rows: Part[][] = [
    ...keyRows('signed by', release.releaseKey),
    ['at', release.signedAt],
    ...(release.mode === 'digest' ? [['', 'without fetching it: from the hash states of its builders']] : []),
    ...release.approvers.flatMap((key) => keyRows('approved by', key)),
    ['', `${plural(release.approvers.length, 'approver')}, ${release.threshold} needed`],
    ['built by', buildersText(release)],
    sourceRow(source && { uri: source.uri, digest: { gitCommit: source.commit } }),
    ['build', release.build],
    [
      'log',
      `entry ${release.log.index} of ${release.log.size} in ${release.log.origin}, at ${release.log.time}`,
    ],
    ...(head === null ? [] : [['', headText(head)]]),
    ['witnesses', witnessesText(release)],
  ];
  terminal.result(
    '  ',
    bold(`${release.project} ${release.version}`),
    `, ${plural(release.artifacts, 'artifact')}`,
  );
  for (const row of alignColumns(rows)) terminal.result('  ', ...row);
}

/** How many builders say so, and who: `2 of 3 builders agree: b1, b3 (keypair)`. */
function buildersText({ builders, buildersNeeded, buildersApproved, assurance }: ReleaseFacts): string {
  const slots = new Map<string, string[]>();
  for (const [slot, scheme] of Object.entries(builders))
    slots.set(scheme, [...(slots.get(scheme) ?? []), slot].sort());
  const who = [...slots].map(([scheme, each]) => `${each.join(', ')} (${scheme})`).join(', ');
  if (assurance === 'single-builder') return `${assurance}: ${who}`;
  const agreed = Object.keys(builders).length;
  const needed = agreed > buildersNeeded ? `, ${buildersNeeded} needed` : '';
  return `${agreed} of ${buildersApproved} builders agree${needed}: ${who}`;
}

/** How far the log has come since. */
const headText = ({ log, size, newest }: HeadFacts): string =>
  `now of ${size}${newest === null ? '' : `, the newest at ${newest}`}: ${log}`;

function witnessesText({ witnesses, quorum, witnessesNamed }: ReleaseFacts): string {
  if (witnessesNamed === 0) return 'none asked for';
  const seen = witnesses.map(({ name, time }) => `${name} at ${time}`);
  return `${seen.join(', ') || 'none'}; ${quorum} of ${witnessesNamed} needed`;
}
