/** `countersign doctor`: looks at this host, and says how to mend what is wrong. */
import { dirname, join, resolve } from 'node:path';
import { Failure, usage } from '../failure.ts';
import { now } from '../host/clock.ts';
import type { Project } from '../policy/project.ts';
import { diagnose } from '../setup/doctor.ts';
import { ROLES } from '../setup/doctor/finding.ts';
import type { Finding, Level, Role } from '../setup/doctor/finding.ts';
import { parseLocation } from '../tree/location.ts';
import type { Location } from '../tree/location.ts';
import { command } from './command.ts';
import type { Globals } from './command.ts';
import { loadProject, namedFile, projectFile, readSmallFile } from './config.ts';
import { EXIT } from './exit-status.ts';
import type { Terminal } from './terminal.ts';
import { dim, green, plural, red, yellow } from './text.ts';
import type { Styled } from './text.ts';
import { VERSION } from './version.ts';

export { doctor as command };

const doctor = command({
  name: 'doctor',
  synopsis: '[--role signer|depot|builder|operator]',
  about: `Looks at this host as one of the four roles, says what is wrong or could be better, and after hint: the
command that mends it. Without --role it says which role it takes the host for. Changes nothing, asks for no
passphrase, signs nothing. Ends with 1 if there is a problem, with 0 if there are notes and warnings only.`,
  flags: {
    role: { value: 'ROLE', help: 'signer, depot, builder or operator' },
    state: {
      value: 'DIR',
      help: 'the signer’s state, looked at as the signer; else signer/ beside the project file',
    },
    data: { value: 'DIR', help: 'what the depot serves' },
  },
  operands: { min: 0, max: 0 },
  example: ['countersign doctor', 'countersign doctor --role depot --data /var/lib/countersign'],
  async run({ flags, globals, terminal }) {
    const named = flags.state === undefined ? null : 'signer';
    const role = flags.role === undefined ? named : parseRole(flags.role);
    const file = projectFile(globals);
    const { project, keyFiles } = load(globals);
    const { findings, blind } = await diagnose(
      {
        now: now(),
        env: process.env,
        version: VERSION,
        cwd: process.cwd(),
        file,
        named: namedFile(globals) !== undefined,
        project,
        keyFiles,
        state: resolve(flags.state ?? join(dirname(file), 'signer')),
        data: flags.data === undefined ? null : resolve(flags.data),
        depot: locate(project, globals),
      },
      role,
    );
    for (const finding of findings) show(finding, terminal);
    const problems = findings.filter(({ level }) => level === 'problem').length;
    const warnings = findings.filter(({ level }) => level === 'warning').length;
    terminal.say(`${plural(problems, 'problem')}, ${plural(warnings, 'warning')}`);
    if (problems > blind.length) return EXIT.refused;
    return blind.length > 0 ? EXIT.unable : EXIT.done;
  },
});

function parseRole(text: string): Role {
  const role = ROLES.find((each) => each === text);
  if (role) return role;
  throw usage('wrong-usage', `doctor: there is no role '${text}'`, `one of: ${ROLES.join(', ')}`);
}

/** The project and its key files, or why it could not be read. */
function load(globals: Globals): { project: Project | Failure; keyFiles: Map<string, Buffer> } {
  const keyFiles = new Map<string, Buffer>();
  try {
    const { project } = loadProject(globals, (path, hint) => {
      const bytes = readSmallFile(path, hint);
      keyFiles.set(path, bytes);
      return bytes;
    });
    keyFiles.delete(projectFile(globals));
    return { project, keyFiles };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { project: error, keyFiles };
  }
}

function locate(project: Project | Failure, globals: Globals): Location | Failure | null {
  const depot = globals.depot ?? (project instanceof Failure ? null : project.depot);
  if (depot === null) return null;
  try {
    return parseLocation(depot);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error;
  }
}

const STYLE: Record<Level, (text: string) => Styled> = {
  ok: green,
  note: dim,
  warning: yellow,
  problem: red,
};
const LEVEL_WIDTH = 'problem'.length;

function show({ check, level, text, hint }: Finding, terminal: Terminal): void {
  terminal.record({ check, level, text, hint });
  terminal.result(STYLE[level](level.padEnd(LEVEL_WIDTH)), `  ${check}: ${text}`);
  // a command to copy: nothing stands before it but the word
  if (hint !== '') terminal.result(`${' '.repeat(LEVEL_WIDTH)}  `, dim('hint:'), ` ${hint}`);
}
