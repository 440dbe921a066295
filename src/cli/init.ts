/** `countersign init`: a new project, on the signer's host. */
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { now } from '../host/clock.ts';
import { usage } from '../failure.ts';
import { keyFact } from '../openpgp/key-fact.ts';
import { initProject } from '../setup/init.ts';
import { loadCertificate } from '../setup/keys.ts';
import { parseLocation } from '../tree/location.ts';
import { command } from './command.ts';
import { EXIT } from './exit-status.ts';
import type { Terminal } from './terminal.ts';
import { keyRows } from './rows.ts';
import { alignColumns, bold } from './text.ts';
import { parseCount } from './values.ts';

export { init as command };

const init = command({
  name: 'init',
  synopsis: '--dir DIR --project NAME --release-key FPR|FILE --approver FPR|FILE...',
  about: `Makes a project; run it on the signer's host. Writes DIR/countersign.toml and DIR/keys/, public, to commit and
to copy to every host; and DIR/signer/, for the signer alone: log key, token, journal. Overwrites nothing. Asks
for what is missing.`,
  flags: {
    dir: { value: 'DIR', help: 'where' },
    project: { value: 'NAME', help: 'name of the project' },
    'release-key': { value: 'FPR|FILE', help: 'the key that signs artifacts' },
    approver: { value: 'FPR|FILE', many: true, help: 'a key that may allow builds' },
    'signer-key': { value: 'FPR|FILE', help: 'whose encryption key receives sealed nonces' },
    threshold: { value: 'N', help: 'how many approvers each build needs; 1' },
    artifact: { value: 'PATTERN', many: true, help: 'names that artifacts may have; any' },
  },
  operands: { min: 0, max: 0 },
  example: [
    'countersign init --dir ./widget --project widget \\',
    '  --depot https://depot.example.org --approver ada.asc --approver grace.asc \\',
    '  --release-key 105E0EE81C8E7E4FAD581F634CE0986FD406C87E',
  ],
  async run({ flags, globals, terminal }) {
    const answer = (flag: string, given: string | undefined, question: string, fallback?: string) =>
      given ?? askFor(terminal, flag, question, fallback);
    const directory = await answer('--dir', flags.dir, 'directory', '.');
    const name = await answer(
      '--project',
      flags.project,
      'name of the project',
      basename(resolve(directory)),
    );
    const depot = globals.depot ?? (await askForDepot(terminal));
    const releaseKey =
      flags['release-key'] ??
      (await askForKey(terminal, '--release-key', 'release key, fingerprint or file'));
    const approvers = flags.approver ?? (await askForApprovers(terminal));
    const threshold = parseCount(flags.threshold ?? '1', '--threshold');

    const made = await initProject({
      directory,
      name,
      releaseKey,
      approvers,
      signerKey: flags['signer-key'] ?? null,
      threshold,
      depot: depot === null ? null : depotPlace(depot),
      patterns: flags.artifact ?? [],
      now: now(),
    });
    const { project } = made;
    terminal.record({
      project: project.name,
      config: made.file,
      signer: made.state,
      log: { origin: project.log.origin, key: project.log.key.text },
      releaseKey: project.release.certificate.primary.fingerprint,
      approvers: project.approvers.map((approver) => approver.primary.fingerprint),
      threshold: project.threshold,
      warnings: made.warnings,
    });
    const rows = [
      ['project file', made.file],
      ['for the signer alone', made.state],
      ['log', project.log.key.text],
      ...keyRows('release key', keyFact(project.release.certificate)),
      ...project.approvers.flatMap((approver) => keyRows('approver', keyFact(approver))),
    ];
    terminal.result('made project ', bold(project.name));
    for (const row of alignColumns(rows)) terminal.result('  ', ...row);
    for (const warning of made.warnings) terminal.warn(warning);
    terminal.hint('commit countersign.toml and keys/, copy them to every host; signer/ stays here');
    return EXIT.done;
  },
});

/** Asks on a terminal. Throws usage, naming the flag, where there is none or no answer. */
async function askFor(terminal: Terminal, flag: string, question: string, fallback = ''): Promise<string> {
  const answer = terminal.interactive
    ? await terminal.ask(`${question}${fallback === '' ? '' : ` [${fallback}]`}:`)
    : '';
  const value = answer || (terminal.interactive ? fallback : '');
  if (value === '') throw usage('wrong-usage', `init: ${flag} is missing`, 'see countersign init --help');
  return value;
}

/** Not needed to make a project, so no answer is one; null then, and where nobody can be asked. */
async function askForDepot(terminal: Terminal): Promise<string | null> {
  if (!terminal.interactive) return null;
  return (await terminal.ask('URL or directory of the depot [every command is told one]:')) || null;
}

/** A directory by its absolute path, as the project file lies on every host; a URL as it is. Throws usage. */
function depotPlace(depot: string): string {
  const location = parseLocation(depot);
  if (location.kind === 'url') return depot;
  // else a URL without its https:// would be a directory that nobody meant
  if (/^(?:file:|\.{0,2}\/|\.{1,2}$)/.test(depot) || existsSync(location.directory))
    return location.directory;
  throw usage(
    'depot-url',
    `init: ${depot} is neither a URL nor a directory here`,
    `like https://depot.example.org or /srv/depot; ./${depot} if it is to be a directory`,
  );
}

/** A key that is there: said at once, not after all other questions. */
async function askForKey(terminal: Terminal, flag: string, question: string): Promise<string> {
  const named = await askFor(terminal, flag, question);
  await loadCertificate(named, flag);
  return named;
}

async function askForApprovers(terminal: Terminal): Promise<string[]> {
  const answer = await askFor(terminal, '--approver', 'approvers’ keys, fingerprints or files');
  const named = answer.split(/[\s,]+/).filter((each) => each !== '');
  for (const each of named) await loadCertificate(each, '--approver');
  return named;
}
