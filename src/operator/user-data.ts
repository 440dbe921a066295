/**
 * User-data for cloud-init: a machine that starts, attests one build, and keeps no copy of its ticket. Pure text.
 *
 * The ticket and a script go to /run, which is memory. The script first removes what cloud-init has written down of the
 * user-data, and looks whether that is all; only then does anything of the build run.
 */
import { refused, usage } from '../failure.ts';
import { word } from '../host/shell.ts';
import type { Sha256 } from '../records/names.ts';
import { timestampDate } from '../records/names.ts';
import { formatTicket } from '../records/ticket.ts';
import type { Ticket } from '../records/ticket.ts';

export interface UserDataRequest {
  readonly ticket: Ticket;
  /** As `attest` takes them; absolute, for the machine begins in `/`. */
  readonly paths: readonly string[];
  readonly base: string | null;
  readonly exclude: readonly string[];
  readonly run: string | null;
  readonly runAs: string | null;
  /** Whether the machine keeps all but root from its metadata service, which has the user-data. */
  readonly blockMetadata: boolean;
  readonly program: Program;
}

/** The program on that machine: one that is there, or one that is fetched and must have this digest. */
export type Program =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string; readonly sha256: Sha256 };

const DIRECTORY = '/run/countersign';

/**
 * The user-data. It holds the ticket: secret. Throws refused `ticket-expired`, `ticket-used`; usage `path-relative`, `run-as`.
 */
export function userData(request: UserDataRequest, now: Date): string {
  const { ticket } = request;
  requireUsable(ticket, now);
  for (const path of [...request.paths, ...(request.base === null ? [] : [request.base])])
    if (!path.startsWith('/'))
      throw usage('path-relative', `${path} is relative, and the machine begins in /`, 'give absolute paths');
  if (request.blockMetadata && request.runAs === null)
    throw usage(
      'run-as',
      '--block-metadata keeps out all but root, and the build is root',
      'give --run-as USER, too',
    );
  return [
    '#cloud-config',
    `# attests ${ticket.project} ${ticket.version}, build ${ticket.build}, slot ${ticket.slot}; holds its ticket: secret until ${ticket.expires}`,
    'write_files:',
    ...fileLines(ticketPath(ticket), '0600', `${formatTicket(ticket)}\n`),
    ...fileLines(`${DIRECTORY}/attest.sh`, '0700', script(request)),
    'runcmd:',
    `  - [sh, ${DIRECTORY}/attest.sh]`,
    '',
  ].join('\n');
}

function requireUsable({ build, expires, secret }: Ticket, now: Date): void {
  if (now >= timestampDate(expires))
    throw refused(
      'ticket-expired',
      `the ticket for build ${build} expired at ${expires}`,
      'ask for a new approval',
    );
  if ((secret.scheme === 'keypair' ? secret.secretKey : secret.nonce) === null)
    throw refused('ticket-used', `the ticket for build ${build} was used`, 'ask for a new approval');
}

const ticketPath = ({ slot }: Ticket): string => `${DIRECTORY}/${slot}.ticket`;

/** What cloud-init and its data sources write down of user-data (cloud-init 22 to 25). */
const COPIES = [
  '/var/lib/cloud/instances/*/user-data.txt*',
  '/var/lib/cloud/instances/*/cloud-config.txt',
  '/var/lib/cloud/instances/*/obj.pkl',
  '/var/lib/cloud/seed/*/user-data',
  '/run/cloud-init/combined-cloud-config.json',
  '/run/cloud-init/instance-data-sensitive.json',
];
const PLACES = '/var/lib/cloud /run/cloud-init /var/log/cloud-init.log /var/log/cloud-init-output.log';

/** Where the ticket can still be read then; in the script, before `attest` starts. */
function wall({ runAs, blockMetadata }: UserDataRequest): string[] {
  const what = '# the metadata service has the user-data: none but root reaches it';
  if (!blockMetadata)
    return runAs === null
      ? []
      : [`${what} if a firewall rule stands here, as --block-metadata writes one`, ''];
  return [
    what,
    'if command -v nft > /dev/null; then',
    "  nft -f - <<'END'",
    'table inet countersign {',
    '  chain output {',
    '    type filter hook output priority 0;',
    '    ip daddr 169.254.169.254 meta skuid != 0 drop',
    '    ip6 daddr fd00:ec2::254 meta skuid != 0 drop',
    '  }',
    '}',
    'END',
    'else',
    '  iptables -A OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j DROP',
    '  ip6tables -A OUTPUT -d fd00:ec2::254 -m owner ! --uid-owner 0 -j DROP',
    'fi',
    '',
  ];
}

function script(request: UserDataRequest): string {
  const { ticket, paths, base, exclude, run, runAs, program } = request;
  const words = [
    ...['attest', '--ticket', ticketPath(ticket)],
    ...(base === null ? [] : ['--base', base]),
    ...exclude.map((pattern) => `--exclude=${pattern}`),
    ...(run === null ? [] : [`--run=${run}`]),
    ...(runAs === null ? [] : ['--run-as', runAs]),
    ...['--', ...paths],
  ];
  return [
    '#!/bin/sh',
    'set -eu',
    'ulimit -c 0',
    'export HOME="${HOME:-/root}"',
    'cd /',
    '',
    '# what cloud-init has written down of the user-data, before anything of the build runs',
    `rm -f ${COPIES.join(' ')}`,
    // what grep says by its status of files that are not there hides what it has found
    `copies=$(grep -rlsF countersign-ticket- ${PLACES} || true)`,
    'if [ -n "$copies" ]; then',
    '  printf \'countersign: the ticket is also in %s\\n\' "$copies" >&2',
    '  exit 1',
    'fi',
    '',
    ...wall(request),
    ...programLines(program, words.map(word).join(' ')),
    '',
  ].join('\n');
}

function programLines(program: Program, words: string): string[] {
  if (program.kind === 'path') return [`exec ${word(program.path)} ${words}`];
  const file = `${DIRECTORY}/countersign.mjs`;
  return [
    '# the very program that made this script',
    `curl --fail --silent --show-error --location --retry 5 --output ${file} -- ${word(program.url)}`,
    `echo '${program.sha256}  ${file}' | sha256sum --check --quiet --strict`,
    `exec node ${file} ${words}`,
  ];
}

const fileLines = (path: string, mode: string, content: string): string[] => [
  `  - path: ${path}`,
  '    owner: root:root',
  `    permissions: '${mode}'`,
  ...contentLines(content),
];

/** As it is where YAML's literal block can say it; else in double quotes. */
function contentLines(content: string): string[] {
  if (!/^[\x20-\x7e\n]*$/.test(content)) return [`    content: ${quoted(content)}`];
  const lines = content.replace(/\n$/, '').split('\n');
  return ['    content: |', ...lines.map((line) => (line === '' ? '' : `      ${line}`))];
}

/** A double-quoted scalar of printable ASCII (YAML 1.1 and 1.2). */
const quoted = (text: string): string =>
  `"${Array.from(text, (character) =>
    /[ !#-[\]-~]/.test(character) && character.length === 1
      ? character
      : `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`,
  ).join('')}"`;
