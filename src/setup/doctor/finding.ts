/** What `doctor` says: each thing that it looked at, how it is, and the command that mends it. */
import type { Environment } from '../../host/process.ts';
import type { Project } from '../../policy/project.ts';
import type { Failure } from '../../failure.ts';
import type { Location } from '../../tree/location.ts';

export const ROLES = ['signer', 'depot', 'builder', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/** `note`: a person may want to know; `warning`: should be mended; `problem`: will not work, or is not safe. */
export type Level = 'ok' | 'note' | 'warning' | 'problem';

/** What is looked at. Stable: scripts compare it. */
export type CheckCode =
  | 'role'
  | 'node'
  | 'programs'
  | 'environment'
  | 'project-file'
  | 'permissions'
  | 'certificates'
  | 'state'
  | 'misplaced'
  | 'gnupg-home'
  | 'agent'
  | 'agent-options'
  | 'release-key'
  | 'release-key-certifies'
  | 'release-key-locked'
  | 'release-key-passphrase'
  | 'encryption-key'
  | 'approver-key'
  | 'ticket'
  | 'tickets'
  | 'clock'
  | 'depot'
  | 'data'
  | 'space'
  | 'memory';

export interface Finding {
  readonly check: CheckCode;
  readonly level: Level;
  readonly text: string;
  /** The cure, a command where there is one; empty if nothing is to be done. */
  readonly hint: string;
}

/** The host that is looked at, as the command line and the environment describe it. Paths are absolute. */
export interface Host {
  readonly role: Role;
  readonly now: Date;
  readonly env: Environment;
  /** Of this program. */
  readonly version: string;
  readonly cwd: string;
  /** Where the project file is, or would be. */
  readonly file: string;
  /** Somebody said that it is there: `-c`, or `$COUNTERSIGN_CONFIG`. */
  readonly named: boolean;
  /** What it says, or why that could not be read. */
  readonly project: Project | Failure;
  /** The key files that it names, by path, as far as they were read. */
  readonly keyFiles: ReadonlyMap<string, Buffer>;
  /** The signer's state directory, or where it would be. */
  readonly state: string;
  /** The directory that `serve` serves; null if nobody said. */
  readonly data: string | null;
  readonly depot: Location | Failure | null;
}

/** One thing, or a few that belong together. Throws `Failure` if it could not look. */
export type Check = (host: Host) => Promise<readonly Finding[]>;

type Report = (check: CheckCode, text: string, hint?: string) => Finding;
const at =
  (level: Level): Report =>
  (check, text, hint = '') => ({ check, level, text, hint });
export const ok = at('ok');
export const note = at('note');
export const warning = at('warning');
export const problem = at('problem');

/** The longest that one question to another program may take: nobody waits for a doctor that hangs. */
export const PROBE_MS = 5_000;
